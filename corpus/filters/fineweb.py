"""FineWeb's quality filter: lists, menus and copies, found by the ends, lengths and repetition of lines.

Source: Penedo et al. 2024, arXiv 2406.17557, section 3.5; per language in FineWeb2, arXiv 2506.20920. The
counting convention is datatrove's, tokens included (`corpus.text.tokens`), but lines are without the space
around them.
"""

from __future__ import annotations

from numba import njit

from corpus.filters.family import Family, Measured, above, below, parameter
from corpus.filters.repeats import duplicates
from corpus.settings import Section, Share
from corpus.text.tokens import tokens
from corpus.text.view import SENTENCE, TextView


class FineWeb(Section):
    """Limits on the lines that C4's line rules, if any, left."""

    min_lines: int | None = below("Lines that are not blank.", ge=0)
    sentence_lines: Share | None = below("Share of lines that end a sentence.")
    short_lines: Share | None = above("Share of lines with `short_line_chars` characters or fewer.")
    short_line_chars: int = parameter(30, "Characters of a line that is short.", ge=1)
    duplicate_line_chars: Share | None = above("Share of characters in lines that repeat an earlier line.")
    breaks_per_word: float | None = above("Line breaks per token.", ge=0)


def measure(view: TextView, limits: FineWeb) -> Measured:
    """Measure the ends, lengths and repetition of the lines of a text."""
    lengths = view.line_ends - view.line_starts
    chars, sentences, short = _lines(lengths, view.line_marks, limits.short_line_chars)
    _, repeated = duplicates(view.line_hashes, lengths)
    lines = max(1, view.lines)
    breaks = view.text.count("\n") / max(1, tokens(view).starts.size)
    return Measured((view.lines, sentences / lines, short / lines, repeated / max(1, chars), breaks))


@njit(cache=True)
def _lines(lengths, marks, short_line):  # type: ignore[no-untyped-def]
    """Count characters, lines that end a sentence, lines that are short."""
    chars = sentences = short = 0
    for line in range(lengths.size):
        chars += lengths[line]
        if marks[line] & SENTENCE:
            sentences += 1
        if lengths[line] <= short_line:
            short += 1
    return chars, sentences, short


FAMILY = Family(
    "fineweb",
    "FineWeb's quality filter",
    "Penedo et al. 2024, arXiv 2406.17557, section 3.5",
    FineWeb,
    measure,
)
