"""Tables of labels and scores, read whole from Parquet, Arrow or JSON lines."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import ipc, json, parquet

from corpus import files
from corpus.errors import ConfigError

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


def read(place: str, *columns: str) -> pa.Table:
    """Return columns of a table; ConfigError where there is none, or it has not these columns."""
    try:
        found = _read(place)
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"{place}: cannot be read as a table: {reason}") from None
    absent = [name for name in columns if name not in found.column_names]
    if absent:
        there = ", ".join(found.column_names)
        raise ConfigError(f"{place}: no column {absent[0]!r}; its columns: {there or 'none'}")
    return found.select(columns)


def _read(place: str) -> pa.Table:
    with files.open_bytes(place) as file:
        data = pa.BufferReader(file.read())
    if place.endswith(".parquet"):
        return parquet.read_table(data)
    if place.endswith(".arrow"):
        return ipc.open_file(data).read_all()
    for ending, name in _COMPRESSIONS.items():
        if place.endswith(ending):
            data = pa.BufferReader(pa.CompressedInputStream(data, name).read())
    block = min(max(data.size(), 1 << 20), 1 << 30)  # a row must fit
    return json.read_json(data, json.ReadOptions(use_threads=False, block_size=block))
