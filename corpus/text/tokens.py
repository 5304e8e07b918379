"""A text cut into the tokens that the published limits of filters were derived on: words, numbers, marks.

datatrove counts with spaCy's tokenisers, so the rules are theirs, in the order in which spaCy tries them on
every run of characters without space:

- a mark in front (bracket, quote, `#`, `*`, `=`, a currency sign, ...) and a mark or a unit at the end is a
  token, one after another, until none is left;
- numbers, dates and ordinals (`3,5`, `14/1/1970`, `15.`, `XX.`), abbreviations (`Dr.`) and addresses
  (`www.example.com/a-b_c`, `php.ini`) stay whole, with a suffix after an apostrophe (`15.'inci`);
- what remains is cut at hyphens and slashes between letters (`e-posta` is three tokens), at a full stop
  between a small letter and a capital, and at runs of dots.

The rules of Turkish and English are used together: they differ in nothing that is frequent.
Not reproduced: emoticons, and contractions beyond n't, 'll, 've, 're, 'm and 'd. Scripts that
are written without spaces give one token a letter, as words do (`corpus.text.view`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from corpus.text.token_kinds import FACTOR, LETTER, MARK, SEED, SINGLE, SPACE, tables
from corpus.text.token_rules import contraction, infix, is_address, is_special, is_whole, prefix, suffix
from corpus.text.view import I32, U8, U64, TextView

# What a token is, as bits: it has a letter; it is more than marks.
HAS_LETTER, IS_WORD = 1, 2

_MOST_SUFFIXES = 64  # of one run; more stay in its last token


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The tokens of a text in their order; offsets count code points."""

    starts: I32  # [tokens]
    ends: I32  # [tokens]
    hashes: U64  # [tokens] of the letters as they stand
    flags: U8  # [tokens] HAS_LETTER, IS_WORD


@lru_cache(maxsize=1)  # families ask for those of the same text, one after another
def tokens(view: TextView) -> Tokens:
    """Return the tokens of the text of a view."""
    found: Any = _scan(view.codes, *tables())
    return Tokens(*found)


@njit(cache=True, inline="always")
def _stays(codes, kinds, abbreviations, low, high):  # type: ignore[no-untyped-def]
    return is_special(codes, abbreviations, kinds, low, high) or is_whole(codes, kinds, low, high)


@njit(cache=True)
def _scan(codes, kinds, abbreviations, units):  # type: ignore[no-untyped-def]
    """Return the fields of Tokens after `codes`, in their order.

    Buffers have the size of the worst case: memory that is never touched is never resident.
    """
    n = codes.size
    starts = np.empty(n, np.int32)
    ends = np.empty(n, np.int32)
    hashes = np.empty(n, np.uint64)
    flags = np.empty(n, np.uint8)
    suffixes = np.empty(_MOST_SUFFIXES, np.int32)
    count = 0
    i = np.int64(0)  # of a type: a plain number makes numba compile the rules of tokens twice
    while i < n:
        kind = kinds[codes[i]]
        if kind & SPACE:
            i += 1
            continue
        low = i
        plain = True
        while i < n and not kinds[codes[i]] & SPACE:
            if kinds[codes[i]] & SINGLE:
                break
            plain &= (kinds[codes[i]] & LETTER) > 0
            i += 1
        if i == low:  # one letter of a script without spaces
            i += 1
            starts[count], ends[count] = low, i
            count += 1
            continue
        if plain:
            starts[count], ends[count] = low, i
            count += 1
            continue
        high = i
        depth = 0
        while low < high and not _stays(codes, kinds, abbreviations, low, high):
            front = prefix(codes, kinds, low, high)
            if front and low + front < high and is_special(codes, abbreviations, kinds, low + front, high):
                starts[count], ends[count] = low, low + front
                count += 1
                low += front
                break
            back = suffix(codes, kinds, units, low + front, high) if low + front < high else 0
            if depth == suffixes.size:
                back = 0
            if back and is_special(codes, abbreviations, kinds, low, high - back):
                front = 0
            if not front and not back:
                break
            if front:
                starts[count], ends[count] = low, low + front
                count += 1
                low += front
            if back:
                suffixes[depth] = back
                depth += 1
                high -= back
        if low < high:
            at = start = low
            if not _stays(codes, kinds, abbreviations, low, high) and not is_address(codes, kinds, low, high):
                while at < high:
                    mark = infix(codes, kinds, low, at, high) if at > low else 0
                    if not mark:
                        at += 1
                        continue
                    if at > start:
                        starts[count], ends[count] = start, at
                        count += 1
                    starts[count], ends[count] = at, at + mark
                    count += 1
                    at += mark
                    start = at
                short = contraction(codes, start, high)
                if short:
                    starts[count], ends[count] = start, high - short
                    count += 1
                    start = high - short
            if start < high:
                starts[count], ends[count] = start, high
                count += 1
        for k in range(depth - 1, -1, -1):
            starts[count], ends[count] = high, high + suffixes[k]
            high += suffixes[k]
            count += 1
    for token in range(count):
        found = 0
        state = SEED
        for k in range(starts[token], ends[token]):
            kind = kinds[codes[k]]
            state = (state ^ np.uint64(codes[k])) * FACTOR
            if kind & LETTER:
                found |= HAS_LETTER
            if not kind & MARK:
                found |= IS_WORD
        flags[token] = found
        state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        hashes[token] = state ^ (state >> np.uint64(33))
    return starts[:count], ends[:count], hashes[:count], flags[:count]
