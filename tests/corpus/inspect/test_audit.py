"""Removed copies are compared with the kept texts, and counted by band of the stored similarity."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup.shingles import jaccard, shingles
from corpus.inspect.audit import Band, audit, bands

_share = st.floats(0, 1)


def test_removals_are_compared_with_the_kept_text(build: Callable[..., str]) -> None:
    found = audit(build())
    assert (found.threshold, found.removed, found.sampled, found.true) == (0.75, 2, 2, 0)
    url, near = found.bands
    assert url == Band(0.1, 0.15, 1, 0, 0.0, 0.0)
    # Eleven words three times over, and three others at the end: 11 shingles shared, 3 of each its own.
    assert near == Band(0.8, 0.85, 1, 0, pytest.approx(11 / 17), pytest.approx(11 / 17))


def test_a_smaller_sample_is_one_of_the_removals(build: Callable[..., str]) -> None:
    folder = build()
    assert {audit(folder, sample=1, seed=seed).bands[0].low for seed in range(8)} == {0.1, 0.8}


def test_shingles_are_five_folded_words_or_all_of_fewer() -> None:
    assert shingles("Bir IKI üç, dört beş altı bir iki") == frozenset(
        text.encode()
        for text in (
            "bir iki üç dört beş",
            "iki üç dört beş alti",
            "üç dört beş alti bir",
            "dört beş alti bir iki",
        )
    )
    assert shingles("Bir İki!") == {b"bir iki"}
    assert shingles(" … ") == frozenset()
    assert jaccard(shingles("a b"), shingles("A, B")) == 1.0


@given(st.lists(st.tuples(_share, _share)), _share)
def test_bands_hold_every_pair_once(pairs: list[tuple[float, float]], threshold: float) -> None:
    found = list(bands(pairs, threshold))
    assert sum(band.removals for band in found) == len(pairs)
    assert sum(band.true for band in found) == sum(true >= threshold for _, true in pairs)
    assert [band.low for band in found] == sorted({band.low for band in found})
    assert all(band.least <= band.mean + 1e-9 for band in found)
