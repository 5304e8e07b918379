"""Modified Kneser-Ney models of characters: estimated from counted n-grams.

Source: Chen and Goodman 1998, Harvard TR-10-98, section 3; counts at the start of a line and the uniform
distribution below unigrams are as in lmplz (Heafield et al. 2013).

An n-gram is a number of up to 64 bits: a symbol is a byte that is not 0, the last one lowest. So a number
also says its order, and n-grams of one context stand together when they are sorted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.quality.symbols import START, U8, Alphabet

U64: TypeAlias = NDArray[np.uint64]
F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

LONGEST = 8
"""The highest order: eight symbols of a byte."""

_BLOCK = 1 << 23  # n-grams that are sorted at a time
_FALLBACK = np.array([0.0, 0.5, 1.0, 1.5])  # discounts where counts of counts give none, as in lmplz
_NEVER = -99.0  # log10 of the probability of the start of a line, which is not predicted


@dataclass(frozen=True, slots=True, eq=False)
class Ngrams:
    """A model: its n-grams of all orders, rising, with their values in log10.

    `backoff` is the weight of the shorter context where the n-gram is a context, and 0 elsewhere.
    """

    alphabet: Alphabet
    order: int
    keys: U64  # [n-grams]
    probability: F32  # [n-grams]
    backoff: F32  # [n-grams]


def fit(texts: Iterable[str], alphabet: Alphabet, order: int) -> Ngrams:
    """Return the model of an order (2 to LONGEST) of texts; ValueError where they have no character."""
    keys, counts = _counted((alphabet.symbols(text) for text in texts), order)
    if not keys.size:
        raise ValueError("the texts have no characters")
    by_order = _adjusted(keys, counts, order)
    lower = np.full(1, 1.0 / (len(alphabet.names()) - 1))  # uniform, without the start of a line
    below = np.zeros(1, np.uint64)
    backoffs: dict[int, tuple[U64, F64]] = {}
    probabilities = []
    for n, (mine, adjusted) in enumerate(by_order, start=1):
        discounts = _discounts(adjusted)
        contexts, first = np.unique(mine >> np.uint64(8), return_index=True)
        group = np.searchsorted(contexts, mine >> np.uint64(8))
        total = np.add.reduceat(adjusted, first).astype(np.float64)
        taken = discounts[np.minimum(adjusted, 3)]
        weight = np.add.reduceat(taken, first) / total
        shorter = lower[np.searchsorted(below, mine & _mask(n - 1))] if n > 1 else lower
        own = (adjusted - taken) / total[group] + weight[group] * shorter
        backoffs[n - 1] = contexts, weight
        probabilities.append(own)
        lower, below = own, mine
    return _joined(alphabet, order, [mine for mine, _ in by_order], probabilities, backoffs)


def _joined(
    alphabet: Alphabet,
    order: int,
    keys: list[U64],
    probabilities: list[F64],
    backoffs: dict[int, tuple[U64, F64]],
) -> Ngrams:
    """Return all orders as one model; the start of a line and unknown characters get unigrams."""
    words = np.array(list(alphabet.names()), np.uint64)
    missing = np.setdiff1d(words[words != START], keys[0])
    unseen = np.full(missing.size, backoffs[0][1][0] / (words.size - 1))
    all_keys = np.concatenate([np.array([START], np.uint64), missing, *keys])
    probability = np.concatenate([[10.0**_NEVER], unseen, *probabilities])
    rising = np.argsort(all_keys)
    all_keys, probability = all_keys[rising], probability[rising]
    backoff = np.ones(all_keys.size)
    for n in range(1, order):
        contexts, weight = backoffs[n]
        backoff[np.searchsorted(all_keys, contexts)] = weight
    with np.errstate(divide="ignore"):
        values = np.log10(probability), np.log10(backoff)
    return Ngrams(alphabet, order, all_keys, values[0].astype(np.float32), values[1].astype(np.float32))


def _mask(n: int) -> np.uint64:
    return np.uint64((1 << (8 * n)) - 1)


def _counted(streams: Iterable[U8], order: int) -> tuple[U64, NDArray[np.int64]]:
    """Return the longest n-gram before each predicted symbol, at most `order` long: sorted, with counts."""
    keys, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    waiting: list[U64] = []
    size = 0
    for symbols in streams:
        waiting.append(_windows(symbols, order))
        size += waiting[-1].size
        if size >= _BLOCK:
            keys, counts = _merged(keys, counts, *np.unique(np.concatenate(waiting), return_counts=True))
            waiting, size = [], 0
    if waiting:
        keys, counts = _merged(keys, counts, *np.unique(np.concatenate(waiting), return_counts=True))
    return keys, counts


@njit(cache=True)
def _windows(symbols, order):  # type: ignore[no-untyped-def]
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * order)
    found = np.empty(symbols.size, np.uint64)
    filled = 0
    window = np.uint64(0)
    for symbol in symbols:
        if symbol == START:
            window = np.uint64(START)
            continue
        window = ((window << np.uint64(8)) | np.uint64(symbol)) & mask
        found[filled] = window
        filled += 1
    return found[:filled].copy()


@njit(cache=True)
def _merged(keys, counts, more, times):  # type: ignore[no-untyped-def]
    """Add two counts of sorted keys."""
    found = np.empty(keys.size + more.size, np.uint64)
    total = np.empty(keys.size + more.size, np.int64)
    i = j = filled = 0
    while i < keys.size or j < more.size:
        if j == more.size or (i < keys.size and keys[i] < more[j]):
            found[filled], total[filled] = keys[i], counts[i]
            i += 1
        elif i == keys.size or more[j] < keys[i]:
            found[filled], total[filled] = more[j], times[j]
            j += 1
        else:
            found[filled], total[filled] = keys[i], counts[i] + times[j]
            i += 1
            j += 1
        filled += 1
    return found[:filled].copy(), total[:filled].copy()


def _adjusted(keys: U64, counts: NDArray[np.int64], order: int) -> list[tuple[U64, NDArray[np.int64]]]:
    """Return the n-grams of each order, sorted, with their adjusted counts.

    That is how often an n-gram was seen if it is of the highest order or starts a line, else the number of
    symbols that were seen before it.
    """
    found: list[tuple[U64, NDArray[np.int64]]] = []
    for n in range(order, 0, -1):
        inside = keys > _mask(n - 1)
        if n < order:
            inside &= keys <= _mask(n)
        mine, adjusted = keys[inside], counts[inside]
        if found:
            suffixes, before = np.unique(found[-1][0] & _mask(n), return_counts=True)
            mine, adjusted = np.concatenate([mine, suffixes]), np.concatenate([adjusted, before])
            rising = np.argsort(mine)
            mine, adjusted = mine[rising], adjusted[rising]
        found.append((mine, adjusted))
    return found[::-1]


def _discounts(adjusted: NDArray[np.int64]) -> F64:
    """Return what is taken from counts of 0, 1, 2, and 3 or more."""
    times = np.bincount(np.minimum(adjusted, 5), minlength=6)[1:5].astype(np.float64)
    if not times.all():
        return _FALLBACK
    share = times[0] / (times[0] + 2 * times[1])
    taken = [k - (k + 1) * share * times[k] / times[k - 1] for k in (1, 2, 3)]
    if not all(0 <= each <= k for k, each in enumerate(taken, start=1)):
        return _FALLBACK
    return np.array([0.0, *taken])
