"""Gopher's filters: marks of prose (quality) and repeated text (repetition).

Source: Rae et al. 2021, arXiv 2112.11446, appendix A and table A1. The counting convention is datatrove's,
tokens included (`corpus.text.tokens`), with these differences: a line is a line that is not blank, without
the space around it; stop words are compared folded, so `BİR` is `bir`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from pydantic import model_validator

from corpus.filters.family import Family, Measured, above, below, parameter
from corpus.filters.repeats import duplicates, ngrams
from corpus.filters.wordset import present
from corpus.settings import Section, Share, WrongValueError
from corpus.text.tokens import HAS_LETTER, IS_WORD, tokens
from corpus.text.view import BULLET, ELLIPSIS, TextView

_TABLE = "Rae et al. 2021, arXiv 2112.11446, table A1"
TOP = np.array([2, 3, 4], dtype=np.int64)
DUPLICATE = np.array([5, 6, 7, 8, 9, 10], dtype=np.int64)


class Gopher(Section):
    """Limits of quality, then of repetition: a text of five words is dropped as short, not as repetitive."""

    min_words: int | None = below("Tokens that are more than marks.", ge=0)
    max_words: int | None = above("Tokens that are more than marks.", ge=1)
    min_mean_word_length: float | None = below("Characters per word: a token that is more than marks.", ge=0)
    max_mean_word_length: float | None = above("Characters per word: a token that is more than marks.", ge=0)
    hashes: Share | None = above("`#` per token.")
    ellipses: Share | None = above("`...` and `…` per token.")
    bullet_lines: Share | None = above("Share of lines that start with • or -.")
    ellipsis_lines: Share | None = above("Share of lines that end in ... or ….")
    alphabetic_words: Share | None = below("Share of tokens that have at least one letter.")
    min_stop_words: int | None = below("Different stop words in the text.", ge=0)
    stop_words: tuple[str, ...] = parameter((), "The words that `min_stop_words` counts.")
    skip_headings: bool = parameter(False, "Let `hashes` skip the `#` that start a Markdown heading.")
    duplicate_paragraphs: Share | None = above("Share of paragraphs that repeat an earlier one.", _TABLE)
    duplicate_paragraph_chars: Share | None = above("Their share of the text's characters.", _TABLE)
    duplicate_lines: Share | None = above("Share of lines that repeat an earlier one.", _TABLE)
    duplicate_line_chars: Share | None = above("Their share of the text's characters.", _TABLE)
    top_2_gram_chars: Share | None = above("Share of characters in the most frequent 2-gram.", _TABLE)
    top_3_gram_chars: Share | None = above("Share of characters in the most frequent 3-gram.", _TABLE)
    top_4_gram_chars: Share | None = above("Share of characters in the most frequent 4-gram.", _TABLE)
    duplicate_5_gram_chars: Share | None = above("Share of characters in repeated 5-grams.", _TABLE)
    duplicate_6_gram_chars: Share | None = above("Share of characters in repeated 6-grams.", _TABLE)
    duplicate_7_gram_chars: Share | None = above("Share of characters in repeated 7-grams.", _TABLE)
    duplicate_8_gram_chars: Share | None = above("Share of characters in repeated 8-grams.", _TABLE)
    duplicate_9_gram_chars: Share | None = above("Share of characters in repeated 9-grams.", _TABLE)
    duplicate_10_gram_chars: Share | None = above("Share of characters in repeated 10-grams.", _TABLE)

    @model_validator(mode="after")
    def _has_words_to_count(self) -> Gopher:
        if self.min_stop_words and not self.stop_words:
            raise WrongValueError(
                self, "stop_words", "expected words, which min_stop_words counts; list some there"
            )
        return self


def measure(view: TextView, limits: Gopher) -> Measured:
    """Measure the marks of prose and what repeats (`corpus.filters.repeats`)."""
    seen = tokens(view)
    lengths = seen.ends - seen.starts
    words, letters, alphabetic, hashes, ellipses, bullets, trailing = _quality(
        view.codes, lengths, seen.flags, view.line_marks
    )
    if limits.skip_headings:
        hashes -= _headings(view.codes, view.line_starts, view.line_ends)
    stop_words = math.nan  # nothing to count without a list
    if limits.stop_words:
        stop_words = float(np.count_nonzero(present(view, limits.stop_words)))
    paragraph_hashes, paragraph_lengths = _paragraphs(
        view.line_hashes, view.line_starts, view.line_ends, view.paragraph_lines
    )
    same_paragraphs, paragraph_chars = duplicates(paragraph_hashes, paragraph_lengths)
    same_lines, line_chars = duplicates(view.line_hashes, view.line_ends - view.line_starts)
    top, repeated = ngrams(seen.hashes, lengths, TOP, DUPLICATE)
    lines, chars, count = max(1, view.lines), max(1, view.codes.size), max(1, lengths.size)
    mean = letters / max(1, words)
    return Measured(
        (
            *(
                words,
                words,
                mean,
                mean,
                hashes / count,
                ellipses / count,
                bullets / lines,
                trailing / lines,
            ),
            *(alphabetic / count, stop_words),
            *(same_paragraphs / max(1, view.paragraphs), paragraph_chars / chars),
            *(same_lines / lines, line_chars / chars),
            *(found / chars for found in top.tolist()),
            *(found / chars for found in repeated.tolist()),
        )
    )


@njit(cache=True)
def _quality(codes, lengths, flags, marks):  # type: ignore[no-untyped-def]
    """Count words and their characters, tokens with a letter, `#`, ellipses, lines that start or end so."""
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
    words = characters = alphabetic = 0
    for i in range(flags.size):
        if flags[i] & IS_WORD:
            words += 1
            characters += lengths[i]
        if flags[i] & HAS_LETTER:
            alphabetic += 1
    bullets = trailing = 0
    for mark in marks:
        if mark & BULLET:
            bullets += 1
        if mark & ELLIPSIS:
            trailing += 1
    return words, characters, alphabetic, number_signs, ellipses, bullets, trailing


@njit(cache=True)
def _headings(codes, starts, ends):  # type: ignore[no-untyped-def]
    """Count the `#` that start headings: up to six at the start of a line, with a space after them."""
    found = 0
    for line in range(starts.size):
        after = starts[line]
        while after < ends[line] and codes[after] == 0x23:
            after += 1
        marks = after - starts[line]
        if 1 <= marks <= 6 and after < ends[line] and codes[after] == 0x20:
            found += marks
    return found


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


FAMILY = Family(
    "gopher",
    "Gopher's quality and repetition filters",
    "Rae et al. 2021, arXiv 2112.11446, appendix A.1.1",
    Gopher,
    measure,
)
