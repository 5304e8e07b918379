"""Print judged tasks: a table for each, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console

from commands.render.tables import Table
from trainer.abilities.page import VERDICTS, facts, rows
from trainer.abilities.verdict import Ability


def render_abilities(abilities: Sequence[Ability], console: Console, scale: str) -> None:
    """Print each task's numbers, size by size, and its verdict with remarks."""
    for ability in abilities:
        console.print(f"{ability.task}: {facts(ability)}", markup=False, soft_wrap=True)
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        first, *others = rows(ability, scale)
        for head in first:
            number = head is not first[0]
            table.add_column(
                head, justify="right" if number else "left", no_wrap=number, min_width=6 if number else None
            )
        for row in others:
            table.add_row(*row)
        console.print(table)
        console.print(f"{VERDICTS[ability.kind]}: {ability.why}\n", markup=False, soft_wrap=True)
        for remark in ability.remarks:
            console.print(f"  {remark}", markup=False, soft_wrap=True)
