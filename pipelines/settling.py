"""What a pass decided, by runs of parts: documents that are gone or compared again, the removal list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup import removals as removal_list
from corpus.dedup.bands import ALL_BANDS, buckets_of, verified
from corpus.dedup.clusters import REMOVAL, SURVIVOR, size_histogram
from corpus.dedup.spans import LOST, SPAN
from corpus.dedup.store import Rows, document_numbers
from pipelines import handover, losses, options, sending, shuffle
from pipelines.proving import Proved
from pipelines.resolving import Resolved
from pipelines.shuffle import Grouped, Keyed

BUCKET = np.dtype([("band", "u1"), ("hash", "<u8")])
"""A bucket that is to be compared again."""

_RUN, _REMOVALS, _SURVIVORS, _PASSED_OVER, _EDGES, _REFUTED = "n", "r", "s", "p", "e", "f"
"""Kinds of what a pass is settled from: the number of a run, or a file."""


REFUTED_PASSES = 2
"""The last pass whose refuted pairs cause another one: pages of one template would need many more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How many documents of a run are gone, are kept for others, and are compared again."""

    run: int
    removed: int
    survivors: int
    unsettled: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The removal list of a run: its files and where they have each part, and what it counts."""

    run: int
    files: list[dict[str, Any]]  # dataset.File
    index: list[dict[str, Any]]  # rows of REMOVAL_INDEX
    kinds: dict[str, int]  # removed documents
    sizes: list[tuple[int, int, int]]  # smallest, largest, clusters
    largest: int  # documents of a cluster
    taken: list[dict[str, Any]]  # losses.Taken
    for_older: int  # removed documents that are copies of older corpora's


@dataclass(frozen=True, slots=True)
class List:
    """The removal list that is made from the decisions of a pass, and its folder."""

    folder: str
    number: int  # of the pass
    home: str
    fingerprint: str
    are_cut: bool

    def decisions(self, run: int) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
        """Return the removals, survivors and spans of a run."""
        removals, survivors = (
            _load(self.folder, self.number, run, kind) for kind in ("removals", "survivors")
        )
        spans = _load(self.folder, self.number, run, "spans") if self.are_cut else np.empty(0, SPAN)
        return removals, survivors, spans


def settle(
    folder: str,
    resolved: Sequence[Resolved],
    again: Sequence[Proved],
    threshold: float,
    urls: bool,
    runner: options.Runner,
    number: int,
) -> int:
    """Sort the decisions of a pass by runs; return how many documents the next one has to compare again.

    These are the kept ones that may have copies among the kept: their better copies were all removed, where
    that is new: the last pass linked them (`again`), or they had been removed before it; or the last pass
    refuted a pair of theirs (up to `REFUTED_PASSES`).
    """
    source = [(str(run), _RUN) for run in range(len(handover.runs_of(folder)))]  # some have no decisions
    source += [(proved.path, _EDGES) for proved in again if proved.verified]
    if number <= REFUTED_PASSES:
        source += [(proved.refuted_path, _REFUTED) for proved in again if proved.refuted]
    for part in resolved:
        source += [
            (part.removals, _REMOVALS), (part.survivors, _SURVIVORS), (part.passed_over, _PASSED_OVER),
        ]  # fmt: skip
    records = shuffle.run(
        runner,
        folder,
        f"dedupe-settle-{number:02d}",
        source,
        [("By run", partial(_by_run, folder=folder, threshold=threshold))],
        ("Settle", partial(_settle, folder=folder, urls=urls, number=number)),
        f"{_place(number)}/runs.json",
    )
    settled = [Settled(**record) for record in records]
    open_runs = [each.run for each in settled if each.unsettled]
    pieces = [handover.load(folder, _path(number, run, "buckets")) for run in sorted(open_runs)]
    for band in range(ALL_BANDS) if pieces else ():
        found = np.concatenate([piece["hash"][piece["band"] == band] for piece in pieces])
        handover.save(folder, f"{_place(number)}/buckets-{band:02d}.npy", np.unique(found))
    return sum(each.unsettled for each in settled)


def gone(folder: str, number: int, run: int) -> NDArray[np.uint64]:
    """Return the documents of a run, sorted, that are removed after a pass; before the first, older ones."""
    found: NDArray[np.uint64] = _load(folder, number, run, "removals")["document"]
    if run not in handover.new_runs(folder):  # of which this removes nothing
        return handover.load(folder, _older_path(run, "removals"))
    return found


def save_older(folder: str, run: int, docs: NDArray[np.uint64], lost: NDArray[np.void]) -> None:
    """Save the documents of a run of older parts, sorted, that their corpus has removed, and LOST bytes."""
    handover.save(folder, _older_path(run, "removals"), docs)
    handover.save(folder, _older_path(run, "lost"), lost)


def lost(folder: str, run: int) -> NDArray[np.void]:
    """Return the bytes of the documents of a run that are LOST."""
    if run in handover.new_runs(folder):
        return np.empty(0, LOST)
    return handover.load(folder, _older_path(run, "lost"))


def kept(
    folder: str, part: int, removed: NDArray[np.uint64], columns: list[str]
) -> Iterator[tuple[NDArray[np.uint64], pa.RecordBatch]]:
    """Yield the documents of a part but for those removed: their numbers, and columns of their files."""
    home, _, name = handover.parts_of(folder).texts[part].rpartition("/")
    first = 0
    for batch in dataset.batches(home, name, columns):
        docs = document_numbers(part, np.arange(first, first + batch.num_rows))
        stays = ~np.isin(docs, removed)
        yield docs[stays], batch.filter(pa.array(stays))
        first += batch.num_rows


@lru_cache(maxsize=ALL_BANDS)
def buckets(folder: str, number: int, band: int) -> NDArray[np.uint64]:
    """Return the hashes of the buckets of a band, sorted, that are to be compared again after a pass."""
    return handover.load(folder, f"{_place(number)}/buckets-{band:02d}.npy")


def save_cut(folder: str, number: int, run: int, spans: NDArray[np.void], dropped: NDArray[np.void]) -> None:
    """Save as the decisions of the next pass about a run those of `number`, with `dropped` and `spans`."""
    removals, survivors = (_load(folder, number, run, kind) for kind in ("removals", "survivors"))
    removals = np.concatenate([removals, dropped])
    decisions = {
        "removals": removals[np.argsort(removals["document"])],
        "survivors": survivors[~np.isin(survivors["document"], dropped["document"])],
        "spans": spans,
    }
    for kind, rows in decisions.items():
        handover.save(folder, _path(number + 1, run, kind), rows)


def write_list(
    folder: str, number: int, home: str, fingerprint: str, runner: options.Runner, are_cut: bool = False
) -> list[Listed]:
    """Write what a pass decided as the removal list in the folder `home`: of each run a file of each kind.

    `are_cut` says that these are decisions of `save_cut`, which have spans.
    """
    made = List(folder, number, home, fingerprint, are_cut)
    last = partial(_list, made=made)
    steps: list[shuffle.Step] = [("Runs", shuffle.itself)]
    if handover.is_sent(folder, runner):
        steps = [
            ("Ask for names", partial(_ask, made=made)),
            ("Send names", partial(sending.send, folder=folder, columns=_named)),
        ]
        last = partial(_list_sent, made=made)
    records = shuffle.run(
        runner,
        folder,
        "dedupe-list",
        handover.new_runs(folder),
        steps,
        ("List removals", last),
        "removals.json",
    )
    return sorted((Listed(**record) for record in records), key=lambda listed: listed.run)


def _place(number: int) -> str:
    return f"pass-{number:02d}/settled"


def _older_path(run: int, kind: str) -> str:
    return f"older/{run:06d}-{kind}.npy"


def _path(number: int, run: int, kind: str) -> str:
    return f"{_place(number)}/{run:06d}-{kind}.npy"


def _load(folder: str, number: int, run: int, kind: str) -> NDArray[Any]:
    if number == 0:
        return np.empty(0, REMOVAL)
    return handover.load(folder, _path(number, run, kind))


def _by_run(named: tuple[str, str], folder: str, threshold: float) -> Iterator[Keyed]:
    """Yield the rows of a file to the runs of their documents; a letter says of which kind they are."""
    path, kind = named
    if kind == _RUN:
        yield int(path), kind.encode()
        return
    rows = handover.load(folder, path)
    if kind in (_EDGES, _REFUTED):
        edges = rows if kind == _REFUTED else verified(rows, threshold)
        rows = np.unique(np.concatenate([edges["a"], edges["b"]]))
    docs = rows["document"] if kind in (_REMOVALS, _SURVIVORS) else rows
    for run, inside in handover.by_run(folder, docs):
        yield run, kind.encode() + rows[inside].tobytes()


def _settle(decided: Grouped, folder: str, urls: bool, number: int) -> dict[str, Any]:
    run, packed = decided
    blocks: dict[str, list[bytes]] = {
        kind: [] for kind in (_RUN, _REMOVALS, _SURVIVORS, _PASSED_OVER, _EDGES, _REFUTED)
    }
    for block in packed:
        blocks[chr(block[0])].append(block[1:])
    removals, survivors = (
        np.frombuffer(b"".join(blocks[kind]), kind_of)
        for kind, kind_of in ((_REMOVALS, REMOVAL), (_SURVIVORS, SURVIVOR))
    )
    kept, linked, refuted = (
        np.frombuffer(b"".join(blocks[kind]), np.uint64) for kind in (_PASSED_OVER, _EDGES, _REFUTED)
    )
    new = kept[np.isin(kept, linked) | np.isin(kept, gone(folder, number - 1, run))]
    unsettled = np.union1d(new, np.setdiff1d(refuted, removals["document"]))
    for kind, rows in (("removals", removals), ("survivors", survivors)):
        handover.save(folder, _path(number, run, kind), rows[np.argsort(rows["document"])])
    if unsettled.size:
        with handover.own_parts(folder) as store:
            handover.save(folder, _path(number, run, "buckets"), _buckets(unsettled, store, urls))
    return asdict(Settled(run, removals.size, survivors.size, unsettled.size))


def _buckets(docs: NDArray[np.uint64], rows: Rows, urls: bool) -> NDArray[Any]:
    found = list(buckets_of(docs, rows, urls))
    buckets = np.empty(sum(hashes.size for _, hashes in found), BUCKET)
    buckets["band"] = np.repeat([band for band, _ in found], [hashes.size for _, hashes in found])
    buckets["hash"] = np.concatenate([hashes for _, hashes in found])
    return buckets


def _named(key: int) -> list[str]:
    return ["id", "source", "bytes"]


def _ask(run: int, made: List) -> Iterator[Keyed]:
    """Ask for what names a run's list; a run that needs none asks itself, so that it is listed, too."""
    yield run, np.array([run], np.uint64).tobytes()
    removals, survivors, spans = made.decisions(run)
    docs = [removals["document"], removals["survivor"], survivors["document"]]
    docs += [spans["document"], spans["kept"]]
    yield from sending.ask(made.folder, run, np.unique(np.concatenate(docs)))


def _list(run: Grouped, made: List) -> dict[str, Any]:
    return _write(run[0], handover.store_of(made.folder), made)


def _list_sent(ids: Grouped, made: List) -> dict[str, Any]:
    run, packed = ids
    with sending.received(packed) as rows:
        return _write(run, rows, made)


def _write(run: int, rows: Rows, made: List) -> dict[str, Any]:
    gone, stay, spans = made.decisions(run)
    parts = handover.runs_of(made.folder)[run]
    names = handover.parts_of(made.folder).names
    files, index = removal_list.write(made.home, made.fingerprint, run, parts, names, rows, gone, stay, spans)
    kinds = zip(*np.unique(gone["kind"], return_counts=True), strict=True)
    return asdict(
        Listed(
            run,
            [file.model_dump(mode="json") for file in files],
            index,
            {removal_list.KINDS[kind]: int(count) for kind, count in kinds},
            size_histogram(stay),
            int(stay["copies"].max(initial=0)),
            [asdict(each) for each in losses.taken(rows, gone, spans)],
            int(np.count_nonzero(gone["survivor"] < handover.first_new(made.folder))),
        )
    )
