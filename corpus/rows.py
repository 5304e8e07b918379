"""Rows of Python values written to the Arrow files of one unit, a record batch at a time."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from corpus import dataset
from corpus.schema import Kind

_ROWS = 2_000
_TEXT_BYTES = 16 << 20


class Rows:
    """Rows waiting to become a record batch of one file."""

    def __init__(self, kind: Kind, slot: dataset.Slot) -> None:
        self.slot = slot
        self._schema = kind.schema()
        self._columns: dict[str, list[Any]] = {column.name: [] for column in kind.columns}
        self._size = 0
        self._rows = 0

    def add(self, row: dict[str, Any]) -> None:
        """Append a row, which has a value for every column of the kind and may have others."""
        for name, column in self._columns.items():
            column.append(row[name])
        self._rows += 1
        self._size += row.get("bytes", 0)
        if self._rows >= _ROWS or self._size >= _TEXT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if not self._rows:
            return
        arrays = [_array(self._columns[field.name], field.type) for field in self._schema]
        self.slot.arrow.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        for column in self._columns.values():
            column.clear()
        self._rows = self._size = 0


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.concatenate(values), type=pa.uint32())
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(values, type=kind)


class UnitFiles:
    """The Arrow files of one unit; `files` lists them when the block ends without an error."""

    def __init__(self, folder: str, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._stack = ExitStack()
        self._open: list[Rows] = []
        self.files: list[dataset.File] = []

    def open(self, kind: Kind, compression: str | None = "zstd") -> Rows:
        """Open the unit's file of a kind, in a folder named after the kind."""
        path = f"{kind.name}/{kind.name}-{self._fingerprint}.arrow"
        slot = dataset.create(self._folder, path, kind, self._fingerprint, compression)
        self._open.append(Rows(kind, self._stack.enter_context(slot)))
        return self._open[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for rows in self._open:
                rows.flush()
        self._stack.__exit__(kind, error, trace)
        self.files = [rows.slot.file for rows in self._open if rows.slot.file is not None]
