"""Where things end in the bytes of markup."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.maintext.hashing import OFFSET, PRIME, look_up, table

_STATE, _STATE_BITS = table(
    dict.fromkeys(
        b"has no is with without show hide not tag category cat topic subject keyword url on".split()
        + b"lg md sm xl".split(),
        1,
    )
)
# What `meaning` reads; of a type, for numba compiles a function for each plain value again.
IN_NAMES, IN_TEXT = np.bool_(True), np.bool_(False)


@njit(cache=True, inline="always")
def is_letter(c):  # type: ignore[no-untyped-def]
    """Return whether a byte is an ASCII letter."""
    return 97 <= c <= 122 or 65 <= c <= 90


@njit(cache=True, inline="always")
def is_space(c):  # type: ignore[no-untyped-def]
    """Return whether a byte is white space to HTML."""
    return c <= 32


@njit(cache=True, inline="always")
def is_markup(data, at):  # type: ignore[no-untyped-def]
    """Return whether a tag or a comment starts here."""
    if data[at] != 60 or at + 1 >= data.size:
        return False
    c = data[at + 1]
    return c == 33 or c == 47 or c == 63 or is_letter(c)


@njit(cache=True)
def after_text(data, at):  # type: ignore[no-untyped-def]
    """Return where the next markup starts."""
    while at < data.size and not (data[at] == 60 and is_markup(data, at)):
        at += 1
    return at


@njit(cache=True)
def after_byte(data, at, byte):  # type: ignore[no-untyped-def]
    """Return the place after the next such byte."""
    while at < data.size:
        if data[at] == byte:
            return at + 1
        at += 1
    return at


@njit(cache=True)
def after_comment(data, at):  # type: ignore[no-untyped-def]
    """Return the place after the comment whose content starts here."""
    n = data.size
    if at < n and data[at] == 62:
        return at + 1
    if at + 1 < n and data[at] == 45 and data[at + 1] == 62:
        return at + 2
    while at + 2 < n:
        if data[at] == 45 and data[at + 1] == 45:
            if data[at + 2] == 62:
                return at + 3
            if data[at + 2] == 33 and at + 3 < n and data[at + 3] == 62:
                return at + 4
        at += 1
    return n


@njit(cache=True)
def after_raw(data, at, name_start, name_end):  # type: ignore[no-untyped-def]
    """Return where the end tag of an element starts whose content is not markup."""
    n, length = data.size, name_end - name_start
    while at + 2 + length <= n:
        if data[at] == 60 and data[at + 1] == 47:
            same = True
            for i in range(length):
                if data[at + 2 + i] | 32 != data[name_start + i] | 32:
                    same = False
                    break
            if same:
                after = at + 2 + length
                if after >= n or data[after] == 62 or data[after] == 47 or is_space(data[after]):
                    return at
        at += 1
    return n


@njit(cache=True)
def is_blank(data, start, end):  # type: ignore[no-untyped-def]
    """Return whether a run of text is white space, `&nbsp;` included."""
    i = start
    while i < end:
        c = data[i]
        if c == 38 and i + 5 < end and data[i + 1] == 110 and data[i + 2] == 98 and data[i + 3] == 115:
            i += 6
            continue
        if c == 0xC2 and i + 1 < end and data[i + 1] == 0xA0:
            i += 2
            continue
        if c > 32:
            return False
        i += 1
    return True


@njit(cache=True)
def meaning(data, start, end, names, words, bits):  # type: ignore[no-untyped-def]
    """Return the meanings of the words in a stretch, and of each two that follow each other.

    In names (of classes and the like) a capital after a small letter starts a word, white space ends a name,
    and a name that starts as `has-` or `category-` tells of a state or a subject, not of a part of the page.
    """
    found = np.uint64(0)
    before, word, pair = OFFSET, OFFSET, OFFSET
    inside, several, first, skip = False, False, True, False
    last = np.uint8(0)
    for i in range(start, end + 1):
        c = data[i] if i < end else np.uint8(32)
        letter = is_letter(c) or c >= 128
        capital = names and 65 <= c <= 90 and 97 <= last <= 122
        if inside and (not letter or capital):
            inside = False
            if first and names and c != 32 and not capital and look_up(_STATE, _STATE_BITS, word):
                skip = True
            first = False
            if not skip:
                found |= look_up(words, bits, word)
                if several:
                    found |= look_up(words, bits, pair)
            before, several = word, True
        if names and is_space(c):
            several, first, skip = False, True, False
        if letter:
            if not inside:
                inside = True
                word = OFFSET
                pair = (before ^ np.uint64(45)) * PRIME
            folded = np.uint64(c | 32 if 65 <= c <= 90 else c)
            word = (word ^ folded) * PRIME
            pair = (pair ^ folded) * PRIME
        last = c
    return found
