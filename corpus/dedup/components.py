"""Connected components of the graph of copies: in memory, and in rounds over partitions beyond that.

The label of a component is its smallest document number, so both ways give the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.bands import partition_of

Nodes = NDArray[np.int64]
Pairs = NDArray[np.uint64]
"""Edges as uint64[n, 2]: (larger, smaller) document number."""


def component_labels(pairs: Pairs) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the documents of the graph in ascending order and the label of each: uint64[n], uint64[n]."""
    nodes, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(-1, 2)
    return nodes, nodes[first_of_component(ends[:, 0], ends[:, 1], nodes.size)]


def first_of_component(left: Nodes, right: Nodes, size: int) -> Nodes:
    """Return the smallest node of each node's component, int64[size], in a graph of nodes 0 to size - 1."""
    first = np.arange(size)
    _unite(left, right, first)
    return first


@njit(cache=True)
def _unite(left, right, first):  # type: ignore[no-untyped-def]
    """Lead each node to the smallest of its component: union-find that halves its paths."""
    for edge in range(left.size):
        one, other = left[edge], right[edge]
        while first[one] != one:
            first[one] = first[first[one]]
            one = first[one]
        while first[other] != other:
            first[other] = first[first[other]]
            other = first[other]
        first[max(one, other)] = min(one, other)
    for node in range(first.size):  # its leader is smaller, and leads to the smallest already
        first[node] = first[first[node]]


# Alternating large-star and small-star: Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii, "Connected
# Components in MapReduce and Beyond" (SoCC 2014). One node's edges are always in one partition; a round is
# large-star, then small-star; when neither moves an edge, every component is a star around its label.


def large_star_input(pairs: Pairs) -> Pairs:
    """Return (node, neighbour) rows for `large_star`: every edge is seen from both of its ends."""
    return np.concatenate([pairs, pairs[:, ::-1]])


def large_star(rows: Pairs) -> tuple[Pairs, int]:
    """Join each node's larger neighbours to the smallest of its neighbours and itself.

    `rows` are (node, neighbour), with all of a node's rows present. Returns the edges as (larger, smaller),
    distinct, and how many edges moved.
    """
    node, neighbour, smallest = _grouped(rows)
    larger = neighbour > node
    moved = int(np.count_nonzero(larger & (smallest < node)))
    return _distinct(np.stack([neighbour[larger], smallest[larger]], axis=1)), moved


def small_star(rows: Pairs) -> tuple[Pairs, int]:
    """Join each node and its smaller neighbours to the smallest of them.

    `rows` are (node, smaller neighbour), with all of a node's rows present. Returns the edges as
    (larger, smaller), distinct, and how many edges moved.
    """
    node, neighbour, smallest = _grouped(rows)
    other = neighbour != smallest
    moved = int(np.count_nonzero(other))
    return (
        _distinct(
            np.concatenate(
                [
                    np.stack([neighbour[other], smallest[other]], axis=1),
                    np.stack([node, smallest], axis=1),
                ]
            )
        ),
        moved,
    )


def split(rows: Pairs, partitions: int) -> Iterator[tuple[int, Pairs]]:
    """Yield (partition, rows) by a hash of each row's first column, so that a node's rows stay together."""
    # Fibonacci hashing: neighbouring numbers go to distant partitions.
    partition = partition_of(rows[:, 0] * np.uint64(0x9E3779B97F4A7C15), partitions)
    order = np.argsort(partition, kind="stable")
    cuts = np.searchsorted(partition[order], np.arange(partitions + 1))
    for number in range(partitions):
        if cuts[number] < cuts[number + 1]:
            yield number, rows[order[cuts[number] : cuts[number + 1]]]


def _grouped(rows: Pairs) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return (node, neighbour) of the distinct rows and, beside each, the smallest of node and neighbours."""
    rows = _distinct(rows)
    node, neighbour = rows[:, 0], rows[:, 1]
    starts = np.ones(node.size, dtype=bool)
    starts[1:] = node[1:] != node[:-1]
    # Rows are sorted, so a node's first neighbour is its smallest.
    first = neighbour[starts][np.cumsum(starts) - 1]
    return node, neighbour, np.minimum(first, node)


def _distinct(rows: Pairs) -> Pairs:
    """Return the distinct rows, sorted."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    keep = np.ones(len(rows), dtype=bool)
    keep[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[keep]
