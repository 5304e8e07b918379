"""The law of mixes: what made the losses comes back, intervals hold runs, and the best mix keeps its caps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import RunsError
from trainer.mix.law import Law, best, fit, fitted

TRUTH = Law(np.array([1.0, 0.8]), np.array([[-0.6, 0.4, 0.2], [0.5, -0.5, 0.3]]))
"""Two domains and three streams: each domain has a stream of its own, the third helps neither."""
ALIKE = np.array([0.5, 0.5])


def mixes(runs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([1.0, 1.0, 1.0], runs)


def test_the_law_that_made_the_losses_comes_back() -> None:
    shares = mixes(40)
    found = fit(shares, TRUTH.losses(shares))
    other = mixes(20, seed=1)
    assert np.allclose(found.losses(other), TRUTH.losses(other), rtol=1e-4)


def test_intervals_hold_their_share_of_new_runs() -> None:
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares, new = mixes(30, seed), mixes(10, 100 + seed)
        noisy = TRUTH.losses(shares) * (1 + 0.01 * rng.standard_normal((30, 2)))
        found = fitted(shares, noisy, ALIKE)
        values = TRUTH.losses(new) * (1 + 0.01 * rng.standard_normal((10, 2))) @ np.diag([1.0, 1.0]) @ ALIKE
        held += [found.interval(each).holds(value) for each, value in zip(new, values, strict=True)]
    assert 0.9 <= np.mean(held) <= 1.0


def test_too_few_runs_are_refused_with_the_number_that_is_enough() -> None:
    with pytest.raises(RunsError, match="needs 8 or more; raise runs"):
        fit(mixes(7), TRUTH.losses(mixes(7)))


@given(st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3).filter(lambda caps: sum(caps) > 1.01))
def test_no_mix_within_the_caps_is_better_than_the_best(caps: list[float]) -> None:
    shares = mixes(30)
    found = fitted(shares, TRUTH.losses(shares), ALIKE)
    limits = np.array(caps)
    chosen = best(found, limits)
    assert chosen.sum() == pytest.approx(1.0)
    assert (chosen <= limits + 1e-6).all()
    others = mixes(300, seed=2)
    others = others[(others <= limits).all(1)]
    assert (found.value(others) >= found.value(chosen) - 1e-6).all()


def test_a_gain_is_open_to_doubt_where_runs_are_noise() -> None:
    rng = np.random.default_rng(0)
    shares = mixes(30)
    flat = 1.5 * (1 + 0.02 * rng.standard_normal((30, 2)))
    gain = fitted(shares, flat, ALIKE).gain(np.full(3, 1 / 3), np.array([1.0, 0.0, 0.0]))
    assert gain.holds(0.0)
    sure = fitted(shares, TRUTH.losses(shares), ALIKE).gain(
        np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.0])
    )
    assert sure.lower is not None
    assert sure.lower > 0
