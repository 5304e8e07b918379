"""Copies found in passes over the documents: parts give blocks of band hashes, partitions give edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.bands import (
    EXACT_BAND,
    URL_BAND,
    Compared,
    among,
    band_blocks,
    bucket_hashes,
    bucket_members,
    link,
    verified,
)
from corpus.dedup.store import PREFERENCE, Rows
from corpus.schema import PERMUTATIONS
from pipelines import handover, losses, options, proving, sending, settling, shuffle
from pipelines.handover import Parts
from pipelines.resolving import Linked, Resolved, resolve
from pipelines.settling import settle
from pipelines.shuffle import Grouped, Keyed

ROWS_A_PARTITION = 4_000_000
"""Documents above which a band is split: 64 MB of hashes and numbers for one worker."""

FEW = 1_000_000
"""Documents up to which the driver itself does what follows the first pass: that is faster than a job."""

LINKS_A_PARTITION = 20_000_000
"""Links that one worker holds at a time when all of them do not fit into memory."""

MARGIN = 3 / PERMUTATIONS
"""How far an estimate may be below the threshold where texts decide: most of its standard deviation there."""

MAX_PASSES = 10
"""Passes over the documents; copies that are not compared by then stay."""

_EDGES, _LABELS = "e", "l"
"""Kinds of files that clusters are resolved from."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the steps of one pass over the bands need to know."""

    folder: str
    number: int  # of the pass
    partitions: int  # of each band; a key is band * partitions + partition
    threshold: float
    sources: tuple[str, ...]

    def columns(self, key: int) -> list[str]:
        """Return the columns that linking needs of a bucket's documents."""
        of_band = {EXACT_BAND: ["exact"], URL_BAND: ["url", "signature"]}
        return [*PREFERENCE, *of_band.get(key // self.partitions, ["signature"])]


@dataclass(frozen=True, slots=True)
class Copies:
    """All copies among the documents, and how they were found: `settling.settle` wrote them, by run."""

    linked: list[Linked]  # the result of the first pass
    resolved: list[Resolved]
    settled: int  # the pass whose decisions count
    passes: int
    refuted: int  # pairs that signatures proposed, and texts refuted
    open: int  # kept documents whose copies the last pass allowed did not settle


def find_copies(
    parts: Parts,
    folder: str,
    threshold: float,
    urls: bool,
    max_links_in_memory: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
) -> Copies:
    """Decide which documents are removed, and which are kept instead; write files below `folder`.

    `sources` are the names of the sources, the preferred one first.

    A bucket's documents are compared with its leaders only. Where a leader turns out to be a copy of a better
    document, or the texts of a pair to be no copies, those that were linked to it have to be compared with
    others: so the buckets of such documents are linked again, without what was removed and what was refuted,
    and everything is decided again, until no copies are left among the kept.
    """
    later = options.Runner() if sum(parts.rows) <= FEW else runner
    alone = decides(parts, runner)
    least = max(0.0, threshold - MARGIN) if parts.texts else threshold
    first = find_edges(parts, folder, least, urls, runner, sources)
    found = again = proving.prove(folder, first, least, threshold, runner, 1)
    passes = 1
    while True:
        links = sum(linked.edges for linked in found)
        partitions = 0 if links <= max_links_in_memory else -(-links // LINKS_A_PARTITION)
        decide = runner if partitions else alone
        resolved = resolve(folder, found, threshold, partitions, decide, sources, passes)
        left = settle(folder, resolved, again, threshold, urls, alone, passes)
        if left == 0 or passes == MAX_PASSES:
            return Copies(first, resolved, passes, passes, proving.refuted(folder, passes).size, left)
        passes += 1
        linked = find_edges(parts, folder, least, urls, later, sources, passes)
        if not any(each.verified for each in linked):
            return Copies(first, resolved, passes - 1, passes, proving.refuted(folder, passes - 1).size, 0)
        again = proving.prove(folder, linked, least, threshold, later, passes)
        found = [*found, *again]


def decides(parts: Parts, runner: options.Runner) -> options.Runner:
    """Return what does all that follows the links of a pass: the driver where that is as fast as workers."""
    return options.Runner() if runner.is_local or sum(parts.rows) <= FEW else runner


def find_edges(
    parts: Parts,
    folder: str,
    threshold: float,
    urls: bool,
    runner: options.Runner,
    sources: Sequence[str] = (),
    number: int = 1,
) -> list[Linked]:
    """Link the copies among the documents of signature files; write edge files below `folder`.

    The files' order gives the parts their numbers. The result is the same on any number of workers. A pass
    after the first (`number`) links what `_save_pass` wrote for it.
    """
    partitions = -(-sum(parts.rows) // ROWS_A_PARTITION) or 1
    if number == 1:
        handover.save_parts(folder, handover.transported(parts, runner))
    steps: list[shuffle.Step] = [
        ("Band", partial(_blocks, folder=folder, partitions=partitions, urls=urls, number=number))
    ]
    place = Place(folder, number, partitions, threshold, tuple(sources))
    last = partial(_link, place=place)
    if handover.is_sent(folder, runner):
        steps.append(("Ask for rows", partial(_ask, place=place)))
        steps.append(("Send rows", partial(sending.send, folder=folder, columns=place.columns)))
        last = partial(_link_sent, place=place)
    linked = shuffle.run(
        runner,
        folder,
        f"dedupe-edges-{number:02d}",
        range(len(handover.runs_of(folder))),
        steps,
        ("Link", last),
        f"pass-{number:02d}/edges.json",
    )
    return [Linked(**record) for record in linked]


def _blocks(run: int, folder: str, partitions: int, urls: bool, number: int) -> Iterator[Keyed]:
    """Yield what the parts of a run put into each partition of each band, as one block."""
    gone = settling.gone(folder, number - 1, run)
    blocks: dict[int, list[NDArray[np.uint64]]] = {}
    with handover.own_parts(folder) as store:
        if number == 1 and run in handover.new_runs(folder):
            losses.save_sizes(folder, run, handover.runs_of(folder)[run], store)
        for part in handover.runs_of(folder)[run]:
            low, high = np.searchsorted(gone, handover.first_documents([part, part + 1]))
            buckets = partial(settling.buckets, folder, number - 1) if number > 1 else None
            compared = Compared(gone[low:high], buckets)
            for band, partition, block in band_blocks(store, part, partitions, urls, compared):
                blocks.setdefault(band * partitions + partition, []).append(block)
    for key, found in blocks.items():
        yield key, np.concatenate(found, axis=1).tobytes()


def _ask(bucket: Grouped, place: Place) -> Iterator[Keyed]:
    """Ask for the rows of the documents that share a bucket."""
    key, packed = bucket
    _, docs = bucket_members(_joined(packed, place.folder))
    yield from sending.ask(place.folder, key, np.unique(docs))


def _joined(packed: Iterable[bytes], folder: str) -> NDArray[np.uint64]:
    """Return the rows of blocks as one, without the buckets that have older documents alone."""
    blocks = (np.frombuffer(block, np.uint64).reshape(2, -1) for block in packed)
    joined = np.concatenate([np.empty((2, 0), np.uint64), *blocks], axis=1)
    is_new = joined[1] >= handover.first_new(folder)
    return joined if is_new.all() else joined[:, is_new | among(joined[0], np.unique(joined[0, is_new]))]


def _link(bucket: Grouped, place: Place) -> dict[str, Any]:
    key, packed = bucket
    return _save_links(place, key, _joined(packed, place.folder), handover.store_of(place.folder))


def _link_sent(bucket: Grouped, place: Place) -> dict[str, Any]:
    """Link the rows that were asked for, which tell again what their bucket is."""
    key, packed = bucket
    with sending.received(packed) as rows:
        docs = rows.documents
        hashes = bucket_hashes(key // place.partitions, docs, rows)
        return _save_links(place, key, np.stack([hashes, docs]), rows)


def _save_links(place: Place, key: int, block: NDArray[np.uint64], rows: Rows) -> dict[str, Any]:
    band, path = key // place.partitions, f"pass-{place.number:02d}/edges/{key:06d}.npy"
    refuted = proving.refuted(place.folder, place.number - 1)
    first_new = handover.first_new(place.folder)
    links = link(band, [block], rows, place.threshold, refuted, place.sources, first_new)
    found = links.edges[(links.edges["a"] >= first_new) | (links.edges["b"] >= first_new)]
    handover.save(place.folder, path, found)
    edges, copies = found.size, verified(found, place.threshold).size
    return asdict(Linked(path, band, edges, copies, links.buckets, links.largest_bucket, links.unlinked))
