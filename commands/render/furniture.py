"""The lines that a host repeats, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from commands.render.formats import safe
from commands.render.tables import Table
from corpus.inspect.furniture import Repeated


def render_furniture(found: Sequence[Repeated], console: Console) -> None:
    """Print each line with the pages on which it stands and the hosts that have it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("pages", "of", "hosts"):
        table.add_column(name, justify="right")
    table.add_column("line", overflow="fold")
    for each in found:
        table.add_row(f"{each.pages:,}", f"{each.of_pages:,}", f"{each.hosts:,}", safe(each.line))
    console.print(table)
