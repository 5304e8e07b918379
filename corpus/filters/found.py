"""A value with its reason, as a filter returns it that knows what it found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of a document, and the reason that is stored where a limit drops it."""

    value: float
    reason: str = ""
