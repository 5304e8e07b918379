"""Compare corpora in pairs: the same cells trained on both, scored on the same documents."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.compare.estimate import contrast
from trainer.compare.results import measure
from trainer.page.formatting import count
from trainer.scaling.laws import Floats
from trainer.scaling.source import Run, Source
from trainer.scaling.uncertainty import LEVEL, Interval

DOCUMENTS = "documents.jsonl"
"""In a run's folder: the validation documents and their bits, written from `Evaluation.records`."""


@dataclass(frozen=True)
class Comparison:
    """How much lower `second`'s loss is than `first`'s, as a share of it, over the cells that both have.

    `cells` holds each cell's own difference; `documents` is the number of validation documents that the
    interval uses, 0 if there are no records and it comes from cells alone.
    """

    first: str
    second: str
    difference: Interval
    cells: tuple[tuple[str, float, float], ...]
    documents: int


def compare_all(source: Source, loss: str) -> tuple[Comparison, ...]:
    """Compare every two corpora that share cells."""
    pairs = itertools.combinations(source.corpora, 2)
    found = (compare(source, loss, first, second) for first, second in pairs)
    return tuple(one for one in found if one is not None)


def compare(source: Source, loss: str, first: str, second: str) -> Comparison | None:
    """Compare two corpora; None if no cell was trained on both."""
    cells = _paired(source.kept(first), source.kept(second))
    if not cells:
        return None
    losses = np.array([[row.losses[loss] for row in side] for side in zip(*cells, strict=True)])
    named = tuple(
        (f"{count(a.params)} parameters, {count(a.tokens)} tokens", _compute(a), float(1 - theirs / own))
        for (a, _), own, theirs in zip(cells, *losses, strict=True)
    )
    read = _records(source.path, cells) if source.study else None
    bits, bytes = read or (losses[:, :, None], np.ones(1, np.int64))
    return Comparison(first, second, _lower(bits, bytes), named, len(bytes) if read else 0)


def _lower(bits: Floats, bytes: NDArray[np.int64]) -> Interval:
    """Return by which share the second has fewer of bits[2, cells, documents], with its interval.

    Cells are compared as `derlem compare` compares seeds: in pairs, each as a share of its first corpus.
    """
    documents = measure("all", "", np.zeros(len(bytes), np.int64), bytes)
    found = contrast(bits / documents.of(bits[0])[:, None], bytes, documents, 0, 1)
    if len(bytes) == 1:  # without records nothing is known of documents
        found = replace(found, document_error=0.0)
    low, high = found.interval(1 - LEVEL)
    lower, upper = (None if np.isinf(end) else -end for end in (high, low))
    return Interval(-found.value, lower, upper)


def _paired(first: list[Run], second: list[Run]) -> list[tuple[Run, Run]]:
    """Pair runs of one size, number of tokens, epochs and seed, in order of compute."""

    def key(row: Run) -> tuple[float, float, float, str]:
        return row.params, row.tokens, round(row.epochs, 2), row.seed

    there = {key(row): row for row in second}
    pairs = [(row, there[key(row)]) for row in {key(row): row for row in first}.values() if key(row) in there]
    return sorted(pairs, key=lambda pair: (_compute(pair[0]), pair[0].params, pair[0].seed))


def _compute(row: Run) -> float:
    return row.compute if np.isfinite(row.compute) else 6 * row.params * row.tokens


def _records(study: Path, cells: list[tuple[Run, Run]]) -> tuple[Floats, NDArray[np.int64]] | None:
    """Read bits[2, cells, documents] of the pairs and the documents' bytes; None if any record is missing."""
    read: list[list[dict[tuple[str, str, str], tuple[float, int]]]] = [[], []]
    for pair in cells:
        for side, row in zip(read, pair, strict=True):
            path = study / row.folder / DOCUMENTS
            if not row.folder or not path.exists():
                return None
            with path.open(encoding="utf-8") as lines:
                held = [json.loads(line) for line in lines]
            side.append(
                {
                    (one["language"], one["source"], one["id"]): (float(one["bits"]), int(one["bytes"]))
                    for one in held
                }
            )
    names = sorted(read[0][0])
    if any(sorted(one) != names for side in read for one in side):
        return None
    found = np.array([[[one[name] for name in names] for one in side] for side in read])
    return found[..., 0], found[0, 0, :, 1].astype(np.int64)
