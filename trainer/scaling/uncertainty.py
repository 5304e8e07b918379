"""How well runs determine a law: a bootstrap over whole runs, and open intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.scaling.fit import Fit, problem
from trainer.scaling.laws import Floats
from trainer.scaling.minimise import descend
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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        free = [name for name in self.fit.law.parameters if name not in self.fit.held]
        return {
            "method": "percentile bootstrap over runs, each resample restarted from every basin",
            "resamples": len(self.samples),
            "clusters": self.clusters,
            "parameters": {name: self.interval(name).as_dict() for name in free},
            "derived": {name: value.as_dict() for name, value in self.derived().items()},
        }


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
