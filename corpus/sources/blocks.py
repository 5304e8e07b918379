"""The record batches of an Arrow IPC file: their places and row counts, read from its footer.

The layout is defined by https://arrow.apache.org/docs/format/Columnar.html and its Flatbuffers schemas;
pyarrow returns the number of rows of a batch only after it has read the whole batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAGIC = b"ARROW1"
_TAIL = 4 + len(_MAGIC)
_LARGEST = 256 << 20  # bytes of a footer, or of a batch's metadata
_CONTINUED = b"\xff\xff\xff\xff"
_BATCHES = 3  # the number of the field in the schema of Footer
_BLOCK = struct.Struct("<qi4xq")  # offset, length of the metadata, length of the body
_HEADER_TYPE, _HEADER, _RECORD_BATCH = 1, 2, 3  # two fields of a Message, and a value of the first
_LENGTH = 0  # a field of RecordBatch


@dataclass(frozen=True, slots=True)
class Block:
    """A record batch: its number of rows, and its bytes in the file."""

    rows: int
    bytes: int


def find(file: Any) -> list[Block] | None:
    """Return the batches of an open file in order; None if it has no intact footer."""
    try:
        return list(_blocks(file))
    except (struct.error, ValueError, IndexError):
        return None


def _blocks(file: Any) -> Iterator[Block]:
    end = file.seek(0, 2)
    tail = _read(file, end - _TAIL, _TAIL)
    (size,) = struct.unpack_from("<i", tail)
    if tail[4:] != _MAGIC:
        raise ValueError("not an Arrow file")
    footer = _read(file, end - _TAIL - size, size)
    field = _field(footer, _root(footer, 0), _BATCHES)
    if not field:
        return
    vector = _root(footer, field)
    (number,) = struct.unpack_from("<I", footer, vector)
    for place in range(vector + 4, vector + 4 + number * _BLOCK.size, _BLOCK.size):
        offset, metadata, body = _BLOCK.unpack_from(footer, place)
        yield Block(_rows(_read(file, offset, metadata)), metadata + body)


def _rows(message: bytes) -> int:
    start = 8 if message.startswith(_CONTINUED) else 4  # files before version 0.15 have only the length
    table = _root(message, start)
    kind, header = _field(message, table, _HEADER_TYPE), _field(message, table, _HEADER)
    if not kind or message[kind] != _RECORD_BATCH or not header:
        raise ValueError("not a record batch")
    length = _field(message, _root(message, header), _LENGTH)
    (rows,) = struct.unpack_from("<q", message, length) if length else (0,)
    if rows < 0:
        raise ValueError("a negative number of rows")
    return int(rows)


def _root(data: bytes, at: int) -> int:
    """Return the position that the offset at `at` refers to."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return the position of a field of a table; 0 if it has its default value."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise ValueError("a table before the start of the file")
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number)
    return table + int(offset) if offset else 0


def _read(file: Any, offset: int, size: int) -> bytes:
    if offset < 0 or not 0 <= size <= _LARGEST:
        raise ValueError("outside of the file")
    file.seek(offset)
    data: bytes = file.read(size)
    if len(data) < size:
        raise ValueError("outside of the file")
    return data
