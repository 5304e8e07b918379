"""How well scores tell two groups apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


def auc(above: ArrayLike, below: ArrayLike) -> float:
    """Return the chance that a score of one group is higher than one of the other; a tie counts half.

    The area under the ROC curve, by the rank sum of Mann and Whitney.
    """
    first, second = np.asarray(above, np.float64), np.asarray(below, np.float64)
    ranks = rankdata(np.concatenate([first, second]))
    highest = ranks[: first.size].sum() - first.size * (first.size + 1) / 2
    return float(highest / (first.size * second.size))
