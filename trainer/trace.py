"""The documents that a training step reads: for each row its stream, its epoch, and parts of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from trainer.order import Order, rank_rows
from trainer.tokens import Place, Tokens, places


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens first … last of a document that has `tokens`; they are counted from 0, EOS is one of them."""

    id: str
    source: str
    language: str
    first: int
    last: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a step's global batch: `epoch` is counted from 0, `length` is the number of targets."""

    row: int
    stream: str
    epoch: int
    length: int
    passages: tuple[Passage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self)


def trace(
    tokens: Tokens, order: Order, step: int, rank: int = 0, world: int = 1, split: str = "train"
) -> list[Row]:
    """Return what each row of a step reads, for the rows of one of `world` ranks.

    A row's passages have together length + 1 tokens: its inputs and then its last target. Reads the ids and
    document lengths of the record batches concerned; if these are mapped, nothing else is touched. Raises
    ValueError for a negative step and for a rank outside the world.
    """
    windows = order.windows(step, rank, world)
    segments = order.segments(windows)
    batches = _open(tokens.folder, places(tokens, split), segments)
    passages: list[list[Passage]] = [[] for _ in windows]
    for segment in segments:
        first, batch = int(segment["offset"]), batches[int(segment["stream"]), int(segment["batch"])]
        passages[segment["row"]] += _passages(batch, first, first + int(segment["length"]))
    phase, _ = order.locate(step)
    rows = rank_rows(order.phases[phase].batch, rank, world)
    return [
        Row(
            row,
            order.streams[window["stream"]].name,
            int(window["epoch"]),
            int(window["length"]),
            tuple(found),
        )
        for row, window, found in zip(rows, windows, passages, strict=True)
    ]


def _open(
    folder: str, where: Sequence[Sequence[Place]], segments: NDArray[np.void]
) -> dict[tuple[int, int], pa.RecordBatch]:
    """Open the record batches that segments name by (stream, batch), each file once."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for stream, batch in np.unique(segments[["stream", "batch"]]).tolist():
        file, _ = where[stream][batch]
        wanted.setdefault(file.path, []).append((stream, batch))
    opened: dict[tuple[int, int], pa.RecordBatch] = {}
    for path, found in wanted.items():
        with dataset.open_arrow(folder, path) as reader:
            opened |= {(stream, batch): reader.get_batch(where[stream][batch][1]) for stream, batch in found}
    return opened


def _passages(batch: pa.RecordBatch, first: int, end: int) -> Iterator[Passage]:
    """Yield the parts of documents that are the tokens first … end - 1 of a record batch."""
    bounds = batch["tokens"].offsets.to_numpy()
    bounds = bounds - bounds[0]
    low, high = np.searchsorted(bounds, [first, end - 1], side="right")
    for row in range(low - 1, high):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        id, source, language = (batch[name][row].as_py() for name in ("id", "source", "language"))
        inside = max(first, start) - start, min(end, stop) - 1 - start
        yield Passage(id, source, language, *inside, tokens=stop - start)
