"""Words that say what a part of a page is, in eight languages: a table of hashes for compiled code."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from corpus.text.maintext.hashing import table

BY_LANGUAGE: dict[str, dict[str, str]] = tomllib.loads(
    (files("corpus.text.maintext") / "words.toml").read_text(encoding="utf-8")
)
MEANINGS = tuple(sorted({meaning for words in BY_LANGUAGE.values() for meaning in words}))
BIT = {meaning: number for number, meaning in enumerate(MEANINGS)}
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _spellings(word: str, language: str) -> set[bytes]:
    """Return how a word is written: hashing folds the case of ASCII letters alone."""
    upper = word.replace("i", "İ").upper() if language == "tr" else word.upper()
    first = "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
    return {spelling.translate(_ASCII_LOWER).encode() for spelling in (word, upper, first)}


def _values() -> dict[bytes, int]:
    values: dict[bytes, int] = {}
    for language, words in BY_LANGUAGE.items():
        for meaning, listed in words.items():
            for word in listed.split():
                for spelling in _spellings(word, language):
                    values[spelling] = values.get(spelling, 0) | 1 << BIT[meaning]
    return values


WORDS, BITS = table(_values())
