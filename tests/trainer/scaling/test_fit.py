"""A fit finds the optimum, says why it may be believed, and refuses what it cannot carry."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corpus.errors import RunsError
from trainer.scaling.fit import fit, problem
from trainer.scaling.laws import CHINCHILLA, LAWS, REPETITION, Law
from trainer.scaling.minimise import HUBER, SQUARES, descend
from trainer.scaling.runs import Runs, runs

TRUTH = {
    "chinchilla": {"a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "beta": 0.37},
    "tied": {"a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34},
    "data": {"b": 7.2, "e": 0.8, "beta": 0.37},
    "repetition, tied": {"a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "log_rd": 2.0, "log_rn": 1.5},
    "joint": {
        "a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "beta": 0.37,
        "log_tau": np.log(0.4), "p": 28.0, "gamma": 1.2, "kappa": 1.6, "delta": 0.3,
    },
    "repetition": {
        "a": 6.0, "b": 7.2, "e": 0.6, "alpha": 0.34, "beta": 0.37,
        "log_rd": np.log(15.0), "log_rn": np.log(5.0),
    },
}  # fmt: skip


def grid(law: Law, noise: float = 0.0, seed: int = 0) -> Runs:
    """Make 6 sizes × 5 token counts × 4 amounts of unique data, with true losses and seeded noise."""
    sizes = np.geomspace(2e7, 4e9, 6)
    n, ratio, epochs = (x.ravel() for x in np.meshgrid(sizes, [5, 10, 20, 40, 80], [1, 3, 12, 60]))
    given = np.random.default_rng(1)
    made = runs(
        np.ones(len(n)),
        params=n,
        tokens=n * ratio,
        unique=n * ratio / epochs,
        share=given.choice([1.0, 0.75, 0.5], len(n)),
        decay=given.choice([0.1, 1.0], len(n)),
    )
    theta = np.array([TRUTH[law.name][name] for name in law.parameters])
    error = np.random.default_rng(seed).normal(0, noise, len(n)) if noise else 0.0
    return made.with_loss(np.exp(law.log_loss(theta, made.logs()) + error))


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_derivatives_are_those_of_the_function(law: Law) -> None:
    logs = grid(law).logs()
    theta = np.array([TRUTH[law.name][name] for name in law.parameters])
    slopes = law.evaluate(theta[None], logs)[1][0]
    for k in range(len(theta)):
        step = np.zeros(len(theta))
        step[k] = 1e-6
        numeric = (law.log_loss(theta + step, logs) - law.log_loss(theta - step, logs)) / 2e-6
        assert slopes[k] == pytest.approx(numeric, abs=1e-7)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_a_law_keeps_its_values_when_columns_change_their_unit(law: Law) -> None:
    logs = grid(law).logs()
    theta = np.array([TRUTH[law.name][name] for name in law.parameters])
    shift = {"params": 19.0, "tokens": 22.0, "unique": 22.0, "share": 0.0, "decay": -1.0}
    moved = {column: values - shift[column] for column, values in logs.items()}
    assert law.log_loss(law.rescale(theta, shift), moved) == pytest.approx(
        law.log_loss(theta, logs), abs=1e-10
    )


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_without_noise_the_truth_comes_back_to_a_millionth(law: Law) -> None:
    found = fit(law, grid(law))
    for name, value in TRUTH[law.name].items():
        assert found.parameters[name] == pytest.approx(value, abs=1e-6), name
    assert found.certificate.agreeing > 1


def test_what_is_held_stays_and_the_rest_is_fitted() -> None:
    base = {name: TRUTH["repetition"][name] for name in ("a", "b", "e", "alpha", "beta")}
    found = fit(REPETITION, grid(REPETITION), held=base)
    assert {name: found.parameters[name] for name in base} == pytest.approx(base, abs=1e-12)
    assert found.derived["R_D*"] == pytest.approx(15, abs=1e-5)
    assert found.derived["R_N*"] == pytest.approx(5, abs=1e-5)


def test_a_held_coefficient_is_in_the_columns_own_units() -> None:
    found = fit(CHINCHILLA, grid(CHINCHILLA), held={"a": 6.0})
    assert found.parameters["a"] == 6.0
    assert found.parameters["alpha"] == pytest.approx(0.34, abs=1e-6)


def test_a_noisy_fit_ends_where_no_small_step_gains() -> None:
    data = grid(CHINCHILLA, noise=0.01)
    found = fit(CHINCHILLA, data)
    task = problem(CHINCHILLA, data, HUBER, {})
    steps = np.random.default_rng(1).normal(0, 1e-4, (500, 5))
    around = task.centred(found.theta[None]) + np.vstack([np.zeros(5), steps])
    values = task.values(around, np.ones((1, len(data))))
    assert values[0] * HUBER.scale == pytest.approx(found.value, rel=1e-9)
    assert values[1:].min() >= values[0] * (1 - 1e-9)
    assert found.certificate.gradient < 1e-3
    assert found.certificate.basins[0].value == pytest.approx(found.value)


def test_runs_that_leave_parameters_open_are_fitted_to_the_bottom_all_the_same() -> None:
    tokens = [[7.68, 15.36, 30.72, 61.44]] * 3 + [[12.8, 25.6, 51.2, 102.4], [17.92, 35.84, 71.68, 143.36]]
    loss = [
        6.057, 5.890, 5.612, 5.295, 6.104, 5.985, 5.612, 5.340, 5.989, 5.843, 5.549, 5.298,
        5.988, 5.656, 5.390, 5.045, 5.764, 5.505, 5.128, 4.894, 5.785,
    ]  # fmt: skip
    d = 1e3 * np.append(np.ravel(tokens), 61.44)
    few = runs(
        np.array(loss),
        params=1e3 * np.repeat([63.0, 98.3, 147.2, 63.0], [12, 4, 4, 1]),
        tokens=d,
        unique=np.append(np.minimum(d[:-1], 62e3), 15.36e3),
    )
    found = fit(REPETITION, few, descents=16)
    assert found.value / HUBER.scale <= 227.55703  # scipy's least_squares stopped at 227.559
    assert found.certificate.gradient < 1e-4
    assert "e" in found.certificate.at_bound


def test_objective_is_the_sum_of_huber_penalties_of_log_loss() -> None:
    data = grid(CHINCHILLA, noise=0.01)
    found = fit(CHINCHILLA, data)
    size = np.abs(np.log(found.predict(data)) - np.log(data.loss))
    assert found.value == pytest.approx(
        np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum(), rel=1e-9
    )


def test_squares_of_the_loss_weigh_the_large_losses() -> None:
    data = grid(CHINCHILLA, noise=0.01)
    found = fit(CHINCHILLA, data, SQUARES)
    assert found.value == pytest.approx(((found.predict(data) - data.loss) ** 2).sum() / 2, rel=1e-9)
    assert found.value <= ((fit(CHINCHILLA, data).predict(data) - data.loss) ** 2).sum() / 2


def test_a_robust_fit_shrugs_off_one_diverged_run() -> None:
    data = grid(CHINCHILLA)
    loss = data.loss.copy()
    loss[7] *= 1.5
    assert fit(CHINCHILLA, data.with_loss(loss)).parameters["beta"] == pytest.approx(0.37, abs=1e-4)


def test_every_descent_ends_no_higher_than_it_began() -> None:
    data = grid(CHINCHILLA, noise=0.02)
    task = problem(CHINCHILLA, data, HUBER, {})
    begin = task.centred(CHINCHILLA.starts()[::90])
    weights = np.ones((1, len(data)))
    assert (descend(task, begin, weights, steps=30).value <= task.values(begin, weights)).all()


def test_too_few_runs_and_missing_columns_are_refused() -> None:
    data = grid(CHINCHILLA)
    with pytest.raises(RunsError, match="5 runs for the 5 free parameters"):
        fit(CHINCHILLA, data.take(np.arange(5)))
    with pytest.raises(RunsError, match="missing: params"):
        fit(CHINCHILLA, runs(data.loss, tokens=data.columns["tokens"]))
    with pytest.raises(ValueError, match="has no parameter 'gamma'"):
        fit(CHINCHILLA, data, held={"gamma": 1.0})


def test_a_fit_goes_into_json() -> None:
    out = json.loads(json.dumps(fit(CHINCHILLA, grid(CHINCHILLA, 0.01)).as_dict()))
    assert out["law"] == "chinchilla"
    assert out["certificate"]["starts"] > 4000
