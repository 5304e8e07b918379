"""A page's markup in one pass over its bytes: its elements, and its lines of text with their counts.

The tree is that of browsers as far as it matters: end tags that HTML implies, elements without content or of
content that is not markup. Where browsers lift text out of tables and open formatting elements again, text
stays where it stands. The work is linear in the page's length, whatever is in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.maintext import tags
from corpus.text.maintext.attributes import declared_types, read_attributes
from corpus.text.maintext.hashing import OFFSET, PRIME, look_up
from corpus.text.maintext.lines import (
    ELEMENT,
    FIRST,
    ITEM,
    LAST,
    LINE_COLUMNS,
    LINKS,
    PICTURES,
    ROW,
    SOFT,
    measure,
)
from corpus.text.maintext.scan import (
    after_byte,
    after_comment,
    after_raw,
    after_text,
    is_blank,
    is_letter,
    is_markup,
)
from corpus.text.maintext.stack import close_before, close_tag, nearest
from corpus.text.maintext.words import BITS, WORDS

_N = tags.NUMBER
_A, _BR, _BODY, _IMG, _LI, _META, _NOSCRIPT, _SCRIPT, _TITLE, _TR = (
    _N[name] for name in ("a", "br", "body", "img", "li", "meta", "noscript", "script", "title", "tr")
)
# Deeper elements are read as if they stood beside each other, as browsers do.
_DEPTH = 512
# Bytes from which <noscript> may be a page for readers without scripts; shorter ones are pictures and pleas.
_LONG_NOSCRIPT = 2_000
# More than any page has, and memory must hold: reading ends at this many lines or elements.
_LINES, _ELEMENTS = 250_000, 1_000_000


class Markup(NamedTuple):
    """A page as arrays: elements in document order, each after its parent, then pieces and lines of text."""

    tag: NDArray[np.int16]
    parent: NDArray[np.int32]
    marks: NDArray[np.int64]  # what it stands in, itself included
    names: NDArray[np.uint64]  # meanings of the words in its class, id and the like
    kind: NDArray[np.uint64]  # hash of its name and class: siblings that are alike have it in common
    nth: NDArray[np.int32]  # which of its parent's list items it is
    pieces: NDArray[np.int32]  # start and end of runs of text in the page's bytes
    lines: NDArray[np.int32]  # `lines.LINE_COLUMNS` for each line
    targets: NDArray[np.uint64]  # meanings of the words in the links of each line
    meta: NDArray[np.int64]  # start and end of the title, types that the page declares


def read(page: str) -> tuple[bytes, Markup]:
    """Return a page's bytes in UTF-8, and what is in them."""
    data = page.replace("\0", "").encode("utf-8", "replace")
    return data, Markup(*_read(np.frombuffer(data, np.uint8), tags.TRAITS, tags.MARKS, WORDS, BITS))


@njit(cache=True)
def _read(data, traits_of, marks_of, words, bits):  # type: ignore[no-untyped-def]
    n = data.size
    size = 2
    for i in range(n):
        size += data[i] == 60
    tag = np.zeros(size, np.int16)
    parent = np.zeros(size, np.int32)
    marks = np.zeros(size, np.int64)
    names = np.zeros(size, np.uint64)
    kind = np.zeros(size, np.uint64)
    nth = np.zeros(size, np.int32)
    items = np.zeros(size, np.int32)
    pieces = np.zeros((size, 2), np.int32)
    lines = np.zeros((size, LINE_COLUMNS), np.int32)
    targets = np.zeros(size, np.uint64)
    meta = np.zeros(3, np.int64)
    parent[0] = -1
    elements, n_pieces, n_lines = 1, 0, 0
    # The open elements: number, name, hash of the name, marks, nearest element that makes lines.
    st_el = np.zeros(_DEPTH + 1, np.int32)
    st_tag = np.zeros(_DEPTH + 1, np.int16)
    st_key = np.zeros(_DEPTH + 1, np.uint64)
    st_marks = np.zeros(_DEPTH + 1, np.int64)
    st_block = np.zeros(_DEPTH + 1, np.int32)
    opened = np.zeros(traits_of.size, np.int32)
    found = np.zeros(4, np.int64)
    meanings = np.zeros(3, np.uint64)
    line_open = False
    noscript_end = -1
    soft = pictures = 0
    item = -1
    # Of a type: plain numbers make numba compile what they are given to twice.
    at: Any = np.int64(0)
    top: Any = np.int64(0)
    while at < n:
        if not is_markup(data, at):
            start = at
            at = after_text(data, at + 1)
            flags = st_marks[top]
            if flags & (tags.SKIPPED | tags.UNSEEN | tags.ANNOTATION):
                continue
            if is_blank(data, start, at):
                if line_open:
                    pieces[n_pieces, 0], pieces[n_pieces, 1] = start, at
                    n_pieces += 1
                    lines[n_lines - 1, LAST] = n_pieces
                continue
            if flags & (tags.QUIET | tags.LINK) and _is_mute(data, start, at, flags):
                continue
            if not line_open:
                if n_lines == _LINES:
                    break
                line_open = True
                row = lines[n_lines]
                row[ELEMENT] = st_block[top]
                row[FIRST] = n_pieces
                row[ITEM] = item
                row[ROW] = nearest(st_tag, st_el, top, _TR)
                row[SOFT] = soft
                row[PICTURES] = pictures
                n_lines += 1
                item, soft, pictures = -1, 0, 0
            pieces[n_pieces, 0], pieces[n_pieces, 1] = start, at
            n_pieces += 1
            row = lines[n_lines - 1]
            row[LAST] = n_pieces
            measure(data, start, at, flags, row)
            continue
        c = data[at + 1]
        if c == 33 or c == 63:
            if c == 33 and at + 3 < n and data[at + 2] == 45 and data[at + 3] == 45:
                at = after_comment(data, at + 4)
            else:
                at = after_byte(data, at + 2, 62)
            continue
        end = c == 47
        name_start = at + 2 if end else at + 1
        if name_start >= n or not is_letter(data[name_start]):
            at = after_byte(data, name_start, 62)  # HTML calls it a bogus comment
            continue
        key = OFFSET
        at = name_start
        while at < n:
            c = data[at]
            if c == 62 or c == 47 or c <= 32:
                break
            key = (key ^ np.uint64(c + 32 if 65 <= c <= 90 else c)) * PRIME
            at += 1
        name_end = at
        number = np.int64(look_up(tags.TAGS, tags.NUMBERS, key))
        traits = traits_of[number]
        at = read_attributes(data, at, words, bits, found, meanings)
        if traits & tags.BLOCK:
            line_open = False
        if number == _BR:
            soft += 1
            continue
        if end:
            if number == 0 or number > _BODY:
                top = close_tag(
                    number, key, traits, st_tag, st_key, st_marks, opened, traits_of, marks_of, top
                )
            continue
        if number == _META:
            meta[2] |= found[2] << 16
        elif number == _IMG:
            pictures += 1
        if 0 < number <= _BODY:
            names[0] |= meanings[0]
            continue
        if traits & tags.VOID:
            continue
        if traits & tags.RAW:
            content = at
            if not (found[3] and st_marks[top] & tags.SKIPPED):  # elements of SVG may be closed in themselves
                at = after_raw(data, at, name_start, name_end)
                if number == _TITLE and meta[1] == 0 and not st_marks[top] & tags.SKIPPED:
                    meta[0], meta[1] = content, at
                elif number == _SCRIPT and found[1]:
                    meta[2] |= declared_types(data, content, at)
            continue
        if number == _NOSCRIPT:
            if noscript_end < at:
                noscript_end = after_raw(data, at, name_start, name_end)
            if noscript_end - at < _LONG_NOSCRIPT:
                at = noscript_end
                continue
        top = close_before(number, traits, st_tag, opened, traits_of, top)
        if elements == _ELEMENTS:
            continue
        if found[3] and st_marks[top] & (tags.SKIPPED | tags.MATH):
            continue
        flags = st_marks[top] | marks_of[number]
        if traits & tags.BLOCK:
            flags &= ~(tags.QUIET | tags.UNSEEN)
        if found[0] & 2:
            flags |= tags.UNSEEN if traits & tags.INLINE and number else tags.HIDDEN
        elif found[0] and traits & tags.INLINE:
            flags |= tags.QUIET
        tag[elements] = number
        parent[elements] = st_el[top]
        marks[elements] = flags
        names[elements] = meanings[0]
        kind[elements] = (meanings[1] ^ key) * PRIME
        if number == _LI:
            items[st_el[top]] += 1
            nth[elements] = items[st_el[top]]
            item = elements
        elif number == _A:
            line = n_lines - 1 if line_open else n_lines
            lines[line, LINKS] += 1
            targets[line] |= meanings[2]
        if top < _DEPTH:
            top += 1
            st_el[top] = elements
            st_tag[top] = number
            st_key[top] = key
            st_marks[top] = flags
            st_block[top] = elements if traits & tags.BLOCK else st_block[top - 1]
            opened[number] += 1
        elements += 1
    return (
        tag[:elements],
        parent[:elements],
        marks[:elements],
        names[:elements],
        kind[:elements],
        nth[:elements],
        pieces[:n_pieces],
        lines[:n_lines],
        targets[:n_lines],
        meta,
    )


@njit(cache=True)
def _is_mute(data, start, end, marks):  # type: ignore[no-untyped-def]
    """Return whether a text is for eyes alone, or the sign of a link to its own heading: ¶, #, §."""
    while start < end and data[start] <= 32:
        start += 1
    while end > start and data[end - 1] <= 32:
        end -= 1
    if marks & tags.QUIET:
        for i in range(start, end):
            if is_letter(data[i]) or 48 <= data[i] <= 57:
                return True
    if not marks & tags.LINK:
        return False
    if end - start == 1:
        return data[start] == 35
    return end - start == 2 and data[start] == 0xC2 and (data[start + 1] == 0xB6 or data[start + 1] == 0xA7)
