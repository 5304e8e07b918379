"""Near copies proved: pairs that signatures propose are compared by the shingles of their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.bands import EDGE, EXACT, NEAR, merge_edges, pair_keys, verified
from corpus.dedup.proof import Shingled, pack, packed_shingles, similarities
from pipelines import handover, options, sending, shuffle
from pipelines.resolving import Linked, split_edges
from pipelines.shuffle import Grouped, Keyed

PAIRS_A_PARTITION = 25_000
"""Proposed pairs that one step compares: it holds the shingles of their documents, about 100 MB."""

_MOST_PARTITIONS = 4_096
_TEXTS = 4_096  # whose shingles are made, and passed on, at a time


@dataclass(frozen=True, slots=True)
class Proved:
    """The edges of one partition of the pairs, and which of them the texts refuted."""

    path: str  # .npy of EDGE below the folder, each pair once
    refuted_path: str  # .npy of EDGE below the folder
    edges: int
    verified: int  # edges that make copies
    refuted: int


@dataclass(frozen=True, slots=True)
class Place:
    """What the steps of one pass need to know."""

    folder: str
    number: int  # of the pass
    partitions: int
    least: float  # estimated similarity of pairs that are proposed
    threshold: float
    is_sent: bool

    def path(self, key: int, kind: str) -> str:
        """Return the file of one kind of a partition."""
        return f"pass-{self.number:02d}/pairs/{key:06d}-{kind}.npy"


def prove(
    folder: str,
    found: Sequence[Linked],
    least: float,
    threshold: float,
    runner: options.Runner,
    number: int,
) -> list[Proved]:
    """Merge the edges of a pass, and compare the texts of each pair that may be copies.

    Those are pairs whose estimated similarity reaches `least`. They have from then on the Jaccard similarity
    of their shingles; below `threshold` a pair is refuted, and no later pass proposes it. Where the parts
    have no texts, the estimates stand.
    """
    proposed = sum(linked.verified for linked in found)
    partitions = min(_MOST_PARTITIONS, -(-proposed // PAIRS_A_PARTITION) or 1)
    place = Place(folder, number, partitions, least, threshold, handover.is_sent(folder, runner))
    records = shuffle.run(
        runner,
        folder,
        f"dedupe-prove-{number:02d}",
        [linked.path for linked in found],
        [
            ("Pairs", partial(_pairs, place=place)),
            ("Ask for shingles", partial(_ask, place=place)),
            ("Send shingles", partial(_send, place=place)),
        ],
        ("Prove", partial(_prove, place=place)),
        f"pass-{number:02d}/proved.json",
    )
    proved = [Proved(**record) for record in records]
    new = [handover.load(folder, each.refuted_path) for each in proved if each.refuted]
    keys = [pair_keys(edges["a"], edges["b"]) for edges in new]
    handover.save(
        folder, _refuted_path(number), np.unique(np.concatenate([refuted(folder, number - 1), *keys]))
    )
    refuted.cache_clear()
    return proved


@lru_cache(maxsize=1)
def refuted(folder: str, number: int) -> NDArray[np.uint64]:
    """Return the keys (`pair_keys`) of all pairs that were refuted up to a pass, sorted."""
    if number == 0:
        return np.empty(0, np.uint64)
    return handover.load(folder, _refuted_path(number))


def _refuted_path(number: int) -> str:
    return f"pass-{number:02d}/refuted.npy"


def _pairs(path: str, place: Place) -> Iterator[Keyed]:
    """Yield the edges of a file by their first document; every partition gets a block."""
    edges = handover.load(place.folder, path)
    for key in range(place.partitions):
        yield key, b""
    yield from split_edges(edges["a"], edges, place.partitions)


def _ask(pairs: Grouped, place: Place) -> Iterator[Keyed]:
    """Keep the pairs of a partition, each once, and ask for the shingles of those that may be copies."""
    key, packed = pairs
    edges = merge_edges(np.frombuffer(block, EDGE) for block in packed if block)
    handover.save(place.folder, place.path(key, "proposed"), edges)
    yield 0, np.array([key], np.uint64).tobytes()  # so that a partition that asks for nothing is proved, too
    if handover.parts_of(place.folder).texts:
        proposed = edges[_is_proposed(edges, place.least)]
        docs = np.unique(np.concatenate([proposed["a"], proposed["b"]]))
        yield from sending.ask(place.folder, key, docs)


def _is_proposed(edges: NDArray[Any], least: float) -> NDArray[np.bool_]:
    alike: NDArray[np.bool_] = (edges["kind"] != EXACT) & (edges["jaccard"] >= np.float32(least))
    return alike


def _send(asked: Grouped, place: Place) -> Iterator[Keyed]:
    """Read the texts of a run that were asked for, once, and yield to each who asked their shingles.

    To a worker of this machine it yields the names of files that hold them.
    """
    run, blocks = asked
    wanted = [sending.read_ask(block) for block in blocks]
    docs = np.unique(np.concatenate([some for _, some in wanted]))
    for key, some in wanted:
        if not some.size:
            yield key, b""
    for at in range(0, docs.size, _TEXTS):
        piece = docs[at : at + _TEXTS]
        found = Shingled.of(piece, handover.texts(place.folder, piece))
        for key, some in wanted:
            low, high = np.searchsorted(some, [piece[0], piece[-1] + np.uint64(1)])
            if low == high:
                continue
            path = place.path(key, f"shingles-{run:04d}-{at:08d}")
            content = pack(found, some[low:high])
            yield key, handover.parcel(place.folder, path, content, place.is_sent)


def _prove(shingles: Grouped, place: Place) -> dict[str, Any]:
    """Save the pairs of a partition with the true similarity of those that were proposed."""
    key, packed = shingles
    edges = handover.load(place.folder, place.path(key, "proposed"))
    blocks = handover.contents(place.folder, filter(None, packed), place.is_sent)
    found = packed_shingles(blocks)
    wrong = np.zeros(edges.size, dtype=bool)
    if found.docs.size:
        proposed = np.flatnonzero(_is_proposed(edges, place.least))
        edges["jaccard"][proposed] = similarities(edges["a"][proposed], edges["b"][proposed], found)
        wrong[proposed] = edges["jaccard"][proposed] < np.float32(place.threshold)
        edges["kind"][wrong] = NEAR  # also of one URL: no copies
    path, refuted_path = place.path(key, "proved"), place.path(key, "refuted")
    handover.save(place.folder, path, edges)
    handover.save(place.folder, refuted_path, edges[wrong])
    copies = verified(edges, place.threshold).size
    return asdict(Proved(path, refuted_path, edges.size, copies, int(np.count_nonzero(wrong))))
