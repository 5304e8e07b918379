"""A list of harmful words: how dense its words are in a text, each with whatever suffixes it has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from corpus.harm.suffixes import is_form

NEAR_WORDS = 10
"""A weak word counts only where a sure one stands within this many words."""

LEAST_HITS = 2
"""Hits in a longer text that count at all; one alone may be quoted, a name or a mistake."""

SHORT_WORDS = 50
"""Words of a text of which one hit is enough."""

_WORD = re.compile(r"\w+")
_MEMORY = 1 << 20  # words that are remembered


def lower(text: str) -> str:
    """Return a text in Turkish lower case, without circumflexes."""
    text = text.replace("I", "ı").replace("İ", "i").lower()
    return text.replace("â", "a").replace("î", "i").replace("û", "u")


@dataclass(slots=True)
class WordList:
    """Words and phrases to look for; `weak` ones have an innocent meaning and count only beside others."""

    stems: frozenset[str]
    phrases: dict[str, list[tuple[str, ...]]]  # by their first word
    weak: frozenset[str]
    _known: set[str] = field(default_factory=set)  # words that were looked at
    _found: dict[str, str] = field(default_factory=dict)  # those that matter, and the stem of each or ""
    _shortest: int = 1

    @classmethod
    def of(cls, entries: Iterable[str], weak: Iterable[str] = ()) -> WordList:
        """Return the list of entries; text after # is a comment."""
        stems: set[str] = set()
        phrases: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for entry in entries:
            words = tuple(_WORD.findall(lower(entry.partition("#")[0])))
            if len(words) == 1:
                stems.add(words[0])
            elif words:
                phrases[words[0]].append(words)
        few = {lower(each).strip() for each in weak}
        shortest = min(map(len, stems), default=1)
        return cls(frozenset(stems), dict(phrases), frozenset(few), _shortest=shortest)

    def hits(self, text: str) -> tuple[list[str], int]:
        """Return the entries found in a text, in order, and how many words it has."""
        words = _WORD.findall(lower(text))
        found = [(at, stem) for at, stem in self._stems(words)]
        sure = [at for at, stem in found if stem not in self.weak]
        near = {place for at in sure for place in range(at - NEAR_WORDS, at + NEAR_WORDS + 1)}
        return [stem for at, stem in found if stem not in self.weak or at in near], len(words)

    def density(self, text: str) -> tuple[float, list[str]]:
        """Return the share of a text's words that are hits, and the entries found; 0 for too few hits."""
        found, words = self.hits(text)
        if len(found) < LEAST_HITS and (not found or words > SHORT_WORDS):
            return 0.0, []
        return len(found) / words, found

    def _stems(self, words: Sequence[str]) -> Iterator[tuple[int, str]]:
        new = set(words) - self._known
        if len(self._known) + len(new) > _MEMORY:
            self._known, self._found, new = set(), {}, set(words)
        self._known |= new
        for word in new:
            if (stem := self._stem(word)) or word in self.phrases:
                self._found[word] = stem
        for at in [at for at, word in enumerate(words) if word in self._found]:
            word = words[at]
            if stem := self._found[word]:
                yield at, stem
            for phrase in self.phrases.get(word, ()):
                there = words[at : at + len(phrase)]
                is_whole = len(there) == len(phrase) and tuple(there[:-1]) == phrase[:-1]
                if is_whole and is_form(there[-1], phrase[-1]):
                    yield at, " ".join(phrase)

    def _stem(self, word: str) -> str:
        """Return the longest entry that a word is a form of; empty where there is none."""
        for size in range(len(word), self._shortest - 1, -1):
            start = word[:size]
            for stem in (start, _hardened(start)):
                if stem in self.stems and is_form(word, stem):
                    return stem
        return ""


def _hardened(start: str) -> str:
    """Return the stem whose last consonant became soft before a vowel."""
    return start[:-1] + {"b": "p", "c": "ç", "d": "t", "ğ": "k"}.get(start[-1], start[-1])
