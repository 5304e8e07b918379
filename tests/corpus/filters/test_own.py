"""derlem's own rules let a text pass at the limit and drop it beyond."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.filters import Drop, judge
from corpus.text.view import view
from tests.corpus.filters.presets import preset


@pytest.mark.parametrize(
    ("limits", "at", "beyond", "rule", "value"),
    [
        ({"code_lines": 0.5}, "{\nmadde;", "yaz(1);\n} else\nson.", "own.code_lines", 2 / 3),
        ({"code_lines": 0.5}, "a/b\n// not", "```c\nint a;\n```\nson", "own.code_lines", 3 / 4),
        ({"broken_words": 0.5}, "i?ler mi? ne", "i?ler de?i?ti", "own.broken_words", 1.5),
        ({"broken_words": 0.0}, "mi? 5?6 a ?", "\ufffdey", "own.broken_words", 0.5),
    ],
)
def test_on_both_sides(limits: dict[str, Any], at: str, beyond: str, rule: str, value: float) -> None:
    assert judge(view(at), preset(own=limits)).drop is None
    drop = judge(view(beyond), preset(own=limits)).drop
    assert drop == Drop(rule, pytest.approx(value), *limits.values())


SPAM = "En ucuz kitap. En ucuz roman, en ucuz defter! Kalem için en ucuz. En ucuz atlas; en ucuz masa\n"


def test_one_phrase_in_most_phrases_is_stuffed() -> None:
    limits = {"stuffed_phrases": 0.75}
    assert judge(view(SPAM * 2), preset(own=limits)).drop == Drop("own.stuffed_phrases", 1.0, 0.75)
    apart = "Bir kitap okudum. Yeni roman çıktı, iyi defter yok! Kalem bulsak ya. "
    assert judge(view(SPAM + apart), preset(own=limits)).drop is None, "6 of 10 phrases"
    assert judge(view(SPAM), preset(own=limits)).drop is None, "too few phrases to tell"
    assert judge(view("en. ucuz, " * 20), preset(own=limits)).drop is None, "words apart are no phrase"


def test_code_beside_enough_prose_stays() -> None:
    text = "Bu satır altı kelimelik bir cümledir.\n{\n}"
    limits = {"code_lines": 0.5, "prose_words": 6}
    assert judge(view(text), preset(own=limits)).drop is None
    assert judge(view(text), preset(own=limits | {"prose_words": 7})).drop is not None
