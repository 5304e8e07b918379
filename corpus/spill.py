"""Rows in scratch files: written in the order in which they come, read in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from numpy.typing import NDArray

_PIECE_BYTES = 1 << 20  # of a file's rows before they are written: larger pieces are read back faster


def groups(numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each distinct number, in order, with the places at which it stands."""
    order = np.argsort(numbers, kind="stable")
    found, starts, sizes = np.unique(numbers[order], return_index=True, return_counts=True)
    for number, start, size in zip(found, starts, sizes, strict=True):
        yield int(number), order[start : start + size]


class Writer:
    """Open scratch files, `<number>.arrow` below a folder: rows of a schema with a column `bytes`."""

    def __init__(self, files: Sequence[ipc.RecordBatchFileWriter]) -> None:
        self._files = files
        self._waiting: list[list[pa.RecordBatch]] = [[] for _ in files]
        self._bytes = np.zeros(len(files), dtype=np.int64)

    def write(self, batch: pa.RecordBatch, numbers: NDArray[np.int64]) -> None:
        """Append each row to the file of its number, in the order of the rows."""
        sizes = batch.column("bytes").to_numpy()
        for number, rows in groups(numbers):
            self._waiting[number].append(batch.take(pa.array(rows)))
            self._bytes[number] += int(sizes[rows].sum(dtype=np.int64))
            if self._bytes[number] >= _PIECE_BYTES:
                self.flush(number)

    def flush(self, number: int) -> None:
        """Write the rows of one file that wait in memory."""
        if self._waiting[number]:
            self._files[number].write(pa.Table.from_batches(self._waiting[number]).combine_chunks())
        self._waiting[number] = []
        self._bytes[number] = 0


@contextmanager
def create(folder: Path, files: int, schema: pa.Schema) -> Iterator[Writer]:
    """Open a number of scratch files below a folder; they are whole when the block ends."""
    with ExitStack() as stack:
        writer = Writer(
            [
                stack.enter_context(ipc.new_file(str(folder / f"{number}.arrow"), schema))
                for number in range(files)
            ]
        )
        yield writer
        for number in range(files):
            writer.flush(number)


class Reader:
    """One scratch file, memory-mapped."""

    def __init__(self, file: ipc.RecordBatchFileReader) -> None:
        self._batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        self._first = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        sizes = [batch.column("bytes").to_numpy().astype(np.int64) for batch in self._batches]
        self.bytes = np.concatenate([np.empty(0, np.int64), *sizes])

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Return rows in the order asked for; the work grows with these rows, not with the file."""
        found = list(groups(np.searchsorted(self._first, rows, side="right") - 1))
        pieces = [
            self._batches[number].take(pa.array(rows[places] - self._first[number]))
            for number, places in found
        ]
        back = np.argsort(np.concatenate([places for _, places in found]))
        return pa.Table.from_batches(pieces).combine_chunks().take(pa.array(back))


@contextmanager
def read(folder: Path, number: int) -> Iterator[Reader]:
    """Open the scratch file of a number; it is removed when the block ends."""
    path = folder / f"{number}.arrow"
    with pa.memory_map(str(path)) as source, ipc.open_file(source) as file:
        yield Reader(file)
    path.unlink()
