"""Documents that share a band become edges to the leaders of their bucket, each near edge verified.

Sixteen bands: 14 of the signature (8 rows each), one of the exact hash, one of the canonical URL's hash. The
documents with the same hash in a band are a bucket. Two texts of one URL need not be copies: the root of a
site has another text each month. So URL edges are verified like near ones; the URL only causes the
comparison, where no band of the signatures is equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.signature import BANDS, EMPTY, ROWS
from corpus.dedup.store import (
    ROW_BITS,
    Rows,
    SignatureStore,
    document_numbers,
    exact_matrix,
    signature_matrix,
)
from corpus.schema import PERMUTATIONS

EXACT, URL, NEAR = 0, 1, 2
"""Kinds of edge, the strongest first: where a pair is linked in two ways, the smaller kind counts."""

EXACT_BAND, URL_BAND = BANDS, BANDS + 1
ALL_BANDS = BANDS + 2

EDGE = np.dtype([("a", "<u8"), ("b", "<u8"), ("kind", "u1"), ("jaccard", "<f4")])
"""Two document numbers with a < b, the kind, the Jaccard similarity that the signatures estimate."""

GRID = tuple(round(0.6 + 0.05 * step, 2) for step in range(8))
"""Thresholds, 0.60 to 0.95, along which the report follows the largest component."""

LEADERS = 64
"""Leaders of one bucket at most: no member is compared with more documents than these."""

MATCHES = 4
"""Leaders that a member is linked to at most: the others count where texts refute the first."""

_UPPER_BITS = 20
_SLICE = 1 << 15  # members whose signatures (448 bytes each) are in memory at a time


@dataclass(frozen=True, slots=True)
class Links:
    """The result of one partition of one band."""

    edges: NDArray[np.void]  # EDGE, sorted by (a, b), pairs distinct
    buckets: int  # hashes with at least two documents
    largest_bucket: int  # documents
    unlinked: int  # documents that matched none of a bucket's 64 leaders and could not become one


@dataclass(frozen=True, slots=True)
class Compared:
    """What a pass compares of one part.

    `gone` are documents of the part, sorted, that were removed so far. `buckets` returns of each band the
    sorted hashes of the buckets that a later pass looks at; in the first pass it is None.
    """

    gone: NDArray[np.uint64]
    buckets: Callable[[int], NDArray[np.uint64]] | None = None


@njit(cache=True)
def _band_hashes(signatures, bands, rows):  # type: ignore[no-untyped-def]
    hashes = np.empty((signatures.shape[0], bands), dtype=np.uint64)
    for i in range(signatures.shape[0]):
        for band in range(bands):
            h = np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15)
            for row in range(0, rows, 2):
                low = np.uint64(signatures[i, band * rows + row])
                high = np.uint64(signatures[i, band * rows + row + 1])
                # The finalizer of SplitMix64 (Steele, Lea, Flood 2014), chained over the pairs of rows.
                h = h ^ (low | (high << np.uint64(32)))
                h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                h = (h ^ (h >> np.uint64(31))) + np.uint64(0x9E3779B97F4A7C15)
            hashes[i, band] = h
    return hashes


def band_hashes(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return the hashes, uint64[n, 14], of the bands of signatures [n, 112], each mixed with the number."""
    hashes: NDArray[np.uint64] = _band_hashes(np.ascontiguousarray(signatures), BANDS, ROWS)
    return hashes


def band_blocks(
    store: SignatureStore, part: int, partitions: int, urls: bool, compared: Compared
) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    """Yield (band, partition, block) of one part, a block being uint64[2, k]: hashes, document numbers.

    Partitions split the range of the hashes evenly. Documents without words take part in the exact band
    only, documents without a URL (0) not in the URL band; `urls` false skips that band. A later pass has no
    exact band: equal texts were all joined in the first one.
    """
    table = store.part(part)
    docs = document_numbers(part, np.arange(table.num_rows))
    batches = table.to_batches()
    if not batches:
        return
    near = np.concatenate([band_hashes(signature_matrix(batch)) for batch in batches])
    worded = np.concatenate([(signature_matrix(batch) != EMPTY).any(axis=1) for batch in batches])
    stays = np.ones(docs.size, dtype=bool)
    stays[(compared.gone & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)] = False
    worded &= stays
    if compared.buckets is None:
        exact = np.concatenate([exact_matrix(batch)[:, 0] for batch in batches])
        yield from _partitioned(EXACT_BAND, exact[stays], docs[stays], partitions)
    hashes = {band: near[:, band] for band in range(BANDS)}
    if urls:
        hashes[URL_BAND] = table["url"].to_numpy()
    for band, values in hashes.items():
        chosen = worded & (values != 0) if band == URL_BAND else worded
        if compared.buckets is not None:
            chosen = chosen & among(values, compared.buckets(band))
        yield from _partitioned(band, values[chosen], docs[chosen], partitions)


def among(hashes: NDArray[np.uint64], found: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which hashes are among the sorted ones; most differ from them in the upper bits."""
    upper = np.uint64(64 - _UPPER_BITS)
    table = np.zeros(1 << _UPPER_BITS, dtype=bool)
    table[(found >> upper).astype(np.int64)] = True
    among = table[(hashes >> upper).astype(np.int64)]
    some = np.flatnonzero(among)
    among[some] = found[np.searchsorted(found, hashes[some]) % max(1, found.size)] == hashes[some]
    return among


def bucket_hashes(band: int, docs: NDArray[np.uint64], rows: Rows) -> NDArray[np.uint64]:
    """Return the hashes, uint64[k], of the documents' buckets in one band."""
    if band == EXACT_BAND:
        return rows.exact(docs)[:, 0]
    if band == URL_BAND:
        found: NDArray[np.uint64] = rows.columns(docs, ["url"])["url"].to_numpy()
        return found
    pieces = (docs[at : at + _SLICE] for at in range(0, docs.size, _SLICE))
    hashes = [band_hashes(rows.signatures(piece))[:, band] for piece in pieces]
    return np.concatenate([np.empty(0, np.uint64), *hashes])


def buckets_of(docs: NDArray[np.uint64], store: Rows, urls: bool) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield (band, hashes) of the signature and URL buckets that hold some of the documents, sorted."""
    pieces = [docs[at : at + _SLICE] for at in range(0, docs.size, _SLICE)]
    near = np.concatenate(
        [np.empty((0, BANDS), np.uint64), *(band_hashes(store.signatures(piece)) for piece in pieces)]
    )
    for band in range(BANDS):
        yield band, np.unique(near[:, band])
    if urls:
        yield URL_BAND, np.unique(store.columns(docs, ["url"])["url"].to_numpy())


def _partitioned(
    band: int, hashes: NDArray[np.uint64], docs: NDArray[np.uint64], partitions: int
) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    partition = partition_of(hashes, partitions)
    order = np.argsort(partition, kind="stable")
    cuts = np.searchsorted(partition[order], np.arange(partitions + 1))
    for number in range(partitions):
        rows = order[cuts[number] : cuts[number + 1]]
        if rows.size:
            yield band, number, np.stack([hashes[rows], docs[rows]])


def partition_of(hashes: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """Return the partition of each hash, int64[n]: its upper 32 bits scaled to `partitions` (below 2³¹)."""
    return (((hashes >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


_NONE = np.empty(0, np.uint64)


def link(
    band: int,
    blocks: Iterable[NDArray[np.uint64]],
    store: Rows,
    threshold: float,
    refuted: NDArray[np.uint64] = _NONE,
    sources: Sequence[str] = (),
    first_new: int = 0,
) -> Links:
    """Link the members of each bucket of one partition of one band, whatever the order of the blocks.

    Members are taken in the order of preference (`Rows.ranks`), so that a leader is better than those linked
    to it. Exact buckets: every member is linked to the first.
    Other buckets: a member is linked to the first `MATCHES` leaders with which the estimated Jaccard
    similarity reaches `threshold`; a member that matches none becomes a leader itself, up to `LEADERS`. In
    signature buckets it is also joined to its best leader by an edge below the threshold if that reaches the
    foot of `GRID`: such edges remove nothing and serve the report on the largest component. `refuted` are the
    keys (`pair_keys`), sorted, of pairs that do not match whatever the estimate is: their texts say so.
    Documents below `first_new` are those that older corpora keep: each of them is a leader.
    """
    hashes, docs = bucket_members(np.concatenate([np.empty((2, 0), np.uint64), *blocks], axis=1))
    if band == EXACT_BAND:
        # The block holds half of the hash; the other half separates what agrees in the first by chance.
        hashes, docs = bucket_members(np.stack([_numbered(store.exact(docs)), docs]))
    distinct, inverse = np.unique(docs, return_inverse=True)
    order = np.lexsort((store.ranks(distinct, sources, first_new)[inverse], hashes))
    docs = docs[order]
    starts = np.empty(docs.size, dtype=bool)
    starts[:1] = True
    starts[1:] = hashes[order][1:] != hashes[order][:-1]
    if band == EXACT_BAND:
        edges, unlinked = _exact_edges(docs, starts), 0
    elif band == URL_BAND:
        edges, unlinked = _alike_edges(URL, docs, starts, store, threshold, threshold, refuted, first_new)
    else:
        foot = min(threshold, GRID[0])
        edges, unlinked = _alike_edges(NEAR, docs, starts, store, threshold, foot, refuted, first_new)
    sizes = np.diff(np.append(np.flatnonzero(starts), docs.size))
    return Links(merge_edges([edges]), int(sizes.size), int(sizes.max(initial=0)), unlinked)


def bucket_members(block: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the (hash, document) rows, sorted by hash, whose hash occurs at least twice."""
    order = np.argsort(block[0])
    hashes = block[0][order]
    same = hashes[1:] == hashes[:-1]
    shared = np.zeros(hashes.size, dtype=bool)
    shared[1:] = same
    shared[:-1] |= same
    return hashes[shared], block[1][order[shared]]


def _numbered(halves: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Number the distinct rows of uint64[n, 2] in their order: uint64[n]."""
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    numbers = np.zeros(order.size, dtype=np.uint64)
    numbers[order[1:]] = np.cumsum((halves[order[1:]] != halves[order[:-1]]).any(axis=1))
    return numbers


def _exact_edges(docs: NDArray[np.uint64], starts: NDArray[np.bool_]) -> NDArray[np.void]:
    leaders = docs[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    members = docs[~starts]
    return make_edges(leaders[~starts], members, EXACT, np.ones(members.size, dtype=np.float32))


def _alike_edges(
    kind: int,
    docs: NDArray[np.uint64],
    starts: NDArray[np.bool_],
    store: Rows,
    threshold: float,
    foot: float,
    refuted: NDArray[np.uint64],
    first_new: int,
) -> tuple[NDArray[np.void], int]:
    leader_signatures = np.empty((LEADERS, PERMUTATIONS), dtype=np.uint32)
    leader_docs = np.empty(LEADERS, dtype=np.uint64)
    match, floor = _places(threshold), _places(foot)
    leaders = unlinked = 0
    found = []
    for at in range(0, docs.size, _SLICE):
        piece = docs[at : at + _SLICE]
        members, linked, equal, leaders, left = _link_slice(
            store.signatures(piece), piece, starts[at : at + _SLICE],
            leader_signatures, leader_docs, leaders, match, floor, refuted, np.uint64(first_new),
        )  # fmt: skip
        unlinked += left
        jaccard = (equal / PERMUTATIONS).astype(np.float32)
        found.append(merge_edges([make_edges(linked, piece[members], kind, jaccard)]))
    return merge_edges(found), unlinked


def _places(jaccard: float) -> int:
    """Count the equal places of a signature from which its estimate reaches `jaccard`; at least one."""
    return max(1, int(np.ceil(jaccard * PERMUTATIONS - 1e-9)))


@njit(cache=True)
def _link_slice(  # type: ignore[no-untyped-def]
    signatures,
    docs,
    starts,
    leader_signatures,
    leader_docs,
    leaders,
    match,
    floor,
    refuted,
    first_new,
):
    """Link the next members of sorted buckets; the leaders of the open bucket are carried between slices."""
    members = np.empty(docs.size * MATCHES, dtype=np.int64)
    linked = np.empty(docs.size * MATCHES, dtype=np.uint64)
    equal = np.empty(docs.size * MATCHES, dtype=np.int64)
    edges = unlinked = 0
    for i in range(docs.size):
        if starts[i]:
            leaders = 0
        first = edges
        best, most = 0, 0  # the leader that is most alike below a match
        # Documents of older corpora come first, and none of them is compared with another.
        for leader in range(leaders if docs[i] >= first_new else 0):
            same = 0
            for k in range(signatures.shape[1]):
                same += signatures[i, k] == leader_signatures[leader, k]
            if same < match:
                if same >= floor and same > most:
                    best, most = leader, same
                continue
            if refuted.size and _isamong(_pair_key(docs[i], leader_docs[leader]), refuted):
                continue
            members[edges], linked[edges], equal[edges] = i, leader_docs[leader], same
            edges += 1
            if edges == first + MATCHES:
                break
        if edges > first:
            continue
        if most:
            members[edges], linked[edges], equal[edges] = i, leader_docs[best], most
            edges += 1
        if leaders < leader_docs.size:
            leader_signatures[leaders] = signatures[i]
            leader_docs[leaders] = docs[i]
            leaders += 1
        else:
            unlinked += 1
    return members[:edges], linked[:edges], equal[:edges], leaders, unlinked


@njit(inline="always")
def _pair_key(one, other):  # type: ignore[no-untyped-def]
    """Mix two document numbers, in either order, by the finalizer of SplitMix64."""
    h = min(one, other) * np.uint64(0x9E3779B97F4A7C15) + max(one, other)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@njit(inline="always")
def _isamong(key, keys):  # type: ignore[no-untyped-def]
    at = np.searchsorted(keys, key)
    return at < keys.size and keys[at] == key


@njit(cache=True)
def _pair_keys(left, right):  # type: ignore[no-untyped-def]
    keys = np.empty(left.size, dtype=np.uint64)
    for i in range(left.size):
        keys[i] = _pair_key(left[i], right[i])
    return keys


def pair_keys(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a 64-bit key, uint64[n], of each pair of documents, whichever of them is named first."""
    keys: NDArray[np.uint64] = _pair_keys(np.ascontiguousarray(left), np.ascontiguousarray(right))
    return keys


def make_edges(
    left: NDArray[np.uint64], right: NDArray[np.uint64], kind: int, jaccard: NDArray[np.float32]
) -> NDArray[np.void]:
    """Make EDGE[n] between left and right documents."""
    edges = np.empty(left.size, dtype=EDGE)
    edges["a"] = np.minimum(left, right)
    edges["b"] = np.maximum(left, right)
    edges["kind"] = kind
    edges["jaccard"] = jaccard
    return edges


def verified(edges: NDArray[np.void], threshold: float) -> NDArray[np.void]:
    """Return the edges that make copies: all but the near ones below the threshold."""
    kept: NDArray[np.void] = edges[(edges["kind"] != NEAR) | (edges["jaccard"] >= np.float32(threshold))]
    return kept


def merge_edges(pieces: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """Return one EDGE array sorted by (a, b): each pair once, its strongest kind, its largest similarity."""
    edges = np.concatenate([np.empty(0, EDGE), *pieces])
    edges = edges[np.lexsort((-edges["jaccard"], edges["kind"], edges["b"], edges["a"]))]
    first = np.ones(edges.size, dtype=bool)
    first[1:] = (edges["a"][1:] != edges["a"][:-1]) | (edges["b"][1:] != edges["b"][:-1])
    merged = edges[first]
    if merged.size:
        merged["jaccard"] = np.maximum.reduceat(edges["jaccard"], np.flatnonzero(first))
    return merged
