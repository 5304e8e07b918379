"""The removal list on disk: removed documents and survivors, sorted by part, with an index of parts.

A document is named by its part's fingerprint and its row there, so that other parts and their order do not
matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup.bands import EXACT, NEAR, URL
from corpus.dedup.clusters import REMOVAL, SURVIVOR
from corpus.dedup.store import ROW_BITS, SignatureStore
from corpus.schema import REMOVAL_INDEX, REMOVED, SURVIVORS, Kind

KINDS = {EXACT: "exact", URL: "url", NEAR: "near"}

_BATCH = 64_000  # rows of a record batch
_FILE_ROWS = 4_000_000  # rows at which a file ends with its part

_Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a part's rows: a file, the first record batch and row, and the number of rows."""

    path: str
    batch: int
    row: int
    rows: int


@dataclass(frozen=True, slots=True)
class Fate:
    """The decisions of dedupe about one part; `digest` names it by its content."""

    removed: Place
    survivors: Place
    digest: str


def write(
    folder: str,
    fingerprint: str,
    parts: Sequence[str],
    store: SignatureStore,
    removals: Sequence[_Rows],
    survivors: Sequence[_Rows],
) -> list[dataset.File]:
    """Write the removal list and its index.

    `parts` are the parts' fingerprints by their numbers in `store`; `removals` (REMOVAL) and `survivors`
    (SURVIVOR) are any number of arrays, each sorted by document.
    """
    removals = [np.empty(0, REMOVAL), *removals]
    survivors = [np.empty(0, SURVIVOR), *survivors]
    bounds = np.arange(len(parts) + 1, dtype=np.uint64) << np.uint64(ROW_BITS)
    gone_at = [np.searchsorted(rows["document"], bounds) for rows in removals]
    stay_at = [np.searchsorted(rows["document"], bounds) for rows in survivors]
    names = pa.array(parts, pa.string())
    written: list[dataset.File] = []
    index: list[tuple[str, Fate]] = []
    for number, (first, last) in enumerate(_file_parts(gone_at, stay_at, len(parts))):
        gone = _cut(removals, gone_at, first, last)
        stay = _cut(survivors, stay_at, first, last)
        paths = [f"{kind}-{number:05d}-{fingerprint}.arrow" for kind in ("removed", "survivors")]
        written.append(_write(folder, paths[0], REMOVED, fingerprint, _removed(gone, names, store)))
        written.append(_write(folder, paths[1], SURVIVORS, fingerprint, _survivors(stay, names, store)))
        inside = bounds[first : last + 1]
        places = [np.searchsorted(rows["document"], inside) for rows in (gone, stay)]
        for at in range(last - first):
            mine = [slice(cuts[at], cuts[at + 1]) for cuts in places]
            removed, kept = (_place(path, cut) for path, cut in zip(paths, mine, strict=True))
            index.append((parts[first + at], Fate(removed, kept, _digest(gone[mine[0]], stay[mine[1]]))))
    rows = [
        {"part": part, "digest": fate.digest, **_columns("removed", fate.removed)}
        | _columns("survivors", fate.survivors)
        for part, fate in index
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=REMOVAL_INDEX.schema())
    written.append(_write(folder, f"index-{fingerprint}.arrow", REMOVAL_INDEX, fingerprint, [batch]))
    return written


def read_index(folder: str) -> dict[str, Fate]:
    """Return the decisions of a dedupe stage about each part, by the part's fingerprint."""
    found = {}
    for file in dataset.load(folder).files(REMOVAL_INDEX.name):
        for row in dataset.table(folder, file.path).to_pylist():
            removed, survivors = (
                Place(*(row[f"{kind}_{name}"] for name in Place.__slots__))
                for kind in ("removed", "survivors")
            )
            found[row["part"]] = Fate(removed, survivors, row["digest"])
    return found


def read(folder: str, place: Place, columns: list[str]) -> dict[str, NDArray[np.int64]]:
    """Read numeric columns of one part's rows: of its file only the record batches that hold them."""
    found: list[pa.RecordBatch] = []
    if place.rows:
        with dataset.open_arrow(folder, place.path, columns) as reader:
            number, missing, start = place.batch, place.rows, place.row
            while missing:
                piece = reader.get_batch(number).slice(start, missing)
                found.append(piece)
                number, missing, start = number + 1, missing - piece.num_rows, 0
    empty = np.empty(0, np.int64)
    return {
        name: np.concatenate([empty, *(batch.column(name).to_numpy().astype(np.int64) for batch in found)])
        for name in columns
    }


def _file_parts(
    gone_at: Sequence[NDArray[np.int64]], stay_at: Sequence[NDArray[np.int64]], parts: int
) -> Iterator[tuple[int, int]]:
    """Yield the runs of parts (first, last + 1) whose rows share a file."""
    before = np.sum([np.zeros(parts + 1, np.int64), *gone_at, *stay_at], axis=0)
    first = 0
    while first < max(1, parts):
        last = int(np.searchsorted(before, before[first] + _FILE_ROWS)) if parts else 1
        last = min(max(last, first + 1), parts)
        yield first, last
        first = max(last, 1)


def _cut(arrays: Sequence[_Rows], at: Sequence[NDArray[np.int64]], first: int, last: int) -> _Rows:
    """Return the rows of a run of parts from all arrays, sorted by document."""
    rows = np.concatenate([rows[cuts[first] : cuts[last]] for rows, cuts in zip(arrays, at, strict=True)])
    return rows[np.argsort(rows["document"])]


def _place(path: str, rows: slice) -> Place:
    return Place(path, int(rows.start // _BATCH), int(rows.start % _BATCH), int(rows.stop - rows.start))


def _columns(kind: str, place: Place) -> dict[str, object]:
    return {f"{kind}_{name}": getattr(place, name) for name in Place.__slots__}


def _digest(gone: _Rows, stay: _Rows) -> str:
    """Return a hash of what decides a part's shards: the removed rows, and the copies of the kept ones."""
    digest = xxhash.xxh3_128()
    for column in (_row(gone["document"]), _row(stay["document"]), stay["copies"]):
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


def _pieces(rows: _Rows) -> Iterator[_Rows]:
    return (rows[at : at + _BATCH] for at in range(0, rows.size, _BATCH))


def _row(documents: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (documents & np.uint64((1 << ROW_BITS) - 1)).astype(np.uint32)


def _part(documents: NDArray[np.uint64], names: pa.Array) -> pa.Array:
    return names.take(pa.array(documents >> np.uint64(ROW_BITS)))


def _ids(documents: NDArray[np.uint64], store: SignatureStore) -> pa.Array:
    return store.columns(documents, ["id"])["id"].combine_chunks()


def _removed(rows: _Rows, names: pa.Array, store: SignatureStore) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(rows):
        columns = {
            "part": _part(piece["document"], names),
            "row": _row(piece["document"]),
            "id": _ids(piece["document"], store),
            "kind": [KINDS[kind] for kind in piece["kind"]],
            "survivor": _ids(piece["survivor"], store),
            "survivor_part": _part(piece["survivor"], names),
            "survivor_row": _row(piece["survivor"]),
            "jaccard": piece["jaccard"],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=REMOVED.schema())


def _survivors(rows: _Rows, names: pa.Array, store: SignatureStore) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(rows):
        columns = {
            "part": _part(piece["document"], names),
            "row": _row(piece["document"]),
            "id": _ids(piece["document"], store),
            "copies": piece["copies"],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=SURVIVORS.schema())
