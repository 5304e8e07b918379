"""Counts of repetition in a text: lines, paragraphs, n-grams of words, each in one pass over hashes.

The counting convention is datatrove's, from which the limits of FineWeb and FineWeb2 were derived; dolma and
others count differently, and limits do not carry over.

- Duplicate lines and paragraphs: the second and every later occurrence counts, with its characters.
- Top n-gram: all occurrences of the most frequent one (the earliest of equals), overlaps included, with the
  spaces between its words. An n-gram that occurs once counts too.
- Duplicate n-grams: reading from the left, an n-gram seen before counts, without spaces, and reading
continues after it; so no character counts twice.

The n-grams are of tokens (`corpus.text.tokens`), marks among them, as they stand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.view import I32, U64

I64 = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)


def duplicates(hashes: U64, lengths: I32) -> tuple[int, int]:
    """Count the items that repeat an earlier one, and their length together."""
    count, chars = _duplicates(hashes, lengths)
    return int(count), int(chars)


def ngrams(hashes: U64, lengths: I32, top: I64, duplicate: I64) -> tuple[I64, I64]:
    """Count characters: of the top n-gram by each n of `top`, of the repeated ones by each of `duplicate`."""
    found: Any = _ngrams(hashes, lengths, top, duplicate)
    return found[0], found[1]


@njit(cache=True, inline="always")
def _slot(keys, stamps, stamp, key):  # type: ignore[no-untyped-def]
    """Return the place of `key` in an open-addressing table, or the free place where it belongs."""
    mask = keys.size - 1
    at = np.int64((key ^ (key >> np.uint64(32))) & np.uint64(mask))
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & mask
    return at


@njit(cache=True)
def _table_size(items):  # type: ignore[no-untyped-def]
    size = 16
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True)
def _duplicates(hashes, lengths):  # type: ignore[no-untyped-def]
    size = _table_size(hashes.size)
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.uint8)
    count = chars = 0
    for i in range(hashes.size):
        at = _slot(keys, stamps, 1, hashes[i])
        if stamps[at]:
            count += 1
            chars += lengths[i]
        else:
            stamps[at] = 1
            keys[at] = hashes[i]
    return count, chars


@njit(cache=True)
def _ngrams(hashes, lengths, top, duplicate):  # type: ignore[no-untyped-def]
    n_words = hashes.size
    # The hash of any n-gram is a difference of two prefixes of one polynomial, mod 2^64.
    prefix = np.zeros(n_words + 1, np.uint64)
    chars = np.zeros(n_words + 1, np.int64)
    for i in range(n_words):
        prefix[i + 1] = prefix[i] * _BASE + hashes[i]
        chars[i + 1] = chars[i] + lengths[i]
    size = _table_size(n_words)
    keys = np.empty(size, np.uint64)
    counts = np.empty(size, np.int32)
    firsts = np.empty(size, np.int32)
    stamps = np.zeros(size, np.uint8)  # a new stamp empties the table
    stamp = 0
    top_chars = np.zeros(top.size, np.int64)
    for k in range(top.size):
        n = top[k]
        stamp += 1
        power = np.uint64(1)
        for _ in range(n):
            power *= _BASE
        best = best_first = 0
        for i in range(n_words - n + 1):
            key = prefix[i + n] - prefix[i] * power
            at = _slot(keys, stamps, stamp, key)
            if stamps[at] != stamp:
                stamps[at] = stamp
                keys[at] = key
                counts[at] = 0
                firsts[at] = i
            counts[at] += 1
            if counts[at] > best or (counts[at] == best and firsts[at] < best_first):
                best = counts[at]
                best_first = firsts[at]
        if best:
            top_chars[k] = best * (chars[best_first + n] - chars[best_first] + n - 1)
    duplicate_chars = np.zeros(duplicate.size, np.int64)
    for k in range(duplicate.size):
        n = duplicate[k]
        stamp += 1
        power = np.uint64(1)
        for _ in range(n):
            power *= _BASE
        i = 0
        while i < n_words - n + 1:
            key = prefix[i + n] - prefix[i] * power
            at = _slot(keys, stamps, stamp, key)
            if stamps[at] == stamp:
                duplicate_chars[k] += chars[i + n] - chars[i]
                i += n
            else:
                stamps[at] = stamp
                keys[at] = key
                i += 1
    return top_chars, duplicate_chars
