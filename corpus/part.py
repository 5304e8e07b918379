"""The files that cleaning one unit writes: its part, the part's signatures, what was dropped and rejected."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from corpus import dataset, url
from corpus.clean import Document
from corpus.filters import Drop
from corpus.schema import DOCUMENTS, DROPPED, PERMUTATIONS, REJECTED, SIGNATURES, Kind
from corpus.sources import RawDocument, Rejected

_ROWS = 2_000
_TEXT_BYTES = 16 << 20
_EMPTY = np.full(PERMUTATIONS, 0xFFFFFFFF, dtype=np.uint32)


class _Rows:
    """Rows waiting to become a record batch of one file."""

    def __init__(self, kind: Kind, slot: dataset.Slot) -> None:
        self.slot = slot
        self._schema = kind.schema()
        self._columns: dict[str, list[Any]] = {column.name: [] for column in kind.columns}
        self._size = 0
        self._rows = 0

    def add(self, row: dict[str, Any]) -> None:
        for name, column in self._columns.items():
            column.append(row[name])
        self._rows += 1
        self._size += row.get("bytes", 0)
        if self._rows >= _ROWS or self._size >= _TEXT_BYTES:
            self.flush()

    def flush(self) -> None:
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


class PartWriter:
    """Writes the four files of a cleaned unit; `files` lists them when the block ends without an error."""

    def __init__(self, folder: str, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._stack = ExitStack()
        self.files: list[dataset.File] = []

    def __enter__(self) -> Self:
        self._part = self._open("parts/part", DOCUMENTS)
        # Uncompressed, so that dedupe can map it and read a signature by its row.
        self._signatures = self._open("signatures/signatures", SIGNATURES, compression=None)
        self._dropped = self._open("dropped/dropped", DROPPED)
        self._rejected = self._open("rejected/rejected", REJECTED)
        return self

    def _open(self, stem: str, kind: Kind, compression: str | None = "zstd") -> _Rows:
        path = f"{stem}-{self._fingerprint}.arrow"
        slot = dataset.create(self._folder, path, kind, self._fingerprint, compression)
        return _Rows(kind, self._stack.enter_context(slot))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outputs = (self._part, self._signatures, self._dropped, self._rejected)
        if kind is None:
            for rows in outputs:
                rows.flush()
        self._stack.__exit__(kind, error, trace)
        self.files = [rows.slot.file for rows in outputs if rows.slot.file is not None]

    def keep(self, document: Document, source: str, file: str) -> int:
        """Write a document that stays and its signature; return the UTF-8 bytes of its text."""
        row = _row(document, source, file)
        self._part.add(row)
        self._signatures.add(
            {
                "id": row["id"],
                "exact": document.exact,
                "url": url.url_hash(document.raw.url),
                "source": source,
                "bytes": row["bytes"],
                "words": document.words,
                "fetched": document.raw.fetched,
                "language": document.language,
                "signature": _EMPTY if document.signature is None else document.signature,
            }
        )
        return int(row["bytes"])

    def drop(self, document: Document, drop: Drop, source: str, file: str) -> None:
        """Write a document that a rule dropped, with the rule, the value and the limit."""
        self._dropped.add(
            {**_row(document, source, file), "rule": drop.rule, "value": drop.value, "limit": drop.limit}
        )

    def reject(self, raw: Rejected | RawDocument, cause: str, detail: str, source: str, file: str) -> None:
        """Write down a record that could not be read."""
        fetched = raw.fetched if isinstance(raw, RawDocument) else None
        self._rejected.add(
            {
                "cause": cause,
                "detail": detail,
                "url": raw.url,
                "fetched": fetched,
                "source": source,
                "file": file,
                "offset": raw.offset,
            }
        )


def _row(document: Document, source: str, file: str) -> dict[str, Any]:
    return {
        "id": document.id,
        "text": document.text,
        "url": document.raw.url,
        "fetched": document.raw.fetched,
        "source": source,
        "file": file,
        "offset": document.raw.offset,
        "encoding": document.encoding,
        "language": document.language,
        "language_score": document.language_score,
        "bytes": len(document.text.encode("utf-8")),
        "words": document.words,
        "redactions": sum(document.redacted.values()),
        "truncated": document.raw.truncated,
    }
