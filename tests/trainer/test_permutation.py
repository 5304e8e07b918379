"""The permutation is one to one, has an inverse, spreads neighbours, and its values never change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.permutation import LARGEST, derive, permute, unpermute

keys = st.integers(0, 2**64 - 1)
epochs = st.integers(0, 2**40)
sizes = st.one_of(
    st.integers(1, 3_000),
    st.sampled_from([1, 2, 3, 97, 1_009, 7_919, 104_729]),  # primes
    st.integers(0, 17).map(lambda k: 2**k),
    st.integers(1, 17).map(lambda k: 2**k + 1),
    st.integers(1, 300).map(lambda side: side * side),
)
BINS = 64
DERIVED = 3007262348718484573
SMALL = [1, 5, 6, 0, 3, 2, 7, 4]
LARGE = [585180403018, 29532098907, 128034419498, 244398327439]


def chi_square(values: NDArray[np.int64], n: int) -> float:
    """Return by how many standard deviations the counts of values in equal bins of [0, n) miss chance."""
    counts = np.bincount(values * BINS // n, minlength=BINS)
    expected = values.size / BINS
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - (BINS - 1)) / math.sqrt(2 * (BINS - 1))


@settings(deadline=None)
@given(sizes, keys, epochs)
def test_every_place_is_taken_once(n: int, key: int, epoch: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, key, epoch)), np.arange(n))


@settings(deadline=None)
@given(st.integers(1, 10**12) | st.just(LARGEST), keys, epochs, st.data())
def test_the_inverse_gives_the_index_back(n: int, key: int, epoch: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=300)))
    places = permute(index, n, key, epoch)
    assert places.min() >= 0
    assert places.max() < n
    assert np.array_equal(unpermute(places, n, key, epoch), index)
    assert np.array_equal(permute(unpermute(index, n, key, epoch), n, key, epoch), index)


@pytest.mark.parametrize("n", [10**12, LARGEST])
def test_distinct_indices_of_a_large_range_stay_distinct(n: int) -> None:
    index = np.unique(np.random.default_rng(0).integers(0, n, 500_000))
    assert np.unique(permute(index, n, 5)).size == index.size


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_orders_of_a_few_items_are_equally_frequent(n: int) -> None:
    draws, orders = 60_000, math.factorial(n)
    index, epoch = np.repeat(np.arange(n), draws), np.tile(np.arange(draws), n)
    codes = (permute(index, n, 1, epoch).reshape(n, draws).T * n ** np.arange(n)).sum(axis=1)
    counts = np.unique(codes, return_counts=True)[1]
    expected = draws / orders
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert counts.size == orders
    assert statistic < orders - 1 + 5 * math.sqrt(2 * (orders - 1))


@pytest.mark.parametrize("n", [65_536, 1_000_003, 488_281_250, 10**12])
@pytest.mark.parametrize("lag", [1, 2, 1_000])
def test_neighbours_are_spread(n: int, lag: int) -> None:
    index = np.arange(min(n, 200_000))
    places = permute(index, n, 11)
    if n > 10 * index.size:
        assert abs(chi_square(places, n)) < 5
    assert abs(chi_square((places[lag:] - places[:-lag]) % n, n)) < 5
    # Pairs of neighbours fill the plane, not lines of it.
    cells = (places[lag:] * 8 // n) * 8 + places[:-lag] * 8 // n
    assert abs(chi_square(cells, 64)) < 5


@pytest.mark.parametrize(("key", "epoch"), [(11, 1), (12, 0), (11 + 2**40, 0)])
def test_another_key_or_epoch_is_another_order(key: int, epoch: int) -> None:
    n = 1_000_003
    one, two = permute(np.arange(n), n, 11, 0), permute(np.arange(n), n, key, epoch)
    assert np.count_nonzero(one == two) < 12  # by chance one place in all is the same
    assert abs(chi_square((two - one) % n, n)) < 5


def test_epochs_may_differ_within_one_call() -> None:
    index, epoch = np.arange(1_000) % 100, np.arange(1_000) // 100
    each = [permute(np.arange(100), 100, 3, e) for e in range(10)]
    assert np.array_equal(permute(index, 100, 3, epoch), np.concatenate(each))


def test_the_values_of_a_key_never_change() -> None:
    """A change here reorders the data of every run that was ever started."""
    assert derive(1, "order", "tur_Latn") == DERIVED
    assert permute(np.arange(8), 8, 42).tolist() == SMALL
    assert permute(np.arange(4), 10**12, 42, 7).tolist() == LARGE


def test_sizes_keys_and_epochs_may_differ_within_one_call() -> None:
    sizes, keys = np.array([10, 300, 10**12, 10, 70_000]), np.array([1, 2, 3, 1, 2**64 - 1], np.uint64)
    index, which = np.tile(np.arange(10), 5), np.repeat(np.arange(5), 10)
    together = permute(index, sizes[which], keys[which], which)
    each = [permute(np.arange(10), int(sizes[i]), int(keys[i]), i) for i in range(5)]
    assert np.array_equal(together, np.concatenate(each))
    assert np.array_equal(unpermute(together, sizes[which], keys[which], which), index)


def test_long_arrays_are_permuted_as_short_ones() -> None:
    index = np.arange(150_000)
    parts = [permute(part, 10**9, 5) for part in np.split(index, 150)]
    assert np.array_equal(permute(index, 10**9, 5), np.concatenate(parts))


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="index 5 of a permutation of 5 items"):
        permute(np.arange(6), 5, 1)
    with pytest.raises(ValueError, match="index 3 of a permutation of 2 items"):
        permute(np.array([3, 3]), np.array([4, 2]), 1)
    with pytest.raises(ValueError, match="index -1 of a permutation"):
        permute(np.array([-1]), 5, 1)
    with pytest.raises(ValueError, match="at most 2\\^60"):
        permute(np.arange(6), LARGEST + 1, 1)


def test_no_indices_give_no_places() -> None:
    assert permute(np.arange(0), 5, 1).size == 0
