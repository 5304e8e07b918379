"""Which lines of a page are its main text: boosted trees over their features, and the best cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.maintext import kinds, layout, stamps, tags
from corpus.text.maintext.columns import FEATURES, FURNITURE, REVIEW
from corpus.text.maintext.features import features
from corpus.text.maintext.lines import ELEMENT, ITEM, ROW, WORDS
from corpus.text.maintext.markup import Markup

# Below it a line is not main text, even where the page has nothing better.
_FLOOR = 0.15
# What a line keeps of its likelihood in an element whose name is none of main text.
_FURNITURE = 0.1
# What a line keeps of it in what is named a review, where the page is more likely a product's than not.
_REVIEW = 0.2
# The score of the first half of the trees below which a line is not main text whatever the others say.
_SURE = -2.5
# Lines whose features are in memory together: a kilobyte each.
_TOGETHER = 50_000


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees in one table: leaves have the feature -1 and their value as threshold.

    Where a feature is at most the threshold the next node follows, else that `right` nodes after it.
    """

    starts: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    right: NDArray[np.int16]
    mean: NDArray[np.float32]  # what the lines of a node come to: reasons are computed from it


@dataclass(frozen=True, slots=True)
class Judged:
    """How likely each line is main text, whether it is kept, and how likely the page is of each kind."""

    likely: NDArray[np.float64]
    kept: NDArray[np.bool_]
    kinds: NDArray[np.float64]


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
    named = np.empty((lines, 2), np.bool_)
    total = np.zeros(len(FEATURES), np.float64)
    for start in range(0, lines, _TOGETHER):
        end = min(lines, start + _TOGETHER)
        rows = features(data, markup, start, end)
        likely[start:end] = likelihoods(rows, table.starts, table.feature, table.threshold, table.right)
        named[start:end] = rows[:, (FURNITURE, REVIEW)] > 0
        total += rows.sum(axis=0, dtype=np.float64)
    of_kinds = kinds.probabilities(kinds.summary(total, lines))
    likely *= by_name(named, of_kinds)
    return Judged(likely, chosen(data, markup, likely), of_kinds)


def by_name(named: NDArray[np.bool_], of_kinds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each line of a page keeps of its likelihood, by whether it is in furniture and in a review.

    Reviews are left to the trees on other pages: a review may be what a page is for.
    """
    is_product = of_kinds[kinds.KINDS.index("product")] > 0.5
    kept = np.where(named[:, 0], _FURNITURE, 1.0)
    return np.asarray(kept * np.where(named[:, 1], _REVIEW, 1.0) if is_product else kept)


def chosen(data: bytes, markup: Markup, likely: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which lines of a page are kept, by how likely they are main text."""
    words = markup.lines[:, WORDS]
    kept = np.asarray(_cut(likely, words, np.argsort(-likely, kind="stable")))
    short = (words <= stamps.LONGEST) & (markup.lines[:, ITEM] < 0) & (markup.lines[:, ROW] < 0)
    for at in np.flatnonzero(kept & short).tolist():
        kept[at] = not stamps.is_stamp(layout.line_text(data, markup, at))
    if (markup.marks[markup.lines[kept, ELEMENT]] & tags.HEADING).all():
        kept[:] = False  # a page of headings alone has no text
    return kept


def reasons(row: NDArray[np.float32]) -> list[tuple[str, float]]:
    """Return the features that decided on a line, the weightiest first, with what each added to its score."""
    table = trees()
    added: Any = _added(
        row, table.starts, table.feature, table.threshold, table.right, table.mean, len(FEATURES)
    )
    order = np.argsort(-np.abs(added), kind="stable")
    return [(FEATURES[at], float(added[at])) for at in order if added[at]]


@njit(cache=True)
def likelihoods(x, starts, feature, threshold, right):  # type: ignore[no-untyped-def]
    """Return how likely each row's line is main text.

    Where the first half of the trees is sure that it is not, the other half is not asked.
    """
    likely = np.empty(x.shape[0], np.float64)
    trees = starts.size
    half = trees // 8 * 4
    for i in range(x.shape[0]):
        score = 0.0
        for tree in range(0, trees, 4):
            if tree == half and tree and score < _SURE:
                score *= trees / half
                break
            if tree + 4 > trees:
                for last in range(tree, trees):
                    a = starts[last]
                    while feature[a] >= 0:
                        a += 1 + right[a] * (x[i, feature[a]] > threshold[a])
                    score += threshold[a]
                break
            # Four at a time: none waits for what the others read from memory.
            a, b, c, d = starts[tree], starts[tree + 1], starts[tree + 2], starts[tree + 3]
            going = True
            while going:
                going = False
                if feature[a] >= 0:
                    a += 1 + right[a] * (x[i, feature[a]] > threshold[a])
                    going = True
                if feature[b] >= 0:
                    b += 1 + right[b] * (x[i, feature[b]] > threshold[b])
                    going = True
                if feature[c] >= 0:
                    c += 1 + right[c] * (x[i, feature[c]] > threshold[c])
                    going = True
                if feature[d] >= 0:
                    d += 1 + right[d] * (x[i, feature[d]] > threshold[d])
                    going = True
            score += np.float64(threshold[a]) + threshold[b] + threshold[c] + threshold[d]
        likely[i] = 1.0 / (1.0 + np.exp(-score))
    return likely


@njit(cache=True)
def _added(row, starts, feature, threshold, right, mean, width):  # type: ignore[no-untyped-def]
    added = np.zeros(width, np.float64)
    for tree in range(starts.size):
        at = starts[tree]
        while feature[at] >= 0:
            below = at + 1 + right[at] * (row[feature[at]] > threshold[at])
            added[feature[at]] += mean[below] - mean[at]
            at = below
    return added


@njit(cache=True)
def _cut(likely, words, order):  # type: ignore[no-untyped-def]
    """Return the lines whose keeping makes the expected F1 of words the greatest.

    `order` has the likeliest first. None is half as likely as the better half of the main text is on average.
    """
    kept = np.zeros(likely.size, np.bool_)
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
