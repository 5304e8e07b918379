"""Differences are paired by seed and have honest errors; a multiplier of tokens comes back as planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparisons import documents, results
from scipy import stats

from trainer.compare.estimate import change_with_size, difference, multiplier, noise
from trainer.compare.results import measures


def test_measures_are_bits_over_bytes_of_their_documents() -> None:
    held = documents()
    bits = np.random.default_rng(1).uniform(500, 4_000, held.bytes.size)
    found = {(each.kind, each.name): each for each in measures(held, ["a", "b"])}
    a, b = (bits[held.sets == name].sum() / held.bytes[held.sets == name].sum() for name in "ab")
    assert found["set", "a"].of(bits) == pytest.approx(a)
    assert found["all", "mean of the held-out sets"].of(bits) == pytest.approx((a + b) / 2)
    web = held.sources == "web"
    assert found["domain", "b tur_Latn/web"].of(bits) == pytest.approx(
        bits[web].sum() / held.bytes[web].sum()
    )
    # One language, and one domain in set a: they would repeat other measures.
    assert [kind for kind, _ in found] == ["all", "set", "set", "domain", "domain"]


def test_the_error_over_documents_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(2)
    held = documents(20)
    whole = measures(held, ["a", "b"])[0]
    means, errors = [], []
    for _ in range(2_000):
        bits = (2.0 + 0.3 * rng.standard_normal(held.bytes.size)) * held.bytes
        means.append(whole.of(bits))
        errors.append(whole.error(bits, held.bytes))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.05)


def test_two_corpora_are_the_paired_t_test_of_their_seeds() -> None:
    found = results((1.0, 1.0), noise=0.02, seeds=6)
    main = measures(found.documents, ["a", "b"])[0]
    values = main.of(found.bits[:, -1, -1])
    apart = difference(found, main, 1)
    assert apart.value == pytest.approx(float(np.mean(values[1] - values[0])))
    assert apart.seed_error == pytest.approx(stats.sem(values[1] - values[0]))
    assert apart.freedom == 5


def test_what_all_corpora_share_of_a_seed_is_not_noise() -> None:
    spread, freedom = noise(np.array([[1.0, 2.0, 5.0], [2.0, 3.0, 6.0], [0.0, 1.0, 4.0]]))
    assert spread == pytest.approx(0.0, abs=1e-12)
    assert freedom == 4


def test_one_seed_decides_nothing() -> None:
    found = results((1.0, 2.0), seeds=1)
    apart = difference(found, measures(found.documents, ["a"])[0], 1)
    assert apart.p() == 1.0
    assert apart.interval(0.05) == (-math.inf, math.inf)


@pytest.mark.parametrize("worth", [0.5, 0.8, 1.0, 1.6, 3.0])
def test_a_planted_multiplier_comes_back(worth: float) -> None:
    found = results((1.0, worth))
    back = multiplier(found, measures(found.documents, ["a", "b"])[0], 1, 0.05)
    assert back.value == pytest.approx(worth, rel=1e-5)
    assert back.low == pytest.approx(worth, rel=1e-5)  # nothing is uncertain
    assert back.high == pytest.approx(worth, rel=1e-5)


@pytest.mark.parametrize(("worth", "value"), [(9.0, math.inf), (0.1, 0.0)])
def test_a_multiplier_beyond_the_budgets_is_not_invented(worth: float, value: float) -> None:
    found = multiplier(results((1.0, worth)), measures(documents(), ["a", "b"])[0], 1, 0.05)
    assert found.value == value
    assert found.reach == pytest.approx(4.0)
    assert (found.low, found.high) == ((found.reach, math.inf) if worth > 1 else (0.0, 1 / found.reach))


def test_the_interval_of_a_multiplier_covers_it_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(40):
        found = results((1.0, 1.4), noise=0.02, seeds=5, seed=seed)
        back = multiplier(found, measures(found.documents, ["a", "b"])[0], 1, 0.1)
        covered += back.low <= 1.4 <= back.high
    assert 31 <= covered <= 40


def test_a_difference_that_turns_with_the_size_is_seen() -> None:
    found = results((1.0, 1.0), noise=0.001)
    main = measures(found.documents, ["a", "b"])[0]
    assert change_with_size(found, main, 1).p() > 0.01
    found.bits[1, 0] *= 1.02
    found.bits[1, 1] *= 0.98
    assert change_with_size(found, main, 1).interval(0.05)[1] < 0
