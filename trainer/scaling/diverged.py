"""Runs whose losses no law of the other runs explains: they diverged, or their loss is wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.scaling.fit import fit
from trainer.scaling.laws import Floats, Law
from trainer.scaling.runs import Runs

_FAR = np.log(1.25)
_MISSES = 20.0
"""A loss is absurd if it is off by a quarter and by this many times the median error of all runs …"""
_MOST = 0.25
"""… unless this share of the runs or more are: then the law is wrong, not the runs."""


def diverged(law: Law, runs: Runs) -> tuple[NDArray[np.bool_], Floats]:
    """Return which runs have absurd losses [n], and the losses that the law of the others predicts [n].

    A loss is absurd if it is far from the law. Repeated data may raise a loss as far: then it is absurd only
    if it is above the losses of all runs with no more of anything. Huber's objective is hardly affected by a
    few rows of this kind, so a fit to all runs shows them.
    """
    expected = fit(law, runs, descents=16).predict(runs)
    miss = np.log(runs.loss / expected)
    far = np.abs(miss) > max(_FAR, _MISSES * float(np.median(np.abs(miss))))
    found = far.copy()
    if "unique" in runs.columns and "tokens" in runs.columns:
        columns = np.stack([runs.columns[name] for name in law.columns])
        repeated = runs.columns["tokens"] > 1.001 * runs.columns["unique"]
        for row in np.flatnonzero(far & repeated & (miss > 0)):
            no_more = (columns <= columns[:, [row]]).all(0) & ~far
            found[row] = (runs.loss[row] > runs.loss[no_more]).all()
    if found.mean() > _MOST:
        found[:] = False
    return found, expected


def reasons(loss: str, runs: Runs, absurd: NDArray[np.bool_], expected: Floats) -> list[str]:
    """Return for each absurd run why it is excluded."""
    return [
        f"{loss} is {runs.loss[row]:.4g}, the law of the other runs gives {expected[row]:.4g}: "
        "the run diverged, or the number is wrong"
        for row in np.flatnonzero(absurd)
    ]
