"""The columnar index: Parquet files, of which only footers and the needed columns are read."""

from __future__ import annotations

import bisect
import gzip
import io
import struct
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.commoncrawl import columns
from corpus.commoncrawl.config import KIB, MIB, Selection
from corpus.commoncrawl.ranges import cut, in_order, joined
from corpus.commoncrawl.store import MissingError, Store
from corpus.errors import ConfigError, ServerError
from corpus.schema import HITS

_FOOTER = 64 * KIB  # holds most footers, so that one request returns the length and the footer
_MAGIC = b"PAR1"
_GAP = 64 * KIB
_READ = 8 * MIB


@dataclass(frozen=True, slots=True)
class Footer:
    """The footer of a Parquet file."""

    path: str
    size: int
    metadata: pq.FileMetaData


def paths(store: Store, crawl: str) -> list[str]:
    """Return the index files of a crawl's successful captures; ConfigError if it has no such index."""
    listing = f"crawl-data/{crawl}/cc-index-table.paths.gz"
    try:
        lines = gzip.decompress(store.whole(listing)).decode().split()
    except MissingError:
        raise ConfigError(
            f"{store.base}/{listing}: not found: the crawl does not exist, or its columnar index is not "
            f"published (yet); name another with --crawl"
        ) from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ServerError(f"{store.base}/{listing}: expected a list of paths: {error}") from None
    found = [line for line in lines if "/subset=warc/" in line and line.endswith(".parquet")]
    if not found:
        raise ServerError(f"{store.base}/{listing}: expected files of subset=warc, found {len(lines)} others")
    return found


def footer(store: Store, path: str) -> Footer:
    """Read a Parquet file's footer in one request, or two if it is long."""
    data, size = store.tail(path, _FOOTER)
    where = f"{store.base}/{path}"
    if len(data) < 12 or data[-4:] != _MAGIC:
        raise ServerError(f"{where}: not a Parquet file: it ends with {data[-4:]!r}")
    length = struct.unpack("<I", data[-8:-4])[0] + 8
    if length > size:
        raise ServerError(f"{where}: damaged: a footer of {length:,} bytes in a file of {size:,}")
    if length > len(data):
        data, _ = store.tail(path, length)
    try:
        return Footer(path, size, pq.read_metadata(pa.BufferReader(data)))
    except (pa.ArrowException, OSError) as error:
        raise ServerError(f"{where}: damaged: {error}") from None


def groups(found: Footer, selection: Selection) -> list[int]:
    """Return the row groups that statistics do not rule out; ConfigError if a column is missing."""
    names = {found.metadata.schema.column(i).path: i for i in range(found.metadata.num_columns)}
    columns.require(names, selection, found.path)
    rules = [(names[name], spans) for name, spans in _spans(selection) if name in names]
    return [
        group
        for group in range(found.metadata.num_row_groups)
        if all(_may_hold(found.metadata.row_group(group).column(i), spans) for i, spans in rules)
    ]


Span = tuple[bytes | int, bytes | int]


def _spans(selection: Selection) -> list[tuple[str, list[Span]]]:
    """Return, by column, closed ranges of values; the value of a matching row is in one of them."""
    rules: list[tuple[str, list[Span]]] = [
        ("fetch_status", [(status, status) for status in selection.statuses]),
        ("content_mime_detected", [(mime.encode(), mime.encode()) for mime in selection.mimes]),
    ]
    if selection.languages and not selection.secondary:
        codes = [code.encode() for code in selection.languages]
        rules.append(("content_languages", [(code, code + b",\xff") for code in codes]))
    places = [*selection.tlds, *selection.domains, *selection.hosts]
    if places and not any(place[-1].isdigit() for place in places):  # keys of IP addresses are not reversed
        rules.append(("url_surtkey", [_surts(place) for place in places]))
    return rules


def _surts(host: str) -> Span:
    """Return the range of SURT keys of a host and its subdomains.

    After the reversed labels a key has ")", ":" and the port, or "," and a further label; the range from the
    first to the last of these includes a few other names. A leading "www." is not part of a key.
    """
    label, _, rest = host.partition(".")
    if rest and label.rstrip("0123456789") == "www":
        host = rest
    key = ",".join(reversed(host.split("."))).encode()
    return key + b")", key + b":\xff"


def _may_hold(column: pq.ColumnChunkMetaData, spans: list[Span]) -> bool:
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = _comparable(statistics.min), _comparable(statistics.max)
    return any(low <= last and high >= first for first, last in spans)  # type: ignore[operator]


def _comparable(value: object) -> bytes | int:
    """Return a bound in the order of the statistics: text by its UTF-8 bytes."""
    return value.encode() if isinstance(value, str) else value  # type: ignore[return-value]


def hits(store: Store, found: Footer, group: int, selection: Selection, pool: Executor) -> pa.Table:
    """Return the captures of a row group that match, as rows of a plan in the index's order.

    The columns that decide are read first, the others only if a row matches.
    """
    names = {name for name in columns.KEPT if name in found.metadata.schema.names}
    first = columns.needed(selection)
    chosen = _table(store, found, group, first, pool)
    mask = columns.fits(chosen, selection)
    if not any(chunk.true_count for chunk in mask.chunks):
        return HITS.schema().empty_table()
    rest = _table(store, found, group, sorted(names - set(first)), pool)
    for name in names & set(first):
        rest = rest.append_column(name, chosen[name])
    return columns.hits(rest.filter(mask))


def _table(store: Store, found: Footer, group: int, names: list[str], pool: Executor) -> pa.Table:
    """Read columns of a row group: only their bytes, in concurrent requests."""
    places = {found.metadata.schema.column(i).path: i for i in range(found.metadata.num_columns)}
    chunks = sorted(_extent(found.metadata.row_group(group).column(places[name])) for name in names)
    starts, lengths = [start for start, _ in chunks], [length for _, length in chunks]
    reads = joined([found.path] * len(chunks), starts, lengths, _GAP, sum(lengths) + _GAP * len(chunks))
    pieces = [piece for read in reads for piece in cut(read.start, read.length, _READ)]
    file = _SparseFile(store, found.path, found.size)
    ask = partial(_read_piece, store, found.path)
    for (start, _), data in in_order(pool, ask, pieces, len(pieces) + 1):
        file.add(start, data)
    with pq.ParquetFile(file, metadata=found.metadata, pre_buffer=False) as parquet:
        return parquet.read_row_group(group, columns=names, use_threads=False)


def _read_piece(store: Store, path: str, piece: tuple[int, int]) -> bytes:
    return store.range(path, *piece)


def _extent(column: pq.ColumnChunkMetaData) -> tuple[int, int]:
    """Return the start and the length of a column chunk."""
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
        start = column.dictionary_page_offset
    return start, column.total_compressed_size


class _SparseFile(io.RawIOBase):
    """A remote file of which some ranges are in memory; other ranges are requested on access."""

    def __init__(self, store: Store, path: str, size: int) -> None:
        self._store, self._path, self._size = store, path, size
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self._at = 0

    def add(self, start: int, data: bytes) -> None:
        """Store a range; ranges must be added in ascending order."""
        self._starts.append(start)
        self._pieces.append(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        data = b"".join(self._parts(self._at, end))
        self._at += len(data)
        return data

    def _parts(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            number = bisect.bisect_right(self._starts, start) - 1
            inside = start - self._starts[number] if number >= 0 else 0
            if number >= 0 and inside < len(self._pieces[number]):
                part = self._pieces[number][inside : inside + end - start]
            else:
                until = self._starts[number + 1] if number + 1 < len(self._starts) else end
                part = self._store.range(self._path, start, min(end, until) - start)
            yield part
            start += len(part)
