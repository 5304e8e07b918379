"""Presets that tests make."""

from __future__ import annotations

from typing import Any

from corpus.filters.preset import Preset, overlay, parse
from corpus.settings import Section

NONE = parse('summary = "none"', "none")


def preset(**tables: Section | dict[str, Any]) -> Preset:
    """Return a preset with these tables alone: preset(gopher={"min_words": 3})."""
    limits = {
        f"{table}.{key}": value
        for table, given in tables.items()
        for key, value in (_given(given) if isinstance(given, Section) else given).items()
    }
    return overlay(NONE, limits, "test")


def _given(table: Section) -> dict[str, Any]:
    return table.model_dump(mode="json", exclude_defaults=True)
