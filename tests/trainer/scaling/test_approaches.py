"""Three ways to the compute-optimal size agree where they should, and the second is off by its known bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import Model
from trainer.scaling.approaches import (
    CONVENTIONS,
    SIZES,
    approach_1,
    approach_2,
    approach_3,
    parabola_bias,
    power,
)
from trainer.scaling.laws import CHINCHILLA
from trainer.scaling.runs import Runs, runs
from trainer.shape import shape

LAW = {"a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "beta": 0.28}


def losses(made: Runs, law: dict[str, float]) -> Runs:
    """Return runs the law's losses."""
    theta = np.array([law[name] for name in CHINCHILLA.parameters])
    return made.with_loss(np.exp(CHINCHILLA.log_loss(theta, made.logs())))


def isoflop(law: dict[str, float], half: float, sizes: int, off: float) -> Runs:
    """Make four budgets with sizes spread around the true optimum."""
    frontier = approach_3(law)
    budgets = np.repeat(np.geomspace(1e18, 1e21, 4), sizes)
    best = np.array([frontier.optimum(c)[0] for c in budgets])
    n = best * np.exp(np.tile(np.linspace(-half, half, sizes) + off, 4))
    return losses(runs(np.ones(len(n)), params=n, tokens=budgets / (6 * n)), law)


def test_approach_3_is_where_no_other_size_has_a_lower_loss() -> None:
    n, d = approach_3(LAW).optimum(1e20)
    assert 6 * n * d == pytest.approx(1e20)
    around = n * np.exp(np.linspace(-0.5, 0.5, 101))
    loss = losses(runs(np.ones(101), params=around, tokens=1e20 / (6 * around)), LAW).loss
    assert loss.argmin() == 50


@given(
    st.floats(0.2, 0.6),
    st.floats(0.2, 0.6),
    st.floats(0.4, 1.6),
    st.integers(SIZES, 11),
    st.floats(-0.25, 0.25),
)
def test_approach_2_is_off_by_exactly_its_known_bias(
    alpha: float, beta: float, half: float, sizes: int, off: float
) -> None:
    law = {**LAW, "alpha": alpha, "beta": beta}
    found, true = approach_2(isoflop(law, half, sizes, off)), approach_3(law)
    assert found.a == pytest.approx(true.a, abs=1e-6)
    bias = np.log(found.optimum(1e20)[0] / true.optimum(1e20)[0])
    assert bias == pytest.approx(parabola_bias(alpha, beta, half, sizes, off), abs=1e-5)


def test_approach_2_has_no_bias_where_both_exponents_are_equal_and_the_grid_is_centred() -> None:
    assert parabola_bias(0.3, 0.3, 1.4, 7) == pytest.approx(0, abs=1e-12)
    assert abs(parabola_bias(0.34, 0.28, 1.4, 7)) > 1e-3


def test_approach_2_refuses_minima_at_the_edge_and_too_few_sizes() -> None:
    assert "0 usable, 4 not" in approach_2(isoflop(LAW, 0.5, 7, 2.0)).why
    assert "0 usable, 4 not" in approach_2(isoflop(LAW, 1.0, SIZES - 1, 0.0)).why


def test_approach_1_follows_the_envelope_of_training_curves() -> None:
    sizes = np.geomspace(1e7, 1e10, 25)
    n = np.repeat(sizes, 40)
    d = n * np.tile(np.geomspace(20, 2e5, 40), 25)
    made = losses(runs(np.ones(len(n)), params=n, tokens=d, group=np.char.mod("%g", n)), LAW)
    found, true = approach_1(made), approach_3(LAW)
    assert found.a == pytest.approx(true.a, abs=0.04)
    assert found.b == pytest.approx(1 - found.a, abs=1e-6)
    assert "3" in approach_1(isoflop(LAW, 1.0, 5, 0.0)).why


def test_power_gives_the_exponent() -> None:
    compute = np.geomspace(1e18, 1e21, 5)
    assert power(compute, 3 * compute**0.54)[1] == pytest.approx(0.54)


def test_conventions_count_one_shape_as_their_papers_do() -> None:
    sizes = shape(Model(depth=12, width=768, activation="relu2"), 50257)
    d, layers, vocabulary, length = 768, 12, sizes.vocabulary, 1024
    kaplan, palm = CONVENTIONS["kaplan"], CONVENTIONS["palm"]
    assert kaplan.params(sizes) == 12 * layers * d**2
    assert kaplan.flops(sizes, length) == 6 * 12 * layers * d**2 + 6 * layers * length * d
    assert palm.flops(sizes, length) == 6 * palm.params(sizes) + 12 * layers * length * d
    chinchilla = 2 * 12 * layers * d**2 + 4 * vocabulary * d + layers * length * (4 * d + 3 * sizes.heads)
    assert CONVENTIONS["chinchilla"].flops(sizes, length) == 3 * chinchilla
    assert CONVENTIONS["porian"].flops(sizes, length) == 6 * palm.params(sizes)


def test_counting_more_compute_per_parameter_moves_the_frontier() -> None:
    plain = isoflop(LAW, 1.0, 7, 0.0)
    heavier = runs(
        plain.loss,
        params=plain.columns["params"],
        tokens=plain.columns["tokens"],
        compute=2 * plain.compute(),
    )
    assert approach_2(heavier).a == pytest.approx(approach_2(plain).a)
    assert approach_2(heavier).optimum(2e20) == pytest.approx(approach_2(plain).optimum(1e20))
