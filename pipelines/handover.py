"""Files that steps of a pipeline exchange: arrays, short lists, and the signatures that all read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus import files, stores, temporary
from corpus.dedup.proof import texts_of
from corpus.dedup.store import ROW_BITS, SignatureStore
from pipelines import options

PARTS = "parts.json"

RUNS = 1_000
"""Runs of parts at most, about: each is read by one worker, which fills a block of each partition."""

ROWS_A_RUN = 100_000
"""Documents that a run has at least, unless it is the last: reading fewer is not worth a step of its own."""

HELD = 128 << 20
"""Bytes that a step collects for others before it passes them on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a corpus by their numbers: the signature file of each, its documents, its fingerprint.

    Where `sent`, workers do not map the files: each reads the parts of its own runs, and sends the rows that
    others need. `texts` are the files of the documents themselves. The first `older` parts are those of older
    corpora: their documents stay, and no run has parts of both. `grams` and `paragraphs` are what these have
    stored, "" where it is made of their texts.
    """

    paths: tuple[str, ...]
    rows: tuple[int, ...]
    names: tuple[str, ...] = ()
    sent: bool = False
    texts: tuple[str, ...] = ()
    older: int = 0
    grams: tuple[str, ...] = ()
    paragraphs: tuple[str, ...] = ()

    def runs(self) -> list[range]:
        """Return the parts that one worker reads in a row, by number; at least one run.

        At most about `RUNS`: each of a hundred thousand small parts would fill a block of every partition
        of every band, which are more blocks than a shuffle takes.
        """
        enough = max(ROWS_A_RUN, -(-sum(self.rows) // RUNS))
        runs, first, held = [], 0, 0
        for part, number in enumerate(self.rows):
            held += number
            if held >= enough or part + 1 == self.older:
                runs.append(range(first, part + 1))
                first, held = part + 1, 0
        if first < len(self.rows) or not runs:
            runs.append(range(first, len(self.rows)))
        return runs


def save_parts(folder: str, parts: Parts) -> None:
    """Write down for the workers which parts there are: in a graph the list would grow with the corpus."""
    files.write_json(folder, PARTS, asdict(parts))
    for read in (parts_of, runs_of, store_of):
        read.cache_clear()


@lru_cache(maxsize=1)
def parts_of(folder: str) -> Parts:
    """Return what `save_parts` wrote, read once a process."""
    found = files.read_json(folder, PARTS)
    assert found is not None, f"{folder}/{PARTS} was not written"
    return Parts(
        tuple(found["paths"]),
        tuple(found["rows"]),
        tuple(found["names"]),
        found["sent"],
        tuple(found["texts"]),
        found["older"],
        tuple(found["grams"]),
        tuple(found["paragraphs"]),
    )


def transported(parts: Parts, runner: options.Runner) -> Parts:
    """Return the parts as the workers of a runner get their rows: sent where they have no files."""
    remote = bool(parts.paths) and not files.is_local(parts.paths[0])
    return replace(parts, sent=remote and not runner.is_local)


def is_sent(folder: str, runner: options.Runner) -> bool:
    """Return whether the workers of a runner are sent rows; the driver maps files, which it fetches."""
    return parts_of(folder).sent and not runner.is_local


@lru_cache(maxsize=1)
def runs_of(folder: str) -> list[range]:
    """Return the runs of the parts that `save_parts` wrote."""
    return parts_of(folder).runs()


def new_runs(folder: str) -> list[int]:
    """Return the numbers of the runs whose parts are not those of older corpora."""
    older = parts_of(folder).older
    return [number for number, run in enumerate(runs_of(folder)) if run.start >= older]


def first_new(folder: str) -> int:
    """Return the number of the first document that is not one of an older corpus."""
    return parts_of(folder).older << ROW_BITS


@lru_cache(maxsize=1)
def store_of(folder: str) -> SignatureStore:
    """Return one store a process of the parts that `save_parts` wrote: a file is mapped, or fetched, once."""
    return SignatureStore(parts_of(folder).paths)


@contextmanager
def own_parts(folder: str) -> Iterator[SignatureStore]:
    """Open the parts to read those of a run; where rows are sent, files are on this disk for the block."""
    if not parts_of(folder).sent:
        yield store_of(folder)
        return
    with temporary.folder("signatures") as copies:
        yield SignatureStore(parts_of(folder).paths, copies)


def by_run(folder: str, docs: NDArray[np.uint64]) -> Iterator[tuple[int, slice]]:
    """Yield the runs that hold some of the sorted documents, and where these are."""
    starts = first_documents([run.start for run in runs_of(folder)])
    cuts = [*np.searchsorted(docs, starts).tolist(), docs.size]
    for run, (low, high) in enumerate(pairwise(cuts)):
        if low < high:
            yield run, slice(low, high)


def parted(
    folder: str, place: str, run: int, found: Iterable[NDArray[Any]], partitions: int, is_sent: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of a run, which have a `hash`, by the partition that it is of, as parcels in `place`."""
    for piece, rows in enumerate(_joined(found)):
        keys = rows["hash"] % np.uint64(partitions)
        order = np.argsort(keys, kind="stable")
        cuts = np.searchsorted(keys[order], np.arange(partitions + 1, dtype=np.uint64))
        for key, (low, high) in enumerate(pairwise(cuts.tolist())):
            if low < high:
                path = f"{place}/{key:05d}-{run:05d}-{piece:03d}.npy"
                yield key, parcel(folder, path, rows[order[low:high]].tobytes(), is_sent)


def _joined(found: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield rows together, about `HELD` bytes at a time."""
    held, size = list[NDArray[Any]](), 0
    for rows in found:
        held.append(rows)
        size += rows.nbytes
        if size > HELD:
            yield np.concatenate(held)
            held, size = [], 0
    if size:
        yield np.concatenate(held)


def with_new(rows: NDArray[Any], folder: str) -> NDArray[Any]:
    """Return the rows, sorted by `hash`, of hashes that a new document has as well."""
    is_new = rows["document"] >= first_new(folder)
    return rows if is_new.all() else rows[np.isin(rows["hash"], np.unique(rows["hash"][is_new]))]


def first_documents(parts: Sequence[int]) -> NDArray[np.uint64]:
    """Return the number of the first document of each part."""
    return np.array(parts, np.uint64) << np.uint64(ROW_BITS)


def save(folder: str, path: str, array: NDArray[Any]) -> None:
    """Write one array below a folder."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    files.write_bytes(folder, path, buffer.getvalue())


def load(folder: str, path: str) -> NDArray[Any]:
    """Return the array that `save` wrote."""
    data = stores.whole(*files.filesystem(files.join(folder, path)))
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def parcel(folder: str, path: str, content: bytes, is_sent: bool) -> bytes:
    """Return what a step yields for another one to have `content`: for one of this machine, a file's name."""
    if is_sent:
        return content
    save(folder, path, np.frombuffer(content, np.uint8))
    return path.encode()


def contents(folder: str, parcels: Iterable[bytes], is_sent: bool) -> Iterator[bytes]:
    """Yield the contents of parcels."""
    return (each if is_sent else load(folder, each.decode()).tobytes() for each in parcels)


def texts(folder: str, docs: NDArray[np.uint64]) -> Iterator[str]:
    """Yield the texts of documents, sorted and distinct."""
    paths = parts_of(folder).texts
    parts = (docs >> np.uint64(ROW_BITS)).astype(np.int64)
    rows = (docs & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    for part in np.unique(parts).tolist():
        yield from texts_of(paths[part], rows[parts == part])


def write_list(folder: str, path: str, records: list[dict[str, Any]]) -> None:
    """Write the records of a small collection as one JSON list, in an order independent of scheduling."""
    files.write_json(folder, path, sorted(records, key=lambda record: json.dumps(record, sort_keys=True)))


def read_list(folder: str, path: str) -> list[dict[str, Any]] | None:
    """Return the records that `write_list` wrote; None where it has not."""
    records: Any = files.read_json(folder, path)
    return None if records is None else list(records)
