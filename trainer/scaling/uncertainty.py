"""How well runs determine a law: bootstrap over whole runs, profiles, and open intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from trainer.scaling.fit import Fit, problem
from trainer.scaling.laws import Floats
from trainer.scaling.minimise import Problem, descend
from trainer.scaling.runs import Runs

RESAMPLES = 400
LEVEL = 0.95
EDGE = 0.02
"""The share of a parameter's range, next to its bound, that counts as at the bound."""


@dataclass(frozen=True)
class Interval:
    """A range that contains the truth with probability `level`; None where the data set no limit."""

    estimate: float
    lower: float | None
    upper: float | None
    level: float = LEVEL

    @property
    def determined(self) -> bool:
        """Return whether the data limit the value on both sides."""
        return self.lower is not None and self.upper is not None

    def holds(self, value: float) -> bool:
        """Return whether a value is inside; an open side sets no limit."""
        above = self.lower is None or value >= self.lower
        return above and (self.upper is None or value <= self.upper)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, null for an open side."""
        ends = {"estimate": self.estimate, "lower": self.lower, "upper": self.upper, "level": self.level}
        return {**ends, "determined": self.determined}


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits on runs drawn with replacement: `samples` [b, p] in the columns' units.

    `runaway` [b, p] is −1 or 1 where a parameter went to its lower or upper bound.
    """

    fit: Fit
    samples: Floats
    runaway: Floats
    clusters: int

    def interval(self, name: str, level: float = LEVEL) -> Interval:
        """Return a parameter's percentile interval, open where enough resamples went to a bound."""
        k = self.fit.law.index(name)
        return _percentile(self.fit.parameters[name], self.samples[:, k], self.runaway[:, k], level)

    def derived(self, level: float = LEVEL) -> dict[str, Interval]:
        """Return the intervals of the numbers that papers print."""
        law = self.fit.law
        named = [dict(zip(law.parameters, row, strict=True)) for row in self.samples.tolist()]
        drawn = [law.derived(row) for row in named]
        out = {}
        for name, estimate in self.fit.derived.items():
            values = np.array([row[name] for row in drawn])
            source = law.exponentials.get(name)
            runaway = np.zeros(len(values)) if source is None else self.runaway[:, law.index(source)]
            out[name] = _percentile(estimate, values, runaway, level)
        return out

    def predictions(self, runs: Runs | Mapping[str, float], level: float = LEVEL) -> tuple[Floats, Floats]:
        """Return the percentile band [n] of the law's curve over refits, without a single run's noise."""
        logs = runs.logs() if isinstance(runs, Runs) else {k: np.log([float(v)]) for k, v in runs.items()}
        curves = np.exp(self.fit.law.log_loss(self.samples, logs))
        tail = (1 - level) / 2
        low, high = np.quantile(curves, [tail, 1 - tail], axis=0)
        return low, high

    def correlation(self) -> Floats:
        """Return the correlations [p, p] of the parameters; zero for a fixed one."""
        spread = self.samples.std(axis=0)
        centred = (self.samples - self.samples.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        return np.asarray(centred.T @ centred / len(centred))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        free = [name for name in self.fit.law.parameters if name not in self.fit.held]
        return {
            "method": "percentile bootstrap over runs, each resample restarted from every basin",
            "resamples": len(self.samples),
            "clusters": self.clusters,
            "parameters": {name: self.interval(name).as_dict() for name in free},
            "derived": {name: value.as_dict() for name, value in self.derived().items()},
            "correlation": self.correlation().tolist(),
        }


@dataclass(frozen=True, eq=False)
class Profile:
    """The lowest objective for each value of one parameter, with the others fitted again.

    `rise` [k] is the objective's rise in units in which 3.84 is the edge of a 95 % interval (a
    quasi-likelihood ratio, scaled by the residuals' own noise; rows are treated as independent, so the
    bootstrap's interval is the one to quote).
    """

    name: str
    values: Floats
    objective: Floats
    rise: Floats
    interval: Interval

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        out = {"name": self.name, "interval": self.interval.as_dict()}
        return out | {k: getattr(self, k).tolist() for k in ("values", "objective", "rise")}


def bootstrap(fitted: Fit, runs: Runs, count: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """Refit on `count` draws of whole runs (rows of one group stay together), from every basin."""
    task = problem(fitted.law, runs, fitted.objective, fitted.held)
    clusters = runs.clusters()
    number = int(clusters.max()) + 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(number, np.full(number, 1 / number), size=count)[:, clusters].astype(float)
    best = np.full(count, np.inf)
    theta = np.zeros((count, len(fitted.law.parameters)))
    for basin in fitted.certificate.basins:
        start = task.centred(np.array([[basin.parameters[name] for name in fitted.law.parameters]]))
        ended = descend(task, np.repeat(start, count, axis=0), weights, steps=100, rest=1e-6)
        better = ended.value < best
        best = np.where(better, ended.value, best)
        theta = np.where(better[:, None], ended.theta, theta)
    lower, upper = np.array(fitted.law.bounds).T
    edge = EDGE * (upper - lower)
    # an exponent or a coefficient near zero is a finding; only logarithms have no lower limit
    below = (theta <= lower + np.where(lower < 0, edge, 1e-6)) & (task.free > 0)
    above = (theta >= upper - edge) & (task.free > 0)
    return Bootstrap(fitted, task.raw(theta), above.astype(float) - below, number)


def profile(fitted: Fit, runs: Runs, name: str, values: Floats, level: float = LEVEL) -> Profile:
    """Fix one parameter at each of `values` [k], and fit the others from every basin."""
    law = fitted.law
    task = problem(law, runs, fitted.objective, {**fitted.held, name: fitted.parameters[name]})
    index = law.index(name)
    basins = np.array([[b.parameters[p] for p in law.parameters] for b in fitted.certificate.basins])
    starts = np.repeat(basins, len(values), axis=0)
    starts[:, index] = np.tile(values, len(basins))
    weights = np.ones((1, len(runs)))
    ended = descend(task, law.rescale(starts, task.centres), weights)
    lowest = ended.value.reshape(len(basins), len(values)).min(axis=0)
    least = min(fitted.value / fitted.objective.scale, float(lowest.min()))
    rise = 2 * (lowest - least) / noise_factor(fitted, task)
    inside = rise <= 2 * special.gammaincinv(0.5, level)  # of chi-squared with one degree of freedom
    interval = _between(fitted.parameters[name], values, inside, level)
    return Profile(name, values, lowest * fitted.objective.scale, rise, interval)


def around(fitted: Fit, draws: Bootstrap, name: str, points: int = 25) -> Floats:
    """Return values for a profile of a parameter: its interval, three times as wide."""
    k = fitted.law.index(name)
    low, high = np.quantile(draws.samples[:, k], [0.025, 0.975])
    centre = fitted.parameters[name]
    width = max(high - low, 1e-6)
    bottom, top = fitted.law.bounds[k]
    grid = np.linspace(min(low, centre) - width, max(high, centre) + width, points - 1)
    if fitted.law.scales and name in {c for c, _, _ in fitted.law.scales}:
        return np.sort(np.append(grid, centre))
    return np.sort(np.append(np.clip(grid, bottom, top), centre))


def noise_factor(fitted: Fit, task: Problem) -> float:
    """Return E ψ² / E ψ′ of the scaled objective: how its rise compares with half a chi-square.

    ψ is the penalty's derivative. E ψ′ of Huber's penalty counts residuals below delta, too few to count, so
    it is estimated from the residuals' density at zero, in a window that shrinks with their number.
    """
    residual = task.law.log_loss(task.centred(fitted.theta[None])[0], task.logs) - task.log_loss
    if task.objective.space == "loss":
        residual = np.exp(residual + task.log_loss) - np.exp(task.log_loss)
    size, delta, scale = np.abs(residual), task.objective.delta, task.objective.scale
    freedom = max(len(size) - task.free.sum() - 1, 1) / len(size)
    push = float((np.minimum(size, delta) ** 2).mean()) / scale**2 / freedom
    if not np.isfinite(delta):
        return float(push * scale)
    window = max(delta, 0.8 * float(np.median(size)) * 1.4826 * len(size) ** -0.2)
    give = float((size < window).mean()) * (delta / window) / scale
    return float(push / max(give, 1e-300))


def percentiles(estimate: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """Return the percentile interval of a number from each refit [b]; open where refits have none."""
    tail = (1 - level) / 2
    low, high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), [tail, 1 - tail], method="nearest")
    ends = [float(value) if np.isfinite(value) else None for value in (low, high)]
    return Interval(estimate, ends[0], ends[1], level)


def _percentile(estimate: float, values: Floats, runaway: Floats, level: float) -> Interval:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    lower = None if (runaway < 0).mean() >= tail else float(low)
    upper = None if (runaway > 0).mean() >= tail else float(high)
    return Interval(estimate, lower, upper, level)


def _between(estimate: float, values: Floats, inside: Floats, level: float) -> Interval:
    """Return the hull of the values inside, open where it reaches the first or last value."""
    where = np.flatnonzero(inside)
    if not len(where):
        return Interval(estimate, estimate, estimate, level)
    first, last = where[0], where[-1]
    lower = None if first == 0 else float(values[first])
    upper = None if last == len(values) - 1 else float(values[last])
    return Interval(estimate, lower, upper, level)
