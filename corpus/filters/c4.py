"""C4's filter: it takes lines out (menus, notices) and drops pages that are code, filler or hardly prose.

Source: Raffel et al. 2020, JMLR 21/140, section 2.2, and the reference code in TensorFlow Datasets, which
differs (5 words a line and 3 sentences against 3 and 5): presets `c4-paper` and `c4-tfds`. Rules are tried in
the order of that code: a line already taken out cannot drop the page. C4's list of bad words is not shipped.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from corpus.config import Share
from corpus.filters.drop import Drop, above, below
from corpus.filters.sentences import count_sentences
from corpus.filters.wordset import present
from corpus.settings import Section
from corpus.text.view import C4_END, ELLIPSIS, TextView, view, words

_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")


def _two_words(phrase: str) -> str:
    if len(words(phrase)) < 2:
        raise ValueError("a policy phrase has two words or more: one word is in too many sentences")
    return phrase


class Rest(NamedTuple):
    """A text that a filter lets pass, and how many lines each of its rules took out or changed."""

    view: TextView
    lines: dict[str, int]


class C4(Section):
    """The rules of the filter; a rule that is not given is not applied."""

    max_characters: int | None = Field(None, ge=1, description="Longer pages are dropped.")
    remove_citations: bool = Field(False, description="Take out [1], [edit], [citation needed].")
    max_word_length: int | None = Field(None, ge=1, description="Lines with a longer word go.")
    terminal_punctuation: bool = Field(False, description='Lines that do not end in . ? ! or " go.')
    min_words_per_line: int | None = Field(None, ge=1, description="Lines with fewer words go.")
    lorem_ipsum: bool = Field(False, description="Pages with `lorem ipsum` are dropped.")
    javascript: bool = Field(False, description="Lines with `javascript` go.")
    curly_bracket: bool = Field(False, description="Pages with `{` are dropped.")
    policy_phrases: tuple[Annotated[str, AfterValidator(_two_words)], ...] = Field(
        (), description="Lines with one of these go; endings may follow the phrase's last word."
    )
    policy_max_words: int | None = Field(None, ge=1, description="Policy lines that are longer stay.")
    policy_min_share: Share = Field(0.0, description="Policy lines with less of their words in phrases stay.")
    min_sentences: int | None = Field(None, ge=1, description="Pages with fewer, after all, are dropped.")


def check(seen: TextView, rules: C4) -> Drop | Rest:
    """Return the page without the lines that the rules take out (`seen` itself where none), or what drops it.

    A page that loses all its lines is dropped as `c4.lines`; lines without their citations are counted as
    `c4.citation`.
    """
    if drop := above("c4.max_characters", seen.codes.size, rules.max_characters):
        return drop
    changed: dict[str, int] = {}
    if rules.remove_citations and "[" in seen.text and _CITATION.search(seen.text):
        cited = sum(_CITATION.search(line) is not None for line in seen.text.split("\n"))
        seen, changed = view(_CITATION.sub("", seen.text)), {"c4.citation": cited}
    removed = line_rules(seen, rules)
    if isinstance(removed, Drop):
        return removed
    changed |= {rule: lines.size for rule, lines in removed.items()}
    keep = np.ones(seen.lines, dtype=np.bool_)
    for lines in removed.values():
        keep[lines] = False
    if not keep.any():
        return Drop("c4.lines", 0.0, 1.0)
    if rules.min_sentences is not None:
        found = 0
        for line in np.flatnonzero(keep).tolist():
            found += count_sentences(seen.line(line))
            if found >= rules.min_sentences:
                break
        if drop := below("c4.sentences", found, rules.min_sentences):
            return drop
    return Rest(seen if keep.all() else view(_kept_text(seen, keep)), changed)


def line_rules(seen: TextView, rules: C4) -> Drop | dict[str, NDArray[np.intp]]:
    """Return which rule takes out which lines (indices), each line under the first that does."""
    removed: dict[str, NDArray[np.intp]] = {}
    standing = np.ones(seen.lines, dtype=np.bool_)

    def remove(rule: str, lines: NDArray[np.intp]) -> None:
        lines = lines[standing[lines]]
        if lines.size:
            standing[lines] = False
            removed[rule] = lines

    if rules.max_word_length is not None:
        remove("c4.max_word_length", _long_words(seen, rules.max_word_length))
    if rules.terminal_punctuation:
        ended = (seen.line_marks & (C4_END | ELLIPSIS)) == C4_END
        remove("c4.terminal_punctuation", np.flatnonzero(~ended))
    if rules.min_words_per_line is not None:
        remove("c4.words_per_line", np.flatnonzero(_words_by_line(seen) < rules.min_words_per_line))
    folded = seen.folded.tobytes()
    if rules.lorem_ipsum:
        filler = _lines_with(seen, folded, b"lorem ipsum")
        if standing[filler].any():
            return Drop("c4.lorem_ipsum", float(standing[filler].sum()), 0.0)
    if rules.javascript:
        remove("c4.javascript", _lines_with(seen, folded, b"javascript"))
    if rules.curly_bracket and "{" in seen.text:
        places = np.flatnonzero(seen.codes == ord("{"))
        brackets = np.searchsorted(seen.line_starts, places, side="right") - 1
        if standing[brackets].any():
            return Drop("c4.curly_bracket", float(standing[brackets].sum()), 0.0)
    if rules.policy_phrases:
        remove("c4.policy_line", _policy_lines(seen, folded, rules))
    return removed


def _long_words(seen: TextView, limit: int) -> NDArray[np.intp]:
    """Find lines with a run of more than `limit` characters without space."""
    long_lines = np.flatnonzero(seen.line_ends - seen.line_starts > limit)
    found = [line for line in long_lines.tolist() if max(map(len, seen.line(line).split())) > limit]
    return np.array(found, dtype=np.intp)


def _policy_lines(seen: TextView, folded: bytes, rules: C4) -> NDArray[np.intp]:
    """Find lines that hold a policy phrase and, where limits are given, are short and hold little else."""
    phrases = _phrases(rules.policy_phrases)
    in_phrases = np.zeros(seen.lines, dtype=np.int64)
    for number in np.flatnonzero(present(seen, tuple(phrase.first_word for phrase in phrases))).tolist():
        for line in _lines_with(seen, folded, phrases[number].folded, from_word_start=True):
            in_phrases[line] += phrases[number].words
    lengths = _words_by_line(seen)
    hit = (in_phrases > 0) & (in_phrases >= rules.policy_min_share * lengths)
    if rules.policy_max_words is not None:
        hit &= lengths <= rules.policy_max_words
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
