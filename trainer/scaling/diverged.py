"""Runs whose losses no law of the other runs explains: they diverged, or their loss is a mistake."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.scaling.fit import fit
from trainer.scaling.laws import Floats, Law
from trainer.scaling.runs import Runs

_FAR = np.log(1.25)
_MISSES = 20.0
"""A loss is absurd where it is off by a quarter and by so many times the median miss of all runs …"""
_MOST = 0.25
"""… unless so large a share of the runs were: then the law is wrong, not they."""


def diverged(law: Law, runs: Runs) -> tuple[NDArray[np.bool_], Floats]:
    """Return which runs have absurd losses [n], and the losses that the law of the others gives them [n].

    A loss is absurd where it lies far from the law. Data read again and again may raise a loss as far: there
    it is absurd only above the losses of all runs with no more of anything. Huber's objective hardly sees
    single rows of this kind, so a fit to all runs shows them.
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
    """Return for each absurd run why it is left out."""
    return [
        f"{loss} is {runs.loss[row]:.4g} where the law of the other runs gives {expected[row]:.4g}: "
        "the run diverged, or the number is wrong"
        for row in np.flatnonzero(absurd)
    ]
