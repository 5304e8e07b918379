"""Which of a few words a text has, by hashes in one pass."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.view import U64, TextView, word_hashes


def present(view: TextView, words: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return whether the text has each of `words` (single words, compared folded): [len(words)]."""
    wanted, order = _sorted(words)
    found: Any = _present(view.word_hashes, wanted)
    return np.asarray(found[order])


@cache
def _sorted(words: tuple[str, ...]) -> tuple[U64, NDArray[np.intp]]:
    """Return the different hashes of the words, sorted, and the place of each word among them."""
    hashes = np.array([word_hashes(word)[0] for word in words], dtype=np.uint64)
    wanted, order = np.unique(hashes, return_inverse=True)
    return wanted, order


@njit(cache=True)
def _present(hashes, wanted):  # type: ignore[no-untyped-def]
    seen = np.zeros(wanted.size, np.bool_)
    if wanted.size == 0:
        return seen
    for i in range(hashes.size):
        low, high = 0, wanted.size - 1
        while low < high:
            middle = (low + high) // 2
            if wanted[middle] < hashes[i]:
                low = middle + 1
            else:
                high = middle
        if wanted[low] == hashes[i]:
            seen[low] = True
    return seen
