"""Gopher's rules let a text pass at the limit and drop it beyond, with rule, value and limit."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.filters import Drop
from corpus.filters.gopher import Quality, Repetition, quality, repetition
from corpus.text.view import view

NINE = "bir iki üç dört beş altı yedi sekiz dokuz"

# limits, a text at the limit, a text beyond it, the rule, the value beyond
QUALITY: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"min_words": 3}, "bir iki üç", "bir iki ...", "gopher.min_words", 2),
    ({"max_words": 3}, "bir iki üç !", "bir iki üç dört", "gopher.max_words", 4),
    ({"min_mean_word_length": 3.0}, "iki iki", "iki iki ve", "gopher.mean_word_length", 8 / 3),
    ({"max_mean_word_length": 3.0}, "iki - üç", "iki dört", "gopher.mean_word_length", 3.5),
    ({"max_hashes_per_word": 0.1}, f"{NINE} #", f"{NINE} ##", "gopher.hashes", 0.2),
    ({"max_ellipses_per_word": 0.1}, f"{NINE} ...", f"{NINE}… on...", "gopher.ellipses", 2 / 12),
    ({"max_ellipses_per_word": 0.1}, f"{NINE} .. .", f"{NINE} ......", "gopher.ellipses", 0.2),
    ({"max_bullet_lines": 0.5}, "- a\n\nb", "- a\n• b\nc", "gopher.bullet_lines", 2 / 3),
    ({"max_ellipsis_lines": 0.5}, "a...\nb", "a...\nb…\nc", "gopher.ellipsis_lines", 2 / 3),
    ({"min_alphabetic_words": 0.5}, "a1 1", "a 1 !", "gopher.alphabetic_words", 1 / 3),
    (
        {"min_stop_words": 2, "stop_words": ("ve", "bir", "için")},
        "VE geldi BİR",
        "ve geldi ve birlik",
        "gopher.stop_words",
        1,
    ),
]

REPETITION: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"max_duplicate_lines": 0.5}, "a\nb\n\nb\na", "a\na\na", "gopher.duplicate_lines", 2 / 3),
    ({"max_duplicate_line_chars": 0.4}, "ab\nab", "abc\nabc", "gopher.duplicate_line_chars", 3 / 7),
    (
        {"max_duplicate_paragraphs": 0.5},
        "a\nb\n\na\nb",
        "a\nb\n\na\nb\n\na\nb",
        "gopher.duplicate_paragraphs",
        2 / 3,
    ),
    (
        {"max_duplicate_paragraph_chars": 0.375},
        "a\nb\n\na\nb",
        "a\nbc\n\na\nbc",
        "gopher.duplicate_paragraph_chars",
        0.4,
    ),
    # the text has 8 characters, the bigram `a b` has 3 and comes twice
    ({"max_top_ngram_chars": ((2, 0.75),)}, "a b a, b", "a b a b", "gopher.top_2_gram_chars", 6 / 7),
    (
        {"max_duplicate_ngram_chars": ((2, 0.25),)},
        "a b A, b",
        "a b a b",
        "gopher.duplicate_2_gram_chars",
        2 / 7,
    ),
]


@pytest.mark.parametrize(("limits", "at", "beyond", "rule", "value"), QUALITY)
def test_quality_on_both_sides(limits: dict[str, Any], at: str, beyond: str, rule: str, value: float) -> None:
    assert quality(view(at), Quality(**limits)) is None
    drop = quality(view(beyond), Quality(**limits))
    limit = next(iter(limits.values()))
    assert drop == Drop(rule, pytest.approx(value), limit)


@pytest.mark.parametrize(("limits", "at", "beyond", "rule", "value"), REPETITION)
def test_repetition_on_both_sides(
    limits: dict[str, Any], at: str, beyond: str, rule: str, value: float
) -> None:
    assert repetition(view(at), Repetition(**limits)) is None
    drop = repetition(view(beyond), Repetition(**limits))
    limit = next(iter(limits.values()))
    assert drop == Drop(rule, pytest.approx(value), limit if isinstance(limit, float) else limit[0][1])


@pytest.mark.parametrize("text", ["", " \n", "...", "a"])
def test_without_limits_everything_passes(text: str) -> None:
    assert quality(view(text), Quality()) is None
    assert repetition(view(text), Repetition()) is None
