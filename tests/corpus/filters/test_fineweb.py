"""FineWeb's rules let a text pass at the limit and drop it beyond."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.filters import Drop, judge
from corpus.text.view import view
from tests.corpus.filters.presets import preset

CASES: list[tuple[dict[str, Any], str, str, str, float]] = [
    ({"sentence_lines": 0.5}, "Geldi.\nGitti", "Geldi.\nGitti.”\nYok:", "fineweb.sentence_lines", 1 / 3),
    ({"short_lines": 0.5}, f"{'a' * 31}\n{'a' * 30}", "a\nb", "fineweb.short_lines", 1.0),
    ({"duplicate_line_chars": 0.5}, "ab\nab", "a\nab\nab\nab", "fineweb.duplicate_line_chars", 4 / 7),
    ({"breaks_per_word": 0.25}, "a b\nc .", "a b\n\nc .", "fineweb.breaks_per_word", 0.5),
    ({"min_lines": 1}, "a", " \n ", "fineweb.min_lines", 0),
]


@pytest.mark.parametrize(("limits", "at", "beyond", "rule", "value"), CASES)
def test_on_both_sides(limits: dict[str, Any], at: str, beyond: str, rule: str, value: float) -> None:
    assert judge(view(at), preset(fineweb=limits)).drop is None
    drop = judge(view(beyond), preset(fineweb=limits)).drop
    assert drop == Drop(rule, pytest.approx(value), *limits.values())
    assert rule == f"fineweb.{next(iter(limits))}"


def test_the_length_of_a_short_line_can_be_set() -> None:
    limits = preset(fineweb={"short_lines": 0.5, "short_line_chars": 3})
    assert judge(view("dört\nüç"), limits).drop is None
    assert judge(view("iki\nüç"), limits).drop is not None
