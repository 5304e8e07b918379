"""What a filter says of a document that must go: the rule, the value it found, the limit it broke."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drop:
    """A rule such as `gopher.min_words`, the document's value and the limit that it broke.

    A rule that no number decided, such as `language.not_kept`, has neither. `reason` is what a plugin says.
    """

    rule: str
    value: float | None = None
    limit: float | None = None
    reason: str = ""
