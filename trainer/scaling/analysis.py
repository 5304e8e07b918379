"""The analysis of runs: the law that answers, its intervals, and a check on the largest runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.errors import RunsError
from trainer.scaling.choice import Candidate, candidates, choose, repeated
from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import Law
from trainer.scaling.prediction import Predictions, predict
from trainer.scaling.rates import seed_noise
from trainer.scaling.runs import Runs
from trainer.scaling.source import Source
from trainer.scaling.uncertainty import RESAMPLES, Bootstrap, bootstrap

HELD_OUT = 0.2
"""The share of runs, those with most compute, that the check holds out and predicts."""
DESCENTS = 16
"""Number of descents of fits that only check or compare."""
_FAR = np.log(1.25)
_MISSES = 20.0
"""A loss is absurd if it is off by a quarter and by this many times the median error of all runs …"""
_MOST = 0.25
"""… unless this share of the runs or more are: then the law is wrong, not the runs."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The runs with most compute, predicted by the law fitted to the `fitted` others."""

    fitted: int
    runs: Runs
    predicted: Predictions

    @property
    def error(self) -> float:
        """Return the median relative error of the predictions."""
        return float(np.median(np.abs(self.predicted.loss / self.runs.loss - 1)))

    @property
    def coverage(self) -> float:
        """Return the share of the runs inside their intervals."""
        return self.predicted.coverage(self.runs.loss)

    @property
    def half_width(self) -> float:
        """Return the median relative half-width of the intervals."""
        return float(np.median(self.predicted.half_width))

    @property
    def farthest(self) -> float:
        """Return how far beyond the fitted runs the largest is, as a factor of compute."""
        return float(self.predicted.ratio.max())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        numbers = ("farthest", "error", "coverage", "half_width")
        return {
            "fitted": self.fitted,
            "predicted": len(self.runs),
            **{name: getattr(self, name) for name in numbers},
            "losses": self.runs.loss.tolist(),
            "intervals": self.predicted,
        }


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of one loss; `compared` are the laws of which the one that answers was chosen.

    `noise` is the standard deviation of ln loss between runs that differ only in their seed, of which there
    are `replicates`; None without such runs.
    """

    loss: str
    runs: int
    clusters: int
    compared: tuple[Candidate, ...]
    fit: Fit
    draws: Bootstrap
    held_out: HeldOut | None
    noise: float | None
    replicates: int


def analyse(source: Source, loss: str, resamples: int = RESAMPLES, seed: int = 0) -> Analysis:
    """Choose a law unless one is named, fit it with intervals, and check it on the largest runs."""
    runs = source.runs(loss)
    law, compared = choose(source.asked.law, runs, seed)
    fitted = fit(law, runs)
    draws = bootstrap(fitted, runs, resamples, seed)
    # not by compute: that of a seed depends on where its windows cut documents
    columns = [column for name, column in runs.columns.items() if name != "compute"]
    noise, replicates = seed_noise(zip(zip(*columns, strict=True), runs.loss.tolist(), strict=True))
    return Analysis(
        loss=loss,
        runs=len(runs),
        clusters=draws.clusters,
        compared=compared,
        fit=fitted,
        draws=draws,
        held_out=held_out(law, runs),
        noise=noise or None,
        replicates=replicates,
    )


def held_out(law: Law, runs: Runs) -> HeldOut | None:
    """Predict the runs with most compute from the others; None if the others are too few for the law."""
    compute = runs.compute()
    below = compute < np.quantile(compute, 1 - HELD_OUT)
    if below.all() or below.sum() < len(law.parameters) + 6:
        return None
    inner, outer = runs.take(below), runs.take(~below)
    try:
        return HeldOut(len(inner), outer, predict(fit(law, inner, descents=DESCENTS), inner, outer))
    except RunsError:  # too few for a rollout
        return None


def without_diverged(source: Source, loss: str) -> Source:
    """Return a source without the rows whose losses are absurd, each with its reason."""
    made = source.runs(loss)
    absurd, why = diverged(loss, candidates(source.asked.law, made)[0], made)
    places = np.array(source.places(loss))[absurd]
    return source.without(dict(zip(places.tolist(), why, strict=True)))


def diverged(loss: str, law: Law, runs: Runs) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which runs have absurd losses [n], and for each of them why it is excluded.

    A loss is absurd if it is far from the law. Repeated data may raise a loss as far: then it is absurd only
    if it is above the losses of all runs with no more of anything. Huber's objective is hardly affected by a
    few rows of this kind, so a fit to all runs shows them.
    """
    expected = fit(law, runs, descents=DESCENTS).predict(runs)
    miss = np.log(runs.loss / expected)
    far = np.abs(miss) > max(_FAR, _MISSES * float(np.median(np.abs(miss))))
    found = far.copy()
    columns = np.stack([runs.columns[name] for name in law.columns])
    for row in np.flatnonzero(far & repeated(runs) & (miss > 0)):
        no_more = (columns <= columns[:, [row]]).all(0) & ~far
        found[row] = no_more.any() and (runs.loss[row] > runs.loss[no_more]).all()
    if found.mean() > _MOST:
        found[:] = False
    why = [
        f"{loss} is {runs.loss[row]:.4g}, the law of the other runs gives {expected[row]:.4g}: "
        "the run diverged, or the number is wrong"
        for row in np.flatnonzero(found)
    ]
    return found, why
