"""Stems: folded words cut after five letters, so that most suffixes of Turkish make no difference.

"Ankara'nın" and "ANKARA" have the stem "ankar"; marks and case are folded away by `corpus.text.view`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.view import TextView, view

STEM_LETTERS = 5


@njit(cache=True)
def _stems(folded, word_starts, word_ends):  # type: ignore[no-untyped-def]
    found = np.empty(word_starts.size, dtype=np.uint64)
    for word in range(word_starts.size):
        h = np.uint64(0xCBF29CE484222325)  # FNV-1a
        letters = 0
        for at in range(word_starts[word], word_ends[word]):
            byte = folded[at]
            if byte & 0xC0 != 0x80:  # the first byte of a letter
                letters += 1
                if letters > STEM_LETTERS:
                    break
            h = (h ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        found[word] = h
    return found


def stems(seen: TextView) -> NDArray[np.uint64]:
    """Return the hash, uint64[words], of the stem of each word of a text."""
    return hashed(seen.folded, seen.word_starts, seen.word_ends)


def hashed(
    folded: NDArray[np.uint8], word_starts: NDArray[np.integer[Any]], word_ends: NDArray[np.integer[Any]]
) -> NDArray[np.uint64]:
    """Return the hashes of the stems of words, as a `TextView` has them."""
    found: NDArray[np.uint64] = _stems(folded, word_starts, word_ends)
    return found


def stems_of(text: str) -> NDArray[np.uint64]:
    """Return the hashes of the stems of a text."""
    return stems(view(text))
