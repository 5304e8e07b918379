"""Which lines of a page are its main text: boosted trees over their features, and the best cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.maintext import tags
from corpus.text.maintext.columns import FEATURES, FURNITURE
from corpus.text.maintext.features import features
from corpus.text.maintext.lines import ELEMENT, WORDS
from corpus.text.maintext.markup import Markup

# Below it a line is not main text, even where the page has nothing better.
_FLOOR = 0.15
# What a line keeps of its likelihood in an element whose name is none of main text.
_FURNITURE = 0.1
# Lines whose features are in memory together: a kilobyte each.
_TOGETHER = 50_000


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees in one table: leaves have the feature -1 and their value as threshold."""

    starts: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int16]  # nodes counted from the tree's start
    right: NDArray[np.int16]
    mean: NDArray[np.float64]  # what the lines of a node come to: reasons are told from it


@dataclass(frozen=True, slots=True)
class Judged:
    """For each line how likely it is main text, and whether it is kept."""

    likely: NDArray[np.float64]
    kept: NDArray[np.bool_]


@cache
def trees() -> Trees:
    """Return the trees that benchmarks/train_maintext.py made."""
    with (files("corpus.text.maintext") / "trees.npz").open("rb") as file:
        table = np.load(file)
        if list(table["features"]) != list(FEATURES):
            raise ValueError("trees.npz was made for other features: run benchmarks/train_maintext.py")
        return Trees(**{name: table[name] for name in Trees.__slots__})


def judge(data: bytes, markup: Markup) -> Judged:
    """Return which lines of a page are its main text."""
    table = trees()
    lines = len(markup.lines)
    likely = np.empty(lines, np.float64)
    for start in range(0, lines, _TOGETHER):
        end = min(lines, start + _TOGETHER)
        rows = features(data, markup, start, end)
        likely[start:end] = _likely(
            rows, table.starts, table.feature, table.threshold, table.left, table.right
        )
        likely[start:end][rows[:, FURNITURE] > 0] *= _FURNITURE
    kept = np.asarray(_cut(likely, markup.lines[:, WORDS]))
    if (markup.marks[markup.lines[kept, ELEMENT]] & tags.HEADING).all():
        kept[:] = False  # a page of headings alone has no text
    return Judged(likely, kept)


def reasons(row: NDArray[np.float32]) -> list[tuple[str, float]]:
    """Return the features that decided on a line, the weightiest first, with what each added to its score."""
    table = trees()
    added: Any = _added(
        row, table.starts, table.feature, table.threshold, table.left, table.right, table.mean, len(FEATURES)
    )
    order = np.argsort(-np.abs(added), kind="stable")
    return [(FEATURES[at], float(added[at])) for at in order if added[at]]


@njit(cache=True)
def _likely(x, starts, feature, threshold, left, right):  # type: ignore[no-untyped-def]
    likely = np.empty(x.shape[0], np.float64)
    for i in range(x.shape[0]):
        score = 0.0
        for tree in range(starts.size):
            start = starts[tree]
            at = start
            while feature[at] >= 0:
                at = start + (left[at] if x[i, feature[at]] <= threshold[at] else right[at])
            score += threshold[at]
        likely[i] = 1.0 / (1.0 + np.exp(-score))
    return likely


@njit(cache=True)
def _added(row, starts, feature, threshold, left, right, mean, width):  # type: ignore[no-untyped-def]
    added = np.zeros(width, np.float64)
    for tree in range(starts.size):
        start = starts[tree]
        at = start
        while feature[at] >= 0:
            below = start + (left[at] if row[feature[at]] <= threshold[at] else right[at])
            added[feature[at]] += mean[below] - mean[at]
            at = below
    return added


@njit(cache=True)
def _cut(likely, words):  # type: ignore[no-untyped-def]
    """Return the lines whose keeping makes the expected F1 of words the greatest.

    None is half as likely as the better half of the main text is on average.
    """
    kept = np.zeros(likely.size, np.bool_)
    order = np.argsort(-likely, kind="mergesort")
    wanted = 0.0
    for i in range(likely.size):
        wanted += likely[i] * words[i]
    found = hit = best = 0.0
    floor = _FLOOR
    cut = 0
    for place in range(order.size):
        i = order[place]
        if likely[i] < floor:
            break
        half = 2 * hit < wanted
        found += words[i]
        hit += likely[i] * words[i]
        if half and 2 * hit >= wanted:
            floor = max(floor, 0.5 * hit / found)
        if found > 0 and hit / (found + wanted) >= best:
            best = hit / (found + wanted)
            cut = place + 1
    for place in range(cut):
        kept[order[place]] = True
    return kept
