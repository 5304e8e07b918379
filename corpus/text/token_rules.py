"""The rules of tokens: which runs of characters stay whole, and which marks are tokens of their own."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.token_kinds import (
    ALPHA,
    BEFORE_STOP,
    CURRENCY,
    DIGIT,
    FACTOR,
    HOST,
    INFIX,
    LETTER,
    LONGEST_ABBREVIATION,
    LOWER,
    PREFIX,
    QUOTE,
    SEED,
    SUFFIX,
    UPPER,
)


@njit(cache=True, inline="always")
def _among(hashes, wanted):  # type: ignore[no-untyped-def]
    """Return whether `wanted` is among sorted hashes."""
    low, high = 0, hashes.size - 1
    while low < high:
        middle = (low + high) // 2
        if hashes[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return hashes[low] == wanted


@njit(cache=True, inline="always")
def _hashed(codes, low, high):  # type: ignore[no-untyped-def]
    state = SEED
    for i in range(low, high):
        state = (state ^ np.uint64(codes[i])) * FACTOR
    return state


@njit(cache=True)
def is_special(codes, abbreviations, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return whether the run is an abbreviation, or one small letter with its full stop."""
    size = high - low
    if size == 2 and codes[high - 1] == 0x2E and kinds[codes[low]] & LOWER and codes[low] < 0x100:
        return True
    if size < 2 or size > LONGEST_ABBREVIATION or (codes[high - 1] != 0x2E and codes[high - 1] != 0x2B):
        return False
    return _among(abbreviations, _hashed(codes, low, high))


@njit(cache=True)
def _digits(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return where the run of digits that starts at `low` ends."""
    while low < high and kinds[codes[low]] & DIGIT:
        low += 1
    return low


@njit(cache=True)
def _is_number(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return whether the run is a number, a date, a time, an ordinal, or a Roman numeral."""
    if low == high:
        return True  # an apostrophe and a suffix alone
    stop = high - 1 if codes[high - 1] == 0x2E and high - low > 1 else high
    roman = True
    for i in range(low, stop):
        code = codes[i]
        if not (code == 0x49 or code == 0x56 or code == 0x58 or 0x43 <= code <= 0x44 or 0x4C <= code <= 0x4D):
            roman = False  # none of I V X C D L M
            break
    if roman:
        return True
    i = _digits(codes, kinds, low, high)
    if i == high:
        return True
    if i == low:
        if codes[i] == 0x2B or codes[i] == 0x2D:  # a sign
            low += 1
            i = _digits(codes, kinds, low, high)
            if i == low:
                return False
        else:
            return _is_fraction(codes, kinds, low, high)
    if i == high:
        return True
    if codes[i] == 0x2E and i + 1 == high:
        return True
    mark = codes[i]
    if mark == 0x2E or mark == 0x2C:  # 3,5 or 1.000,50; 14.1.1970, 14.1.
        at = i
        while at < high and (codes[at] == 0x2E or codes[at] == 0x2C):
            end = _digits(codes, kinds, at + 1, high)
            if end == at + 1:
                break
            at = end
        if at == high:
            return True
        return codes[at] == 0x2E and at + 1 == high and i - low <= 2 and at - i <= 3
    if mark == 0x3A:  # 10:30
        at = i
        while at < high and codes[at] == 0x3A:
            end = _digits(codes, kinds, at + 1, high)
            if end == at + 1:
                return False
            at = end
        return at == high
    if (mark == 0x2F or mark == 0x2D) and i - low <= 2:  # 14/1/1970
        at = _digits(codes, kinds, i + 1, high)
        if (
            at > i + 1
            and at < high
            and at - i <= 3
            and (codes[at] == 0x2F or codes[at] == 0x2D or codes[at] == 0x2E)
        ):
            end = _digits(codes, kinds, at + 1, high)
            if end == high and (end - at == 5 or (codes[at] == 0x2E and at + 1 == high)):
                return True
        if at == high and at - i <= 3:
            return True
    return _is_fraction(codes, kinds, low, high)


@njit(cache=True)
def _is_fraction(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return whether the run is letters or digits, one slash, and a number: `KHK/696`, `1/a`."""
    at = low
    while at < high and kinds[codes[at]] & (ALPHA | DIGIT):
        at += 1
    if at == low or at + 1 >= high or codes[at] != 0x2F:
        return False
    if _digits(codes, kinds, at + 1, high) == high:
        return True
    return at + 2 == high and bool(kinds[codes[at + 1]] & ALPHA) and _digits(codes, kinds, low, at) == at


@njit(cache=True)
def is_whole(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return whether the run is a number or starts with an abbreviation, suffixes included."""
    first = codes[low]
    following = kinds[codes[low + 1]] if low + 1 < high else 0
    can_be = kinds[first] & (ALPHA | DIGIT) or (first == 0x27 and following & LOWER)
    if not can_be and not ((first == 0x2B or first == 0x2D) and following & DIGIT):
        return False  # at once: a long run of marks asks this for each of them
    i = low
    while i < high and kinds[codes[i]] & ALPHA:
        i += 1
    if i > low and i + 2 < high and codes[i] == 0x2E and codes[i + 1] == 0x27 and kinds[codes[i + 2]] & LOWER:
        return True
    at = high
    while at > low and kinds[codes[at - 1]] & LOWER:
        at -= 1
    if at < high and at > low and codes[at - 1] == 0x27:
        return _is_number(codes, kinds, low, at - 1)
    return _is_number(codes, kinds, low, high)


@njit(cache=True)
def is_address(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return whether the run is an address: a host of two labels or more, its last of small letters."""
    dots = 0
    for i in range(low, high):
        if codes[i] == 0x2E:
            dots += 1
    if not dots:
        return False
    at = low
    for i in range(low + 2, high - 2):
        if codes[i] == 0x3A and codes[i + 1] == 0x2F and codes[i + 2] == 0x2F:
            at = i + 3
            break
        code = codes[i - 2]
        if not (
            kinds[code] & (LETTER | DIGIT) or code == 0x5F or code == 0x2B or code == 0x2D or code == 0x2E
        ):
            break
    for i in range(high - 1, at, -1):
        if codes[i] == 0x40:
            at = i + 1
            break
    labels = 0
    while True:
        start = at
        small = True
        while at < high and (kinds[codes[at]] & HOST or codes[at] == 0x5F or codes[at] == 0x2D):
            small &= (kinds[codes[at]] & LOWER) > 0
            at += 1
        if at == start or not kinds[codes[start]] & HOST:
            return False
        if at < high and codes[at] == 0x2E and kinds[codes[at - 1]] & HOST and at + 1 < high:
            labels += 1
            at += 1
            continue
        break
    if not labels or not small or at - start < 2:
        return False
    if at < high and codes[at] == 0x3A:
        port = at + 1
        at = _digits(codes, kinds, port, high)
        if at - port < 2:
            return False
    return at == high or codes[at] == 0x2F or codes[at] == 0x3F or codes[at] == 0x23


@njit(cache=True)
def prefix(codes, kinds, low, high):  # type: ignore[no-untyped-def]
    """Return the length of the mark in front of a run."""
    code = codes[low]
    if kinds[code] & PREFIX:
        return 1
    if code == 0x2B:
        return 0 if low + 1 < high and kinds[codes[low + 1]] & DIGIT else 1
    if code == 0x2E:
        at = low
        while at < high and codes[at] == 0x2E:
            at += 1
        return at - low if at - low > 1 else 0
    if (code == 0x43 or code == 0x41) and low + 1 < high and codes[low + 1] == 0x24:
        return 2
    if code == 0x55 and low + 2 < high and codes[low + 1] == 0x53 and codes[low + 2] == 0x24:
        return 3
    return 0


@njit(cache=True)
def suffix(codes, kinds, units, low, high):  # type: ignore[no-untyped-def]
    """Return the length of the mark or unit at the end of a run."""
    last = codes[high - 1]
    kind = kinds[last]
    size = high - low
    if size > 1 and (last == 0x73 or last == 0x53) and (codes[high - 2] == 0x27 or codes[high - 2] == 0x2019):
        return 2
    if kind & SUFFIX:
        return 1
    if last == 0x2E:
        if size > 1 and codes[high - 2] == 0x2E:
            at = high
            while at > low and codes[at - 1] == 0x2E:
                at -= 1
            return high - at
        if size > 1 and kinds[codes[high - 2]] & BEFORE_STOP:
            return 1
        if size > 2 and kinds[codes[high - 2]] & UPPER and kinds[codes[high - 3]] & UPPER:
            return 1
        return 0
    if size > 1 and (last == 0x2B or kind & CURRENCY) and kinds[codes[high - 2]] & DIGIT:
        return 1
    at = high - 1
    while at > low and high - at < 4 and not kinds[codes[at - 1]] & DIGIT:
        at -= 1
    if at > low and kinds[codes[at - 1]] & DIGIT and _among(units, _hashed(codes, at, high)):
        return high - at
    return 0


@njit(cache=True)
def infix(codes, kinds, low, at, high):  # type: ignore[no-untyped-def]
    """Return the length of the mark at `at` that cuts the run from `low` to `high`."""
    code = codes[at]
    kind = kinds[code]
    if kind & INFIX:
        return 1
    if code == 0x2E and at + 1 < high and codes[at + 1] == 0x2E:
        end = at
        while end < high and codes[end] == 0x2E:
            end += 1
        return end - at
    if at == low or at + 1 >= high:
        return 0
    before, after = kinds[codes[at - 1]], kinds[codes[at + 1]]
    is_sign = code == 0x2B or code == 0x2D or code == 0x2A or code == 0x5E
    if is_sign and before & DIGIT and (after & DIGIT or codes[at + 1] == 0x2D):
        return 1
    if code == 0x2E:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if code == 0x2C:
        return 1 if before & ALPHA and after & ALPHA else 0
    if code == 0x3A or code == 0x3C or code == 0x3E or code == 0x3D or code == 0x2F:
        return 1 if before & (ALPHA | DIGIT) and after & ALPHA else 0
    if (code == 0x2D or code == 0x2013 or code == 0x2014 or code == 0x7E) and before & ALPHA:
        end = at + 1
        while end < high and codes[end] == code and code != 0x7E and end - at < 3:
            end += 1
        return end - at if end < high and kinds[codes[end]] & ALPHA else 0
    return 0


@njit(cache=True)
def contraction(codes, low, high):  # type: ignore[no-untyped-def]
    """Return the length of n't, 'll, 've, 're, 'm or 'd at the end of a run of letters."""
    for back in range(2, 4):
        at = high - back
        if at <= low:
            return 0
        if codes[at] != 0x27 and codes[at] != 0x2019:
            continue
        one, two = codes[at + 1], codes[high - 1]
        if back == 2:
            if one == 0x74 and at - 1 > low and codes[at - 1] == 0x6E:
                return 3
            return 2 if one == 0x6D or one == 0x64 else 0
        long = (one == 0x6C and two == 0x6C) or ((one == 0x76 or one == 0x72) and two == 0x65)
        return 3 if long else 0
    return 0
