"""Rows of signature files, by document number: through memory maps of the files, or sent by who has them.

A document's number is `(part << 32) | row`: the part's place in the list of files, the row within its file.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import files
from corpus.schema import PERMUTATIONS, SIGNATURES

ROW_BITS = 32

PREFERENCE = ("id", "source", "bytes", "fetched")
"""The columns that `Rows.ranks` makes the order of preference from."""


def document_numbers(part: int, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """Return the numbers, uint64[k], of rows of one part."""
    return (np.uint64(part) << np.uint64(ROW_BITS)) | rows.astype(np.uint64)


class Rows(ABC):
    """Columns of signature files by document number, wherever their rows are."""

    @abstractmethod
    def _batches(
        self, docs: NDArray[np.uint64]
    ) -> Iterator[tuple[pa.RecordBatch, NDArray[np.intp], NDArray[np.int64]]]:
        """Yield record batches that hold some of `docs`, their places in `docs` and their rows there."""

    def signatures(self, docs: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Return the signatures, uint32[k, 112], of documents."""
        result = np.empty((docs.size, PERMUTATIONS), dtype=np.uint32)
        for batch, places, rows in self._batches(docs):
            result[places] = signature_matrix(batch)[rows]
        return result

    def exact(self, docs: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the two halves of the 128-bit exact hashes of documents: uint64[k, 2]."""
        result = np.empty((docs.size, 2), dtype=np.uint64)
        for batch, places, rows in self._batches(docs):
            result[places] = exact_matrix(batch)[rows]
        return result

    def columns(self, docs: NDArray[np.uint64], names: Sequence[str]) -> pa.Table:
        """Return the named columns of documents, row i for docs[i]."""
        taken, where = [], []
        for batch, places, rows in self._batches(docs):
            taken.append(batch.select(names).take(pa.array(rows)))
            where.append(places)
        if not taken:
            return pa.schema([SIGNATURES.schema().field(name) for name in names]).empty_table()
        back = np.argsort(np.concatenate(where))
        return pa.Table.from_batches(taken).combine_chunks().take(pa.array(back))

    def ranks(
        self, docs: NDArray[np.uint64], sources: Sequence[str] = (), first_new: int = 0
    ) -> NDArray[np.int64]:
        """Return the place, int64[k], of each of `docs` (distinct) in the order of preference.

        Documents below `first_new`, those of older corpora, first; then earlier `sources` (others last), the
        longer text (bytes), the earlier fetch (unknown last), the smaller id; the document number decides
        only between documents of the same id. So the order is that of the contents and not that of arrival.
        """
        by_number = np.argsort(docs)
        table = self.columns(docs[by_number], [*(["source"] if sources else []), "bytes", "fetched"])
        source = np.zeros(docs.size, np.uint64)
        if sources:
            place = pc.index_in(table["source"], value_set=pa.array(sources, pa.string()))
            source = pc.fill_null(place, len(sources)).to_numpy().astype(np.uint64)
        source += (docs[by_number] >= first_new) * np.uint64(len(sources) + 1)
        length = table["bytes"].to_numpy().astype(np.uint64)
        packed = (source << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - length)
        fetched = pc.fill_null(table["fetched"].cast(pa.int64()), np.iinfo(np.int64).max).to_numpy()
        order = np.lexsort((fetched, packed))
        # Ids are compared only among documents that tie on the numbers.
        same = (packed[order][1:] == packed[order][:-1]) & (fetched[order][1:] == fetched[order][:-1])
        tied = np.zeros(docs.size, dtype=bool)
        tied[order[1:][same]] = tied[order[:-1][same]] = True
        places = np.flatnonzero(tied)
        by_id = np.zeros(docs.size, dtype=np.uint64)
        ids = self.columns(docs[by_number][places], ["id"])["id"]
        by_id[places] = pc.rank(ids, sort_keys="ascending", tiebreaker="first").to_numpy()
        order = np.lexsort((by_id, fetched, packed))
        ranks = np.empty(docs.size, dtype=np.int64)
        ranks[by_number[order]] = np.arange(docs.size)
        return ranks


class SignatureStore(Rows):
    """Random access to the columns of signature files; files open when first asked for, once a process.

    `paths` are local paths or fsspec URLs, in the order of the part numbers; a remote file is first copied
    into the folder `copies`, or into a temporary one that goes when the store does. A store can be pickled:
    maps are not carried along.
    """

    def __init__(self, paths: Sequence[str], copies: Path | None = None) -> None:
        self.paths = tuple(paths)
        self._parts: dict[int, pa.Table] = {}
        self._opened: dict[int, list[pa.RecordBatch]] = {}
        self._starts: dict[int, NDArray[np.int64]] = {}
        self._copies = copies
        self._own: tempfile.TemporaryDirectory[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**SignatureStore(self.paths).__dict__}

    def part(self, number: int) -> pa.Table:
        """Return the table of one part, mapped and not read.

        Raises IndexError for a part that is not in the list, ValueError for a file with other columns.
        """
        if number not in self._parts:
            if not 0 <= number < len(self.paths):
                raise IndexError(f"part {number} asked for, but the store has {len(self.paths)} parts")
            path = self.paths[number]
            table = pa.ipc.open_file(pa.memory_map(self._local(path, number))).read_all()
            for field in SIGNATURES.schema():
                if field.name not in table.column_names or table.schema.field(field.name).type != field.type:
                    raise ValueError(
                        f"{path}: expected a signature file with column {field.name!r} of type {field.type},"
                        f" found {table.schema.names}; write the part again"
                    )
            self._parts[number] = table
        return self._parts[number]

    def _local(self, path: str, number: int) -> str:
        filesystem, inner = files.filesystem(path)
        if files.is_local(path):
            return str(inner)
        if self._copies is None:
            self._own = tempfile.TemporaryDirectory(prefix="derlem-signatures-")
            self._copies = Path(self._own.name)
        target = self._copies / f"{number:06d}.arrow"
        filesystem.get_file(inner, str(target))
        return str(target)

    def _batches(
        self, docs: NDArray[np.uint64]
    ) -> Iterator[tuple[pa.RecordBatch, NDArray[np.intp], NDArray[np.int64]]]:
        order = np.argsort(docs, kind="stable")
        ordered = docs[order]
        parts = (ordered >> np.uint64(ROW_BITS)).astype(np.int64)
        rows = (ordered & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
        for part in np.unique(parts):
            first, last = np.searchsorted(parts, [part, part + 1])
            starts = self._batch_starts(int(part))
            if rows[last - 1] >= starts[-1]:
                raise IndexError(
                    f"{self.paths[part]}: row {rows[last - 1]} asked for, but the file has {starts[-1]} rows"
                )
            numbers = np.searchsorted(starts, rows[first:last], side="right") - 1
            # Only the batches that hold some: to look at all of them for each few documents is quadratic.
            found, cuts = np.unique(numbers, return_index=True)
            for number, low, high in zip(found, cuts, [*cuts[1:], last - first], strict=True):
                inside = slice(first + low, first + high)
                yield self._opened[int(part)][number], order[inside], rows[inside] - starts[number]

    def _batch_starts(self, part: int) -> NDArray[np.int64]:
        """Return the first row of each record batch of a part, and the number of its rows."""
        if part not in self._opened:
            self._opened[part] = self.part(part).to_batches()
            sizes = [batch.num_rows for batch in self._opened[part]]
            self._starts[part] = np.cumsum([0, *sizes])
        return self._starts[part]


def signature_matrix(batch: pa.RecordBatch) -> NDArray[np.uint32]:
    """Return the signatures of a record batch, uint32[rows, 112], without a copy."""
    values: NDArray[np.uint32] = batch.column("signature").flatten().to_numpy()
    return values.reshape(-1, PERMUTATIONS)


def exact_matrix(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Return the exact hashes of a record batch as two big-endian halves, uint64[rows, 2]."""
    column = batch.column("exact")
    halves = np.frombuffer(column.buffers()[1], dtype=">u8", count=2 * len(column), offset=16 * column.offset)
    return halves.reshape(-1, 2).astype(np.uint64)


_DOCUMENT = pa.field("document", pa.uint64())


def pack(docs: NDArray[np.uint64], rows: Rows, names: Sequence[str]) -> bytes:
    """Return the named columns of documents as bytes for `SentRows`; `docs` are distinct and sorted."""
    table = rows.columns(docs, names).combine_chunks()
    schema = pa.schema([_DOCUMENT, *(field.remove_metadata() for field in table.schema)])
    columns = [column.combine_chunks() for column in table.columns]
    batch = pa.RecordBatch.from_arrays([pa.array(docs), *columns], schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


class SentRows(Rows):
    """Rows that `pack` packed, no document in two pieces; they are mapped from a file in `folder`."""

    def __init__(self, pieces: Iterable[bytes], folder: Path) -> None:
        ends = [0]
        with (folder / "rows").open("wb") as file:
            for piece in pieces:
                ends.append(ends[-1] + file.write(piece))
        self.bytes = ends[-1]
        found = []
        if self.bytes:
            whole = pa.memory_map(str(folder / "rows")).read_buffer()
            for start, end in pairwise(ends):
                found += pa.ipc.open_stream(whole.slice(start, end - start)).read_all().to_batches()
        numbered = [(batch.column("document").to_numpy(), batch) for batch in found if batch.num_rows]
        numbered.sort(key=lambda each: int(each[0][0]))
        # They are of ranges of parts, so that no two overlap.
        self._numbers = [numbers for numbers, _ in numbered]
        self._found = [batch for _, batch in numbered]
        self.documents: NDArray[np.uint64] = np.concatenate([np.empty(0, np.uint64), *self._numbers])

    def _batches(
        self, docs: NDArray[np.uint64]
    ) -> Iterator[tuple[pa.RecordBatch, NDArray[np.intp], NDArray[np.int64]]]:
        order = np.argsort(docs, kind="stable")
        ordered = docs[order]
        firsts = np.array([numbers[0] for numbers in self._numbers], np.uint64)
        cuts = [*np.searchsorted(ordered, firsts), docs.size]
        if cuts[0]:
            raise IndexError(f"document {ordered[0]} asked for, but it was not sent")
        for batch, numbers, (low, high) in zip(self._found, self._numbers, pairwise(cuts), strict=True):
            if low < high:
                rows = np.searchsorted(numbers, ordered[low:high])
                if not np.array_equal(numbers[np.minimum(rows, numbers.size - 1)], ordered[low:high]):
                    raise IndexError(f"documents asked for that were not sent, from {ordered[low]} on")
                yield batch, order[low:high], rows
