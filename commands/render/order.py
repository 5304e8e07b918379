"""Print the rows of a training step."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from commands.render.formats import row as add
from commands.render.formats import table
from trainer.trace import Row


def render_order(rows: Sequence[Row], console: Console) -> None:
    """Print rows as a table, one line per document; the first digits of its id are enough for `show`."""
    shown = table("stream", "row", "epoch", "tokens", "of", "document")
    for made in rows:
        for number, passage in enumerate(made.passages):
            named = (made.stream, f"{made.row:,}", f"{made.epoch}") if number == 0 else ("", "", "")
            add(shown, *named, f"{passage.first:,}–{passage.last:,}", f"{passage.tokens:,}", passage.id[:16])
    console.print(shown)
