"""docs/filters.md names every rule and parameter that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from corpus.filters.families import FAMILIES
from corpus.filters.meanings import meaning

PAGE = Path(__file__).parents[3] / "docs" / "filters.md"


def test_the_page_lists_the_rules_and_parameters_of_the_families() -> None:
    listed = re.findall(r"^\| `(\w+\.\w+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    there = [each.name for family in FAMILIES for each in (*family.rules, *family.parameters)]
    assert [name for name in listed if name in there] == there
    assert all(meaning(name) for name in listed if name not in there)  # reasons that no family has
