"""What is counted in a line of text while its markup is read."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.maintext import tags
from corpus.text.maintext.scan import is_letter

(
    ELEMENT,  # the element that makes it a line
    FIRST,  # its pieces, of `Markup.pieces`
    LAST,
    ITEM,  # the list item that it starts, or -1
    ROW,  # the table row that it is in, or -1
    SOFT,  # <br> before it
    PICTURES,  # pictures before it
    LINKS,
    CHARS,  # characters: in all, then of those in links, buttons, …
    LINKED,
    CONTROLS,
    EMPHASIZED,
    CODED,
    LABELS,
    TIMES,
    WORDS,
    COMMAS,
    STOPS,  # ends of sentences
    DIGITS,
    CAPITALS,
    LETTERS,
    BARS,  # signs that stand between the items of a menu
    MONEY,
    ENDS,  # 1 where it ends as a sentence, 2 as what introduces something (":")
    SPACE,  # whether it ends in a space: only while it is counted
    LINE_COLUMNS,
) = range(26)

# What a byte that starts a character counts as (SPACE: as nothing, which is written again), and what it
# makes of ENDS; in tables, for numba takes long to compile many comparisons.
_SAME = 3
_COLUMNS = np.full(256, SPACE, np.int64)
_END_MARKS = np.zeros(256, np.int64)
for _column, _bytes in {
    LETTERS: bytes(c for c in range(256) if c >= 128 or chr(c).isalpha()),
    DIGITS: b"0123456789",
    COMMAS: b",;",
    STOPS: b".!?",
    BARS: b"|>",
    MONEY: b"$",
}.items():
    _COLUMNS[list(_bytes)] = _column
_END_MARKS[list(b".!?")] = 1
_END_MARKS[list(b":")] = 2
_END_MARKS[list(b"\"')")] = _SAME
# The same for longer characters; ENDS: quotes.
_LONGER = {STOPS: "…。।؟۔", COMMAS: "、،", MONEY: "€₺₽£", BARS: "›·»", ENDS: "”’"}
_MARKS = np.array([int.from_bytes(char.encode()) for chars in _LONGER.values() for char in chars], np.int64)
_MARK_COLUMNS = np.array([column for column, chars in _LONGER.items() for _ in chars], np.int64)
_LEADS = np.zeros(256, np.bool_)
_LEADS[[char.encode()[0] for chars in _LONGER.values() for char in chars]] = True


@njit(cache=True)
def measure(data, start, end, marks, row):  # type: ignore[no-untyped-def]
    """Add a piece of text to the counts of its line."""
    chars = words = 0
    space = row[CHARS] == 0 or row[SPACE] != 0
    i = start
    while i < end:
        c = data[i]
        if c == 38:  # an entity is one character
            j = i + 1
            while j < end and j < i + 10 and (is_letter(data[j]) or 48 <= data[j] <= 57 or data[j] == 35):
                j += 1
            if j < end and data[j] == 59:
                blank = data[i + 1] == 110 and data[i + 2] == 98 and data[i + 3] == 115
                i = j + 1
                if blank:
                    c = 32
                else:
                    chars += 1
                    if space:
                        words += 1
                    space = False
                    row[ENDS] = 0
                    continue
            else:
                i += 1
        elif c == 0xC2 and i + 1 < end and data[i + 1] == 0xA0:
            c = 32
            i += 2
        else:
            i += 1
        if c <= 32:
            if not space:
                chars += 1
            space = True
            continue
        if 128 <= c < 192:  # a later byte of a character
            if i < 2 + start:
                continue
            lead, character = data[i - 2], np.int64(data[i - 2]) << 8 | c
            if 128 <= lead < 192 and i >= 3 + start:
                lead, character = data[i - 3], np.int64(data[i - 3]) << 16 | character
            if not _LEADS[lead]:
                continue
            for mark in range(_MARKS.size):
                if character == _MARKS[mark]:
                    column = _MARK_COLUMNS[mark]
                    if column == ENDS:  # a quote after a stop
                        row[ENDS] = row[SPACE] >> 1
                    else:
                        row[column] += 1
                        if column == STOPS:
                            row[ENDS] = 1
            continue
        if space:
            words += 1
        ended = row[ENDS]
        space = False
        chars += 1
        if c >= 0xE3 and c <= 0xE9:
            words += 1  # a character of Chinese or Japanese; two of them are about a word
        column, end_mark = _COLUMNS[c], _END_MARKS[c]
        if column != STOPS or ended != 1:
            row[column] += 1
        row[CAPITALS] += 65 <= c <= 90
        row[SPACE] = ended << 1 if c == 0xE2 else 0
        if end_mark != _SAME:
            row[ENDS] = end_mark
    row[SPACE] = (row[SPACE] & ~1) | space
    row[CHARS] += chars
    row[WORDS] += words
    if marks & tags.LINK:
        row[LINKED] += chars
    if marks & tags.CONTROL:
        row[CONTROLS] += chars
    if marks & tags.EMPHASIS:
        row[EMPHASIZED] += chars
    if marks & tags.CODE:
        row[CODED] += chars
    if marks & tags.LABEL:
        row[LABELS] += chars
    if marks & tags.TIME:
        row[TIMES] += chars
