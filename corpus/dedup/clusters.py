"""What the components mean: one survivor a cluster, a witness for each removal, how large clusters are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from corpus.dedup.bands import GRID, NEAR
from corpus.dedup.components import first_of_component

REMOVAL = np.dtype(
    [("document", "<u8"), ("survivor", "<u8"), ("witness", "<u8"), ("kind", "u1"), ("jaccard", "<f4")]
)
"""A removed document, who stays in its place, the copy that proves it, and how the two are linked."""

SURVIVOR = np.dtype([("document", "<u8"), ("copies", "<u4")])
"""A document that stays for its cluster, and the cluster's size (itself counted)."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Whole clusters resolved."""

    removals: NDArray[np.void]  # REMOVAL, sorted by document
    survivors: NDArray[np.void]  # SURVIVOR, sorted by document


def resolve(
    edges: NDArray[np.void],
    threshold: float,
    ranks: Callable[[NDArray[np.uint64]], NDArray[np.int64]],
) -> Clusters:
    """Choose a survivor in each component of `edges` (EDGE, each pair once) and a witness for each other.

    Near edges below `threshold` are left out. `ranks(docs)` places distinct documents in the order of
    preference (`SignatureStore.ranks`); the first of a cluster survives. Removals are explained along the
    spanning tree of the strongest edges (exact before URL before near, then the larger similarity): the
    witness of a document is its neighbour on the way to the survivor. A tree has one edge for each removed
    document, and of exact edges it takes as many as it can: so the removals of kind exact are as many as
    exact hashes alone would remove, those of kind URL as many as URLs remove besides, near ones the rest.
    """
    edges = edges[(edges["kind"] != NEAR) | (edges["jaccard"] >= np.float32(threshold))]
    docs = np.unique(np.concatenate([edges["a"], edges["b"]]))
    # From here on a document is its rank: the first of a component is its survivor, and no result depends
    # on how documents are numbered.
    rank = ranks(docs)
    by_rank = docs[np.argsort(rank)]
    low, high = _rank_ends(edges, docs, rank)
    order = np.lexsort((high, low, -edges["jaccard"], edges["kind"]))
    edges, low, high = edges[order], low[order], high[order]
    # Weights are places in that order, all different, so there is only one smallest tree.
    weights = np.arange(1, edges.size + 1, dtype=np.float64)
    graph = coo_array((weights, (low, high)), shape=(docs.size, docs.size)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    taken = tree.data.astype(np.int64) - 1
    survivor_of = first_of_component(low[taken], high[taken], docs.size)
    parent = _parents(low[taken], high[taken], survivor_of)
    removed = np.flatnonzero(survivor_of != np.arange(docs.size))
    # A document's edge to its parent: the tree's edges are keyed by the end that is the child.
    child = np.where(parent[low[taken]] == high[taken], low[taken], high[taken])
    edge_of = np.empty(docs.size, dtype=np.int64)
    edge_of[child] = taken
    removals = np.empty(removed.size, dtype=REMOVAL)
    removals["document"] = by_rank[removed]
    removals["survivor"] = by_rank[survivor_of[removed]]
    removals["witness"] = by_rank[parent[removed]]
    removals["kind"] = edges["kind"][edge_of[removed]]
    removals["jaccard"] = edges["jaccard"][edge_of[removed]]
    sizes = np.bincount(survivor_of, minlength=docs.size)
    staying = np.flatnonzero(sizes)
    survivors = np.empty(staying.size, dtype=SURVIVOR)
    survivors["document"] = by_rank[staying]
    survivors["copies"] = sizes[staying]
    return Clusters(removals[np.argsort(removals["document"])], survivors[np.argsort(survivors["document"])])


def _rank_ends(
    edges: NDArray[np.void], docs: NDArray[np.uint64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    a, b = rank[np.searchsorted(docs, edges["a"])], rank[np.searchsorted(docs, edges["b"])]
    return np.minimum(a, b), np.maximum(a, b)


def _parents(
    left: NDArray[np.int64], right: NDArray[np.int64], root_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give each node's neighbour on the way to its root, in a forest; a root's own parent is `size`."""
    size = root_of.size
    roots = np.flatnonzero(root_of == np.arange(size))
    # One more node joins all the roots, so that a single search reaches every tree.
    ends = (np.concatenate([left, np.full(roots.size, size)]), np.concatenate([right, roots]))
    graph = coo_array((np.ones(ends[0].size), ends), shape=(size + 1, size + 1))
    _, parents = breadth_first_order(graph.tocsr(), size, directed=False)
    result: NDArray[np.int64] = parents[:size].astype(np.int64)
    return result


def largest_component(edges: NDArray[np.void], grid: Sequence[float] = GRID) -> list[tuple[float, int]]:
    """Give (threshold, documents in the largest component) along a grid of thresholds.

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
    """Give (smallest, largest, clusters) of sizes in classes 2, 3-4, 5-8, 9-16 …; empty ones left out."""
    classes = np.ceil(np.log2(survivors["copies"])).astype(np.int64)
    return [
        ((1 << (int(k) - 1)) + 1, 1 << int(k), int(count))
        for k, count in zip(*np.unique(classes, return_counts=True), strict=True)
    ]


def check_one_stays(clusters: Clusters) -> None:
    """Raise AssertionError if a cluster lost all of its members, or counts its members wrongly."""
    removed, stays = clusters.removals["document"], clusters.survivors["document"]
    if np.isin(clusters.removals["survivor"], removed).any() or np.isin(stays, removed).any():
        raise AssertionError("dedupe: a survivor is among the removed documents; nothing was written")
    if not np.isin(clusters.removals["survivor"], stays).all():
        raise AssertionError("dedupe: a document was removed for a survivor that no cluster has")
    if int(clusters.survivors["copies"].sum()) != removed.size + stays.size:
        raise AssertionError("dedupe: cluster sizes do not add up to the documents in clusters")
