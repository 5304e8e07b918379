"""Each cluster keeps one document, and each removal can be explained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.bands import EXACT, NEAR, URL, make_edges, merge_edges
from corpus.dedup.clusters import check_one_stays, largest_component, resolve, size_histogram
from corpus.dedup.components import component_labels

EDGES = st.lists(
    st.tuples(
        st.integers(0, 25),
        st.integers(0, 25),
        st.sampled_from([EXACT, URL, NEAR]),
        st.sampled_from([0.6, 0.7, 0.75, 0.8, 0.9, 1.0]),
    ).filter(lambda edge: edge[0] != edge[1]),
    max_size=50,
)


def edges_of(rows: list[tuple[int, int, int, float]]) -> np.ndarray:
    return merge_edges(
        make_edges(np.array([a], np.uint64), np.array([b], np.uint64), kind, np.array([j], np.float32))
        for a, b, kind, j in rows
    )


def by_number(docs: np.ndarray) -> np.ndarray:
    """The smaller number is preferred."""
    return np.argsort(np.argsort(docs))


def exact_only(edges: np.ndarray, kinds: tuple[int, ...]) -> int:
    """Documents that one-survivor-a-component removes with these kinds of edge alone."""
    kept = edges[np.isin(edges["kind"], kinds)]
    nodes, labels = component_labels(np.stack([kept["b"], kept["a"]], axis=1))
    return nodes.size - np.unique(labels).size


def test_the_preferred_document_survives_and_the_others_point_to_it() -> None:
    edges = edges_of([(1, 2, NEAR, 0.9), (2, 3, NEAR, 0.8), (7, 8, EXACT, 1.0)])
    best_is_largest = lambda docs: np.argsort(np.argsort(docs)[::-1])  # noqa: E731
    clusters = resolve(edges, 0.75, best_is_largest)
    assert clusters.removals["document"].tolist() == [1, 2, 7]
    assert clusters.removals["survivor"].tolist() == [3, 3, 8]
    assert clusters.removals["witness"].tolist() == [2, 3, 8]
    assert clusters.removals["kind"].tolist() == [NEAR, NEAR, EXACT]
    assert clusters.removals["jaccard"].tolist() == pytest.approx([0.9, 0.8, 1.0])
    assert clusters.survivors.tolist() == [(3, 3), (8, 2)]


def test_near_edges_below_the_threshold_remove_nothing() -> None:
    edges = edges_of([(1, 2, NEAR, 0.74), (3, 4, URL, 0.1)])
    assert resolve(edges, 0.75, by_number).removals["document"].tolist() == [4]


def test_no_edges_remove_nothing() -> None:
    clusters = resolve(edges_of([]), 0.75, by_number)
    assert clusters.removals.size == clusters.survivors.size == 0
    assert largest_component(edges_of([]))[0] == (0.6, 0)
    assert size_histogram(clusters.survivors) == []


def test_the_witness_is_tied_by_the_strongest_edge() -> None:
    rows = [(1, 2, NEAR, 0.8), (1, 3, NEAR, 0.76), (2, 3, NEAR, 0.95), (3, 4, EXACT, 1.0), (1, 4, NEAR, 0.99)]
    removals = resolve(edges_of(rows), 0.75, by_number).removals
    # 4 is closest to the survivor, 3 is 4's exact copy, 2 is closest to 3.
    assert removals["witness"].tolist() == [3, 4, 1]
    assert removals["kind"].tolist() == [NEAR, EXACT, NEAR]


@settings(deadline=None)
@given(EDGES, st.randoms(use_true_random=False))
def test_every_cluster_keeps_exactly_one(rows: list[tuple[int, int, int, float]], random) -> None:
    edges = edges_of(rows)
    clusters = resolve(edges, 0.75, by_number)
    check_one_stays(clusters)
    kept = edges[(edges["kind"] != NEAR) | (edges["jaccard"] >= np.float32(0.75))]
    nodes, labels = component_labels(np.stack([kept["b"], kept["a"]], axis=1))
    label = dict(zip(nodes.tolist(), labels.tolist(), strict=True))
    removals = clusters.removals
    # With the smaller number preferred, the survivor is the component's label.
    survivors = dict(zip(removals["document"].tolist(), removals["survivor"].tolist(), strict=True))
    assert survivors == {node: smallest for node, smallest in label.items() if node != smallest}
    # Following the witnesses leads to the survivor, over edges that exist.
    pairs = {(a, b): (k, j) for a, b, k, j in kept.tolist()}
    witness = dict(zip(removals["document"].tolist(), removals["witness"].tolist(), strict=True))
    for document, survivor, neighbour, kind, jaccard in removals.tolist():
        assert pairs[min(document, neighbour), max(document, neighbour)] == (kind, jaccard)
        steps = 0
        while document in witness:
            document, steps = witness[document], steps + 1
            assert steps <= len(witness)
        assert document == survivor
    # Kinds are counted in the order exact, URL, near.
    assert np.count_nonzero(removals["kind"] == EXACT) == exact_only(kept, (EXACT,))
    assert np.count_nonzero(removals["kind"] <= URL) == exact_only(kept, (EXACT, URL))
    # The order of the edges plays no part.
    random.shuffle(rows)
    again = resolve(edges_of(rows), 0.75, by_number)
    assert np.array_equal(again.removals, removals)
    assert np.array_equal(again.survivors, clusters.survivors)


def test_the_largest_component_shrinks_as_the_threshold_rises() -> None:
    edges = edges_of([(1, 2, NEAR, 0.6), (2, 3, NEAR, 0.7), (3, 4, NEAR, 0.9), (8, 9, EXACT, 1.0)])
    assert largest_component(edges, (0.6, 0.65, 0.75, 0.95)) == [(0.6, 4), (0.65, 3), (0.75, 2), (0.95, 2)]


def test_cluster_sizes_are_counted_in_doubling_classes() -> None:
    rows = [(1, 2, EXACT, 1.0)]
    rows += [(10, 10 + i, NEAR, 0.9) for i in range(1, 4)]
    rows += [(20, 20 + i, NEAR, 0.9) for i in range(1, 5)]
    assert size_histogram(resolve(edges_of(rows), 0.75, by_number).survivors) == [
        (2, 2, 1),
        (3, 4, 1),
        (5, 8, 1),
    ]


def test_a_cluster_that_lost_everyone_is_an_error() -> None:
    clusters = resolve(edges_of([(1, 2, EXACT, 1.0), (5, 6, EXACT, 1.0)]), 0.75, by_number)
    broken = clusters.removals.copy()
    broken["survivor"][0] = 6
    with pytest.raises(AssertionError, match="a survivor is among the removed"):
        check_one_stays(dataclasses.replace(clusters, removals=broken))
    with pytest.raises(AssertionError, match="do not add up"):
        check_one_stays(dataclasses.replace(clusters, removals=clusters.removals[:1]))
