"""How often a trainer should read a document, by its number of copies or by a score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The first number of copies for each number of repeats: https://github.com/huggingface/fineweb-2
# (misc/rehydration): documents with very few or very many copies were found the worst.
_COPIES = np.array([1, 2, 3, 5, 100, 1000])
_REPEATS = np.array([1, 2, 3, 5, 8, 1])


def repeats(copies: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how often to read a document of a cluster of this size, as FineWeb2 rehydrates.

    1 → 1, 2 → 2, 3–4 → 3, 5–99 → 5, 100–999 → 8, from 1000 → 1. Raises ValueError for a number of copies
    below one.
    """
    if copies.size and int(copies.min()) < 1:
        raise ValueError(f"a document with {copies.min()} copies: a cluster has at least its survivor")
    return _REPEATS[np.searchsorted(_COPIES, copies, side="right") - 1]


def score_repeats(scores: NDArray[np.floating], curve: Sequence[tuple[float, int]]) -> NDArray[np.int64]:
    """Return how often to read documents with these scores: `curve` has (score, times), ascending.

    Once below the first score, and where the score is nan.
    """
    least = np.array([score for score, _ in curve])
    times = np.array([1, *(number for _, number in curve)])
    known = np.where(np.isnan(scores), -np.inf, scores)
    found: NDArray[np.int64] = times[np.searchsorted(least, known, side="right")]
    return found
