"""What a filter says of a document that must go: the rule, the value it found, the limit it broke."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drop:
    """A rule such as `gopher.mean_word_length`, the document's value and the limit that it broke.

    A rule that no number decided, such as `language.not_kept`, has neither.
    """

    rule: str
    value: float | None = None
    limit: float | None = None


def above(rule: str, value: float, limit: float | None) -> Drop | None:
    """Drop where `value` exceeds `limit`; no limit, no rule."""
    return Drop(rule, float(value), float(limit)) if limit is not None and value > limit else None


def below(rule: str, value: float, limit: float | None) -> Drop | None:
    """Drop where `value` falls short of `limit`; no limit, no rule."""
    return Drop(rule, float(value), float(limit)) if limit is not None and value < limit else None
