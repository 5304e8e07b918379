"""What a person sees of judged tasks: tables in the terminal, a page of Markdown with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainer.scaling.emergence.figure import draw, short
from trainer.scaling.emergence.scores import METRICS
from trainer.scaling.emergence.verdict import Ability, Point

_VERDICTS = {
    "emergent": "emergent",
    "metric": "the metric jumps, not the ability",
    "smooth": "no jump",
    "absent": "not measurable",
    "unclear": "cannot be told",
}


def show(abilities: Sequence[Ability], console: Console, scale: str) -> None:
    """Print each task's numbers, size by size, and what they allow to say."""
    for ability in abilities:
        table = Table(title=f"{ability.task}: {facts(ability)}", title_justify="left")
        for head in heads(ability, scale):
            table.add_column(head, justify="right")
        for row in rows(ability):
            table.add_row(*row)
        console.print(table)
        console.print(f"{_VERDICTS[ability.kind]}: {ability.why}\n", markup=False, soft_wrap=True)
        for remark in ability.remarks:
            console.print(f"  {remark}", markup=False, soft_wrap=True)


def facts(ability: Ability) -> str:
    """Say n, chance, resolution and both emergence scores."""
    chance = "not known" if ability.chance is None else f"{ability.chance:.3g}"
    scores = ", ".join(
        f"{name} {score:+.3g}"
        for name, score in ((ability.sharp, ability.sharp_score), (ability.smooth, ability.smooth_score))
        if score is not None
    )
    return f"n = {ability.items:,}, chance {chance}, resolution 1/n = {ability.resolution:.2g}" + (
        f", emergence score {scores}" if scores else ""
    )


def heads(ability: Ability, scale: str) -> list[str]:
    """Name the columns of a task: what all of its models have."""
    return [scale, "models", f"{ability.sharp} (Wilson)", *_independent(ability), *_others(ability)]


def rows(ability: Ability) -> list[list[str]]:
    """Give a row of a table for each size; metrics are means over its models."""
    made = []
    for size in ability.sizes:
        own = [point for point in ability.points if point.scale == size.scale]
        row = [short(size.scale), str(size.models)]
        row.append(f"{size.sharp:.3f} ({size.lower:.3f}–{size.upper:.3f})")
        if _independent(ability):
            row.append(f"{sum(point.independent or 0.0 for point in own) / len(own):.3f}")
        row += [f"{_mean(own, name):.3f}" for name in _others(ability)]
        made.append(row)
    return made


def page(abilities: Sequence[Ability], scale: str, folder: Path, begin: str = "") -> str:
    """Write a picture of each task into a folder; give the Markdown that shows them with their numbers."""
    parts = [begin] if begin else []
    for ability in abilities:
        name = f"{ability.task.replace('/', '-')}.svg"
        (folder / name).write_text(draw(ability, scale), encoding="utf-8")
        head = heads(ability, scale)
        parts += [
            f"## {ability.task}\n",
            f"![{ability.sharp} and {ability.smooth} over {scale}]({name})\n",
            f"**{_VERDICTS[ability.kind]}**: {ability.why}\n",
            f"{facts(ability)}.\n",
            "| " + " | ".join(head) + " |",
            "|" + "--:|" * len(head),
            *("| " + " | ".join(row) + " |" for row in rows(ability)),
            "",
            *(f"- {remark}" for remark in ability.remarks),
        ]
    return "\n".join(parts).rstrip() + "\n"


def _independent(ability: Ability) -> list[str]:
    known = ability.sharp == "exact_match" and all(p.independent is not None for p in ability.points)
    return ["if digits were independent"] if known else []


def _others(ability: Ability) -> list[str]:
    """Name the metrics besides the sharp one that every model has."""
    return [
        f"{name}"
        for name in METRICS
        if name != ability.sharp and all(name in point.metrics for point in ability.points)
    ]


def _mean(points: Sequence[Point], name: str) -> float:
    return sum(point.metrics[name].value for point in points) / len(points)
