"""From links to decisions: which documents are removed, for which kept ones, and cluster sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.bands import GRID, NEAR, verified
from corpus.dedup.components import first_of_component

REMOVAL = np.dtype([("document", "<u8"), ("survivor", "<u8"), ("kind", "u1"), ("jaccard", "<f4")])
"""A removed document, the kept document that it is a copy of, and how the two are linked."""

SURVIVOR = np.dtype([("document", "<u8"), ("copies", "<u4")])
"""A kept document that others were removed for, and its cluster's size (itself counted)."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Whole components resolved."""

    removals: NDArray[np.void]  # REMOVAL, sorted by document
    survivors: NDArray[np.void]  # SURVIVOR, sorted by document
    passed_over: NDArray[np.uint64]  # kept documents, sorted, whose better copies were all removed


def resolve(
    edges: NDArray[np.void],
    threshold: float,
    ranks: Callable[[NDArray[np.uint64]], NDArray[np.int64]],
) -> Clusters:
    """Decide which documents of whole components of `edges` (EDGE, each pair once) are removed, and for
    which ones. Near edges below `threshold` are skipped. `ranks(docs)` places distinct documents in the
    order of preference (`SignatureStore.ranks`). In this order, a document is removed if it is linked to one
    that was kept: so each removed document is a copy of a kept one, and no two kept documents are linked. A
    chain of copies leaves several. Of several kept copies the strongest link counts: exact before URL before
    near, then the larger similarity, then the order of preference.
    """
    edges = verified(edges, threshold)
    docs = np.unique(np.concatenate([edges["a"], edges["b"]]))
    # From here on a document is its rank, so that no result depends on how documents are numbered.
    rank = ranks(docs)
    by_rank = docs[np.argsort(rank)]
    low, high = _rank_ends(edges, docs, rank)
    order = np.lexsort((low, -edges["jaccard"], edges["kind"], high))
    edges, low, high = edges[order], low[order], high[order]
    first = np.searchsorted(high, np.arange(docs.size + 1))
    link = _links_to_kept(first, low)
    removed = np.flatnonzero(link >= 0)
    removals = np.empty(removed.size, dtype=REMOVAL)
    removals["document"] = by_rank[removed]
    removals["survivor"] = by_rank[low[link[removed]]]
    removals["kind"] = edges["kind"][link[removed]]
    removals["jaccard"] = edges["jaccard"][link[removed]]
    gone = np.bincount(low[link[removed]], minlength=docs.size)
    staying = np.flatnonzero(gone)
    survivors = np.empty(staying.size, dtype=SURVIVOR)
    survivors["document"] = by_rank[staying]
    survivors["copies"] = gone[staying] + 1
    passed_over = by_rank[(link < 0) & (first[1:] > first[:-1])]
    return Clusters(
        removals[np.argsort(removals["document"])],
        survivors[np.argsort(survivors["document"])],
        np.sort(passed_over),
    )


@njit(cache=True)
def _links_to_kept(first, low):  # type: ignore[no-untyped-def]
    """Return for each document, in the order of preference, its first edge to a kept one; -1 if it is kept.

    Its edges to documents before it are `first[document]` to `first[document + 1]`; `low` is their other end.
    """
    link = np.full(first.size - 1, -1, dtype=np.int64)
    for document in range(link.size):
        for edge in range(first[document], first[document + 1]):
            if link[low[edge]] < 0:
                link[document] = edge
                break
    return link


def _rank_ends(
    edges: NDArray[np.void], docs: NDArray[np.uint64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    a, b = rank[np.searchsorted(docs, edges["a"])], rank[np.searchsorted(docs, edges["b"])]
    return np.minimum(a, b), np.maximum(a, b)


def largest_component(edges: NDArray[np.void], grid: Sequence[float] = GRID) -> list[tuple[float, int]]:
    """Return (threshold, documents in the largest component) along a grid of thresholds.

    Exact and URL edges count at every threshold. Edges lead to leaders of buckets and not to every similar
    document, so the sizes are lower bounds away from the threshold that made the edges.
    """
    docs, ends = np.unique(np.stack([edges["a"], edges["b"]], axis=1), return_inverse=True)
    ends = ends.reshape(-1, 2)
    sizes = []
    for threshold in grid:
        kept = ends[(edges["kind"] != NEAR) | (edges["jaccard"] >= np.float32(threshold))]
        members = np.bincount(first_of_component(kept[:, 0], kept[:, 1], docs.size))
        sizes.append((threshold, int(members.max(initial=0)) if len(kept) else 0))
    return sizes


def size_histogram(survivors: NDArray[np.void]) -> list[tuple[int, int, int]]:
    """Return (smallest, largest, clusters) of sizes in classes 2, 3-4, 5-8, 9-16 …; without empty ones."""
    classes = np.ceil(np.log2(survivors["copies"])).astype(np.int64)
    return [
        ((1 << (int(k) - 1)) + 1, 1 << int(k), int(count))
        for k, count in zip(*np.unique(classes, return_counts=True), strict=True)
    ]


def check_survivors_stay(clusters: Clusters) -> None:
    """Raise AssertionError if a document was removed for one that is not kept, or a cluster counts wrong."""
    removed, stays = clusters.removals["document"], clusters.survivors["document"]
    if np.isin(clusters.removals["survivor"], removed).any() or np.isin(stays, removed).any():
        raise AssertionError("dedupe: a survivor is among the removed documents; nothing was written")
    if not np.isin(clusters.removals["survivor"], stays).all():
        raise AssertionError("dedupe: a document was removed for a survivor that no cluster has")
    if int(clusters.survivors["copies"].sum()) != removed.size + stays.size:
        raise AssertionError("dedupe: cluster sizes do not add up to the documents in clusters")
