"""Parquet and Arrow tables, read in small batches: the text in a configured column, one document per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus import files
from corpus.errors import ConfigError, Signal
from corpus.items import Item, Items, Piece, RawDocument, Rejected, Unreadable
from corpus.sources import blocks
from corpus.sources.inputs import MIB, moment
from corpus.sources.pieces import runs_of

if TYPE_CHECKING:
    from corpus.config import Source

_ROWS = 256  # converted to Python objects at a time
_SHRUNK = 16  # the largest compression ratio of a file that is expected


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a Parquet file into runs of row groups, an Arrow file into runs of batches, of about `size` bytes.

    A row group counts with its uncompressed size. An Arrow stream is read whole.
    """
    if (files.size("", path) or 0) < size // _SHRUNK:
        return ()
    with files.open_bytes(path) as file:
        handle = pa.PythonFile(file, mode="r")
        try:
            if source.format == "arrow":
                schema, parts = _batches_of(handle)
            else:
                opened = pq.ParquetFile(handle)
                groups = [opened.metadata.row_group(number) for number in range(opened.num_row_groups)]
                schema = opened.schema_arrow
                parts = [(group.num_rows, group.total_byte_size, _compressed(group)) for group in groups]
            _columns(schema, source, path)
        except (pa.ArrowException, UnicodeDecodeError, OSError, ConfigError, _ColumnsError) as error:
            if _is_of_file_system(error):
                raise
            return ()  # the reader reports the error
    return runs_of(parts, size)


def _batches_of(handle: Any) -> tuple[Any, list[tuple[int, int, int]]]:
    """Return the schema of an Arrow file and the parts into which it can be cut; a stream has none."""
    schema = _opened(handle)[0]
    return schema, [(block.rows, block.bytes, block.bytes) for block in _blocks(handle) or []]


def _compressed(group: Any) -> int:
    """Return the size of a row group in its file."""
    return sum(group.column(number).total_compressed_size for number in range(group.num_columns))


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield a document per row of a Parquet file, Arrow IPC file or stream; `offset` is the row, from 0.

    Strings are decoded; binary text, and strings that are not UTF-8, are bytes. Rejected causes: "null-text",
    "oversized", and at the row where reading had to stop, "bad-parquet" or "bad-arrow" for a file that is
    corrupt or incomplete; the next row group or batch is read all the same. A file of which no row can be
    read is Unreadable. Raises ConfigError if the table lacks the text column or the column is not text,
    OSError if the file system does, and nothing else for content.
    """
    limit = int(source.max_record_mb * MIB)
    damaged: list[Rejected] = []  # before the first row
    found = piece is not None
    with ExitStack() as stack:
        file = stack.enter_context(files.open_bytes(path))
        try:
            # By path if possible, so that pyarrow reads without Python's lock; not mapped, because mapped
            # pages would count as this process's memory until the system reuses them.
            handle = (
                stack.enter_context(pa.OSFile(files.filesystem(path)[1]))
                if files.is_local(path)
                else pa.PythonFile(file, mode="r")
            )
            for row, batches in _runs(handle, source, path, piece):
                for item in _documents(batches, row, source, limit):
                    if not found and isinstance(item, Rejected) and item.cause == f"bad-{source.format}":
                        damaged.append(item)
                        continue
                    yield from damaged
                    damaged.clear()
                    found = True
                    yield item
        except _ColumnsError as error:
            yield Unreadable("columns", str(error))
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            if _is_of_file_system(error):
                raise
            yield Unreadable(f"bad-{source.format}", _first_line(error))
        else:
            if damaged:
                yield Unreadable(damaged[0].cause, damaged[0].detail)


def _documents(batches: Iterator[Any], row: int, source: Source, limit: int) -> Items:
    """Yield the documents of batches that must be read in order, from row `row` on; damage is last."""
    try:
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                for values in _rows(batch.slice(start, _ROWS), source):
                    yield _document(values, row, source, limit)
                    row += 1
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if _is_of_file_system(error):
            raise
        yield Rejected(row, f"bad-{source.format}", _first_line(error))


def _is_of_file_system(error: Exception) -> bool:
    """Return whether an error is the file system's; pyarrow's own errors for corrupt data have no number."""
    return isinstance(error, OSError) and error.errno is not None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def _runs(handle: Any, source: Source, path: str, piece: Piece | None) -> Iterator[tuple[int, Iterator[Any]]]:
    """Yield the parts that can be read separately: the first row of each, and its batches."""
    if source.format == "arrow":
        yield from _arrow(handle, source, path, piece)
        return
    try:
        file = pq.ParquetFile(handle, buffer_size=MIB, pre_buffer=False, page_checksum_verification=True)
    except UnicodeDecodeError:
        yield 0, _parquet_of_odd_names(handle, source, path)
        return
    columns = _columns(file.schema_arrow, source, path)
    start, end = (piece.start, piece.end) if piece is not None else (0, file.num_row_groups)
    row = piece.row if piece is not None else 0
    for number in range(start, end):
        yield row, file.iter_batches(batch_size=_ROWS, row_groups=[number], columns=columns)
        row += file.metadata.row_group(number).num_rows


def _parquet_of_odd_names(handle: Any, source: Source, path: str) -> Iterator[Any]:
    """Yield the batches of a table with a column name that is not UTF-8, which ParquetFile cannot open."""
    import pyarrow.dataset as ds  # rarely needed, slow to import

    options = ds.ParquetFragmentScanOptions(pre_buffer=False, page_checksum_verification=True)
    fragment = ds.ParquetFileFormat(default_fragment_scan_options=options).make_fragment(handle)
    columns = _columns(fragment.physical_schema, source, path)
    scanner = fragment.scanner(columns=columns, batch_size=_ROWS, use_threads=False, batch_readahead=0)
    yield from scanner.to_batches()


def _opened(handle: Any) -> tuple[Any, Any]:
    """Return the schema of an Arrow file or stream, and the function that opens it from its start."""
    handle.seek(0)
    opened = pa.ipc.open_file if _is_arrow_file(handle) else pa.ipc.open_stream
    schema = opened(handle).schema
    handle.seek(0)
    return schema, opened


def _is_arrow_file(handle: Any) -> bool:
    handle.seek(0)
    head = handle.read(6)
    handle.seek(0)
    return bool(head == b"ARROW1")


def _blocks(handle: Any) -> list[blocks.Block] | None:
    """Return the batches of an Arrow file; None for a stream, or if its footer cannot be read."""
    found = blocks.find(handle) if _is_arrow_file(handle) else None
    handle.seek(0)
    return found


def _arrow(
    handle: Any, source: Source, path: str, piece: Piece | None
) -> Iterator[tuple[int, Iterator[Any]]]:
    schema, opened = _opened(handle)
    names = _names(schema)
    fields = [names.index(name) for name in _columns(schema, source, path)]
    found = _blocks(handle)
    reader = opened(handle, options=pa.ipc.IpcReadOptions(included_fields=fields))
    if found is None:
        is_file = opened is pa.ipc.open_file
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        yield 0, map(_validated, batches)
        return
    start, end = (piece.start, piece.end) if piece is not None else (0, len(found))
    row = sum(block.rows for block in found[:start])
    for number in range(start, end):
        yield row, (_validated(reader.get_batch(each)) for each in (number,))
        row += found[number].rows


def _validated(batch: Any) -> Any:
    """Return a batch whose offsets are inside its data, because wrong ones end the process; raises
    ArrowInvalid.

    If a string is not UTF-8, all values of its column become bytes.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        arrays = [
            column.view(_AS_BYTES[str(column.type)]) if _is_string(column.type) else column
            for column in batch.columns
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names=_names(batch.schema))
        batch.validate(full=True)
    return batch


class _ColumnsError(Signal, ValueError):
    """A table with several text columns of the same name."""


def _names(schema: Any) -> list[str]:
    """Return the names of a schema's columns, "" for those that are not UTF-8."""
    names = []
    for number in range(len(schema)):
        try:
            names.append(schema.field(number).name)
        except UnicodeDecodeError:
            names.append("")
    return names


def _columns(schema: Any, source: Source, path: str) -> list[str]:
    """Return the columns to read; the text column must exist and be text.

    If several columns have the name of the URL or the date, none of them is read; several text columns are an
    error. Lists and structures are skipped: pyarrow cannot read some that it wrote.
    """
    names = _names(schema)
    if source.text_column not in names:
        raise ConfigError(
            f"source {source.name!r}: text_column {source.text_column!r} is not in {path}; "
            f"its columns are {', '.join(map(repr, names))}"
        )
    if (number := names.count(source.text_column)) > 1:
        raise _ColumnsError(f"{number} columns are named {source.text_column!r}, expected one")
    kind = _plain_type(schema.field(names.index(source.text_column)).type)
    if not (_is_text(kind) or pa.types.is_null(kind)):
        raise ConfigError(
            f"source {source.name!r}: text_column {source.text_column!r} of {path} holds {kind}, "
            "expected a string or binary column"
        )
    wanted = dict.fromkeys((source.text_column, source.url_column, source.date_column))
    found = [(name, schema.field(names.index(name)).type) for name in wanted if names.count(name) == 1]
    return [name for name, kind in found if not pa.types.is_nested(_plain_type(kind))]


def _plain_type(kind: Any) -> Any:
    """Return the type of the values of dictionaries, run-length encodings and extensions."""
    while True:
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _is_text(kind: Any) -> bool:
    return _is_string(kind) or _is_binary(kind)


def _is_string(kind: Any) -> bool:
    return any(getattr(pa.types, f"is_{test}")(kind) for test in ("string", "large_string", "string_view"))


def _is_binary(kind: Any) -> bool:
    tests = ("binary", "large_binary", "binary_view", "fixed_size_binary")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _rows(batch: Any, source: Source) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (text, url, date) of each row, None if the table has no such column or value.

    Parquet files may contain strings that are not UTF-8; these are bytes.
    """
    absent = [None] * batch.num_rows
    present = _names(batch.schema)
    columns = []
    for name, read_column in (
        (source.text_column, _texts),
        (source.url_column, _texts),
        (source.date_column, _moments),
    ):
        columns.append(read_column(_plain(batch.column(name))) if name in present else absent)
    yield from zip(*columns, strict=True)


def _plain(column: Any) -> Any:
    """Return a column's values without dictionary, run lengths or extension."""
    while True:
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        elif pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif pa.types.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        else:
            return column


def _texts(column: Any) -> list[Any]:
    if not _is_text(column.type):
        return [None] * len(column)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_decoded(value) for value in pc.cast(column, _AS_BYTES[str(column.type)]).to_pylist()]


_AS_BYTES = {"string": pa.binary(), "large_string": pa.large_binary(), "string_view": pa.binary_view()}


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 10**6, "ms": 10**3, "us": 1}


def _moments(column: Any) -> list[datetime | None]:
    """Return the times of a column; None for other values, and for years outside 1 to 9999.

    Arrow stores times since 1970 in UTC, so the time zone is not needed.
    """
    kind = column.type
    if pa.types.is_timestamp(kind):
        numbers = column.view(pa.int64()).to_pylist()
        if kind.unit == "ns":
            return [_after_epoch(number, lambda n: n // 1000) for number in numbers]
        return [_after_epoch(number, _UNITS[kind.unit].__mul__) for number in numbers]
    if pa.types.is_date32(kind):
        return [_after_epoch(day, _DAY_US.__mul__) for day in column.view(pa.int32()).to_pylist()]
    if pa.types.is_date64(kind):
        return [_after_epoch(number, (1000).__mul__) for number in column.view(pa.int64()).to_pylist()]
    if _is_string(kind):
        return [moment(value) for value in _texts(column)]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return [moment(value) for value in column.to_pylist()]
    return [None] * len(column)


_DAY_US = 86_400 * 10**6


def _after_epoch(number: int | None, microseconds: Callable[[int], int]) -> datetime | None:
    try:
        return None if number is None else _EPOCH + timedelta(microseconds=microseconds(number))
    except OverflowError:
        return None


def _document(values: tuple[Any, Any, Any], row: int, source: Source, limit: int) -> Item:
    text, url, date = values
    if isinstance(url, bytes):
        url = _decoded(url)
    url = url if isinstance(url, str) else ""
    if text is None:
        return Rejected(row, "null-text", f"{source.text_column!r} is null", url)
    size = len(text) if isinstance(text, bytes) or len(text) * 4 <= limit else len(text.encode())
    if size > limit:
        return Rejected(row, "oversized", f"{size} bytes of text; the limit is {limit}", url)
    return RawDocument(text, "text", url, row, date)
