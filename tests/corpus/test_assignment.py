"""Every document gets one place in one shard, whatever order it comes in."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.assignment import VALIDATION, assign, is_validation, validation_share

documents = st.lists(
    st.tuples(
        st.text("0123456789abcdef", min_size=4, max_size=8),
        st.sampled_from(["tur_Latn", "eng_Latn"]),
        st.integers(1, 5_000),
    ),
    unique_by=lambda d: d[0],
    max_size=60,
)


def places(
    rows: list[tuple[str, str, int]], seed: int = 1, share: float = 0.1
) -> dict[str, tuple[object, int]]:
    ids, languages, sizes = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    placed = assign(ids, languages, np.array(sizes, dtype=np.int64), seed, share, 10_000)
    where = zip(ids, placed.target, placed.place, strict=True)
    return {document: (placed.targets[target], int(place)) for document, target, place in where}


@given(documents)
def test_places_in_a_shard_are_distinct_and_without_gaps(rows: list[tuple[str, str, int]]) -> None:
    by_shard: dict[object, list[int]] = {}
    for target, place in places(rows).values():
        by_shard.setdefault(target, []).append(place)
    assert all(sorted(found) == list(range(len(found))) for found in by_shard.values())


@given(documents, st.randoms())
def test_the_assignment_does_not_depend_on_the_order_of_documents(
    rows: list[tuple[str, str, int]], shuffler: random.Random
) -> None:
    mixed = rows.copy()
    shuffler.shuffle(mixed)
    assert places(rows) == places(mixed)


@given(documents)
def test_a_shard_holds_one_language_and_one_split(rows: list[tuple[str, str, int]]) -> None:
    language = {row[0]: row[1] for row in rows}
    for document, (target, _) in places(rows).items():
        assert target.language == language[document]  # type: ignore[attr-defined]
        assert (target.split == VALIDATION) == is_validation(document, 0.1)  # type: ignore[attr-defined]


def test_another_seed_gives_another_order_and_the_same_split() -> None:
    rows = [(f"{i:04x}", "tur_Latn", 100) for i in range(200)]
    one, two = places(rows, seed=1), places(rows, seed=2)
    assert one != two
    split = lambda found: {d: t.split for d, (t, _) in found.items()}  # noqa: E731
    assert split(one) == split(two)


def test_shards_are_of_about_the_size_asked_for() -> None:
    rows = [(f"{i:04x}", "tur_Latn", 100) for i in range(1_000)]
    filled: dict[object, int] = {}
    for target, _ in places(rows, share=0.0).values():
        filled[target] = filled.get(target, 0) + 100
    assert len(filled) == 10
    assert all(9_900 <= size <= 10_100 for size in filled.values())


def test_the_validation_share_is_met_by_the_hash() -> None:
    chosen = sum(is_validation(f"{i:032x}", 0.01) for i in range(100_000))
    assert 900 < chosen < 1_100


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_the_share_falls_with_the_documents_and_holds_enough_out(fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    assert 0.001 <= validation_share(more) <= validation_share(fewer) <= 0.1
    assert validation_share(more) * more >= min(200, 0.1 * more)


@pytest.mark.parametrize("spread", ["languages", "shards"])
def test_the_time_to_assign_grows_with_the_documents_not_with_the_shards(spread: str) -> None:
    def spent(number: int) -> float:
        ids = [f"{i:032x}" for i in range(number)]
        languages = [f"l{i:05d}_Latn" if spread == "languages" else "tur_Latn" for i in range(number)]
        sizes = np.full(number, 1_000)
        start = time.process_time()
        placed = assign(ids, languages, sizes, 1, 0.0, 1_000 if spread == "shards" else 10**9)
        assert len(placed.targets) == number
        return time.process_time() - start

    # Sixteen times the documents: 256 times as long where it grows with the square.
    assert min(spent(32_000) for _ in range(3)) < 64 * min(spent(2_000) for _ in range(3))


def test_no_documents_fill_no_shards() -> None:
    assert assign([], [], np.zeros(0, np.int64), 1, 0.1, 1_000).targets == ()
