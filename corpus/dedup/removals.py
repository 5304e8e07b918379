"""The removal list on disk: removed documents and survivors, sorted by part, with an index of parts.

A document is named by its part's fingerprint and its row there, so that other parts and their order do not
matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup.bands import EXACT, NEAR, URL
from corpus.dedup.store import ROW_BITS, Rows
from corpus.schema import COPIES, CUT, REMOVAL_INDEX, REMOVED, SPANS, SURVIVORS, Kind

SUBSTRINGS, PARAGRAPHS = NEAR + 1, NEAR + 2
"""Kinds of spans, and of documents of whose text too little is left without them."""

KINDS = dict(zip((EXACT, URL, NEAR, SUBSTRINGS, PARAGRAPHS), (*COPIES, *CUT), strict=True))

_BATCH = 64_000  # rows of a record batch
_INDEXED = ("path", "batch", "row", "rows")

_Decisions = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a part's rows: a file, the first record batch and row, and the number of rows.

    The index has these; `size`, the bytes of the file, is from the manifest.
    """

    path: str
    batch: int
    row: int
    rows: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """The decisions of dedupe about one part; `digest` names it by its content."""

    removed: Place
    survivors: Place
    spans: Place
    digest: str


def write(
    folder: str,
    fingerprint: str,
    number: int,
    parts: range,
    names: Sequence[str],
    rows: Rows,
    removals: _Decisions,
    survivors: _Decisions,
    spans: _Decisions,
) -> tuple[list[dataset.File], list[dict[str, Any]]]:
    """Write the removal list of a range of parts; return its files, and its rows of the index.

    `number` is that of the range; `names` are the fingerprints of all parts by their numbers in `rows`;
    `removals` (REMOVAL), `survivors` (SURVIVOR) and `spans` (SPAN) are sorted by document. There is a file
    of spans only where there are some.
    """
    known = pa.array(names, pa.string())
    kinds = ("removed", "survivors", "spans")
    paths = [f"{kind}-{number:05d}-{fingerprint}.arrow" for kind in kinds]
    written = [
        _write(folder, paths[0], REMOVED, fingerprint, _removed(removals, known, rows)),
        _write(folder, paths[1], SURVIVORS, fingerprint, _survivors(survivors, known, rows)),
    ]
    if spans.size:
        written.append(_write(folder, paths[2], SPANS, fingerprint, _spans(spans, known, rows)))
    bounds = np.arange(parts.start, parts.stop + 1, dtype=np.uint64) << np.uint64(ROW_BITS)
    places = [np.searchsorted(found["document"], bounds) for found in (removals, survivors, spans)]
    index = []
    for at, part in enumerate(parts):
        mine = [slice(cuts[at], cuts[at + 1]) for cuts in places]
        places_of = (_place(path, cut) for path, cut in zip(paths, mine, strict=True))
        digest = _digest(removals[mine[0]], survivors[mine[1]], spans[mine[2]])
        row: dict[str, Any] = {"part": names[part], "digest": digest}
        for kind, place in zip(kinds, places_of, strict=True):
            row |= _columns(kind, place)
        index.append(row)
    return written, index


def write_index(folder: str, fingerprint: str, rows: list[dict[str, Any]]) -> dataset.File:
    """Write where the removal list has the rows of each part: what `write` returned for all ranges."""
    batch = pa.RecordBatch.from_pylist(rows, schema=REMOVAL_INDEX.schema())
    return _write(folder, f"index-{fingerprint}.arrow", REMOVAL_INDEX, fingerprint, [batch])


def read_index(folder: str) -> dict[str, Fate]:
    """Return the decisions of a dedupe stage about each part, by the part's fingerprint."""
    found, manifest = {}, dataset.load(folder)
    sizes = {file.path: file.bytes for unit in manifest.units for file in unit.files}
    for file in manifest.files(REMOVAL_INDEX.name):
        for row in dataset.table(folder, file.path, size=file.bytes).to_pylist():
            removed, survivors, spans = (
                Place(
                    **{name: row[f"{kind}_{name}"] for name in _INDEXED}, size=sizes.get(row[f"{kind}_path"])
                )
                for kind in ("removed", "survivors", "spans")
            )
            found[row["part"]] = Fate(removed, survivors, spans, row["digest"])
    return found


def read(folder: str, place: Place, columns: list[str]) -> dict[str, NDArray[np.int64]]:
    """Return numeric columns of one part's rows."""
    found = list(batches(folder, place, columns))
    empty = np.empty(0, np.int64)
    return {
        name: np.concatenate([empty, *(batch.column(name).to_numpy().astype(np.int64) for batch in found)])
        for name in columns
    }


def batches(folder: str, place: Place, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns of one part's rows: of its file only the record batches that hold them."""
    if place.rows:
        with dataset.open_arrow(folder, place.path, columns, place.size) as reader:
            number, missing, start = place.batch, place.rows, place.row
            while missing:
                piece = reader.get_batch(number).slice(start, missing)
                yield piece
                number, missing, start = number + 1, missing - piece.num_rows, 0


def _place(path: str, rows: slice) -> Place:
    return Place(path, int(rows.start // _BATCH), int(rows.start % _BATCH), int(rows.stop - rows.start))


def _columns(kind: str, place: Place) -> dict[str, object]:
    return {f"{kind}_{name}": getattr(place, name) for name in _INDEXED}


def _digest(gone: _Decisions, stay: _Decisions, spans: _Decisions) -> str:
    """Return a hash of what decides a part's shards: removed rows, the copies of kept ones, and spans."""
    digest = xxhash.xxh3_128()
    columns = [_row(gone["document"]), _row(stay["document"]), stay["copies"]]
    columns += [_row(spans["document"]), spans["start"], spans["end"]] if spans.size else []
    for column in columns:
        digest.update(np.array([column.size], "<u8").tobytes() + column.astype("<u4").tobytes())
    return digest.hexdigest()


def _write(
    folder: str,
    path: str,
    kind: Kind,
    fingerprint: str,
    batches: Iterator[pa.RecordBatch] | list[pa.RecordBatch],
) -> dataset.File:
    with dataset.create(folder, path, kind, fingerprint) as slot:
        for batch in batches:
            slot.arrow.write(batch)
    assert slot.file is not None
    return slot.file


def _pieces(rows: _Decisions) -> Iterator[_Decisions]:
    return (rows[at : at + _BATCH] for at in range(0, rows.size, _BATCH))


def _row(documents: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (documents & np.uint64((1 << ROW_BITS) - 1)).astype(np.uint32)


def _part(documents: NDArray[np.uint64], names: pa.Array) -> pa.Array:
    return names.take(pa.array(documents >> np.uint64(ROW_BITS)))


def _ids(documents: NDArray[np.uint64], rows: Rows) -> pa.Array:
    return rows.columns(documents, ["id"])["id"].combine_chunks()


def _removed(found: _Decisions, names: pa.Array, rows: Rows) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(found):
        columns = {
            "part": _part(piece["document"], names),
            "row": _row(piece["document"]),
            "id": _ids(piece["document"], rows),
            "kind": [KINDS[kind] for kind in piece["kind"]],
            "survivor": _ids(piece["survivor"], rows),
            "survivor_part": _part(piece["survivor"], names),
            "survivor_row": _row(piece["survivor"]),
            "jaccard": pa.array(piece["jaccard"], pa.float32(), from_pandas=True),
        }
        yield pa.RecordBatch.from_pydict(columns, schema=REMOVED.schema())


def _survivors(found: _Decisions, names: pa.Array, rows: Rows) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(found):
        columns = {
            "part": _part(piece["document"], names),
            "row": _row(piece["document"]),
            "id": _ids(piece["document"], rows),
            "copies": piece["copies"],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=SURVIVORS.schema())


def _spans(found: _Decisions, names: pa.Array, rows: Rows) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(found):
        columns = {
            "part": _part(piece["document"], names),
            "row": _row(piece["document"]),
            "id": _ids(piece["document"], rows),
            "start": piece["start"],
            "end": piece["end"],
            "kept": _ids(piece["kept"], rows),
            "kept_part": _part(piece["kept"], names),
            "kind": [KINDS[kind] for kind in piece["kind"]],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=SPANS.schema())
