"""The differences of two builds, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from commands.render.tables import Table
from corpus.inspect.diff import Change, Diff

_SHORT = 160


def _way(change: Change) -> str:
    """Return what happened and the rules that it was, in words that a narrow terminal can break between."""
    rules = [rule for rule in (change.before, change.after) if rule]
    return f"{change.what}: {' → '.join(rules)}" if rules else change.what


def render_diff(found: Diff, console: Console) -> None:
    """Print what differs in the settings, how many texts went which way, and examples."""
    if found.settings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("stage", "setting", "first", "second"):
            table.add_column(name, overflow="fold")
        for setting in found.settings:
            table.add_row(*map(Text, (setting.stage, setting.key, setting.first[:60], setting.second[:60])))
        console.print(table, "")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    for name in ("texts", "words"):
        table.add_column(name, justify="right")
    for change in found.changes:
        table.add_row(Text(_way(change)), f"{change.texts:,}", f"{change.words:,}")
    console.print(table)
    console.print(f"{found.same:,} texts have the same outcome and the same text in both", highlight=False)
    for example in found.examples:
        console.print("")
        console.print(Text(f"{example.what}: {example.url or 'a text without URL'}", style="bold"))
        for left, right in example.differing:
            console.print(Text(f"- {left[:_SHORT]}", style="red") if left else "", end="\n" if left else "")
            console.print(
                Text(f"+ {right[:_SHORT]}", style="green") if right else "", end="\n" if right else ""
            )
