"""Every kind of removal has a meaning, in the words of the documentation."""

from __future__ import annotations

from pathlib import Path

from corpus.filters import RULES
from corpus.filters.meanings import STAGES, TABLES, meaning

DOCS = (Path(__file__).parents[3] / "docs" / "filters.md").read_text(encoding="utf-8")


def test_the_documentation_has_the_same_words() -> None:
    for rule, words in (STAGES | {f"{table}.NAME": words for table, words in TABLES.items()}).items():
        assert f"| `{rule}` | {words} |" in DOCS


def test_every_rule_has_a_meaning() -> None:
    assert all(meaning(rule.name) for rule in RULES)
    assert meaning("contamination.mmlu") == TABLES["contamination"]
    assert meaning("no.such_rule") == ""
