"""Copies found in steps: parts give blocks of band hashes, partitions give edges, rounds give components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus import files
from corpus.dedup.bands import ALL_BANDS, EDGE, Again, band_blocks, buckets_of, link, merge_edges, verified
from corpus.dedup.clusters import Clusters, check_survivors_stay, largest_component, resolve
from corpus.dedup.components import split
from corpus.dedup.store import ROW_BITS, SignatureStore
from pipelines import handover, options, shuffle
from pipelines.handover import Parts
from pipelines.rounds import label, rows_of
from pipelines.shuffle import Grouped, Keyed

ROWS_A_PARTITION = 4_000_000
"""Documents above which a band is split: 64 MB of hashes and numbers for one worker."""

RUNS = 1_000
"""Runs of parts at most, about: each is read by one worker, which fills a block of each partition."""

LINKS_A_PARTITION = 20_000_000
"""Links that one worker holds at a time when all of them do not fit into memory."""

MAX_PASSES = 10
"""Passes over the documents; copies that are not compared by then stay."""

_EDGES, _LABELS = "e", "l"
"""Kinds of files that clusters are resolved from."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The result of one partition of one band, and the file of its edges."""

    path: str  # .npy of EDGE below the folder
    band: int
    edges: int
    verified: int  # edges that make copies
    buckets: int
    largest_bucket: int
    unlinked: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """The clusters of one partition, and their files."""

    removals: str  # .npy of REMOVAL below the folder
    survivors: str  # .npy of SURVIVOR below the folder
    passed_over: str  # .npy of uint64 below the folder
    removed: int
    clusters: int
    largest: tuple[tuple[float, int], ...]  # (threshold, documents of the largest component)


@dataclass(frozen=True, slots=True)
class Copies:
    """All copies among the documents: their files, and how they were found."""

    linked: list[Linked]  # the result of the first pass
    resolved: list[Resolved]
    passes: int
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
    document, those that were linked to it have to be compared with each other: so the buckets of such
    documents are linked again, without what was removed, and everything is decided again, until no copies
    are left among the kept.
    """
    found = first = again = find_edges(parts, folder, threshold, urls, runner)
    passes, before = 1, np.empty(0, np.uint64)
    # A later pass mostly reads the documents: up to this number that is faster than starting workers.
    few = runner.is_local and sum(parts.rows) <= ROWS_A_PARTITION
    later = replace(runner, workers=1) if few else runner
    while True:
        links = sum(linked.edges for linked in found)
        if links <= max_links_in_memory:
            resolved = resolve_in_memory(parts, folder, found, threshold, sources, passes)
        else:
            partitions = -(-links // LINKS_A_PARTITION)
            resolved = resolve_in_rounds(parts, folder, found, threshold, partitions, runner, sources, passes)
        gone, unsettled = _unsettled(folder, resolved, before, again, threshold)
        if unsettled.size == 0 or passes == MAX_PASSES:
            return Copies(first, resolved, passes, unsettled.size)
        passes, before = passes + 1, gone
        _save_pass(parts, folder, passes, gone, unsettled, urls)
        again = find_edges(parts, folder, threshold, urls, later, passes)
        if not any(linked.verified for linked in again):
            return Copies(first, resolved, passes, 0)
        found = [*found, *again]


def find_edges(
    parts: Parts,
    folder: str,
    threshold: float,
    urls: bool,
    runner: options.Runner,
    number: int = 1,
) -> list[Linked]:
    """Link the copies among the documents of signature files; write edge files below `folder`.

    The files' order gives the parts their numbers. The result is the same on any number of workers. A pass
    after the first (`number`) links what `_save_pass` wrote for it.
    """
    partitions = -(-sum(parts.rows) // ROWS_A_PARTITION) or 1
    place = _pass_folder(folder, number)
    if number == 1:
        handover.save_parts(folder, parts)
    earlier = place if number > 1 else ""
    linked = shuffle.run(
        runner,
        folder,
        f"dedupe-edges-{number:02d}",
        range(len(runs_of(parts.rows))),
        [("Band", partial(_blocks, folder=folder, partitions=partitions, urls=urls, place=earlier))],
        ("Link", partial(_link, partitions=partitions, threshold=threshold, folder=folder, number=number)),
        f"pass-{number:02d}/edges.json",
    )
    return [Linked(**record) for record in linked]


def _pass_folder(folder: str, number: int) -> str:
    return files.join(folder, f"pass-{number:02d}")


def _unsettled(
    folder: str,
    resolved: Iterable[Resolved],
    before: NDArray[np.uint64],
    again: Iterable[Linked],
    threshold: float,
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the removed documents, and the kept ones that may have copies among the kept; both sorted.

    These are documents whose better copies were all removed, where that is new: the last pass linked them,
    or they had been removed `before` it.
    """
    removed, passed_over = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for part in resolved:
        removed.append(handover.load(folder, part.removals)["document"])
        passed_over.append(handover.load(folder, part.passed_over))
    kept = np.sort(np.concatenate(passed_over))
    new = np.isin(kept, before)
    for linked in again:
        edges = verified(handover.load(folder, linked.path), threshold)
        new |= np.isin(kept, edges["a"]) | np.isin(kept, edges["b"])
    return np.sort(np.concatenate(removed)), kept[new]


def _save_pass(
    parts: Parts,
    folder: str,
    number: int,
    gone: NDArray[np.uint64],
    unsettled: NDArray[np.uint64],
    urls: bool,
) -> None:
    """Write what a later pass compares: the removed rows of each part, the buckets of each band."""
    place = _pass_folder(folder, number)
    for run, numbers in enumerate(runs_of(parts.rows)):
        low, high = np.searchsorted(gone, _first_documents([numbers.start, numbers.stop]))
        handover.save(place, f"gone/{run:06d}.npy", gone[low:high])
    for band, hashes in buckets_of(unsettled, handover.store_of(folder), urls):
        handover.save(place, f"buckets/{band:02d}.npy", hashes)


def resolve_in_memory(
    parts: Parts,
    folder: str,
    found: Iterable[Linked],
    threshold: float,
    sources: Sequence[str] = (),
    number: int = 1,
) -> list[Resolved]:
    """Resolve the clusters of all edges in this process; write their files below `folder`."""
    edges = load_edges(folder, found)
    return [_save_clusters(folder, number, 0, edges, threshold, handover.store_of(folder), sources)]


def resolve_in_rounds(
    parts: Parts,
    folder: str,
    found: Sequence[Linked],
    threshold: float,
    partitions: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
    number: int = 1,
) -> list[Resolved]:
    """Resolve clusters of a graph that is larger than one worker's memory, whole clusters to a partition.

    Edges below the threshold are skipped from the start, so the size of the largest component is known from
    `threshold` upwards only. `number` is that of the pass. Raises LinkingError when `rounds.MAX_ROUNDS` leave
    edges that still move.
    """
    labels = label(folder, [linked.path for linked in found], threshold, partitions, runner, number)
    resolved = shuffle.run(
        runner,
        folder,
        f"dedupe-clusters-{number:02d}",
        [*([linked.path, _EDGES] for linked in found), *([path, _LABELS] for path in labels)],
        [
            ("By node", partial(_by_node, folder=folder, threshold=threshold, partitions=partitions)),
            ("Whole clusters", partial(_edges_by_label, partitions=partitions)),
        ],
        ("Resolve", partial(_resolve, folder=folder, number=number, threshold=threshold, sources=sources)),
        f"pass-{number:02d}/clusters.json",
    )
    return [_resolved(record) for record in resolved]


def load_edges(folder: str, found: Iterable[Linked]) -> NDArray[Any]:
    """Read all edges (EDGE), each pair once, including those below the threshold."""
    return merge_edges(handover.load(folder, linked.path) for linked in found)


def load_clusters(folder: str, resolved: Iterable[Resolved]) -> Iterator[Clusters]:
    """Read the clusters of each partition back."""
    for part in resolved:
        yield Clusters(
            *(handover.mapped(folder, path) for path in (part.removals, part.survivors, part.passed_over))
        )


def runs_of(rows: Sequence[int]) -> list[range]:
    """Return the parts that one worker reads in a row, by number, given the documents of each.

    At most about `RUNS` runs: of a hundred thousand small parts each would fill a block of every partition
    of every band, which are more blocks than a shuffle takes.
    """
    enough = max(1, -(-sum(rows) // RUNS))
    runs, first, held = [], 0, 0
    for part, number in enumerate(rows):
        held += number
        if held >= enough or part + 1 == len(rows):
            runs.append(range(first, part + 1))
            first, held = part + 1, 0
    return runs


def _blocks(run: int, folder: str, partitions: int, urls: bool, place: str) -> Iterator[Keyed]:
    """Yield what the parts of a run put into each partition of each band, as one block."""
    store = handover.store_of(folder)
    numbers = runs_of(handover.parts_of(folder).rows)[run]
    gone = handover.load(place, f"gone/{run:06d}.npy") if place else np.empty(0, np.uint64)
    blocks: dict[int, list[NDArray[np.uint64]]] = {}
    for part in numbers:
        again = None
        if place:
            low, high = np.searchsorted(gone, _first_documents([part, part + 1]))
            again = Again(gone[low:high], partial(_looked_at, place))
        for band, partition, block in band_blocks(store, part, partitions, urls, again):
            blocks.setdefault(band * partitions + partition, []).append(block)
    for key, found in blocks.items():
        yield key, np.concatenate(found, axis=1).tobytes()


@lru_cache(maxsize=ALL_BANDS)
def _looked_at(place: str, band: int) -> NDArray[np.uint64]:
    """Return the hashes of the buckets of a band that a later pass looks at."""
    return handover.load(place, f"buckets/{band:02d}.npy")


def _first_documents(parts: Sequence[int]) -> NDArray[np.uint64]:
    """Return the number of the first document of each part."""
    return np.array(parts, np.uint64) << np.uint64(ROW_BITS)


def _link(
    bucket: Grouped,
    partitions: int,
    threshold: float,
    folder: str,
    number: int,
) -> dict[str, Any]:
    key, packed = bucket
    band, path = key // partitions, f"pass-{number:02d}/edges/{key:06d}.npy"
    arrays = (np.frombuffer(block, np.uint64).reshape(2, -1) for block in packed)
    links = link(band, arrays, handover.store_of(folder), threshold)
    handover.save(folder, path, links.edges)
    edges, copies = links.edges.size, verified(links.edges, threshold).size
    return asdict(Linked(path, band, edges, copies, links.buckets, links.largest_bucket, links.unlinked))


def _by_node(file: tuple[str, str], folder: str, threshold: float, partitions: int) -> Iterator[Keyed]:
    """Yield the rows of a file, of edges or of labels, by their first document; a letter says which."""
    path, kind = file
    rows = handover.load(folder, path)
    if kind == _LABELS:
        for number, some in split(rows, partitions):
            yield number, kind.encode() + some.tobytes()
        return
    edges = verified(rows, threshold)
    for number, block in _split_edges(edges["a"], edges, partitions):
        yield number, kind.encode() + block


def _edges_by_label(nodes: Grouped, partitions: int) -> Iterator[Keyed]:
    blocks: dict[str, list[bytes]] = {_EDGES: [], _LABELS: [b""]}
    for block in nodes[1]:
        blocks[chr(block[0])].append(block[1:])
    edges = merge_edges(np.frombuffer(block, EDGE) for block in blocks[_EDGES])
    stars = rows_of(blocks[_LABELS])
    stars = stars[np.argsort(stars[:, 0])]
    # A document without a row is the centre of its star: its own label.
    labels = edges["a"].copy()
    at = np.minimum(np.searchsorted(stars[:, 0], labels), max(len(stars) - 1, 0))
    if len(stars):
        labels = np.where(stars[at, 0] == labels, stars[at, 1], labels)
    yield from _split_edges(labels, edges, partitions)


def _split_edges(keys: NDArray[np.uint64], edges: NDArray[Any], partitions: int) -> Iterator[Keyed]:
    numbered = np.stack([keys, np.arange(keys.size, dtype=np.uint64)], axis=1)
    for number, rows in split(numbered, partitions):
        yield number, edges[rows[:, 1].astype(np.int64)].tobytes()


def _resolve(
    component: Grouped, folder: str, number: int, threshold: float, sources: Sequence[str]
) -> dict[str, Any]:
    key, packed = component
    edges = merge_edges(np.frombuffer(block, EDGE) for block in packed)
    return asdict(_save_clusters(folder, number, key, edges, threshold, handover.store_of(folder), sources))


def _resolved(record: dict[str, Any]) -> Resolved:
    largest = tuple((float(threshold), int(size)) for threshold, size in record["largest"])
    return Resolved(**{**record, "largest": largest})


def _save_clusters(
    folder: str,
    number: int,
    key: int,
    edges: NDArray[Any],
    threshold: float,
    store: SignatureStore,
    sources: Sequence[str],
) -> Resolved:
    clusters = resolve(edges, threshold, partial(store.ranks, sources=sources))
    check_survivors_stay(clusters)
    place = f"pass-{number:02d}/clusters/{key:06d}"
    removals, survivors, passed_over = (f"{place}-{kind}.npy" for kind in Clusters.__slots__)
    handover.save(folder, removals, clusters.removals)
    handover.save(folder, survivors, clusters.survivors)
    handover.save(folder, passed_over, clusters.passed_over)
    largest = tuple(largest_component(edges))
    return Resolved(
        removals, survivors, passed_over,
        clusters.removals.size, clusters.survivors.size, largest,
    )  # fmt: skip
