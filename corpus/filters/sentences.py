"""The number of sentences in a line, by rules that know Turkish (and English) abbreviations and ordinals.

A sentence ends at one or more of . ! ? … and similar marks of other scripts, closing quotes and brackets, and
then a space; East Asian full stops need no space. A single full stop ends none before a small letter
(`15. yüzyıl`, `vb. gibi`), after an abbreviation (`Prof. Ak`), an initial (`A. Kaya`) or a number of up to
three digits (`15. Madde`); years end sentences.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.view import I32, U8, U32, U64, fold

# What a code point is, as bits.
_MARK, _CLOSING, _WIDE, _WIDE_CLOSING, _SPACE, _SMALL, _DIGIT, _OPENING = 1, 2, 4, 8, 16, 32, 64, 128
_CHARACTERS = {
    _MARK: ".!?…؟۔।",
    _CLOSING: "\"'”’»)]",
    _WIDE: "。！？｡",
    _WIDE_CLOSING: "」』）",
    _OPENING: "\"'“‘«([-–—•",
}
_CODE_POINTS = 0x110000
_LAST_SMALL = 0x1FBF9  # beyond it Unicode has neither small letters nor digits
_LAST_FOLDED = 0x2200  # beyond it no letter folds to one of an abbreviation

# What stands before a full stop that ends no sentence and before a word with a capital letter: titles,
# honorifics, parts of addresses and of references. Those that a small letter follows need no mention.
_ABBREVIATIONS = frozenset(
    fold(
        "Dr Prof Doç Yrd Öğr Gör Arş Op Uzm Av Müh Mim Ecz Vet Hz Sn Bn Alb Yzb Gen Org Korg Tümg Bkz bk krş "
        "Çev Ed Haz Yay No Nr Cad Cd Sok Sk Mah Mh Apt Blv Bul Tel Md M.Ö M.S T.C A.Ş Ltd Şti Tic San "
        "Mr Mrs Ms St Vol Fig Eq Col Capt Rev Gov Sen Rep pp ca cf"
    ).split()
)
_LONGEST_ABBREVIATION = max(map(len, _ABBREVIATIONS))
_NEAR = 20  # characters looked at on either side of a full stop: a book may be one line
_BITS = np.uint64(9)  # of a code point in the key of an abbreviation


def count_sentences(codes: U32, starts: I32, ends: I32) -> int:
    """Count the sentences of lines (offsets into `codes`, without space around): at least 1 a line."""
    return int(_count(codes, starts, ends, *_tables()))


@cache
def _tables() -> tuple[U8, NDArray[np.uint16], U64]:
    """Return what each code point is, the folded letters that abbreviations may have, and their keys."""
    kinds = np.zeros(_CODE_POINTS, dtype=np.uint8)
    for bit, characters in _CHARACTERS.items():
        kinds[[ord(char) for char in characters]] |= bit
    for code in range(_LAST_SMALL + 1):
        char = chr(code)
        kinds[code] |= _SPACE * char.isspace() | _SMALL * char.islower() | _DIGIT * char.isdigit()
    folds = np.zeros(_LAST_FOLDED, dtype=np.uint16)  # 0: no letter of an abbreviation
    for code in range(_LAST_FOLDED):
        folded = fold(chr(code))
        folds[code] = ord(folded) if ord(folded) < 1 << int(_BITS) else 0
    return kinds, folds, np.array([_key(word) for word in _ABBREVIATIONS], dtype=np.uint64)


def _key(word: str) -> int:
    key = 0
    for char in word:
        key = key << int(_BITS) | ord(char)
    return key


@njit(cache=True)
def _count(codes, starts, ends, kinds, folds, abbreviations):  # type: ignore[no-untyped-def]
    found = 0
    for line in range(starts.size):
        start, end = np.int64(starts[line]), np.int64(ends[line])
        found += 1
        i = start
        while i < end:
            kind = kinds[codes[i]]
            at = i
            i += 1
            if kind & _MARK:
                while i < end and kinds[codes[i]] & _MARK:
                    i += 1
                stop = i
                while i < end and kinds[codes[i]] & _CLOSING:
                    i += 1
                closed = i
                while i < end and kinds[codes[i]] & _SPACE:
                    i += 1
                if i == closed:
                    i = stop
                elif i < end and not (
                    stop == at + 1
                    and codes[at] == 0x2E
                    and _continues(codes, start, at, i, end, kinds, folds, abbreviations)
                ):
                    found += 1
            elif kind & _WIDE:
                while i < end and kinds[codes[i]] & _WIDE:
                    i += 1
                while i < end and kinds[codes[i]] & _WIDE_CLOSING:
                    i += 1
                while i < end and kinds[codes[i]] & _SPACE:
                    i += 1
                if i < end:
                    found += 1
    return found


@njit(cache=True)
def _continues(codes, start, stop, following, end, kinds, folds, abbreviations):  # type: ignore[no-untyped-def]
    """Return whether the sentence continues after the full stop at `stop` with the word at `following`."""
    near = min(end, following + _NEAR)
    while following < near and kinds[codes[following]] & _OPENING:
        following += 1
    if following < near and kinds[codes[following]] & _SMALL:
        return True
    first = stop
    while first > start and stop - first < _NEAR and codes[first - 1] != 0x20:
        first -= 1
    while first < stop and kinds[codes[first]] & _OPENING:
        first += 1
    length = stop - first
    if length == 0 or length > _LONGEST_ABBREVIATION:
        return False
    digits = 0
    known = True
    key = np.uint64(0)
    last = 0
    for i in range(first, stop):
        code = codes[i]
        if kinds[code] & _DIGIT:
            digits += 1
        if code == 0x307 and last == 0x69:  # the dot of an İ in two code points
            continue
        last = folds[code] if code < _LAST_FOLDED else 0
        known = known and last != 0
        key = key << _BITS | np.uint64(last)
    if length == 1 or (digits == length and length <= 3):
        return True
    if known:
        for abbreviation in abbreviations:
            if key == abbreviation:
                return True
    return False
