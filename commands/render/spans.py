"""Passages that were removed from kept documents, one below the other."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from commands.render.formats import safe, say
from corpus.inspect.spans import Removed


def render_spans(found: Sequence[Removed], console: Console, characters: int | None) -> None:
    """Print each passage, or its first `characters`, with its document and the one that keeps it."""
    if not found:
        say(console, "no passage was removed")
    for number, each in enumerate(found, start=1):
        console.print(Rule(Text(f"{number}/{len(found)} removed passage", style="bold"), align="left"))
        console.print(Text(f"from   {each.id} {safe(each.url)}".rstrip(), style="dim"))
        console.print(Text(f"bytes  {each.start:,} to {each.end:,}", style="dim"))
        console.print(Text(f"kept   in {each.kept}", style="dim"))
        console.print(Text(f"rule   {each.rule}", style="dim"))
        text = each.text if characters is None else each.text[:characters]
        console.print(Text(safe(text) + (" …" if len(text) < len(each.text) else "")))
