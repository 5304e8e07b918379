"""The presets of filters and the rules that they have limits for, printed for a person."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from commands.render.formats import row, say
from commands.render.tables import Table
from corpus.filters import FAMILIES


def render_presets(summaries: Mapping[str, str], console: Console) -> None:
    """Print each preset with its summary, then every rule by family with what it measures."""
    presets = _table("preset", "summary")
    for name, summary in summaries.items():
        row(presets, name, summary)
    console.print(presets)
    for family in FAMILIES:
        console.print()
        say(console, f"{family.title}: {family.source}", "bold")
        rules = _table("rule", "drops", "what is measured")
        for rule in family.rules:
            row(rules, rule.name, rule.direction, rule.description)
        console.print(rules)
    console.print()
    say(console, "`derlem presets NAME` prints a preset; `derlem config` the limits in force", "dim")


def _table(*headings: str) -> Table:
    """Return a table of text whose last column is folded."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings[:-1]:
        made.add_column(heading, no_wrap=True)
    made.add_column(headings[-1])
    return made
