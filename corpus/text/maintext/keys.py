"""Small kernels of the features: keys of lines and titles, counts of equal ones, spans of elements."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.maintext.lines import ELEMENT
from corpus.text.maintext.scan import is_letter


@njit(cache=True)
def log(x):  # type: ignore[no-untyped-def]
    """Return the logarithm of one more than a number."""
    return np.log1p(np.float64(x))


@njit(cache=True)
def title_key(data, start, end):  # type: ignore[no-untyped-def]
    """Return the letters and digits of a stretch, small."""
    out = np.empty(end - start, np.uint8)
    n = 0
    for i in range(start, end):
        c = data[i]
        if is_letter(c) or 48 <= c <= 57 or c >= 128:
            out[n] = c + 32 if 65 <= c <= 90 else c
            n += 1
    return out[:n]


@njit(cache=True)
def line_key(data, pieces, first, last, most):  # type: ignore[no-untyped-def]
    """Return a hash of a line's letters and digits, the first `most` of them, and their number."""
    out = np.empty(most, np.uint8)
    n = 0
    key = np.uint64(0xCBF29CE484222325)
    for p in range(first, last):
        for i in range(pieces[p, 0], pieces[p, 1]):
            c = data[i]
            if is_letter(c) or 48 <= c <= 57 or c >= 128:
                c = c + 32 if 65 <= c <= 90 else c
                key = (key ^ np.uint64(c)) * np.uint64(0x100000001B3)
                if n < most:
                    out[n] = c
                n += 1
    return key, out[: min(n, most)], n


@njit(cache=True)
def contains(whole, part):  # type: ignore[no-untyped-def]
    """Return whether one row of bytes holds another."""
    for start in range(whole.size - part.size + 1):
        same = True
        for i in range(part.size):
            if whole[start + i] != part[i]:
                same = False
                break
        if same:
            return True
    return False


@njit(cache=True)
def same_count(keys):  # type: ignore[no-untyped-def]
    """Return for each key how many there are of it, and the place of the first."""
    size = 16
    while size < 2 * keys.size:
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.full(size, -1, np.int32)
    first = np.empty(keys.size, np.int32)
    count = np.zeros(keys.size, np.int32)
    for i in range(keys.size):
        at = (keys[i] ^ (keys[i] >> np.uint64(29))) & mask
        while slots[at] >= 0 and keys[slots[at]] != keys[i]:
            at = (at + np.uint64(1)) & mask
        if slots[at] < 0:
            slots[at] = i
        first[i] = slots[at]
        count[first[i]] += 1
    return first, count


@njit(cache=True)
def span(parent, lines, root, elements):  # type: ignore[no-untyped-def]
    """Return the first line of an element and the place after its last one."""
    within = np.zeros(elements, np.bool_)
    within[root] = True
    for e in range(root + 1, elements):
        within[e] = within[parent[e]]
    start, end = lines.shape[0], 0
    for i in range(lines.shape[0]):
        if within[lines[i, ELEMENT]]:
            start = min(start, i)
            end = i + 1
    return start, max(start, end)
