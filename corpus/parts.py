"""A text in several languages: which of its paragraphs are in which, and the part in one of them.

Each piece of text is identified by itself; then the labels of all pieces together are chosen that explain the
answers best, where a change of language has its price (Viterbi's algorithm). So a quote, a
name or a line of code in another language belongs to the text around it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from corpus import language

NOTED = "cut to"
"""The topic of a unit's counts of the texts that were cut, by `noted`."""

LEAST = 0.1  # share of a text's letters from which on a second language counts
SURE = 0.7  # share of the votes in a language's part that must be for that language
_LETTERS = 200  # below which a text is in one language
_PIECE = 400  # characters from which on a paragraph is divided at the ends of its sentences
_SCREEN, _SAMPLE = 12, 120  # pieces that are looked at first, and their characters
_CHANGE = 3.0  # what a change of language costs, in nats
_SILENT = 15  # the first letters of a piece say nothing: names and words of an interface have no more
_PER_LETTER = 0.02  # how much each further one tells: 50 tell all that one answer does
_MOST = 5.0  # answers that a long piece is worth
_DOUBT = 0.01  # the least probability of a language
_OTHERS = 3.0  # languages that share what an answer leaves
_CANDIDATE = 40, 0.7  # letters and score of a piece that shows that its language is on the page at all
_CODE_SIGNS = re.compile(r"[(){}\[\]=_<>;#\"]")
_CODE = 0.04  # of its letters: from this share of signs on a piece is code, which has no language
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is left of a text: the part in one language; and each language's share of the letters.

    `shares` is empty for a text in one language. `separable` says whether the parts can be set apart: where
    they cannot, the text is whole. `large` are the languages whose part could be kept, the largest first;
    empty where nothing was cut.
    """

    text: str
    shares: tuple[tuple[str, float], ...] = ()
    separable: bool = True
    large: tuple[str, ...] = ()


def separate(text: str, model: str = "", wanted: Collection[str] = ()) -> Parts:
    """Return the part of a text that is in one language: the largest of those in `wanted`, else of all.

    Languages with less than a tenth of the letters do not count; where one alone does, the text stays whole.
    `model` as for `language.identify`.
    """
    if len(text) < _LETTERS or not _may_be_mixed(text, model):
        return Parts(text)
    pieces = _pieces(text)
    letters = [_letters(piece) for piece in pieces]
    votes = [_votes(piece, count) for piece, count in zip(pieces, letters, strict=True)]
    asked = [piece for piece, vote in zip(pieces, votes, strict=True) if vote]
    given = iter(language.identify_each(asked, model))
    answers = [next(given) if vote else language.UNKNOWN for vote in votes]
    labels = _labels(answers, letters, votes)
    total = sum(letters)
    shares: dict[str, float] = {}
    cast, agreed = dict.fromkeys(labels, 0.0), dict.fromkeys(labels, 0.0)
    for label, answer, count, vote in zip(labels, answers, letters, votes, strict=True):
        shares[label] = shares.get(label, 0.0) + count / max(1, total)
        cast[label] += vote
        agreed[label] += vote if answer.code == label else 0.0
    found = sorted(shares.items(), key=lambda share: (-share[1], share[0]))
    large = [(label, share) for label, share in found if share >= LEAST]
    if len(large) < 2:
        return Parts(text)
    if any(agreed[label] < SURE * cast[label] for label, _ in large):
        return Parts(text, tuple(found), separable=False)
    languages = tuple(label for label, _ in large)
    of = chosen(languages, wanted)
    kept = "".join(piece for piece, label in zip(pieces, labels, strict=True) if label == of)
    return Parts(kept.strip(), tuple(found), large=languages)


def chosen(large: Sequence[str], wanted: Collection[str]) -> str:
    """Return the language whose part is kept: the largest of those in `wanted`, else of all."""
    return next((code for code in large if code in wanted), large[0])


def noted(large: Sequence[str], wanted: Collection[str]) -> str:
    """Return which part of a text was kept, for the counts of a unit.

    >>> noted(["eng_Latn", "tur_Latn"], ["tur_Latn"])
    'tur_Latn of eng_Latn, tur_Latn'
    """
    return f"{chosen(large, wanted)} of {', '.join(large)}"


def is_same(note: str, wanted: Collection[str]) -> bool:
    """Return whether the texts of a note (`noted`) would be cut to the same part for other languages.

    >>> is_same("tur_Latn of eng_Latn, tur_Latn", ["eng_Latn"])
    False
    """
    return noted(note.partition(" of ")[2].split(", "), wanted) == note


def written(shares: Sequence[tuple[str, float]]) -> str:
    """Return shares as they are stored.

    >>> written([("tur_Latn", 0.618), ("eng_Latn", 0.382)])
    'tur_Latn 0.62, eng_Latn 0.38'
    """
    return ", ".join(f"{code} {share:.2f}" for code, share in shares)


def _may_be_mixed(text: str, model: str) -> bool:
    """Return whether pieces spread over the text get different answers."""
    step = max(_SAMPLE, len(text) // _SCREEN)
    samples = [text[start : start + _SAMPLE] for start in range(0, len(text), step)]
    prose = [sample for sample in samples if _votes(sample, _letters(sample))]
    return len({code for code, score in language.identify_each(prose, model) if score >= 0.5}) > 1


def _pieces(text: str) -> list[str]:
    """Return the lines of a text with their ends, long ones divided into sentences."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if len(line) < _PIECE:
            found.append(line)
            continue
        start = 0
        for end in (match.end() for match in _SENTENCE.finditer(line)):
            if end - start >= _PIECE // 4:
                found.append(line[start:end])
                start = end
        if start < len(line):
            found.append(line[start:])
    return found


def _letters(piece: str) -> int:
    return sum(map(len, _WORD.findall(piece)))


def _votes(piece: str, letters: int) -> float:
    """Return how many answers the one on a piece is worth: none for what is short, or code."""
    if len(_CODE_SIGNS.findall(piece)) > _CODE * letters:
        return 0.0
    return min(max(0, letters - _SILENT) * _PER_LETTER, _MOST)


def _labels(
    answers: Sequence[language.Language], letters: Sequence[int], votes: Sequence[float]
) -> list[str]:
    """Return the language of each piece in the light of all others."""
    weight: dict[str, float] = {}
    for answer, count, vote in zip(answers, letters, votes, strict=True):
        if vote and count >= _CANDIDATE[0] and answer.score >= _CANDIDATE[1]:
            weight[answer.code] = weight.get(answer.code, 0.0) + vote
    # Four are enough: the others have too little text to be a part.
    codes = sorted(weight, key=lambda code: (-weight[code], code))[:4]
    if len(codes) < 2:
        return [language.UNKNOWN.code] * len(answers)
    costs = [0.0] * len(codes)
    ways: list[list[int]] = []
    for answer, vote in zip(answers, votes, strict=True):
        cheapest = min(range(len(codes)), key=costs.__getitem__)
        way = [number if cost <= costs[cheapest] + _CHANGE else cheapest for number, cost in enumerate(costs)]
        costs = [
            min(cost, costs[cheapest] + _CHANGE) + vote * _surprise(answer, code)
            for cost, code in zip(costs, codes, strict=True)
        ]
        ways.append(way)
    at = min(range(len(codes)), key=costs.__getitem__)
    labels = []
    for way in reversed(ways):
        labels.append(codes[at])
        at = way[at]
    return labels[::-1]


def _surprise(answer: language.Language, code: str) -> float:
    """Return how much an answer speaks against a language, in nats."""
    probability = answer.score if answer.code == code else (1.0 - answer.score) / _OTHERS
    return -math.log(max(probability, _DOUBT))
