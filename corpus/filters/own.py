"""derlem's own filter: pages that are program text, and words whose letters were lost in decoding.

The limits of its rules are chosen on judged Turkish documents (`benchmarks/judged`).
"""

from __future__ import annotations

from numba import njit

from corpus.config import Share
from corpus.filters.family import Family, Measured, above, parameter
from corpus.settings import Section
from corpus.text.tokens import tokens
from corpus.text.view import TextView, character_kinds

_SENTENCE_WORDS = 6  # of a line that is prose


class Own(Section):
    """Limits that published filters do not have."""

    code_lines: Share | None = above("Share of lines that are code, where the text has little prose.")
    prose_words: int = parameter(
        100, "Words in sentences from which on a text has enough prose to keep its code.", ge=0
    )
    broken_words: Share | None = above("`?` between two letters, and U+FFFD, per token.")


def measure(view: TextView, limits: Own) -> Measured:
    """Measure the lines that are code, and the marks that stand for letters."""
    words = view.line_words[1:] - view.line_words[:-1]
    lines, prose = _lines(view.codes, view.line_starts, view.line_ends, words)
    code = lines / max(1, view.lines) if prose < limits.prose_words else 0.0
    marks = _marks(view.codes, character_kinds()[0])
    return Measured((code, marks / max(1, tokens(view).starts.size)))


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


FAMILY = Family("own", "derlem's own filter", "derlem, benchmarks/judged", Own, measure)
