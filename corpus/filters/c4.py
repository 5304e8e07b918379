"""C4's filter: it removes lines (menus, notices) and drops pages that are code, filler or hardly prose.

Source: Raffel et al. 2020, JMLR 21/140, section 2.2, and the reference code in TensorFlow Datasets, which
differs (5 words a line and 3 sentences against 3 and 5): presets `c4-paper` and `c4-tfds`. Rules are tried in
the order of that code: a line already removed cannot drop the page. C4's list of bad words is not shipped.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from corpus.filters.family import Family, Measured, above, below, parameter
from corpus.filters.sentences import count_sentences
from corpus.filters.wordset import present
from corpus.settings import Section, Share
from corpus.text.view import C4_END, ELLIPSIS, TextView, view, words

_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
_CODE = "TensorFlow Datasets, text/c4_utils.py"
_FINEWEB2 = "derlem, for the notices of Turkish pages"


def _two_words(phrase: str) -> str:
    if len(words(phrase)) < 2:
        raise ValueError("a policy phrase has two words or more: one word is in too many sentences")
    return phrase


class C4(Section):
    """Which lines are removed, and limits on the page: the first on all of it, others on what remains."""

    max_characters: int | None = above("Characters of the page.", _CODE, ge=1)
    remove_citations: bool = parameter(False, "Remove [1], [edit], [citation needed].", _CODE)
    max_word_length: int | None = parameter(None, "Remove lines with a longer word.", _CODE, ge=1)
    terminal_punctuation: bool = parameter(False, 'Remove lines that do not end in . ? ! or ".')
    min_words_per_line: int | None = parameter(None, "Remove lines with fewer words.", ge=1)
    lorem_ipsum: int | None = above("Times that `lorem ipsum` is on the page.", ge=0)
    javascript: bool = parameter(False, "Remove lines with `javascript`.")
    curly_bracket: int | None = above("Times that `{` is on the page.", ge=0)
    policy_phrases: tuple[Annotated[str, AfterValidator(_two_words)], ...] = parameter(
        (), "Remove lines with one of these; endings may follow the phrase's last word.", _CODE
    )
    policy_max_words: int | None = parameter(None, "Policy lines that are longer stay.", _FINEWEB2, ge=1)
    policy_min_share: Share = parameter(
        0.0, "Policy lines with less of their words in phrases stay.", _FINEWEB2
    )
    min_lines: int | None = below("Lines that remain.", _CODE, ge=0)
    min_sentences: int | None = below("Sentences in the lines that remain.", ge=0)


def measure(seen: TextView, limits: C4) -> Measured:
    """Remove lines as the parameters say, and measure the page and what remains of it.

    Citations are removed first; a line of them is counted where it was changed.
    """
    characters = seen.codes.size
    changed: dict[str, int] = {}
    before = seen
    if limits.remove_citations and "[" in seen.text and _CITATION.search(seen.text):
        cited = sum(_CITATION.search(line) is not None for line in seen.text.split("\n"))
        seen, changed = view(_CITATION.sub("", seen.text)), {"c4.remove_citations": cited}
    found = find_lines(seen, limits)
    starts, ends, kept = seen.line_starts, seen.line_ends, seen.lines
    if found.removed:
        changed |= {rule: lines.size for rule, lines in found.removed.items()}
        starts, ends, kept = starts[found.standing], ends[found.standing], int(found.standing.sum())
    sentences = count_sentences(seen.codes, starts, ends)
    if kept < seen.lines:
        seen = view(_kept_text(seen, found.standing))
    return Measured(
        (characters, found.fillers, found.brackets, kept, sentences),
        None if seen is before else seen,
        changed,
    )


class Lines(NamedTuple):
    """Lines that rules remove (indices, each under the first rule that does), and what others count."""

    removed: dict[str, NDArray[np.intp]]
    standing: NDArray[np.bool_]  # [lines] whether a line remains
    fillers: int  # `lorem ipsum` in lines that were not removed by then
    brackets: int  # the same for `{`


def find_lines(seen: TextView, limits: C4) -> Lines:
    """Return which parameter removes which lines, and what page rules count in the lines left to them."""
    removed: dict[str, NDArray[np.intp]] = {}
    standing = np.ones(seen.lines, dtype=np.bool_)

    def remove(key: str, lines: NDArray[np.intp]) -> None:
        lines = np.unique(lines[standing[lines]])
        if lines.size:
            standing[lines] = False
            removed[f"c4.{key}"] = lines

    if limits.max_word_length is not None:
        remove("max_word_length", _long_words(seen, limits.max_word_length))
    if limits.terminal_punctuation:
        ended = (seen.line_marks & (C4_END | ELLIPSIS)) == C4_END
        remove("terminal_punctuation", np.flatnonzero(~ended))
    if limits.min_words_per_line is not None:
        remove("min_words_per_line", _few_words(seen, limits.min_words_per_line))
    folded = seen.folded.tobytes()
    fillers = int(standing[_lines_with(seen, folded, b"lorem ipsum")].sum())
    if limits.javascript:
        remove("javascript", _lines_with(seen, folded, b"javascript"))
    brackets = 0
    if "{" in seen.text:
        places = np.flatnonzero(seen.codes == ord("{"))
        brackets = int(standing[np.searchsorted(seen.line_starts, places, side="right") - 1].sum())
    if limits.policy_phrases:
        remove("policy_phrases", _policy_lines(seen, folded, limits))
    return Lines(removed, standing, fillers, brackets)


def _long_words(seen: TextView, limit: int) -> NDArray[np.intp]:
    """Find lines with a run of more than `limit` characters without space."""
    long_lines = np.flatnonzero(seen.line_ends - seen.line_starts > limit)
    found = [line for line in long_lines.tolist() if max(map(len, seen.line(line).split())) > limit]
    return np.array(found, dtype=np.intp)


def _few_words(seen: TextView, limit: int) -> NDArray[np.intp]:
    """Find lines with fewer than `limit` runs of characters without space."""
    short = [len(seen.line(line).split(None, limit)) < limit for line in range(seen.lines)]
    return np.flatnonzero(short)


def _policy_lines(seen: TextView, folded: bytes, limits: C4) -> NDArray[np.intp]:
    """Find lines that hold a policy phrase and, where limits are given, are short and hold little else."""
    phrases = _phrases(limits.policy_phrases)
    in_phrases = np.zeros(seen.lines, dtype=np.int64)
    for number in np.flatnonzero(present(seen, tuple(phrase.first_word for phrase in phrases))).tolist():
        for line in _lines_with(seen, folded, phrases[number].folded, from_word_start=True):
            in_phrases[line] += phrases[number].words
    lengths = _words_by_line(seen)
    hit = (in_phrases > 0) & (in_phrases >= limits.policy_min_share * lengths)
    if limits.policy_max_words is not None:
        hit &= lengths <= limits.policy_max_words
    return np.flatnonzero(hit)


def _words_by_line(seen: TextView) -> NDArray[np.int32]:
    return seen.line_words[1:] - seen.line_words[:-1]


class _Phrase(NamedTuple):
    folded: bytes
    first_word: str
    words: int


@cache
def _phrases(phrases: tuple[str, ...]) -> tuple[_Phrase, ...]:
    found = [words(phrase) for phrase in phrases]
    return tuple(_Phrase(" ".join(phrase).encode(), phrase[0], len(phrase)) for phrase in found)


def _lines_with(
    seen: TextView, folded: bytes, needle: bytes, *, from_word_start: bool = False
) -> NDArray[np.intp]:
    """Find lines (once per occurrence) whose folded words hold `needle`; it may not cross a line's end."""
    found = []
    at = folded.find(needle)
    while at >= 0:
        if not from_word_start or at == 0 or folded[at - 1] == 0x20:
            first, last = np.searchsorted(seen.word_starts, (at, at + len(needle) - 1), side="right") - 1
            line, line_of_end = np.searchsorted(seen.line_words, (first, last), side="right") - 1
            if line == line_of_end:
                found.append(line)
        at = folded.find(needle, at + len(needle))
    return np.array(found, dtype=np.intp)


def _kept_text(seen: TextView, keep: NDArray[np.bool_]) -> str:
    """Return the text without the lines that are not kept; indentation and the borders of paragraphs stay."""
    pieces: list[str] = []
    before = 0
    border = False
    for start, end, kept in zip(
        seen.line_starts.tolist(), seen.line_ends.tolist(), keep.tolist(), strict=True
    ):
        gap = seen.text[before:start]
        border = border or gap.count("\n") > 1
        if kept:
            indentation = gap[gap.rfind("\n") + 1 :]
            pieces += ["\n\n" if border else "\n", indentation, seen.text[start:end]]
            border = False
        before = end
    return "".join(pieces).strip("\n")


FAMILY = Family("c4", "C4's filter", "Raffel et al. 2020, JMLR 21/140, section 2.2", C4, measure)
