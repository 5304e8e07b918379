"""Kernels of `substrings`: rolling hashes, winnowing, places of passages, and where spans end."""

from __future__ import annotations

import numpy as np
from numba import njit

LONGEST_WORD = 100
"""Bytes in which a border of words is looked for; a longer word is cut between two characters."""

_GRAM, _PASSAGE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)
"""Odd factors of the rolling hashes modulo 2⁶⁴."""


@njit(cache=True)
def _mixed(h):  # type: ignore[no-untyped-def]
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


@njit(cache=True)
def _power(factor, exponent):  # type: ignore[no-untyped-def]
    result = np.uint64(1)
    for _ in range(exponent):
        result *= factor
    return result


@njit(cache=True)
def _gram_hashes(text, start, end, gram, leaving, hashes):  # type: ignore[no-untyped-def]
    h = np.uint64(0)
    for i in range(start, start + gram):
        h = h * _GRAM + np.uint64(text[i]) + np.uint64(1)
    hashes[0] = _mixed(h)
    for i in range(start + gram, end):
        h = (h - (np.uint64(text[i - gram]) + np.uint64(1)) * leaving) * _GRAM
        h += np.uint64(text[i]) + np.uint64(1)
        hashes[i - gram - start + 1] = _mixed(h)


@njit(cache=True)
def winnowed(text, starts, length, gram):  # type: ignore[no-untyped-def]
    """Return of each gram taken its text, hash and start, and where its first and last passage start."""
    window = length - gram + 1
    leaving = _power(_GRAM, gram - 1)
    longest = 0
    for number in range(starts.size - 1):
        longest = max(longest, starts[number + 1] - starts[number])
    hashes = np.empty(max(longest - gram + 1, 1), np.uint64)
    size = 1024
    out = np.empty((4, size), np.int64)
    keys = np.empty(size, np.uint64)
    count = 0
    for number in range(starts.size - 1):
        start, end = starts[number], starts[number + 1]
        if end - start < length:
            continue
        _gram_hashes(text, start, end, gram, leaving, hashes)
        best = -1
        for first in range(end - start - length + 1):
            taken = best
            if best < first:
                best = first
                for i in range(first + 1, first + window):
                    if hashes[i] <= hashes[best]:  # the last of equal ones, whatever stands before
                        best = i
            elif hashes[first + window - 1] <= hashes[best]:
                best = first + window - 1
            if best != taken:
                if count == size:
                    size *= 2
                    more = np.empty((4, size), np.int64)
                    more[:, :count] = out
                    out = more
                    more_keys = np.empty(size, np.uint64)
                    more_keys[:count] = keys
                    keys = more_keys
                out[0, count], out[1, count], out[2, count] = number, best, first
                keys[count] = hashes[best]
                count += 1
            out[3, count - 1] = first
    return out[0, :count], keys[:count], out[1, :count], out[2, :count], out[3, :count]


@njit(cache=True)
def gathered(text, starts, lengths):  # type: ignore[no-untyped-def]
    """Return pieces of a text one after the other."""
    result = np.empty(lengths.sum(), np.uint8)
    at = 0
    for i in range(starts.size):
        result[at : at + lengths[i]] = text[starts[i] : starts[i] + lengths[i]]
        at += lengths[i]
    return result


@njit(cache=True)
def _is_same(text, one, other, length):  # type: ignore[no-untyped-def]
    i = 0
    while i < length and text[one + i] == text[other + i]:
        i += 1
    return i == length


@njit(cache=True)
def first_places(text, starts, passages, bounds, length):  # type: ignore[no-untyped-def]
    """Look every passage of a bucket up among those of the better members, in a table of open addresses."""
    leaving = _power(_PASSAGE, length - 1)
    size = 1024
    who, where, keys = np.full(size, -1, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
    room = 1024
    out = np.empty((5, room), np.int64)
    count = 0
    for bucket in range(bounds.size - 1):
        low, high = bounds[bucket], bounds[bucket + 1]
        used = 1
        while used < 2 * passages[low:high].sum():
            used *= 2
        if used > size:
            size = used
            who, where, keys = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
        who[:used] = -1
        for member in range(low, high):
            h = np.uint64(0)
            for i in range(starts[member], starts[member] + length):
                h = h * _PASSAGE + np.uint64(text[i]) + np.uint64(1)
            last_who, last_where = -1, -1
            for offset in range(passages[member]):
                at = starts[member] + offset
                if offset:
                    h = (h - (np.uint64(text[at - 1]) + np.uint64(1)) * leaving) * _PASSAGE
                    h += np.uint64(text[at + length - 1]) + np.uint64(1)
                key = _mixed(h)
                slot = np.int64(key & np.uint64(used - 1))
                other, place = -1, -1
                while who[slot] >= 0:
                    if keys[slot] == key:
                        there = starts[who[slot]] + where[slot]
                        goes_on = who[slot] == last_who and where[slot] == last_where + 1
                        if goes_on:
                            same = text[at + length - 1] == text[there + length - 1]
                        else:
                            same = _is_same(text, at, there, length)
                        if same:
                            other, place = who[slot], where[slot]
                            break
                    slot = (slot + 1) & (used - 1)
                if other < 0:
                    who[slot], where[slot], keys[slot] = member, offset, key
                elif other == last_who and place == last_where + 1:
                    out[2, count - 1] += 1
                else:
                    if count == room:
                        room *= 2
                        more = np.empty((5, room), np.int64)
                        more[:, :count] = out
                        out = more
                    out[0, count], out[1, count], out[2, count] = member, offset, 1
                    out[3, count], out[4, count] = other, place
                    count += 1
                last_who, last_where = other, place
    return out[0, :count], out[1, :count], out[2, :count], out[3, :count], out[4, :count]


@njit(cache=True)
def _is_border(text, at):  # type: ignore[no-untyped-def]
    if at == 0 or at == text.size:
        return True
    before, after = text[at - 1], text[at]
    return before == 32 or 9 <= before <= 13 or after == 32 or 9 <= after <= 13


@njit(cache=True)
def at_borders(text, bounds):  # type: ignore[no-untyped-def]
    """Move the ends of spans inwards to the nearest border of words; spans without one vanish."""
    result = np.empty_like(bounds)
    count = 0
    for i in range(len(bounds)):
        start, end = bounds[i, 0], bounds[i, 1]
        first = start
        while first < min(end, start + LONGEST_WORD) and not _is_border(text, first):
            first += 1
        if not _is_border(text, first):
            first = start
            while first < end and text[first] & 0xC0 == 0x80:
                first += 1
        last = end
        while last > max(first, end - LONGEST_WORD) and not _is_border(text, last):
            last -= 1
        if not _is_border(text, last):
            last = end
            while last > first and text[last] & 0xC0 == 0x80:
                last -= 1
        if first < last:
            result[count, 0], result[count, 1] = first, last
            count += 1
    return result[:count]


@njit(cache=True)
def filled(bounds, kept_starts, kept_ends, fill):  # type: ignore[no-untyped-def]
    """Join spans over small gaps of which no range is kept for others."""
    result = np.empty_like(bounds)
    count, removed = 0, 0
    for i in range(len(bounds)):
        start, end = bounds[i, 0], bounds[i, 1]
        if count:
            gap = result[count - 1, 1]
            # Of as many ranges as start before its end, as many have ended by its start.
            is_free = np.searchsorted(kept_starts, start) == np.searchsorted(kept_ends, gap, side="right")
            whole = end - result[count - 1, 0]
            if is_free and removed + end - start >= fill * whole:
                result[count - 1, 1] = end
                removed += end - start
                continue
        result[count, 0], result[count, 1] = start, end
        removed = end - start
        count += 1
    return result[:count]
