"""The characters of a text as bytes: what n-gram models of `corpus.quality.ngrams` count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.view import character_kinds

U8: TypeAlias = NDArray[np.uint8]

START, END, UNKNOWN = 1, 2, 3
"""Symbols of the start and the end of a line, and of a character that the alphabet has not."""

_FIRST = 4  # symbol of an alphabet's first character
_MOST = 256 - _FIRST
_RAREST = 1e-6  # share of the texts' characters below which one is unknown
_CODE_POINTS = 0x110000
_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BLANK, _BREAK = 0x20, 0x0A


@dataclass(frozen=True)
class Alphabet:
    """The characters that a model knows, in the order of their symbols, which are bytes.

    Digits count as 0, since dates and prices have no subject, and a run of white space as one blank.
    """

    characters: str

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return the most frequent characters of texts, at most 252."""
        counts = np.zeros(_CODE_POINTS, np.int64)
        for text in texts:
            _count(_codes(text), _plain(), counts)
        counts[_BREAK] = 0
        known = np.flatnonzero(counts > _RAREST * counts.sum())
        chosen = known[np.argsort(-counts[known], kind="stable")][:_MOST]
        return cls("".join(map(chr, np.sort(chosen).tolist())))

    def symbols(self, text: str) -> U8:
        """Return the symbols of a text's lines that are not blank, each from START to END."""
        found: U8 = _symbols(_codes(text), _plain(), self._table)
        return found

    def names(self) -> dict[int, str]:
        """Return the word that an ARPA file has for each symbol: the character itself, ▁ for a blank."""
        own = {_FIRST + place: "▁" if sign == " " else sign for place, sign in enumerate(self.characters)}
        return {START: "<s>", END: "</s>", UNKNOWN: "<unk>"} | own

    @cached_property
    def _table(self) -> U8:
        table = np.full(_CODE_POINTS, UNKNOWN, np.uint8)
        for place, sign in enumerate(self.characters):
            table[ord(sign)] = _FIRST + place
        return table


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@cache
def _plain() -> NDArray[np.uint32]:
    """Return what each code point counts as: digits as 0, white space as a blank, breaks as a line feed."""
    table = np.arange(_CODE_POINTS, dtype=np.uint32)
    table[character_kinds()[2]] = _BLANK
    table[[ord(sign) for sign in _BREAKS]] = _BREAK
    table[0x31:0x3A] = 0x30
    return table


@njit(cache=True)
def _count(codes, plain, counts):  # type: ignore[no-untyped-def]
    for code in codes:
        counts[plain[code]] += 1


@njit(cache=True)
def _symbols(codes, plain, table):  # type: ignore[no-untyped-def]
    found = np.empty(2 * codes.size + 2, np.uint8)
    filled = 0
    in_line = blank = False
    for code in codes:
        sign = plain[code]
        if sign == _BREAK:
            if in_line:
                found[filled] = END
                filled += 1
            in_line = blank = False
        elif sign == _BLANK:
            blank = in_line
        else:
            if not in_line:
                found[filled] = START
                filled += 1
                in_line = True
            if blank:
                found[filled] = table[_BLANK]
                filled += 1
                blank = False
            found[filled] = table[sign]
            filled += 1
    if in_line:
        found[filled] = END
        filled += 1
    return found[:filled]
