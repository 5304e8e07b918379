"""Gopher's filters: is it prose at all (quality), and does it repeat itself (repetition).

Source: Rae et al. 2021, arXiv 2112.11446, appendix A and table A1. The counting convention is datatrove's,
with these differences: words are ours (`corpus.text.view`); a line is a line that is not blank; stop words
are compared folded, so `BİR` is `bir`.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from numba import njit
from pydantic import Field

from corpus.config import Share
from corpus.filters.drop import Drop, above, below
from corpus.filters.repeats import I64, duplicates, ngrams
from corpus.filters.wordset import present
from corpus.settings import Section
from corpus.text.view import BULLET, ELLIPSIS, LETTER, TextView

# Limits by n: ((2, 0.20), (3, 0.18)).
NgramLimits = tuple[tuple[Annotated[int, Field(ge=1, le=64)], Share], ...]


class Quality(Section):
    """Limits of the quality filter; a limit that is not given is not tested."""

    min_words: int | None = Field(None, ge=0, description="Words, symbols aside.")
    max_words: int | None = Field(None, ge=1, description="Words, symbols aside.")
    min_mean_word_length: float | None = Field(None, ge=0, description="Characters a word.")
    max_mean_word_length: float | None = Field(None, ge=0, description="Characters a word.")
    max_hashes_per_word: Share | None = Field(None, description="`#` to words and symbols.")
    max_ellipses_per_word: Share | None = Field(None, description="`...` and `…` to words and symbols.")
    max_bullet_lines: Share | None = Field(None, description="Share of lines that begin with • or -.")
    max_ellipsis_lines: Share | None = Field(None, description="Share of lines that end in ... or ….")
    min_alphabetic_words: Share | None = Field(
        None, description="Share of words and symbols that have at least one letter."
    )
    min_stop_words: int = Field(0, ge=0, description="How many different stop words must occur.")
    stop_words: tuple[str, ...] = Field((), description="The words counted by `min_stop_words`.")


class Repetition(Section):
    """Limits of the repetition filter; a limit that is not given is not tested."""

    max_duplicate_paragraphs: Share | None = Field(None, description="Share of paragraphs seen before.")
    max_duplicate_paragraph_chars: Share | None = Field(None, description="Their share of the text.")
    max_duplicate_lines: Share | None = Field(None, description="Share of lines seen before in the text.")
    max_duplicate_line_chars: Share | None = Field(None, description="Their share of the text.")
    max_top_ngram_chars: NgramLimits = Field((), description="By n: share of the commonest n-gram.")
    max_duplicate_ngram_chars: NgramLimits = Field((), description="By n: share of repeated n-grams.")


def quality(view: TextView, limits: Quality) -> Drop | None:
    """Test a text for the marks of prose: length, word length, symbols, list lines, letters, stop words."""
    letters, alphabetic, hashes, ellipses = _quality(
        view.codes, view.word_code_starts, view.word_code_ends, view.word_flags
    )
    stop_words = int(np.count_nonzero(present(view, limits.stop_words)))
    words = view.words
    tokens = max(1, words + view.symbols)
    lines = max(1, view.lines)
    mean = letters / max(1, words)
    bullets = np.count_nonzero(view.line_marks & BULLET)
    trailing = np.count_nonzero(view.line_marks & ELLIPSIS)
    return (
        below("gopher.min_words", words, limits.min_words)
        or above("gopher.max_words", words, limits.max_words)
        or below("gopher.mean_word_length", mean, limits.min_mean_word_length)
        or above("gopher.mean_word_length", mean, limits.max_mean_word_length)
        or above("gopher.hashes", hashes / tokens, limits.max_hashes_per_word)
        or above("gopher.ellipses", ellipses / tokens, limits.max_ellipses_per_word)
        or above("gopher.bullet_lines", bullets / lines, limits.max_bullet_lines)
        or above("gopher.ellipsis_lines", trailing / lines, limits.max_ellipsis_lines)
        or below("gopher.alphabetic_words", alphabetic / tokens, limits.min_alphabetic_words)
        or below("gopher.stop_words", stop_words, limits.min_stop_words)
    )


def repetition(view: TextView, limits: Repetition) -> Drop | None:
    """Test a text for repeated paragraphs, lines and n-grams of words (see `corpus.filters.repeats`)."""
    chars = max(1, view.codes.size)
    return (
        _repeated_paragraphs(view, limits, chars)
        or _repeated_lines(view, limits, chars)
        or _repeated_ngrams(view, limits, chars)
    )


def _repeated_paragraphs(view: TextView, limits: Repetition, chars: int) -> Drop | None:
    if limits.max_duplicate_paragraphs is None and limits.max_duplicate_paragraph_chars is None:
        return None
    hashes, lengths = _paragraphs(view.line_hashes, view.line_starts, view.line_ends, view.paragraph_lines)
    count, repeated = duplicates(hashes, lengths)
    share = count / max(1, view.paragraphs)
    return above("gopher.duplicate_paragraphs", share, limits.max_duplicate_paragraphs) or above(
        "gopher.duplicate_paragraph_chars", repeated / chars, limits.max_duplicate_paragraph_chars
    )


def _repeated_lines(view: TextView, limits: Repetition, chars: int) -> Drop | None:
    count, repeated = duplicates(view.line_hashes, view.line_ends - view.line_starts)
    share = count / max(1, view.lines)
    return above("gopher.duplicate_lines", share, limits.max_duplicate_lines) or above(
        "gopher.duplicate_line_chars", repeated / chars, limits.max_duplicate_line_chars
    )


def _repeated_ngrams(view: TextView, limits: Repetition, chars: int) -> Drop | None:
    top, repeated = ngrams(
        view.word_hashes,
        view.word_code_ends - view.word_code_starts,
        _sizes(limits.max_top_ngram_chars),
        _sizes(limits.max_duplicate_ngram_chars),
    )
    for (n, limit), found in zip(limits.max_top_ngram_chars, top.tolist(), strict=True):
        if drop := above(f"gopher.top_{n}_gram_chars", found / chars, limit):
            return drop
    for (n, limit), found in zip(limits.max_duplicate_ngram_chars, repeated.tolist(), strict=True):
        if drop := above(f"gopher.duplicate_{n}_gram_chars", found / chars, limit):
            return drop
    return None


@cache
def _sizes(limits: NgramLimits) -> I64:
    return np.array([n for n, _ in limits], dtype=np.int64)


@njit(cache=True)
def _quality(codes, starts, ends, flags):  # type: ignore[no-untyped-def]
    """Count characters in words, words with a letter, `#`, ellipses."""
    number_signs = ellipses = dots = 0
    for code in codes:
        if code == 0x2E:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
        else:
            dots = 0
            if code == 0x23:
                number_signs += 1
            elif code == 0x2026:
                ellipses += 1
    characters = alphabetic = 0
    for i in range(flags.size):
        characters += ends[i] - starts[i]
        if flags[i] & LETTER:
            alphabetic += 1
    return characters, alphabetic, number_signs, ellipses


@njit(cache=True)
def _paragraphs(line_hashes, starts, ends, paragraph_lines):  # type: ignore[no-untyped-def]
    """Return the hash and the length (a line break between two lines) of each paragraph."""
    count = paragraph_lines.size - 1
    hashes = np.empty(count, np.uint64)
    lengths = np.empty(count, np.int32)
    for paragraph in range(count):
        first, last = paragraph_lines[paragraph], paragraph_lines[paragraph + 1]
        state = np.uint64(last - first)
        length = last - first - 1
        for line in range(first, last):
            state = (state ^ line_hashes[line]) * np.uint64(0xC4CEB9FE1A85EC53)
            state ^= state >> np.uint64(31)
            length += ends[line] - starts[line]
        hashes[paragraph] = state
        lengths[paragraph] = length
    return hashes, lengths
