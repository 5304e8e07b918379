"""Each removed document is a copy of a kept one."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.bands import EXACT, NEAR, URL, make_edges, merge_edges, verified
from corpus.dedup.clusters import check_survivors_stay, largest_component, resolve, size_histogram

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


def test_a_document_goes_for_a_kept_one_and_a_chain_leaves_several() -> None:
    edges = edges_of([(1, 2, NEAR, 0.9), (2, 3, NEAR, 0.8), (3, 4, NEAR, 0.9), (7, 8, EXACT, 1.0)])
    best_is_largest = lambda docs: np.argsort(np.argsort(docs)[::-1])  # noqa: E731
    clusters = resolve(edges, 0.75, best_is_largest)
    assert clusters.removals["document"].tolist() == [1, 3, 7]
    assert clusters.removals["survivor"].tolist() == [2, 4, 8]
    assert clusters.removals["kind"].tolist() == [NEAR, NEAR, EXACT]
    assert clusters.removals["jaccard"].tolist() == pytest.approx([0.9, 0.9, 1.0])
    assert clusters.survivors.tolist() == [(2, 2), (4, 2), (8, 2)]
    assert clusters.passed_over.tolist() == [2]


def test_near_edges_below_the_threshold_remove_nothing() -> None:
    edges = edges_of([(1, 2, NEAR, 0.74), (3, 4, URL, 0.1)])
    assert resolve(edges, 0.75, by_number).removals["document"].tolist() == [4]


def test_no_edges_remove_nothing() -> None:
    clusters = resolve(edges_of([]), 0.75, by_number)
    assert clusters.removals.size == clusters.survivors.size == 0
    assert largest_component(edges_of([]))[0] == (0.6, 0)
    assert size_histogram(clusters.survivors) == []


def test_of_several_kept_copies_the_strongest_link_counts() -> None:
    near = [(1, 9, NEAR, 0.8), (2, 9, NEAR, 0.95), (3, 9, NEAR, 0.95)]
    url = [(4, 9, URL, 0.5), (5, 9, URL, 0.6)]
    for rows, expected in (
        (near, (9, 2, NEAR, 0.95)),
        ([*near, *url], (9, 5, URL, 0.6)),
        ([*near, *url, (6, 9, EXACT, 1.0)], (9, 6, EXACT, 1.0)),
        # The strongest link of all leads to a document that goes itself.
        ([*near, *url, (6, 9, EXACT, 1.0), (1, 6, NEAR, 0.8)], (9, 5, URL, 0.6)),
    ):
        removal = resolve(edges_of(rows), 0.75, by_number).removals[-1].tolist()
        assert removal == pytest.approx(expected)


@settings(deadline=None)
@given(EDGES, st.randoms(use_true_random=False))
def test_every_removed_document_has_a_kept_copy_and_no_two_kept_ones_are_copies(
    rows: list[tuple[int, int, int, float]], random
) -> None:
    edges = edges_of(rows)
    clusters = resolve(edges, 0.75, by_number)
    check_survivors_stay(clusters)
    pairs = {(a, b): (k, j) for a, b, k, j in verified(edges, 0.75).tolist()}
    removals = clusters.removals
    removed = set(removals["document"].tolist())
    for document, survivor, kind, jaccard in removals.tolist():
        assert survivor not in removed
        assert survivor < document  # the smaller number is preferred
        assert pairs[survivor, document] == (kind, jaccard)
    assert all(a in removed or b in removed for a, b in pairs)
    assert set(clusters.passed_over.tolist()) == {b for _, b in pairs} - removed
    standing = collections.Counter(removals["survivor"].tolist())
    assert {document: copies - 1 for document, copies in clusters.survivors.tolist()} == standing
    # The order of the edges plays no part.
    random.shuffle(rows)
    again = resolve(edges_of(rows), 0.75, by_number)
    assert np.array_equal(again.removals, removals)
    assert np.array_equal(again.survivors, clusters.survivors)


@pytest.mark.parametrize("number", [1_000, 100_000])
def test_a_long_chain_of_copies_keeps_every_other_document(number: int) -> None:
    numbers = np.arange(number, dtype=np.uint64)
    edges = make_edges(numbers[:-1], numbers[1:], NEAR, np.full(number - 1, 0.8, np.float32))
    assert resolve(edges, 0.75, by_number).removals["document"].tolist() == list(range(1, number, 2))


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
        check_survivors_stay(dataclasses.replace(clusters, removals=broken))
    with pytest.raises(AssertionError, match="do not add up"):
        check_survivors_stay(dataclasses.replace(clusters, removals=clusters.removals[:1]))
