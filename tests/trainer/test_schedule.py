"""The learning rate over tokens: its boundaries, its shapes, and branches of a trunk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from trainer.config import Optimizer, Schedule
from trainer.schedule import Rates, momentum, rates

WSD = Schedule(name="wsd", warmup=0.1, decay=0.2, shape="linear")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(0, 0.0), (50, 0.5), (100, 1.0), (101, 1.0), (800, 1.0), (900, 0.5), (999, 0.005), (1000, 0.0)],
)
def test_wsd_rises_stays_and_falls(tokens: int, expected: float) -> None:
    assert rates(WSD, 1000).at(tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "quarter", "half"),
    [("1-sqrt", 0.5, 1 - 0.5**0.5), ("linear", 0.75, 0.5), ("cosine", 0.5 + 0.5**1.5, 0.5)],
)
def test_shapes_of_the_decay(shape: str, quarter: float, half: float) -> None:
    schedule = Schedule.model_validate({"name": "wsd", "warmup": 0.1, "decay": 0.4, "shape": shape})
    assert rates(schedule, 1000).at(600) == 1.0
    assert rates(schedule, 1000).at(700) == pytest.approx(quarter)
    assert rates(schedule, 1000).at(800) == pytest.approx(half)
    assert rates(schedule, 1000).at(1000) == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_cosine_and_linear_fall_from_the_end_of_the_warmup_to_the_floor(name: str) -> None:
    schedule = Schedule.model_validate({"name": name, "warmup": 0.2, "floor": 0.1})
    assert rates(schedule, 1000).at(100) == 0.5
    assert rates(schedule, 1000).at(200) == 1.0
    assert rates(schedule, 1000).at(201) < 1.0
    assert rates(schedule, 1000).at(600) == pytest.approx(0.55)
    assert rates(schedule, 1000).at(1000) == pytest.approx(0.1)


def test_the_first_and_the_last_step_move_the_weights() -> None:
    curve = rates(WSD, 1000)
    steps = [curve.step(begin, begin + 50) for begin in range(0, 1000, 50)]
    assert steps[0] == pytest.approx(0.25)
    assert steps[1] == pytest.approx(0.75)
    assert steps[2:16] == [1.0] * 14
    assert steps[16:] == pytest.approx([0.875, 0.625, 0.375, 0.125])


@given(batch=st.sampled_from([1, 2, 4, 5, 10, 20, 50]))
def test_the_area_under_the_curve_is_the_same_for_every_batch_size(batch: int) -> None:
    curve = rates(WSD, 1000)
    area = sum(batch * curve.step(begin, begin + batch) for begin in range(0, 1000, batch))
    assert area == pytest.approx(50 + 700 + 100)


def test_a_run_without_warmup_begins_at_its_peak() -> None:
    curve = rates(Schedule(warmup=0.0, decay=0.0), 10)
    assert [curve.step(t, t + 1) for t in range(10)] == [1.0] * 10


@given(total=st.integers(400, 10**13), at=st.floats(0.0, 1.0))
def test_a_branch_is_its_trunk_until_it_falls(total: int, at: float) -> None:
    schedule = Schedule(name="wsd", warmup=0.01, decay=0.2, shape="1-sqrt")
    trunk = rates(schedule, total * 8)
    branch = rates(schedule, total, warmup=trunk.warmup)
    assert branch.stable == total - round(0.2 * total)
    tokens = at * branch.stable
    assert branch.at(tokens) == trunk.at(tokens)
    assert branch.at(total) == pytest.approx(0.0)
    assert trunk.at(total) == 1.0


@given(
    total=st.integers(1, 10**6),
    warmup=st.floats(0.0, 0.5),
    decay=st.floats(0.0, 0.5),
    name=st.sampled_from(["wsd", "cosine", "linear"]),
    floor=st.floats(0.0, 1.0),
)
def test_a_rate_is_a_share_that_rises_once_and_falls_once(
    total: int, warmup: float, decay: float, name: str, floor: float
) -> None:
    given_ = {"name": name, "warmup": warmup, "decay": decay, "floor": floor}
    curve = rates(Schedule.model_validate(given_), total)
    heights = [curve.at(total * part / 50) for part in range(51)]
    assert all(0.0 <= height <= 1.0 for height in heights)
    peak = heights.index(max(heights))
    assert heights[:peak] == sorted(heights[:peak])
    assert heights[peak:] == sorted(heights[peak:], reverse=True)


def test_a_warmup_that_reaches_into_the_decay_is_refused() -> None:
    with pytest.raises(ConfigError, match="warmup of 900 tokens overlaps the decay"):
        rates(WSD, 1000, warmup=900)


def test_a_schedule_of_no_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one token"):
        rates(WSD, 0)


def test_curves_can_be_compared() -> None:
    assert rates(WSD, 1000) == Rates(1000, 100, 200, "linear", 0.0)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.85), (50, 0.9), (100, 0.95), (1000, 0.95)])
def test_momentum_rises_from_its_first_value(step: int, expected: float) -> None:
    assert momentum(Optimizer(momentum_warmup=100), step) == pytest.approx(expected)


def test_momentum_without_a_warmup_is_its_value_from_the_first_step_on() -> None:
    assert momentum(Optimizer(), 0) == 0.95


def test_a_small_momentum_does_not_begin_above_its_value() -> None:
    assert {momentum(Optimizer(momentum=0.6, momentum_warmup=10), step) for step in range(12)} == {0.6}
