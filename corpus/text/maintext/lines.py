"""What is counted in a line of text while its markup is read."""

from __future__ import annotations

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
            if i >= 3 + start and i <= end:
                a, b = data[i - 3], data[i - 2]
                if (
                    (a == 0xE2 and b == 0x80 and c == 0xA6)
                    or (a == 0xE3 and b == 0x80 and c == 0x82)
                    or (a == 0xE0 and b == 0xA5 and c == 0xA4)
                ):
                    row[STOPS] += 1
                    row[ENDS] = 1
                elif a == 0xE3 and b == 0x80 and c == 0x81:
                    row[COMMAS] += 1
                elif a == 0xE2 and b == 0x82 and (c == 0xAC or c == 0xBA or c == 0xBD):  # € ₺ ₽
                    row[MONEY] += 1
                elif a == 0xE2 and b == 0x80 and c == 0xBA:  # ›
                    row[BARS] += 1
                elif a == 0xE2 and b == 0x80 and (c == 0x9D or c == 0x99):  # quotes after a stop
                    row[ENDS] = row[SPACE] >> 1
            if i >= 2 + start:
                b = data[i - 2]
                if (b == 0xD8 and c == 0x9F) or (b == 0xDB and c == 0x94):
                    row[STOPS] += 1
                    row[ENDS] = 1
                elif b == 0xD8 and c == 0x8C:
                    row[COMMAS] += 1
                elif b == 0xC2 and (c == 0xB7 or c == 0xBB):  # · »
                    row[BARS] += 1
                elif b == 0xC2 and (c == 0xA3 or c == 0xA9):
                    row[MONEY] += c == 0xA3
            continue
        if space:
            words += 1
        ended = row[ENDS]
        space = False
        chars += 1
        row[SPACE] = 0
        if c >= 0xE3 and c <= 0xE9:
            words += 1  # a character of Chinese or Japanese; two of them are about a word
        if is_letter(c):
            row[LETTERS] += 1
            row[CAPITALS] += c < 97
            row[ENDS] = 0
        elif c >= 128:
            row[LETTERS] += 1
            row[ENDS] = 0
            row[SPACE] = ended << 1 if c == 0xE2 else 0
        elif 48 <= c <= 57:
            row[DIGITS] += 1
            row[ENDS] = 0
        elif c == 44 or c == 59:
            row[COMMAS] += 1
            row[ENDS] = 0
        elif c == 46 or c == 33 or c == 63:
            row[STOPS] += ended != 1
            row[ENDS] = 1
        elif c == 58:
            row[ENDS] = 2
        elif c == 124 or c == 62:
            row[BARS] += 1
            row[ENDS] = 0
        elif c == 36:
            row[MONEY] += 1
            row[ENDS] = 0
        elif c != 34 and c != 39 and c != 41:
            row[ENDS] = 0
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
