"""How well runs determine a law: a bootstrap over whole runs, and open intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.scaling.fit import Fit, problem
from trainer.scaling.laws import Floats, Law
from trainer.scaling.minimise import descend
from trainer.scaling.runs import Runs

RESAMPLES = 400
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
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


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits on runs drawn with replacement: `samples` [b, p] in the columns' units.

    `runaway` [b, p] is −1 or 1 where a parameter went to its lower or upper bound.
    """

    fit: Fit
    samples: Floats
    runaway: Floats
    clusters: int

    def losses(self, columns: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Return the losses of runs with these columns [n], and those by every refit [b, n]."""
        logs = {name: np.log(columns[name]) for name in self.fit.law.columns}
        law = self.fit.law
        return np.exp(law.log_loss(self.fit.theta, logs)), np.exp(law.log_loss(self.samples, logs))

    def gain(self, before: Mapping[str, Floats], after: Mapping[str, Floats]) -> Interval:
        """Return by which share the loss falls from one run to another, each given by its columns [1]."""
        (had, hads), (got, gots) = self.losses(before), self.losses(after)
        return percentiles(float(1 - got[0] / had[0]), (1 - gots / hads)[:, 0])

    def interval(self, name: str) -> Interval:
        """Return a parameter's percentile interval, open where enough resamples went to a bound."""
        k = self.fit.law.index(name)
        return percentile(self.fit.parameters[name], self.samples[:, k], self.runaway[:, k])

    def derived(self) -> dict[str, Interval]:
        """Return the intervals of the numbers that papers print."""
        law = self.fit.law
        named = [dict(zip(law.parameters, row, strict=True)) for row in self.samples.tolist()]
        drawn = [law.derived(row) for row in named]
        out = {}
        for name, estimate in self.fit.derived.items():
            values = np.array([row[name] for row in drawn])
            source = law.exponentials.get(name)
            runaway = np.zeros(len(values)) if source is None else self.runaway[:, law.index(source)]
            out[name] = percentile(estimate, values, runaway)
        return out

    def as_dict(self) -> dict[str, Any]:
        """Return what `trainer.records.plain` turns into JSON."""
        free = [name for name in self.fit.law.parameters if name not in self.fit.held]
        return {
            "method": "percentile bootstrap over runs, each resample restarted from every basin",
            "resamples": len(self.samples),
            "clusters": self.clusters,
            "parameters": {name: self.interval(name) for name in free},
            "derived": self.derived(),
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
    return Bootstrap(fitted, task.raw(theta), runaway(fitted.law, theta) * (task.free > 0), number)


def runaway(law: Law, theta: Floats) -> Floats:
    """Return −1 or 1 where centred parameters [b, p] are at their lower or upper bound, else 0."""
    lower, upper = np.array(law.bounds).T
    edge = EDGE * (upper - lower)
    # an exponent or a coefficient near zero is a finding; only logarithms have no lower limit
    below = theta <= lower + np.where(lower < 0, edge, 1e-6)
    return np.asarray((theta >= upper - edge).astype(float) - below)


def percentiles(estimate: float, drawn: Floats) -> Interval:
    """Return the percentile interval of a number from each refit [b]; open where refits have none."""
    ends = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), [TAIL, 1 - TAIL], method="nearest")
    lower, upper = (float(value) if np.isfinite(value) else None for value in ends)
    return Interval(estimate, lower, upper)


def percentile(estimate: float, values: Floats, runaway: Floats) -> Interval:
    """Return the interval of values [b]; open where as many as its tail went to a bound (runaway −1, 1).

    A value that is not a number, such as the ratio of two exponents of zero, could be anything.
    """
    none = np.isnan(values)
    low, high = np.quantile(values[~none], [TAIL, 1 - TAIL]) if not none.all() else (np.nan, np.nan)
    lower = None if (none | (runaway < 0)).mean() >= TAIL else float(low)
    upper = None if (none | (runaway > 0)).mean() >= TAIL else float(high)
    return Interval(estimate, lower, upper)
