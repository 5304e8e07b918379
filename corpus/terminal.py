"""How a command speaks to the person at the terminal; programs read stdout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(stderr: bool = True) -> Console:
    """Give a Rich console that gives numbers no colours of its own."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(text: str, style: str | None = None) -> None:
    """Print plain text to stderr: brackets are no markup, lines are not broken."""
    console().print(text, style=style, soft_wrap=True, markup=False)


def shortened(url: str) -> str:
    """Give a local path as seen from where the user stands."""
    return os.path.relpath(url) if "://" not in url else url
