"""derlem's own filter: pages that are program text, words that lost letters, and phrases said without end.

The limits of its rules are chosen on judged Turkish documents (`benchmarks/judged`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.filters.family import Family, Measured, above, parameter
from corpus.settings import Section, Share
from corpus.text.tokens import tokens
from corpus.text.view import TextView, character_kinds

_SENTENCE_WORDS = 6  # of a line that is prose
_PHRASES = 8  # from which on a pair of words may be stuffed


class Own(Section):
    """Limits that published filters do not have."""

    code_lines: Share | None = above("Share of lines that are code, where the text has little prose.")
    prose_words: int = parameter(
        100, "Words in sentences from which on a text has enough prose to keep its code.", ge=0
    )
    broken_words: Share | None = above("`?` between two letters, and U+FFFD, per token.")
    stuffed_phrases: Share | None = above("Share of phrases that have the same two words in a row.")


def measure(view: TextView, limits: Own) -> Measured:
    """Measure the lines that are code, the marks that stand for letters, and the phrases of one subject."""
    words = view.line_words[1:] - view.line_words[:-1]
    lines, prose = _lines(view.codes, view.line_starts, view.line_ends, words)
    code = lines / max(1, view.lines) if prose < limits.prose_words else 0.0
    marks = _marks(view.codes, character_kinds()[0])
    stuffed = _stuffed(view.codes, view.word_code_starts, view.word_code_ends, view.word_hashes)
    return Measured((code, marks / max(1, tokens(view).starts.size), stuffed))


@njit(cache=True)
def _lines(codes, starts, ends, words):  # type: ignore[no-untyped-def]
    """Count lines of code, and words in lines that are sentences.

    Code is what stands between two fences (```), starts with // or a brace, or ends in a brace or in );
    """
    code = prose = 0
    fenced = False
    for line in range(starts.size):
        start, end = starts[line], ends[line]
        first, last = codes[start], codes[end - 1]
        size = end - start
        if size > 2 and first == 0x60 and codes[start + 1] == 0x60 and codes[start + 2] == 0x60:
            fenced = not fenced
            code += 1
        elif (
            fenced
            or first == 0x7B
            or first == 0x7D
            or last == 0x7B
            or last == 0x7D
            or (size > 1 and first == 0x2F and codes[start + 1] == 0x2F)
            or (size > 1 and last == 0x3B and codes[end - 2] == 0x29)
        ):
            code += 1
        elif words[line] >= _SENTENCE_WORDS and first != 0x23 and first != 0x7C:  # no heading, no table
            closes = last == 0x29 or last == 0x22 or last == 0x201D or last == 0x3A or last == 0x2026
            if closes or last == 0x2E or last == 0x21 or last == 0x3F:
                prose += words[line]
    return code, prose


@njit(cache=True)
def _marks(codes, letters):  # type: ignore[no-untyped-def]
    """Count marks that stand for letters."""
    marks = 0
    for i in range(codes.size):
        inside = codes[i] == 0x3F and 0 < i < codes.size - 1
        if codes[i] == 0xFFFD or (inside and letters[codes[i - 1]] and letters[codes[i + 1]]):
            marks += 1
    return marks


@njit(cache=True)
def _stuffed(codes, starts, ends, hashes):  # type: ignore[no-untyped-def]
    """Return the share of phrases that have the most frequent pair of neighbouring words; 0 for few phrases.

    A phrase is two or more words between marks (. , ; : ! ?) or line breaks.
    """
    size = 16
    while size < 2 * hashes.size:
        size *= 2
    pairs = np.zeros(size, np.uint64)
    seen = np.full(size, -1, np.int32)  # the last phrase that had the pair
    times = np.zeros(size, np.int32)
    phrases = most = 0
    is_first = True
    for word in range(1, hashes.size):
        is_break = False
        for i in range(ends[word - 1], starts[word]):
            code = codes[i]  # . , : ; ! ? and line breaks
            is_break |= code == 0x2E or code == 0x2C or code == 0x3A or code == 0x3B
            is_break |= code == 0x21 or code == 0x3F or code == 0x0A or code == 0x0D
        if is_break:
            is_first = True
            continue
        phrases += is_first
        is_first = False
        pair = (hashes[word - 1] * np.uint64(0x9E3779B97F4A7C15)) ^ hashes[word] | np.uint64(1)
        at = np.int64((pair * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & (size - 1)
        while pairs[at] and pairs[at] != pair:
            at = (at + 1) & (size - 1)
        pairs[at] = pair
        if seen[at] != phrases:
            seen[at] = phrases
            times[at] += 1
            most = max(most, times[at])
    return most / phrases if phrases >= _PHRASES else 0.0


FAMILY = Family("own", "derlem's own filter", "derlem, benchmarks/judged", Own, measure)
