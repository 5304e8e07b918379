"""Fit a law to runs: screen many starts, descend from the best, certify the minimum."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from corpus.errors import RunsError
from corpus.plural import plural
from trainer.scaling.laws import CHINCHILLA, Floats, Law, Logs
from trainer.scaling.minimise import HUBER, Descents, Objective, Problem, descend
from trainer.scaling.runs import Runs

DESCENTS = 48
"""Number of screened starts from which to descend."""
RIVAL = 1.05
"""A minimum whose objective is within this factor of the lowest is shown too."""
STEPS, REST = 3000, 1e-15
"""Of the last descents, from the lowest minima: they end where no step gains anything."""
SHOWN = 8
"""Largest number of minima that a certificate lists."""
SAME = 1e-6
"""Two objectives this close, relative to their size, are the same minimum."""

EXPONENTS = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.43, 0.5, 0.6, 0.7, 0.85, 1.0, 1.3, 1.8])
KEPT = 12
"""Number of exponents of the projection's grid that become starts."""


@dataclass(frozen=True)
class Basin:
    """A local minimum: its objective, the number of descents that ended in it, its parameters."""

    value: float
    descents: int
    parameters: dict[str, float]


@dataclass(frozen=True)
class Certificate:
    """Evidence for the optimum: starts tried, descents that agree, gradient, other minima.

    `gradient` is the norm of the gradient of objective/delta² with every direction measured in units of its
    Gauss–Newton uncertainty; `at_bound` names parameters that reached a bound.
    """

    starts: int
    descents: int
    agreeing: int
    gradient: float
    basins: tuple[Basin, ...]
    at_bound: tuple[str, ...]


@dataclass(frozen=True)
class Fit:
    """A fitted law. `value` is the unscaled objective, a sum over runs; `r2` and `error` are of the loss."""

    law: Law
    objective: Objective
    parameters: dict[str, float]
    held: dict[str, float]
    value: float
    runs: int
    r2: float
    error: float
    certificate: Certificate

    @property
    def theta(self) -> Floats:
        """Return the parameters [p] in the law's order."""
        return np.array([self.parameters[name] for name in self.law.parameters])

    @property
    def derived(self) -> dict[str, float]:
        """Return the numbers that papers print: E, A, B, the exponents of the compute-optimal N and D."""
        return self.law.derived(self.parameters)

    def predict(self, runs: Runs) -> Floats:
        """Return the loss [n] of runs."""
        return np.exp(self.law.log_loss(self.theta, runs.logs()))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "objective": asdict(self.objective) | {"words": self.objective.describe()},
            "parameters": self.parameters,
            "derived": self.derived,
            "held": self.held,
            "value": self.value,
            "runs": self.runs,
            "r2": self.r2,
            "mean_relative_error": self.error,
            "certificate": asdict(self.certificate),
        }


def problem(law: Law, runs: Runs, objective: Objective, held: Mapping[str, float]) -> Problem:
    """Centre the runs' logarithms for a law; RunsError if a column is missing or the runs are too few."""
    missing = [column for column in law.columns if column not in runs.columns]
    if missing:
        needed = ", ".join(law.columns)
        options = " and ".join(f"--{column}" for column in missing)
        raise RunsError(
            f"law {law.name} needs the columns {needed}; missing: {', '.join(missing)}: name them "
            f"with {options}"
        )
    for name in held:
        law.index(name)
    free = len(law.parameters) - len(held)
    if len(runs) <= free:
        raise RunsError(
            f"{plural(len(runs), 'run')} for the {free} free parameters of law {law.name}: give more runs"
        )
    logs = runs.logs()
    centred = [column for column in ("params", "tokens", "decay") if column in logs]
    centres = {column: float(logs[column].mean()) for column in centred}
    for coefficient, exponent, column in law.scales:
        # a fixed coefficient is a number in the columns' own units: its exponent must not move it
        if coefficient in held and exponent not in held:
            centres[column] = 0.0
    if "unique" in logs:
        centres["unique"] = centres["tokens"]
    shifted = {column: logs[column] - centres.setdefault(column, 0.0) for column in law.columns}
    return Problem(law, shifted, np.log(runs.loss), objective, centres, dict(held))


def fit(
    law: Law,
    runs: Runs,
    objective: Objective = HUBER,
    held: Mapping[str, float] | None = None,
    descents: int = DESCENTS,
) -> Fit:
    """Fit a law to runs, with parameters in `held` fixed; RunsError if the runs are too few for it."""
    task = problem(law, runs, objective, held or {})
    weights = np.ones((1, len(runs)))
    candidates = task.centred(starts(task))
    candidates = np.unique(candidates.round(12), axis=0)
    screened = task.values(candidates, weights)
    chosen = candidates[np.argsort(screened, kind="stable")[:descents]]
    ended = descend(task, chosen, weights)
    least = RIVAL * ended.value.min() + 1e-12
    shown = max(1, SHOWN * descents // DESCENTS)  # a quick fit is not certified: few minima suffice
    minima = [(i, count) for i, count in _minima(ended, [1] * len(chosen)) if ended.value[i] <= least][:shown]
    lowest = descend(task, ended.theta[[i for i, _ in minima]], weights, STEPS, REST)
    raw = task.raw(lowest.theta)
    minima = _minima(lowest, [count for _, count in minima])
    best = minima[0][0]
    theta, value = lowest.theta[best], float(lowest.value[best])
    predicted = np.exp(law.log_loss(theta, task.logs))
    residual = predicted - runs.loss
    lower, upper = np.array(law.bounds).T
    at_bound = (task.free > 0) & ((theta <= lower) | (theta >= upper))
    return Fit(
        law=law,
        objective=objective,
        parameters=_named(law, raw[best]),
        held=dict(held or {}),
        value=value * objective.scale,
        runs=len(runs),
        r2=float(1 - (residual**2).sum() / max(((runs.loss - runs.loss.mean()) ** 2).sum(), 1e-300)),
        error=float(np.abs(residual / runs.loss).mean()),
        certificate=Certificate(
            starts=len(candidates),
            descents=len(chosen),
            agreeing=int((ended.value <= value * (1 + SAME) + 1e-12).sum()),
            gradient=gradient_norm(task, theta, weights),
            basins=tuple(
                Basin(float(lowest.value[i]) * objective.scale, count, _named(law, raw[i]))
                for i, count in minima
            ),
            at_bound=tuple(name for name, bound in zip(law.parameters, at_bound, strict=True) if bound),
        ),
    )


def gradient_norm(task: Problem, theta: Floats, weights: Floats) -> float:
    """Return sqrt(gᵀ M⁻¹ g) over the free parameters: the distance from the optimum in uncertainties."""
    _, gradient, matrix = task.system(theta[None], weights)
    lower, upper = np.array(task.law.bounds).T
    inside = np.flatnonzero((task.free > 0) & (theta > lower) & (theta < upper))
    if not len(inside):
        return 0.0
    slope, block = gradient[0][inside], matrix[0][np.ix_(inside, inside)]
    return float(np.sqrt(max(0.0, slope @ np.linalg.lstsq(block, slope, rcond=1e-12)[0])))


def _named(law: Law, theta: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(law.parameters, theta, strict=True)}


def _minima(ended: Descents, counts: list[int]) -> list[tuple[int, int]]:
    """Group ends at the same minimum: (index of the lowest, descents that it stands for), lowest first."""
    groups: list[tuple[int, int]] = []
    theta, value = ended.theta, ended.value
    for i in np.argsort(value, kind="stable"):
        for k, (j, count) in enumerate(groups):
            near = np.abs(theta[i] - theta[j]).max() < 0.05
            if near or value[i] - value[j] <= SAME * value[j]:
                groups[k] = (j, count + counts[i])
                break
        else:
            groups.append((int(i), counts[i]))
    return groups


def starts(task: Problem, grid: bool = True) -> Floats:
    """Return all starts [k, p] in the columns' own units; without `grid` only a few, for many quick fits."""
    law = task.law
    if law.powers:
        projected = task.raw(project(law, task.logs, task.log_loss))
        return np.concatenate([law.starts(), projected]) if grid else projected
    every = _extended(task)
    return every if grid else every[:: max(1, len(every) // 50)]


def project(law: Law, logs: Logs, log_loss: Floats) -> Floats:
    """Return starts [k, p] by variable projection (Golub and Pereyra 1973).

    With fixed exponents a sum of powers is linear in its coefficients, which non-negative least squares of
    the relative error finds directly; here over a grid of exponents, with the best of all subsets of terms.
    """
    names = list(dict.fromkeys(exponent for _, exponent, _ in law.powers))
    grid = np.array(list(itertools.product(EXPONENTS, repeat=len(names))))
    columns = [np.ones((len(grid), len(log_loss)))]
    for _, exponent, column in law.powers:
        columns.append(np.exp(-grid[:, [names.index(exponent)]] * logs[column]))
    design = np.stack(columns, axis=1) * np.exp(-log_loss)
    gram, right = design @ design.transpose(0, 2, 1), design.sum(axis=2)
    terms = design.shape[1]
    best = np.full(len(grid), np.inf)
    weights = np.zeros((len(grid), terms))
    for size in range(1, terms + 1):
        for subset in itertools.combinations(range(terms), size):
            part = gram[:, subset][:, :, subset] + 1e-12 * np.eye(size)
            solved = np.linalg.solve(part, right[:, subset][:, :, None])[:, :, 0]
            left = len(log_loss) - (solved * right[:, subset]).sum(axis=1)
            better = (solved > 0).all(axis=1) & (left < best)
            best = np.where(better, left, best)
            full = np.zeros((len(grid), terms))
            full[:, subset] = solved
            weights = np.where(better[:, None], full, weights)
    order = np.argsort(best, kind="stable")[:KEPT]
    heights = np.log(np.maximum(weights[order], 1e-6))
    theta = np.empty((len(order), len(law.parameters)))
    theta[:, law.index("e")] = heights[:, 0]
    for k, (coefficient, exponent, _) in enumerate(law.powers, 1):
        theta[:, law.index(coefficient)] = heights[:, k]
        theta[:, law.index(exponent)] = grid[order, names.index(exponent)]
    return theta


def _extended(task: Problem) -> Floats:
    """Join starts of the base law, from the runs that repeat least, with the grid of the other parameters."""
    law = task.law
    epochs = task.logs["tokens"] - task.logs["unique"]
    single = epochs <= max(0.02, float(np.sort(epochs)[min(len(epochs) - 1, 2 * len(CHINCHILLA.parameters))]))
    logs = {column: task.logs[column][single] for column in CHINCHILLA.columns}
    # of the untied law too: the mean of two exponents is a better start than one for both
    base = project(CHINCHILLA, logs, task.log_loss[single])
    if "beta" not in law.parameters:
        base = np.column_stack([base[:, :3], (base[:, 3] + base[:, 4]) / 2])
    more = np.array(list(itertools.product(*law.grid.values())))
    theta = np.concatenate([np.column_stack([np.tile(one, (len(more), 1)), more]) for one in base])
    return task.raw(theta)
