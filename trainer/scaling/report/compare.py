"""Compare corpora in pairs: the same cells trained on both, scored on the same documents."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.page.formatting import count
from trainer.scaling.laws import Floats
from trainer.scaling.report.source import Run, Source
from trainer.scaling.uncertainty import LEVEL, Interval

DOCUMENTS = "documents.jsonl"
"""In a run's folder: the validation documents and their bits, written from `Evaluation.records`."""
RESAMPLES = 2000


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


def compare_all(source: Source, loss: str, seed: int = 0) -> tuple[Comparison, ...]:
    """Compare every two corpora that share cells."""
    pairs = itertools.combinations(source.corpora, 2)
    found = (compare(source, loss, first, second, seed) for first, second in pairs)
    return tuple(one for one in found if one is not None)


def compare(source: Source, loss: str, first: str, second: str, seed: int = 0) -> Comparison | None:
    """Compare two corpora; None if no cell was trained on both."""
    cells = _paired(source.kept(first), source.kept(second))
    if not cells:
        return None
    drop = np.array([1 - b.losses[loss] / a.losses[loss] for a, b in cells])
    named = tuple(
        (f"{count(a.params)} parameters, {count(a.tokens)} tokens", _compute(a), float(d))
        for (a, b), d in zip(cells, drop, strict=True)
    )
    bits = _records(source.path, cells) if source.study else None
    if bits is None:
        return Comparison(first, second, _by_cells(drop), named, 0)
    return Comparison(first, second, _by_documents(*bits, seed=seed), named, bits[0].shape[1])


def _paired(first: list[Run], second: list[Run]) -> list[tuple[Run, Run]]:
    """Pair runs of one size, number of tokens, epochs and seed, in order of compute."""

    def key(row: Run) -> tuple[float, float, float, str]:
        return row.params, row.tokens, round(row.epochs, 2), row.seed

    there = {key(row): row for row in second}
    pairs = [(row, there[key(row)]) for row in {key(row): row for row in first}.values() if key(row) in there]
    return sorted(pairs, key=lambda pair: (_compute(pair[0]), pair[0].params, pair[0].seed))


def _compute(row: Run) -> float:
    return row.compute if np.isfinite(row.compute) else 6 * row.params * row.tokens


def _by_cells(drop: Floats) -> Interval:
    """Return Student's interval of the mean over cells; open for one cell."""
    mean = float(drop.mean())
    if len(drop) < 2:
        return Interval(mean, None, None)
    half = float(special.stdtrit(len(drop) - 1, (1 + LEVEL) / 2) * drop.std(ddof=1) / np.sqrt(len(drop)))
    return Interval(mean, mean - half, mean + half)


def _by_documents(first: Floats, second: Floats, seed: int) -> Interval:
    """Resample documents and cells together, paired: bits [cells, documents] of both."""

    def mean(cells: NDArray[np.int64], documents: Floats) -> float:
        return float((1 - (second[cells] @ documents) / (first[cells] @ documents)).mean())

    rng = np.random.default_rng(seed)
    many, size = first.shape
    everything = mean(np.arange(many), np.ones(size))
    drawn = np.array(
        [
            mean(
                rng.integers(many, size=(many,)), rng.multinomial(size, np.full(size, 1 / size)).astype(float)
            )
            for _ in range(RESAMPLES)
        ]
    )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(everything, float(low), float(high))


def _records(study: Path, cells: list[tuple[Run, Run]]) -> tuple[Floats, Floats] | None:
    """Read the bits [cells, documents] of both runs of each pair; None if any record is missing."""
    read: list[list[dict[tuple[str, str, str], float]]] = [[], []]
    for pair in cells:
        for side, row in zip(read, pair, strict=True):
            path = study / row.folder / DOCUMENTS
            if not row.folder or not path.exists():
                return None
            with path.open(encoding="utf-8") as lines:
                held = [json.loads(line) for line in lines]
            side.append({(one["language"], one["source"], one["id"]): float(one["bits"]) for one in held})
    names = sorted(read[0][0])
    if any(sorted(one) != names for side in read for one in side):
        return None
    first, second = (np.array([[one[name] for name in names] for one in side]) for side in read)
    return first, second
