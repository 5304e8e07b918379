"""Connected components of a graph that is larger than one worker's memory: in rounds over partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from corpus.dedup.bands import EDGE, verified
from corpus.dedup.components import Pairs, large_star, large_star_input, small_star, split
from corpus.errors import LinkingError
from pipelines import handover, options, shuffle
from pipelines.shuffle import Grouped, Keyed

MAX_ROUNDS = 30
"""Rounds after which the search for components fails: it needs about log2 of the longest chain."""


def label(
    folder: str,
    edges: Sequence[str],
    threshold: float,
    partitions: int,
    runner: options.Runner,
    number: int,
) -> list[str]:
    """Turn the graph into stars around the components' labels; return the files of (node, label) rows."""
    paths = list(edges)
    left = 0
    for turn in range(MAX_ROUNDS):
        place = f"pass-{number:02d}/rounds/{turn:02d}"
        records = shuffle.run(
            runner,
            folder,
            f"dedupe-round-{number:02d}-{turn:02d}",
            paths,
            [
                ("Read", partial(_both_ends, folder=folder, threshold=threshold, partitions=partitions)),
                ("Large star", partial(_large_star, partitions=partitions)),
            ],
            ("Small star", partial(_small_star, folder=folder, place=place)),
            f"{place}/round.json",
        )
        paths = [record["path"] for record in records]
        left = sum(record["moved"] for record in records)
        if left == 0:
            return paths
    raise LinkingError(
        f"components: after {MAX_ROUNDS} rounds {left} edges still move; the graph holds a chain of copies"
        f" longer than any web corpus has: look at its largest buckets, or raise dedupe.threshold"
    )


def _pairs(folder: str, path: str, threshold: float) -> Pairs:
    """Return the (larger, smaller) rows of a file of edges, or of a file that an earlier round wrote."""
    rows = handover.load(folder, path)
    if rows.dtype == EDGE:
        edges = verified(rows, threshold)
        rows = np.stack([edges["b"], edges["a"]], axis=1)
    return rows


def _both_ends(path: str, folder: str, threshold: float, partitions: int) -> Iterator[Keyed]:
    for number, rows in split(large_star_input(_pairs(folder, path, threshold)), partitions):
        yield number, rows.tobytes()


_MOVED = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Instead of a document number: in a row that says how many edges the large star moved."""


def _large_star(nodes: Grouped, partitions: int) -> Iterator[Keyed]:
    """Yield the rows of a large star, and how many edges it moved as a row of partition 0.

    Not as a second output: Dask's runner mixes up several outputs.
    """
    rows, moved = large_star(rows_of(nodes[1]))
    if moved:
        yield 0, np.array([[_MOVED, moved]], np.uint64).tobytes()
    for number, piece in split(rows, partitions):
        yield number, piece.tobytes()


def _small_star(nodes: Grouped, folder: str, place: str) -> dict[str, Any]:
    key, packed = nodes
    rows = rows_of(packed)
    is_count = rows[:, 0] == _MOVED
    before = int(rows[is_count, 1].sum())
    rows, moved = small_star(rows[~is_count])
    path = f"{place}/{key:06d}.npy"
    handover.save(folder, path, rows)
    return {"path": path, "moved": before + moved}


def rows_of(packed: Iterable[bytes]) -> Pairs:
    return np.concatenate([np.frombuffer(block, np.uint64).reshape(-1, 2) for block in packed])
