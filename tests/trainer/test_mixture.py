"""Every stream gets its share within one sample at every block, in an order that the key decides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.mixture import BLOCK, MOST, deal, dealt, mixture

weights = st.lists(st.just(0.0) | st.floats(1e-3, 1.0), min_size=1, max_size=12).filter(any)
keys = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(weights, keys, st.integers(0, MOST // 2**17))
def test_shares_are_within_one_sample_at_every_block(weighed: list[float], key: int, blocks: int) -> None:
    mix = mixture(weighed, key)
    samples = blocks * mix.block
    counts = dealt(mix, samples)
    assert counts.sum() == samples
    assert np.abs(counts - mix.shares * samples).max() <= 1
    exact = np.array(weighed) / math.fsum(weighed)
    assert np.abs(mix.shares - exact).max() < 2**-27
    assert not counts[np.array(weighed) == 0].any()


@settings(deadline=None, max_examples=30)
@given(weights, keys, st.integers(0, 10**9), st.integers(1, 5_000))
def test_a_streams_samples_are_numbered_without_gap(
    weighed: list[float], key: int, first: int, count: int
) -> None:
    mix = mixture(weighed, key)
    streams, numbers = deal(mix, first, count)
    before, after = dealt(mix, first), dealt(mix, first + count)
    assert np.array_equal(np.bincount(streams, minlength=len(weighed)), after - before)
    for stream in range(len(weighed)):
        assert np.array_equal(numbers[streams == stream], np.arange(before[stream], after[stream]))


@settings(deadline=None, max_examples=30)
@given(weights, keys, st.integers(0, 10**9), st.lists(st.integers(0, 2_000), max_size=5))
def test_samples_do_not_depend_on_how_they_are_asked_for(
    weighed: list[float], key: int, first: int, parts: list[int]
) -> None:
    mix = mixture(weighed, key)
    whole = deal(mix, first, sum(parts))
    starts = first + np.concatenate([[0], np.cumsum(parts)]).astype(int)
    pieces = [deal(mix, int(start), part) for start, part in zip(starts, parts, strict=False)]
    for column in (0, 1):
        joined: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *(p[column] for p in pieces)])
        assert np.array_equal(joined, whole[column])


def test_a_block_grows_until_the_smallest_stream_has_a_sample_of_it() -> None:
    assert mixture([1, 1], 1).block == BLOCK
    mix = mixture([0.99985, 0.0001, 0.00005], 1)
    assert mix.block == 32_768
    assert np.diff([dealt(mix, b * mix.block)[2] for b in range(20)]).tolist().count(1) > 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=12), st.integers(0, 2**15))
def test_no_stream_gets_less_than_nothing_in_a_block(powers: list[int], number: int) -> None:
    mix = mixture([1.0, *(2.0**-power / 20 for power in powers)], 1)
    counts = [dealt(mix, b * mix.block) for b in (number, number + 1)]
    assert (counts[1] - counts[0]).min() >= 0


@pytest.mark.parametrize("small", [1 / 65_535.0, 1 / 1_023, 1 / 1_024])
def test_shares_of_hardly_one_sample_a_block_are_dealt(small: float) -> None:
    mix = mixture([small] * 9 + [1 - 9 * small], 1)
    counts = np.stack([dealt(mix, block * mix.block) for block in range(2_000)])
    assert np.diff(counts, axis=0).min() >= 0
    assert np.abs(counts - mix.shares * mix.block * np.arange(2_000)[:, None]).max() <= 1


def test_streams_are_mixed_inside_a_block() -> None:
    streams, _ = deal(mixture([0.5, 0.5], 3), 0, BLOCK)
    runs = np.count_nonzero(np.diff(streams)) + 1
    assert abs(runs - BLOCK / 2) < 5 * math.sqrt(BLOCK) / 2


def test_two_mixtures_do_not_share_what_is_remembered_of_their_blocks() -> None:
    shares = ([1, 3], [3, 1])
    ones = [int(deal(mixture(share, 1), 0, BLOCK)[0].sum()) for share in shares]
    assert ones == [BLOCK * 3 // 4, BLOCK // 4]
    mix = mixture([1, 1], 1)
    streams, _ = deal(mix, 0, BLOCK)
    streams[:] = 0  # what a caller does with its array changes no later answer
    assert deal(mix, 0, BLOCK)[0].sum() == BLOCK // 2


def test_blocks_and_keys_have_orders_of_their_own() -> None:
    first, second = (deal(mixture([0.5, 0.5], 3), block * BLOCK, BLOCK)[0] for block in (0, 1))
    other = deal(mixture([0.5, 0.5], 4), 0, BLOCK)[0]
    for one in (second, other):
        assert abs(np.count_nonzero(first == one) - BLOCK / 2) < 5 * math.sqrt(BLOCK) / 2


def test_weights_need_no_particular_sum() -> None:
    one, two = mixture([3, 1], 1), mixture([0.75, 0.25], 1)
    assert np.array_equal(one.edges, two.edges)


@pytest.mark.parametrize("wrong", [[], [0, 0], [1, -1], [1, float("nan")], [float("inf")]])
def test_wrong_weights_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="expected numbers of 0 or more"):
        mixture(wrong, 1)


def test_a_share_too_small_to_deal_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight 1 of stream 1 is 1e-06 of all.*1/65,536"):
        mixture([999_999, 1], 1)


def test_samples_beyond_the_last_are_refused() -> None:
    deal(mixture([1, 1], 1), MOST - 5, 5)
    for first, count in ((MOST - 5, 6), (-1, 2)):
        with pytest.raises(ValueError, match="a mixture deals 0 to"):
            deal(mixture([1, 1], 1), first, count)


def test_streams_in_proportion_are_read_so_many_times_each() -> None:
    tokens, times = [60_000, 20_000, 8_000], [1, 2, 5]
    counts = dealt(
        mixture([count * time for count, time in zip(tokens, times, strict=True)], 1), 140_000 // 20
    )
    assert (np.abs(counts * 20 / tokens - times) < 0.2).all()
