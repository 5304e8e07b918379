"""The lines and words of a text, found once and read by every filter and by the signature.

A *word* is a maximal run of letters, digits and combining marks that starts with a letter or digit. An
apostrophe (' or ’) between two of them belongs to it, so `Türkiye'nin` is one word, and so does one of
. , / : between two digits (`3,5`, `14/1/1970`); hyphen and underscore split. Scripts that are written without
spaces give one word a letter. Published limits of filters count other pieces: `corpus.text.tokens`.

Words are compared *folded*: lower case by code point, and I, İ, ı and i all become i, so that no case
variant of a Turkish word is split from the others whatever the language; marks stay (ölü is not olu).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
I32: TypeAlias = NDArray[np.int32]
U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]

# What a code point is, as bits; a word's flags are the bits of its code points together.
LETTER, DIGIT, MARK, SINGLE, SPACE, BREAK, APOSTROPHE, STOP = 1, 2, 4, 8, 16, 32, 64, 128

# What a line is, as bits. BULLET: starts with • or -; ELLIPSIS: ends in ... or …; SENTENCE: ends in a mark
# that ends sentences; C4_END: ends in a mark of the C4 paper (. ? ! ").
BULLET, ELLIPSIS, SENTENCE, C4_END = 1, 2, 4, 8

_CODE_POINTS = 0x110000
_SEED, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_ASSIGNED = (range(0x323B0), range(0xE0000, 0xE01F0))  # beyond them: private use and nothing
_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")  # as str.splitlines
_JOINERS = frozenset("\u200c\u200d")  # inside Persian and Indic words; outside words in emoji
_LAST_SPACE, _LAST_CASED, _LAST_SYMBOL = 0x3000, 0x1E943, 0x1FB00
# Unicode's Sentence_Terminal in the scripts of the basic plane, and the ellipsis.
_STOPS = frozenset(
    "!.?…։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥၊။።፧፨᙮᜵᜶។៕᠃᠉᥄᥅᪨᪩᪪᪫᭎᭏᭚᭛᭞᭟᭽᭾᭿᰻᰼᱾᱿․‼‽⁇⁈⁉⳹⳺⳻⸮⸼⹓⹔⹠⹡。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫︒︕︖﹒﹖﹗！．？｡"
)
_WITHOUT_SPACES = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Myanmar
    range(0x1780, 0x1800),  # Khmer
    range(0x2E80, 0x3100),  # Han radicals, Hiragana, Katakana
    range(0x3100, 0x3130),  # Bopomofo
    range(0x31A0, 0x3200),  # Bopomofo and Katakana extensions
    range(0x3400, 0xA000),  # Han
    range(0xF900, 0xFB00),  # Han compatibility
    range(0xFF66, 0xFF9E),  # half-width Katakana
    range(0x1AFF0, 0x1B170),  # Kana extensions
    range(0x20000, 0x323B0),  # Han extensions
)


@dataclass(frozen=True, slots=True, eq=False)
class TextView:
    """A text with the places of its lines and words; offsets count code points unless said otherwise."""

    text: str
    codes: U32  # [n] the text's code points
    line_starts: I32  # [lines] lines are stripped and not empty
    line_ends: I32  # [lines]
    line_hashes: U64  # [lines] of the line as it stands
    line_marks: U8  # [lines] BULLET, ELLIPSIS, SENTENCE, C4_END
    line_words: I32  # [lines + 1] the words of line i are line_words[i]:line_words[i + 1]
    paragraph_lines: I32  # [paragraphs + 1] the same; a blank line separates paragraphs
    word_code_starts: I32  # [words]
    word_code_ends: I32  # [words]
    word_hashes: U64  # [words] of the folded word
    word_flags: U8  # [words] LETTER, DIGIT, MARK and others of what is in the word
    folded: U8  # [bytes] UTF-8 of all folded words, a space between two
    word_starts: I32  # [words] byte offsets into folded
    word_ends: I32  # [words]

    @property
    def words(self) -> int:
        return self.word_hashes.size

    @property
    def lines(self) -> int:
        return self.line_starts.size

    @property
    def paragraphs(self) -> int:
        return self.paragraph_lines.size - 1

    def line(self, index: int) -> str:
        return self.text[self.line_starts[index] : self.line_ends[index]]


def view(text: str) -> TextView:
    """Find the lines and words of `text` (a few microseconds a kilobyte); any string is allowed."""
    # A lone surrogate (JSON can spell one) is a symbol here, not an error.
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return TextView(text, codes, *_scan(codes, *_tables()))


def words(text: str) -> list[str]:
    """Return the folded words of `text` in plain Python: the definition that `view`'s kernel must meet."""
    found: list[str] = []
    word = ""
    single = False
    for at, char in enumerate(text):
        kind = _kind(char)
        following = _kind(text[at + 1]) if at + 1 < len(text) else 0
        in_number = char in ".,/:" and bool(word) and _kind(word[-1]) & following & DIGIT
        joined = (in_number or kind & APOSTROPHE) and following & (LETTER | DIGIT) and not following & SINGLE
        goes_on = bool(word) and (
            kind & MARK or (not single and (joined or (kind & (LETTER | DIGIT) and not kind & SINGLE)))
        )
        if goes_on:
            word += char
            continue
        if word:
            found.append(word)
        word = char if kind & (LETTER | DIGIT) else ""
        single = bool(kind & SINGLE)
    return [fold(word) for word in [*found, word] if word]


def fold(text: str) -> str:
    """Write `text` as words are compared: I İ ı i are one letter, others in simple lower case, ’ is '."""
    folded = ""
    for char in text:
        if char == "\u0307" and folded.endswith("i"):  # the dot that lower() leaves after İ, or NFD's
            continue
        folded += _fold(char)
    return folded


def word_hashes(text: str) -> U64:
    """Return the hash of each word of `text`, to look words up in a `TextView`."""
    return view(text).word_hashes


def _kind(char: str) -> int:
    if char.isspace():
        return SPACE | BREAK if char in _BREAKS else SPACE
    if char in "'’":
        return APOSTROPHE
    if char in _STOPS:
        return STOP
    category = unicodedata.category(char)
    if category[0] == "L":
        return LETTER | SINGLE if any(ord(char) in script for script in _WITHOUT_SPACES) else LETTER
    if category[0] == "N":
        return DIGIT
    return MARK if category[0] == "M" or char in _JOINERS else 0


def _fold(char: str) -> str:
    if char in "Iİı":
        return "i"
    return "'" if char == "’" else char.lower()


@cache
def character_kinds() -> tuple[NDArray[np.bool_], ...]:
    """Return which code points are letters, cased, spaces, symbols (So), and of a script without spaces."""
    kinds, _ = _tables()
    cased = np.zeros(_CODE_POINTS, dtype=bool)
    for code in np.flatnonzero(kinds[: _LAST_CASED + 1] & LETTER).tolist():
        cased[code] = chr(code).islower() or chr(code).isupper()
    symbols = np.zeros(_CODE_POINTS, dtype=bool)
    for code in np.flatnonzero(kinds[:_LAST_SYMBOL] == 0).tolist():
        symbols[code] = unicodedata.category(chr(code)) == "So"
    return (kinds & LETTER) > 0, cased, (kinds & SPACE) > 0, symbols, (kinds & SINGLE) > 0


@cache
def _tables() -> tuple[U8, U32]:
    """Return `_kind` and `_fold` of every code point, by ranges because each process pays for it."""
    kinds = np.zeros(_CODE_POINTS, dtype=np.uint8)
    by_category = np.zeros(128, dtype=np.uint8)
    by_category[[ord("L"), ord("N"), ord("M")]] = LETTER, DIGIT, MARK
    for block in _ASSIGNED:
        categories = "".join(map(unicodedata.category, map(chr, block)))  # of two letters each
        kinds[block.start : block.stop] = by_category[np.frombuffer(categories.encode(), np.uint8)[::2]]
    for script in _WITHOUT_SPACES:
        part = kinds[script.start : script.stop]
        part[part == LETTER] |= SINGLE
    folds = np.arange(_CODE_POINTS, dtype=np.uint32)
    folded = [char.lower() for char in map(chr, range(_LAST_CASED + 1))]
    for char in "Iİı’":  # all that `_fold` knows besides
        folded[ord(char)] = _fold(char)
    folds[: _LAST_CASED + 1] = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), np.uint32)
    for code in (*range(_LAST_SPACE + 1), *map(ord, _STOPS)):
        if kinds[code] == 0:
            kinds[code] = _kind(chr(code))
    return kinds, folds


@njit(cache=True, inline="always")
def _put(buffer, at, code):  # type: ignore[no-untyped-def]
    """Write one code point as UTF-8 and return where the next one goes."""
    if code < 0x80:
        buffer[at] = code
        return at + 1
    if code < 0x800:
        buffer[at] = 0xC0 | (code >> 6)
        buffer[at + 1] = 0x80 | (code & 0x3F)
        return at + 2
    if code < 0x10000:
        buffer[at] = 0xE0 | (code >> 12)
        buffer[at + 1] = 0x80 | ((code >> 6) & 0x3F)
        buffer[at + 2] = 0x80 | (code & 0x3F)
        return at + 3
    buffer[at] = 0xF0 | (code >> 18)
    buffer[at + 1] = 0x80 | ((code >> 12) & 0x3F)
    buffer[at + 2] = 0x80 | ((code >> 6) & 0x3F)
    buffer[at + 3] = 0x80 | (code & 0x3F)
    return at + 4


@njit(cache=True, inline="always")
def _mixed(state):  # type: ignore[no-untyped-def]
    """Murmur3's finaliser: the low bits of a product know nothing of the high bits of its letters."""
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return state ^ (state >> np.uint64(33))


@njit(cache=True, inline="always")
def _in_number(code):  # type: ignore[no-untyped-def]
    """Return whether a code point may stand between two digits: . , / :"""
    return code == 0x2E or code == 0x2C or code == 0x2F or code == 0x3A


@njit(cache=True)
def _lines(codes, kinds, starts, ends):  # type: ignore[no-untyped-def]
    """Return the hash and the marks of each line."""
    hashes = np.empty(starts.size, np.uint64)
    marks = np.zeros(starts.size, np.uint8)
    for line in range(starts.size):
        start, end = starts[line], ends[line]
        state = _SEED
        for i in range(start, end):
            state = (state ^ np.uint64(codes[i])) * _FACTOR
        hashes[line] = _mixed(state)
        first, last = codes[start], codes[end - 1]
        found = 0
        if first == 0x2022 or first == 0x2D:
            found |= BULLET
        dots = end - start >= 3 and last == 0x2E and codes[end - 2] == 0x2E and codes[end - 3] == 0x2E
        if dots or last == 0x2026:
            found |= ELLIPSIS
        if last == 0x2E or last == 0x3F or last == 0x21 or last == 0x22 or last == 0x201D:
            found |= C4_END
        if kinds[last] & STOP:
            found |= SENTENCE
        marks[line] = found
    return hashes, marks


@njit(cache=True)
def _scan(codes, kinds, folds):  # type: ignore[no-untyped-def]
    """Return the fields of a TextView after `codes`, in their order.

    Buffers have the size of the worst case: memory that is never touched is never resident.
    """
    n = codes.size
    line_starts = np.empty(n, np.int32)
    line_ends = np.empty(n, np.int32)
    line_words = np.empty(n + 1, np.int32)
    paragraph_lines = np.empty(n + 1, np.int32)
    word_code_starts = np.empty(n, np.int32)
    word_code_ends = np.empty(n, np.int32)
    word_hashes = np.empty(n, np.uint64)
    word_flags = np.empty(n, np.uint8)
    folded = np.empty(5 * n, np.uint8)
    word_starts = np.empty(n, np.int32)
    word_ends = np.empty(n, np.int32)
    lines = paragraphs = words = filled = 0
    in_line = False
    blank = True  # a paragraph starts at the next line
    i = 0
    while i < n:
        kind = kinds[codes[i]]
        if kind & SPACE:
            if kind & BREAK:
                if codes[i] == 13 and i + 1 < n and codes[i + 1] == 10:
                    i += 1
                if in_line:
                    lines += 1
                else:
                    blank = True
                in_line = False
            i += 1
            continue
        if not in_line:
            if blank:
                paragraph_lines[paragraphs] = lines
                paragraphs += 1
            in_line, blank = True, False
            line_starts[lines] = i
            line_words[lines] = words
        if kind & (LETTER | DIGIT):
            if words:
                folded[filled] = 32
                filled += 1
            word_code_starts[words] = i
            word_starts[words] = filled
            single = kind & SINGLE
            flags = 0
            last = np.uint32(0)
            state = _SEED
            while True:
                flags |= kind
                before = kind
                code = folds[codes[i]]
                if not (code == 0x307 and last == 0x69):
                    state = (state ^ np.uint64(code)) * _FACTOR
                    filled = _put(folded, filled, code)
                    last = code
                i += 1
                if i == n:
                    break
                kind = kinds[codes[i]]
                if kind & MARK:
                    continue
                if single:
                    break
                following = kinds[codes[i + 1]] if i + 1 < n else np.uint8(0)
                in_number = before & following & DIGIT and _in_number(codes[i])
                if not (kind & APOSTROPHE or in_number):
                    following = kind
                if not following & (LETTER | DIGIT) or following & SINGLE:
                    break
            word_hashes[words] = _mixed(state)
            word_flags[words] = flags
            word_code_ends[words] = i
            word_ends[words] = filled
            words += 1
        else:
            while i < n and not kinds[codes[i]] & (SPACE | LETTER | DIGIT):
                i += 1
        line_ends[lines] = i
    if in_line:
        lines += 1
    line_words[lines] = words
    paragraph_lines[paragraphs] = lines
    line_hashes, line_marks = _lines(codes, kinds, line_starts[:lines], line_ends[:lines])
    return (
        line_starts[:lines],
        line_ends[:lines],
        line_hashes,
        line_marks,
        line_words[: lines + 1],
        paragraph_lines[: paragraphs + 1],
        word_code_starts[:words],
        word_code_ends[:words],
        word_hashes[:words],
        word_flags[:words],
        folded[:filled],
        word_starts[:words],
        word_ends[:words],
    )
