"""FineWeb's quality filter: lists, menus and copies, told by how lines end, how short and how new they are.

Source: Penedo et al. 2024, arXiv 2406.17557, section 3.5; per language in FineWeb2, arXiv 2506.20920. The
counting convention is datatrove's, with these differences: words are ours (`corpus.text.view`); closing
quotes and brackets after a sentence's last mark do not hide it (`geldi.”` ends a sentence); line breaks are
counted between lines that are not blank, because the limit was derived on extracts without blank lines.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from corpus.config import Share
from corpus.filters.drop import Drop, above, below
from corpus.filters.repeats import duplicates
from corpus.settings import Section
from corpus.text.view import SENTENCE, TextView


class FineWeb(Section):
    """Limits of the filter; a limit that is not given is not tested."""

    min_sentence_lines: Share | None = Field(None, description="Share of lines that end a sentence.")
    max_short_lines: Share | None = Field(None, description="Share of lines no longer than `short_line`.")
    short_line: int = Field(30, ge=1, description="Characters of a line that is short.")
    max_duplicate_line_chars: Share | None = Field(
        None, description="Share of the characters in lines that an earlier line repeats."
    )
    max_breaks_per_word: float | None = Field(None, ge=0, description="Line breaks to words and symbols.")


def check(view: TextView, limits: FineWeb) -> Drop | None:
    """Test how the lines of a text end, how long and how new they are; a text without lines is dropped."""
    if not view.lines:
        return Drop("fineweb.lines", 0.0, 1.0)
    lengths = view.line_ends - view.line_starts
    sentences = np.count_nonzero(view.line_marks & SENTENCE)
    short = np.count_nonzero(lengths <= limits.short_line)
    _, repeated = duplicates(view.line_hashes, lengths)
    breaks = (view.lines - 1) / (view.words + view.symbols)
    return (
        below("fineweb.sentence_lines", sentences / view.lines, limits.min_sentence_lines)
        or above("fineweb.short_lines", short / view.lines, limits.max_short_lines)
        or above("fineweb.duplicate_line_chars", repeated / lengths.sum(), limits.max_duplicate_line_chars)
        or above("fineweb.breaks_per_word", breaks, limits.max_breaks_per_word)
    )
