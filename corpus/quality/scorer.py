"""Texts scored by n-gram models of characters, by a kernel over one packed table."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from corpus.quality.ngrams import Ngrams
from corpus.quality.symbols import START, U8

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class Scorer:
    """A model ready to score texts: its n-grams in one hash table, a cache line for each."""

    def __init__(self, model: Ngrams) -> None:
        self._alphabet = model.alphabet
        self._order = model.order
        self._slots, self._shift = _table(model.keys, model.probability, model.backoff)

    def log10(self, text: str) -> tuple[float, int]:
        """Return the log10 of a text's probability, and how many symbols that is of."""
        return self.log10_of(self._alphabet.symbols(text))

    def log10_of(self, symbols: U8) -> tuple[float, int]:
        """Return the same of symbols of the alphabet."""
        total, number = _score(symbols, self._slots, self._slots.view(np.float32), self._shift, self._order)
        return float(total), int(number)

    def mean(self, text: str) -> float:
        """Return log10 of the probability of a text's characters, on average; nan where it has none."""
        total, number = self.log10(text)
        return total / number if number else math.nan


@njit(cache=True)
def _table(keys, probability, backoff):  # type: ignore[no-untyped-def]
    """Return a hash table of n-grams, at most half full, and the shift of its hash."""
    bits = 4
    while 1 << bits < 2 * keys.size:
        bits += 1
    slots = np.zeros((1 << bits, 2), np.uint64)
    values = slots.view(np.float32)
    shift = np.uint64(64 - bits)
    last = (1 << bits) - 1
    for n in range(keys.size):
        at = np.int64((keys[n] * _FACTOR) >> shift)
        while slots[at, 0]:
            at = (at + 1) & last
        slots[at, 0] = keys[n]
        values[at, 2] = probability[n]
        values[at, 3] = backoff[n]
    return slots, shift


@njit(cache=True, inline="always")
def _find(slots, key, shift):  # type: ignore[no-untyped-def]
    """Return the place of an n-gram, -1 where there is none."""
    at = np.int64((key * _FACTOR) >> shift)
    while slots[at, 0] != key:
        if not slots[at, 0]:
            return -1
        at = (at + 1) & (slots.shape[0] - 1)
    return at


@njit(cache=True)
def _score(symbols, slots, values, shift, order):  # type: ignore[no-untyped-def]
    """Return the sum of log10 of the probabilities of symbols, and their number."""
    total = 0.0
    number = 0
    window = np.uint64(0)
    length = 0
    for symbol in symbols:
        if symbol == START:
            window, length = np.uint64(START), 1
            continue
        window = (window << np.uint64(8)) | np.uint64(symbol)
        length = min(length + 1, order)
        key = window & (_ALL >> np.uint64(64 - 8 * length))
        at = _find(slots, key, shift)
        n = length
        while at < 0:
            context = _find(slots, key >> np.uint64(8), shift)
            if context >= 0:
                total += values[context, 3]
            n -= 1
            key = window & (_ALL >> np.uint64(64 - 8 * n))
            at = _find(slots, key, shift)
        total += values[at, 2]
        number += 1
    return total, number
