"""Intervals for future runs: as wide as the law's errors in earlier extrapolations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.errors import RunsError
from corpus.plural import plural
from trainer.scaling.fit import Fit, problem, starts
from trainer.scaling.laws import Floats, Law
from trainer.scaling.minimise import HUBER, Problem, descend
from trainer.scaling.runs import Runs
from trainer.scaling.uncertainty import LEVEL

SPLITS = 10
"""Number of inner splits: each time the law is fitted to the smaller runs and predicts the larger ones."""
LEAST = 0.3
"""The share of the runs to which the first inner split fits."""
FARTHEST = 3.0
"""Leverage beyond which it no longer counts: a first-order error says little so far out."""
HORIZON, LEVERAGE = 0.5, 0.5
"""Growth of an error for each e-fold beyond the fitted runs, and for each unit of leverage.

Not more, on purpose: leverage counted fully makes intervals close by narrow, and they then miss what no law
foresees (benchmarks/README.md, "Prediction intervals").
"""


@dataclass(frozen=True, eq=False)
class Rollout:
    """A law fitted to the runs up to a scale, on the runs above it: ln loss − ln prediction, distance [m]."""

    fitted: int
    error: Floats
    distance: Floats


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted losses [n] with conformal intervals, and their basis.

    `scores` is the number of earlier errors that set the width, `level` LEVEL or the highest that so few can
    support; `ratio` [n] the compute of each target over that of the largest fitted run.
    """

    loss: Floats
    lower: Floats
    upper: Floats
    ratio: Floats
    level: float
    scores: int

    def coverage(self, loss: Floats) -> float:
        """Return the share of measured losses [n] that are inside."""
        return float(((self.lower <= loss) & (loss <= self.upper)).mean())

    @property
    def half_width(self) -> Floats:
        """Return half the interval over the prediction [n]."""
        return (self.upper - self.lower) / (2 * self.loss)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        out = {k: getattr(self, k).tolist() for k in ("loss", "lower", "upper", "ratio")}
        return out | {"level": self.level, "scores": self.scores}


def predict(fitted: Fit, runs: Runs, targets: Runs) -> Predictions:
    """Predict targets with a law fitted to runs, with intervals from rollouts inside these runs.

    The runs are cut at growing compute; each time the law is fitted to those below and predicts those above.
    Errors are measured in units of the distance of the target from the data; their conformal quantile, in
    the same units, is the width at the targets. RunsError if the runs are too few for a cut.
    """
    rolled = rollouts(fitted.law, runs)
    if not rolled:
        raise RunsError(f"{plural(len(runs), 'run')}: too few to hold some of them out: give more sizes")
    misses = np.concatenate([np.abs(one.error) / one.distance for one in rolled])
    task = problem(fitted.law, runs, HUBER, {})
    ratio = targets.compute() / runs.compute().max()
    centre, far = _ask(task, task.centred(fitted.theta[None])[0], targets, ratio)
    width = conformal(misses, LEVEL) * far
    return Predictions(
        loss=np.exp(centre),
        lower=np.exp(centre - width),
        upper=np.exp(centre + width),
        ratio=ratio,
        level=min(LEVEL, len(misses) / (len(misses) + 1)),
        scores=len(misses),
    )


def rollouts(law: Law, runs: Runs) -> list[Rollout]:
    """Fit the law to the runs up to each inner cut; return its errors on the runs above, by growing cuts."""
    key = runs.compute()
    cuts = np.unique(np.quantile(key, np.linspace(LEAST, 1, SPLITS + 1)[:-1], method="lower"))
    rolled = []
    for cut in cuts:
        below = key <= cut
        if below.sum() < len(law.parameters) + 2 or below.all():
            continue
        task = problem(law, runs.take(below), HUBER, {})
        begin = task.centred(starts(task, grid=False))
        ended = descend(task, begin, np.ones((1, int(below.sum()))), steps=80, rest=1e-7)
        above = runs.take(~below)
        centre, far = _ask(task, ended.theta[ended.value.argmin()], above, key[~below] / cut)
        rolled.append(Rollout(int(below.sum()), np.log(above.loss) - centre, far))
    return rolled


def held_out_error(rolled: list[Rollout]) -> float:
    """Return the root mean square error of a law's rollouts; infinite without any.

    A mean over cuts by their number of fitted runs: a fit to more of them is closer to the one that answers.
    """
    if not rolled:
        return float("inf")
    errors = [np.sqrt((one.error**2).mean()) for one in rolled]
    return float(np.average(errors, weights=[one.fitted for one in rolled]))


def conformal(misses: Floats, level: float) -> float:
    """Return the ⌈(m + 1)·level⌉-th smallest of m errors, or the largest if m is too small for that."""
    rank = int(np.ceil((len(misses) + 1) * level))
    return float(np.sort(misses)[min(rank, len(misses)) - 1])


def _ask(task: Problem, theta: Floats, targets: Runs, ratio: Floats) -> tuple[Floats, Floats]:
    """Return ln loss [n] at targets and their distance [n], which grows with `ratio` [n] and leverage.

    The leverage is the standard error of the law there in units of one run's noise.
    """
    logs = targets.logs()
    moved = {column: logs[column] - task.centres[column] for column in task.law.columns}
    value, there = task.law.evaluate(theta[None], moved)
    free = np.flatnonzero(task.free > 0)
    slopes, there = task.law.evaluate(theta[None], task.logs)[1][0][free], there[0][free]
    information = slopes @ slopes.T
    information += 1e-9 * np.trace(information) / len(free) * np.eye(len(free))
    leverage = np.sqrt(np.einsum("pn,pn->n", there, np.linalg.solve(information, there)))
    far = (1 + HORIZON * np.log(np.maximum(ratio, 1))) * (1 + LEVERAGE * np.minimum(leverage, FARTHEST))
    return value[0], far
