"""Intervals hold the truth as often as they say, keep runs together, and stay open where nothing is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corpus.errors import RunsError
from trainer.records import plain
from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import CHINCHILLA, DATA, REPETITION
from trainer.scaling.prediction import conformal, predict
from trainer.scaling.runs import Runs, runs
from trainer.scaling.uncertainty import bootstrap, percentile

TRUTH = np.array([7.0, 0.6, 0.35])


def curve(seed: int, noise: float = 0.01, rows: int = 60) -> Runs:
    """Make runs of L(D) with a seeded noise."""
    made = runs(np.ones(rows), tokens=np.geomspace(1e8, 1e11, rows))
    error = np.random.default_rng(seed).normal(0, noise, rows)
    return made.with_loss(np.exp(DATA.log_loss(TRUTH, made.logs()) + error))


def surface(noise: float, seed: int = 0) -> Runs:
    """Make 8 sizes × 8 token counts of the Chinchilla law."""
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 3e9, 8), np.geomspace(5, 160, 8)))
    made = runs(np.ones(64), params=n, tokens=n * ratio)
    theta = np.array([6.0, 7.2, 0.6, 0.34, 0.37])
    error = np.random.default_rng(seed).normal(0, noise, 64)
    return made.with_loss(np.exp(CHINCHILLA.log_loss(theta, made.logs()) + error))


def test_intervals_hold_the_truth_in_most_of_25_simulations() -> None:
    held = np.zeros(3)
    for seed in range(25):
        data = curve(seed)
        drawn = bootstrap(fit(DATA, data, descents=4), data, 100, seed)
        held += [
            drawn.interval(name).holds(value) for name, value in zip(DATA.parameters, TRUTH, strict=True)
        ]
    # at a true coverage of 95 % fewer than 21 of 25 would be a chance of 1 in 100
    assert (held >= 21).all(), held


def test_a_draw_takes_whole_runs() -> None:
    data = curve(0)
    apart = fit(DATA, data)
    together = Runs(data.columns, data.loss, np.repeat([f"run{i}" for i in range(6)], 10))
    assert bootstrap(apart, data, 50).clusters == 60
    drawn = bootstrap(apart, together, 50)
    assert drawn.clusters == 6
    one = Runs(data.columns, data.loss, np.full(60, "one"))
    assert np.ptp(bootstrap(apart, one, 50).samples, axis=0) == pytest.approx(0, abs=1e-4)


def test_the_same_seed_gives_the_same_intervals() -> None:
    data = curve(1)
    found = fit(DATA, data)
    assert (bootstrap(found, data, 30, 7).samples == bootstrap(found, data, 30, 7).samples).all()
    assert (bootstrap(found, data, 30, 7).samples != bootstrap(found, data, 30, 8).samples).any()


def repeated(epochs: tuple[int, ...]) -> tuple[Runs, Fit]:
    """Make repetition runs at R_D* = 15 and fit its two decays on the true base law."""
    sizes = np.geomspace(1e8, 1e9, 6)
    n, e = (x.ravel() for x in np.meshgrid(sizes, epochs))
    made = runs(np.ones(len(n)), params=n, tokens=20 * n, unique=20 * n / e)
    base = {"a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "beta": 0.37}
    theta = np.array([*base.values(), np.log(15.0), np.log(5.0)])
    noise = np.random.default_rng(0).normal(0, 0.01, len(n))
    data = made.with_loss(np.exp(REPETITION.log_loss(theta, made.logs()) + noise))
    return data, fit(REPETITION, data, held=base)


def test_a_decay_that_was_never_seen_has_no_upper_limit() -> None:
    data, found = repeated((1, 2))
    span = bootstrap(found, data, 100).interval("log_rd")
    assert span.upper is None
    assert not span.determined
    assert span.holds(np.log(15.0))


def test_a_decay_that_was_seen_is_limited_on_both_sides() -> None:
    data, found = repeated((1, 4, 16, 64, 256))
    drawn = bootstrap(found, data, 100)
    assert drawn.interval("log_rd").determined
    assert drawn.derived()["R_D*"].holds(15.0)


def test_an_exponent_that_no_refit_gives_is_open_on_both_sides() -> None:
    values, inside = np.linspace(0.4, 0.6, 100), np.zeros(100)
    assert percentile(0.5, values, inside).determined
    values[:5] = np.nan  # alpha = beta = 0
    found = percentile(0.5, values, inside)
    assert (found.lower, found.upper) == (None, None)
    assert percentile(np.nan, np.full(9, np.nan), np.zeros(9)).upper is None
    values[:4] = 0.4
    assert percentile(0.5, values, inside).lower == pytest.approx(0.4, abs=0.01)


def test_the_conformal_rank_is_that_of_one_more_miss() -> None:
    misses = np.arange(1.0, 40.0)
    assert conformal(misses, 0.95) == 38.0
    assert conformal(misses[:10], 0.95) == 10.0


def test_predictions_of_larger_runs_hold_them_and_widen_with_distance() -> None:
    data = surface(0.01)
    below = data.compute() < np.quantile(data.compute(), 0.7)
    inner, outer = data.take(below), data.take(~below)
    asked = predict(fit(CHINCHILLA, inner), inner, outer)
    assert asked.coverage(outer.loss) >= 0.9
    assert np.median(asked.half_width) < 0.06
    assert asked.ratio.min() > 1
    far = runs(np.ones(2), params=np.array([3e9, 3e12]), tokens=np.array([6e10, 6e13]))
    near_width, far_width = predict(fit(CHINCHILLA, inner), inner, far).half_width
    assert far_width > near_width


def test_too_few_runs_for_a_rollout_are_refused() -> None:
    data = surface(0.01).take(np.arange(0, 64, 9))
    with pytest.raises(RunsError, match="too few to hold some of them out"):
        predict(fit(CHINCHILLA, data), data.take(np.arange(6)), data)


def test_intervals_go_into_json_with_open_sides_as_null() -> None:
    data, found = repeated((1, 2))
    out = json.loads(json.dumps(plain(bootstrap(found, data, 60))))
    assert out["parameters"]["log_rd"]["upper"] is None
