"""What limits a run: the law that its curve follows is found again, and it is silent where it is not sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import Schedule
from trainer.limits import EXPONENT, NOISE, Curve, Point, outlook, worth
from trainer.order import Order, Phase, Stream
from trainer.schedule import rates

UNIQUE = 1e8
PARAMETERS = 1_000_000


def loss(tokens: float, unique: float = UNIQUE) -> float:
    return float(1.0 + 300 * worth(tokens, min(tokens, unique)) ** -EXPONENT)


def curve(*tokens: float, unique: float = UNIQUE) -> list[Point]:
    return [Point(each, min(each, unique), loss(each, unique)) for each in tokens]


@given(st.floats(1e7, 3e8))
def test_a_curve_that_follows_the_law_is_continued_by_it(tokens: float) -> None:
    points = curve(*np.linspace(tokens / 4, tokens, 6))
    now = points[-1]
    found = outlook(now, points, PARAMETERS)
    assert found.epoch is not None
    assert found.fresh is not None
    assert found.epoch == pytest.approx(loss(tokens + now.unique, now.unique), rel=1e-6)
    fresh = 1.0 + 300 * (worth(tokens, now.unique) + now.unique) ** -EXPONENT
    assert found.fresh == pytest.approx(fresh, rel=1e-6)
    assert found.fresh < found.epoch < found.now


def test_repeated_tokens_are_worth_less_than_fresh_ones_and_once_as_much() -> None:
    assert worth(5.0, 5.0) == 5.0
    assert 3.7 * UNIQUE < worth(4 * UNIQUE, UNIQUE) < 3.75 * UNIQUE  # published: 3.73
    assert worth(1e6 * UNIQUE, UNIQUE) == pytest.approx(16.387756 * UNIQUE)


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [(10**5, "size"), (5 * 10**6, None), (10**8, "data")],
)
def test_the_balance_of_tokens_and_parameters_names_the_limit(parameters: int, limit: str | None) -> None:
    points = curve(4e7, 6e7, 8e7, 1e8)
    assert outlook(points[-1], points, parameters).limit == limit
    assert outlook(points[-1], [], parameters).limit == limit  # the curve is not needed


def test_a_flat_curve_is_limited_by_neither() -> None:
    points = [Point(each, each, 2 + 1e-3 * (each / 1e8) ** -EXPONENT) for each in (4e7, 6e7, 8e7, 1e8)]
    assert outlook(points[-1], points, PARAMETERS).limit == "neither"


def test_a_loss_that_rises_on_repeated_text_is_short_of_data_and_rises_further() -> None:
    points = [Point(2e8, 1e8, 2.0), Point(3e8, 1e8, 2.1)]
    found = outlook(points[-1], points, PARAMETERS)
    assert (found.limit, found.fresh) == ("data", None)
    assert found.epoch == pytest.approx(2.2)
    assert "another epoch will give about 2.2000, this run is now limited by data" in str(found)


@pytest.mark.parametrize(("rise", "counts"), [(0.0, False), (0.9 * NOISE, False), (1.1 * NOISE, True)])
def test_a_rise_within_the_noise_is_none(rise: float, counts: bool) -> None:
    points = [*curve(1.5e8, 2e8, 2.5e8), Point(3e8, 1e8, loss(2.5e8) * (1 + rise))]
    found = outlook(points[-1], points, PARAMETERS)
    assert (found.limit == "data") == counts


@given(st.integers(1, 200))
def test_how_often_a_run_is_evaluated_does_not_decide_whether_its_loss_rises(between: int) -> None:
    """From 2 to 2.1 in one step or in many: none of many steps is larger than the noise."""
    points = [
        Point(2e8 + 1e8 * n / between, 1e8, 2.0 + 0.1 * n / between) for n in range(between + 1)
    ]  # fmt: skip
    found = outlook(points[-1], points, PARAMETERS)
    assert (found.limit, found.fresh) == ("data", None)
    assert found.epoch == pytest.approx(2.2)


@pytest.mark.parametrize("number", [6, 30, 100])
@pytest.mark.parametrize("scatter", [0.003, 0.01, 0.05])
def test_of_evaluations_that_scatter_around_a_level_few_rise_and_of_a_loss_that_triples_most(
    number: int, scatter: float
) -> None:
    def rises(growth: float, seed: int) -> bool:
        noise = np.exp(scatter * np.random.default_rng(seed).standard_normal(number))
        losses = 2 * noise * (1 + growth * np.linspace(0, 1, number))
        points = [Point(3e8 + 1e6 * n, 1e8, float(each)) for n, each in enumerate(losses)]
        return outlook(points[-1], points, 10**4).limit == "data"  # by the balance it is size

    assert sum(rises(0.0, seed) for seed in range(500)) < 25
    assert sum(rises(2.0, seed) for seed in range(50)) > 45


def test_a_loss_that_rises_and_falls_again_does_not_rise() -> None:
    points = [Point(2e8, 1e8, 2.0), Point(3e8, 1e8, 2.1), Point(4e8, 1e8, 1.99)]
    assert outlook(points[-1], points, 10**9).epoch is None


def test_there_are_no_numbers_from_too_short_a_curve_or_one_that_does_not_fall() -> None:
    for points in (
        curve(5e7, 1e8),
        curve(8e7, 9e7, 1e8),
        [Point(each, each, 2.0) for each in (4e7, 7e7, 1e8)],
    ):
        found = outlook(points[-1], points, PARAMETERS)
        assert (found.epoch, found.fresh) == (None, None)


def test_the_points_of_a_run_are_its_evaluations_at_the_peak_rate() -> None:
    order = Order([Stream("a", np.array([1601]))], [Phase(6400, {"a": 1.0}, 16, 4)], seed=0)
    curve_of_rates = rates(Schedule(), order.tokens(order.steps))
    steps = (20, 40, 60, 80)  # of 100: 25 steps an epoch; the rate falls in the last fifth
    run = Curve(order, curve_of_rates, 10**6)
    for step in steps:
        found = run.add(step, loss(64 * step, 1601))
    assert found is not None
    assert found.epoch == pytest.approx(loss(80 * 64 + 1601, 1601), rel=1e-3)
    last = run.add(100, 10.0)
    assert last is not None
    assert last.epoch == pytest.approx(10 - loss(6400, 1601) + loss(8001, 1601), rel=1e-3)
    assert run.add(101, None) is None
    assert run.add(101, float("nan")) is None
