"""Parquet and Arrow tables, read in small batches: the text in a configured column, one document a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus import files
from corpus.settings import ConfigError
from corpus.sources import Item, Items, RawDocument, Rejected, Unreadable
from corpus.sources.inputs import MIB, moment

if TYPE_CHECKING:
    from corpus.config import Source

_ROWS = 256  # taken into Python at a time


def read(source: Source, path: str) -> Items:
    """Yield a document a row of a Parquet file, Arrow IPC file or stream; `offset` is the row, from 0.

    Strings come decoded; binary text, and strings that are no UTF-8, as bytes. Rejected causes: "null-text",
    "oversized", and once, at the row where reading had to stop, "bad-parquet" or "bad-arrow" for a file that
    is corrupt or incomplete. Raises ConfigError when the table lacks the text column or it holds no text,
    OSError where the file system does, and nothing else on content.
    """
    limit = int(source.max_record_mb * MIB)
    row = 0
    with ExitStack() as stack:
        file = stack.enter_context(files.open_bytes(path))
        try:
            # By name where it can be, so that pyarrow reads without Python's lock; not mapped, because mapped
            # pages would count as this process's memory until they are needed elsewhere.
            handle = (
                stack.enter_context(pa.OSFile(files.filesystem(path)[1]))
                if files.is_local(path)
                else pa.PythonFile(file, mode="r")
            )
            batches = (
                _parquet(handle, source, path) if source.format == "parquet" else _arrow(handle, source, path)
            )
            for batch in batches:
                for start in range(0, batch.num_rows, _ROWS):
                    for values in _rows(batch.slice(start, _ROWS), source):
                        yield _document(values, row, source, limit)
                        row += 1
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file system's; pyarrow's own, of corrupt data, carry no number
            cause, detail = f"bad-{source.format}", (str(error).splitlines() or [""])[0][:300]
            yield Rejected(row, cause, detail) if row else Unreadable(cause, detail)


def _parquet(handle: Any, source: Source, path: str) -> Iterator[Any]:
    file = pq.ParquetFile(handle, buffer_size=MIB, pre_buffer=False, page_checksum_verification=True)
    yield from file.iter_batches(batch_size=_ROWS, columns=_columns(file.schema_arrow, source, path))


def _arrow(handle: Any, source: Source, path: str) -> Iterator[Any]:
    is_file = handle.read(6) == b"ARROW1"
    handle.seek(0)
    opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
    schema = opened(handle).schema
    handle.seek(0)
    fields = [schema.get_field_index(name) for name in _columns(schema, source, path)]
    reader = opened(handle, options=pa.ipc.IpcReadOptions(included_fields=fields))
    batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
    for batch in batches:
        batch.validate(full=True)  # offsets that point outside the data would end the process
        yield batch


def _columns(schema: Any, source: Source, path: str) -> list[str]:
    """Choose the columns to read; the text must be among them and be text."""
    if source.text_column not in schema.names:
        raise ConfigError(
            f"source {source.name!r}: text_column {source.text_column!r} is not in {path}; "
            f"its columns are {', '.join(map(repr, schema.names))}"
        )
    kind = schema.field(source.text_column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not _is_text(kind):
        raise ConfigError(
            f"source {source.name!r}: text_column {source.text_column!r} of {path} holds {kind}, "
            "expected a string or binary column"
        )
    wanted = dict.fromkeys((source.text_column, source.url_column, source.date_column))
    return [name for name in wanted if name in schema.names]


def _is_text(kind: Any) -> bool:
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _rows(batch: Any, source: Source) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (text, url, date) of each row, None where the table has no such column.

    Parquet files may hold strings that are no UTF-8; those come as bytes.
    """
    names = (source.text_column, source.url_column, source.date_column)
    absent = [None] * batch.num_rows
    yield from zip(
        *(_values(batch.column(name)) if name in batch.schema.names else absent for name in names),
        strict=True,
    )


def _values(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):  # nanoseconds would need pandas
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_decoded(value) for value in pc.cast(column, pa.large_binary()).to_pylist()]


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _document(values: tuple[Any, Any, Any], row: int, source: Source, limit: int) -> Item:
    text, url, date = values
    url = url if isinstance(url, str) else ""
    if text is None:
        return Rejected(row, "null-text", f"{source.text_column!r} is null", url)
    size = len(text) if isinstance(text, bytes) or len(text) * 4 <= limit else len(text.encode())
    if size > limit:
        return Rejected(row, "oversized", f"{size} bytes of text; the limit is {limit}", url)
    return RawDocument(text, "text", url, row, moment(date))
