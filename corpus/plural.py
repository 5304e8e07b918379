"""Numbers of things in messages: "1 run", "2 runs"."""

from __future__ import annotations


def plural(many: int, thing: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{many:,} {thing}" if many == 1 else f"{many:,} {thing}s"
