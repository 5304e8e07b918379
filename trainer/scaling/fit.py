"""Fit a law to runs: screen the start grid, descend from the best, polish, certify the minimum."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from corpus.errors import RunsError
from trainer.scaling.descent import HUBER, Objective, Problem, descend, polish
from trainer.scaling.laws import Floats, Law
from trainer.scaling.runs import Runs
from trainer.scaling.starts import starts

DESCENTS = 48
"""Number of screened starts from which to descend."""
RIVAL = 1.05
"""A minimum whose objective is within this factor of the lowest is polished and shown too."""
SHOWN = 8
"""Largest number of minima that a certificate lists."""
SAME = 1e-6
"""Two objectives this close, relative to their size, are the same minimum."""


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
    seconds: float


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

    def predict(self, runs: Runs | Mapping[str, float]) -> Floats:
        """Return the loss [n] of runs, or [1] of one described by its columns."""
        logs = runs.logs() if isinstance(runs, Runs) else {k: np.log([float(v)]) for k, v in runs.items()}
        return np.exp(self.law.log_loss(self.theta, logs))

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
        raise RunsError(f"law {law.name} needs the columns {needed}; missing: {', '.join(missing)}")
    for name in held:
        law.index(name)
    free = len(law.parameters) - len(held)
    if len(runs) <= free:
        raise RunsError(f"{len(runs)} runs for the {free} free parameters of law {law.name}: give more runs")
    logs = runs.logs()
    centres = {column: float(logs[column].mean()) for column in ("params", "tokens") if column in logs}
    for coefficient, exponent, column in law.scales:
        # a fixed coefficient is a number in the columns' own units: its exponent must not move it
        if coefficient in held and exponent not in held:
            centres[column] = 0.0
    if "unique" in logs:
        centres["unique"] = centres["tokens"]
    shifted = {column: logs[column] - centres[column] for column in law.columns}
    return Problem(law, shifted, np.log(runs.loss), objective, centres, dict(held))


def fit(
    law: Law,
    runs: Runs,
    objective: Objective = HUBER,
    held: Mapping[str, float] | None = None,
    descents: int = DESCENTS,
) -> Fit:
    """Fit a law to runs, with parameters in `held` fixed; RunsError if the runs are too few for it."""
    began = time.perf_counter()
    task = problem(law, runs, objective, held or {})
    weights = np.ones((1, len(runs)))
    candidates = task.centred(starts(task))
    candidates = np.unique(candidates.round(12), axis=0)
    screened = task.values(candidates, weights)
    chosen = candidates[np.argsort(screened, kind="stable")[:descents]]
    ended = descend(task, chosen, weights)
    minima = [
        (i, count)
        for i, count in _basins(ended.theta, ended.value)
        if ended.value[i] <= RIVAL * ended.value.min() + 1e-12
    ]
    shown = max(1, SHOWN * descents // DESCENTS)  # a quick fit is not certified: few minima suffice
    polished = [(*polish(task, ended.theta[i], weights), count) for i, count in minima[:shown]]
    polished.sort(key=lambda found: found[1])
    theta, value, _ = polished[0]
    raw = task.raw(theta[None])[0]
    basins = _distinct(task, polished)
    predicted = np.exp(law.log_loss(theta, task.logs))
    residual = predicted - runs.loss
    lower, upper = np.array(law.bounds).T
    at_bound = (task.free > 0) & ((theta <= lower) | (theta >= upper))
    return Fit(
        law=law,
        objective=objective,
        parameters=_named(law, raw),
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
            basins=basins,
            at_bound=tuple(name for name, bound in zip(law.parameters, at_bound, strict=True) if bound),
            seconds=time.perf_counter() - began,
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


def _basins(theta: Floats, value: Floats) -> list[tuple[int, int]]:
    """Group ends of descents that are close together: (index of the lowest, how many), lowest first."""
    groups: list[tuple[int, int]] = []
    for i in np.argsort(value, kind="stable"):
        for k, (j, count) in enumerate(groups):
            near = np.abs(theta[i] - theta[j]).max() < 0.05
            if near or value[i] - value[j] <= SAME * value[j]:
                groups[k] = (j, count + 1)
                break
        else:
            groups.append((int(i), 1))
    return groups


def _distinct(task: Problem, found: list[tuple[Floats, float, int]]) -> tuple[Basin, ...]:
    """Merge minima that are equal after polishing."""
    basins: list[Basin] = []
    for theta, value, count in found:
        value *= task.objective.scale
        if basins and value - basins[-1].value <= SAME * abs(basins[-1].value):
            last = basins[-1]
            basins[-1] = Basin(last.value, last.descents + count, last.parameters)
        else:
            basins.append(Basin(value, count, _named(task.law, task.raw(theta[None])[0])))
    return tuple(basins)
