"""How well scores separate two groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auc(above: ArrayLike, below: ArrayLike) -> float:
    """Return the chance that a score of one group is higher than one of the other; a tie counts half.

    It is the area under the ROC curve.
    """
    first, second = np.asarray(above, np.float64), np.asarray(below, np.float64)
    rising = np.sort(second)
    lower, ties = np.searchsorted(rising, first, "left"), np.searchsorted(rising, first, "right")
    return float((lower + ties).mean() / 2 / second.size)
