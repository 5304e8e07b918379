"""Why a filter drops a document: the rule, the value and the limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drop:
    """A rule such as `gopher.min_words`, the document's value and the limit that it broke.

    A rule without a number, such as `language.not_kept`, has neither. `reason` is the text that a plugin
    returned.
    """

    rule: str
    value: float | None = None
    limit: float | None = None
    reason: str = ""
