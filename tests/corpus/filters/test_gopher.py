"""Gopher's rules let a text pass at the limit and drop it beyond, with rule, value and limit."""

from __future__ import annotations

import math
from typing import Any

import pytest

from corpus.errors import ConfigError
from corpus.filters import Drop, judge
from corpus.filters.gopher import DUPLICATE, FAMILY, TOP
from corpus.text.view import view
from tests.corpus.filters.presets import preset

NINE = "bir iki üç dört beş altı yedi sekiz dokuz"

# limits, a text at the limit, a text beyond it, the rule, the value beyond
QUALITY: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"min_words": 3}, "bir iki üç", "bir iki ...", "gopher.min_words", 2),
    ({"max_words": 3}, "bir iki üç !", "bir iki üç dört", "gopher.max_words", 4),
    ({"min_mean_word_length": 3.0}, "iki iki", "iki iki ve", "gopher.min_mean_word_length", 8 / 3),
    ({"max_mean_word_length": 3.0}, "iki - üç", "iki dört", "gopher.max_mean_word_length", 3.5),
    ({"hashes": 0.1}, f"{NINE} #", f"{NINE} ##", "gopher.hashes", 2 / 11),
    ({"hashes": 0.1, "skip_headings": True}, f"## {NINE} #", f"{NINE} ## x", "gopher.hashes", 2 / 12),
    ({"ellipses": 0.1}, f"{NINE} ...", f"{NINE}… on...", "gopher.ellipses", 2 / 12),
    ({"ellipses": 0.1}, f"{NINE} .. .", f"{NINE} ......", "gopher.ellipses", 0.2),
    ({"bullet_lines": 0.5}, "- a\n\nb", "- a\n• b\nc", "gopher.bullet_lines", 2 / 3),
    ({"ellipsis_lines": 0.5}, "a...\nb", "a...\nb…\nc", "gopher.ellipsis_lines", 2 / 3),
    ({"alphabetic_words": 0.5}, "a1 1", "a 1 !", "gopher.alphabetic_words", 1 / 3),
    (
        {"min_stop_words": 2, "stop_words": ("ve", "bir", "için")},
        "VE geldi BİR",
        "ve geldi ve birlik",
        "gopher.min_stop_words",
        1,
    ),
]

REPETITION: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"duplicate_lines": 0.5}, "a\nb\n\nb\na", "a\na\na", "gopher.duplicate_lines", 2 / 3),
    ({"duplicate_line_chars": 0.4}, "ab\nab", "abc\nabc", "gopher.duplicate_line_chars", 3 / 7),
    (
        {"duplicate_paragraphs": 0.5},
        "a\nb\n\na\nb",
        "a\nb\n\na\nb\n\na\nb",
        "gopher.duplicate_paragraphs",
        2 / 3,
    ),
    (
        {"duplicate_paragraph_chars": 0.375},
        "a\nb\n\na\nb",
        "a\nbc\n\na\nbc",
        "gopher.duplicate_paragraph_chars",
        0.4,
    ),
    # the text has 8 characters, the bigram `a b` has 3 and comes twice
    ({"top_2_gram_chars": 0.75}, "a b a, b", "a b a b", "gopher.top_2_gram_chars", 6 / 7),
    (
        {"duplicate_5_gram_chars": 0.25},
        "a b c d e f a b c d e",
        "a b c d e a b c d e",
        "gopher.duplicate_5_gram_chars",
        5 / 19,
    ),
]


@pytest.mark.parametrize(("limits", "at", "beyond", "rule", "value"), [*QUALITY, *REPETITION])
def test_on_both_sides(limits: dict[str, Any], at: str, beyond: str, rule: str, value: float) -> None:
    assert judge(view(at), preset(gopher=limits)).drop is None
    drop = judge(view(beyond), preset(gopher=limits)).drop
    assert drop == Drop(rule, pytest.approx(value), next(iter(limits.values())))
    assert rule == f"gopher.{next(iter(limits))}"


def test_each_ngram_size_has_its_own_value() -> None:
    words = "a b c d e f g h i j k l"
    seen = judge(view(f"{words} {words} x"), preset()).values
    found = dict(zip((rule.key for rule in FAMILY.rules), seen.tolist(), strict=False))
    for n in TOP.tolist():
        assert found[f"top_{n}_gram_chars"] == pytest.approx(2 * (2 * n - 1) / 49)
    for n in DUPLICATE.tolist():
        assert found[f"duplicate_{n}_gram_chars"] == pytest.approx(n * (12 // n) / 49)


@pytest.mark.parametrize("text", ["", " \n", "...", "a"])
def test_without_limits_everything_passes(text: str) -> None:
    assert judge(view(text), preset()).drop is None


def test_without_a_list_stop_words_are_not_counted() -> None:
    at = [rule.key for rule in FAMILY.rules].index("min_stop_words")
    assert math.isnan(judge(view("ve bir"), preset()).values[at])
    assert judge(view("ve bir"), preset(gopher={"stop_words": ["bir"]})).values[at] == 1
    with pytest.raises(
        ConfigError, match=r"gopher\.stop_words = \[\]: expected words, which min_stop_words counts"
    ):
        preset(gopher={"min_stop_words": 2})


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        (f"# {NINE}", 1),
        (f"###### {NINE}\n\n  ## {NINE}", 8),
        (f"####### {NINE}", 0),  # no heading has seven
        (f"#{NINE}", 0),  # a hashtag
        (f"{NINE} # {NINE}", 0),
        ("##", 0),
    ],
)
def test_the_marks_of_headings_are_hashes_unless_they_are_skipped(text: str, skipped: int) -> None:
    place = next(i for i, rule in enumerate(FAMILY.rules) if rule.key == "hashes")
    seen = view(text)
    counted, left = (
        FAMILY.measure(seen, FAMILY.limits(skip_headings=skip)).values[place] for skip in (False, True)
    )
    assert counted * (text.count("#") - skipped) == pytest.approx(left * text.count("#"))
    assert (counted > left) == (skipped > 0)
