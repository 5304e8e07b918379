"""FineWeb's rules let a text pass at the limit and drop it beyond."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.filters import Drop
from corpus.filters.fineweb import FineWeb, check
from corpus.text.view import view

CASES: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"min_sentence_lines": 0.5}, "Geldi.”\nGitti", "Geldi.\nGitti\nYok:", "fineweb.sentence_lines", 1 / 3),
    ({"max_short_lines": 0.5}, f"{'a' * 31}\n{'a' * 30}", "a\nb", "fineweb.short_lines", 1.0),
    ({"max_duplicate_line_chars": 0.5}, "ab\nab", "a\nab\nab\nab", "fineweb.duplicate_line_chars", 4 / 7),
    ({"max_breaks_per_word": 0.25}, "a b\n\n\nc .", "a b\nc", "fineweb.breaks_per_word", 1 / 3),
]


@pytest.mark.parametrize(("limits", "at", "beyond", "rule", "value"), CASES)
def test_on_both_sides(limits: dict[str, Any], at: str, beyond: str, rule: str, value: float) -> None:
    assert check(view(at), FineWeb(**limits)) is None
    assert check(view(beyond), FineWeb(**limits)) == Drop(rule, pytest.approx(value), *limits.values())


def test_a_text_without_lines_is_dropped() -> None:
    assert check(view(" \n "), FineWeb()) == Drop("fineweb.lines", 0.0, 1.0)


def test_the_length_of_a_short_line_can_be_set() -> None:
    limits = FineWeb(max_short_lines=0.5, short_line=3)
    assert check(view("dört\nüç"), limits) is None
    assert check(view("iki\nüç"), limits) is not None
