"""Both ways to the components give the labels of the plainest search."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.components import (
    component_labels,
    large_star,
    large_star_input,
    small_star,
    split,
)

EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60)


def as_pairs(edges: list[tuple[int, int]]) -> np.ndarray:
    pairs = [(max(e), min(e)) for e in edges if e[0] != e[1]]
    # Spread over the range of (part, row) numbers, in the same order.
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2) * np.uint64(0x123456789)


def searched(pairs: np.ndarray) -> dict[int, int]:
    """Labels by walking: the smallest number reachable from each."""
    neighbours: dict[int, set[int]] = {}
    for a, b in pairs.tolist():
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    labels: dict[int, int] = {}
    for node in sorted(neighbours):
        reached, waiting = {node}, [node]
        while waiting:
            new = neighbours[waiting.pop()] - reached
            reached |= new
            waiting += new
        labels[node] = min(reached)
    return labels


def in_rounds(pairs: np.ndarray, partitions: int, seed: int) -> tuple[dict[int, int], int]:
    """Large-star and small-star over partitions, their rows shuffled, until nothing moves."""
    random = np.random.default_rng(seed)
    blocks = [pairs]
    for rounds in range(1, 50):
        moved = 0
        for prepare, star in ((large_star_input, large_star), (lambda rows: rows, small_star)):
            grouped: dict[int, list[np.ndarray]] = {}
            for block in blocks:
                for number, rows in split(random.permutation(prepare(block)), partitions):
                    grouped.setdefault(number, []).append(rows)
            results = [star(np.concatenate(rows)) for rows in grouped.values()]
            blocks = [rows for rows, _ in results]
            moved += sum(count for _, count in results)
        if moved == 0:
            stars = np.concatenate([np.empty((0, 2), np.uint64), *blocks])
            labels = {int(centre): int(centre) for centre in stars[:, 1]}
            return labels | {int(node): int(centre) for node, centre in stars}, rounds
    raise AssertionError("no end after 50 rounds")


@given(EDGES)
def test_labels_in_memory_are_those_of_a_search(edges: list[tuple[int, int]]) -> None:
    pairs = as_pairs(edges)
    nodes, labels = component_labels(pairs)
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == searched(pairs)


@settings(deadline=None)
@given(EDGES, st.sampled_from([1, 2, 7]), st.integers(0, 99))
def test_labels_in_rounds_are_those_of_a_search(
    edges: list[tuple[int, int]], partitions: int, seed: int
) -> None:
    pairs = as_pairs(edges)
    assert in_rounds(pairs, partitions, seed)[0] == searched(pairs)


def test_a_long_chain_takes_few_rounds() -> None:
    chain = np.random.default_rng(1).permutation(2000).astype(np.uint64)
    pairs = np.sort(np.stack([chain[1:], chain[:-1]], axis=1), axis=1)[:, ::-1]
    labels, rounds = in_rounds(pairs, 4, 0)
    assert set(labels.values()) == {0}
    assert rounds <= 12


def test_stars_do_not_move() -> None:
    stars = np.array([[5, 1], [9, 1], [7, 2]], dtype=np.uint64)
    for star, rows in ((large_star, large_star_input(stars)), (small_star, stars)):
        result, moved = star(rows)
        assert moved == 0
        assert sorted(result.tolist()) == sorted(stars.tolist())


def test_a_pair_given_300_times_is_one_edge() -> None:
    pairs = np.tile(np.array([[8, 3]], dtype=np.uint64), (300, 1))
    assert component_labels(pairs)[1].tolist() == [3, 3]


def test_a_node_keeps_its_rows_together() -> None:
    rows = np.stack(
        [np.arange(1000, dtype=np.uint64) % np.uint64(50), np.arange(1000, dtype=np.uint64)], axis=1
    )
    seen = [(number, node) for number, part in split(rows, 8) for node in set(part[:, 0].tolist())]
    assert len(seen) == 50
    assert len({number for number, _ in seen}) == 8
