"""Judged tasks as text: their numbers as rows, and a page of Markdown with its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainer.abilities.figure import draw, short
from trainer.abilities.scores import METRICS
from trainer.abilities.verdict import Ability

VERDICTS = {
    "emergent": "emergent",
    "metric": "only the metric jumps, not the ability",
    "smooth": "no jump",
    "absent": "not measurable",
    "unclear": "undecided",
}


def facts(ability: Ability) -> str:
    """Return n, chance, resolution and both emergence scores as text."""
    chance = "not known" if ability.chance is None else f"{ability.chance:.3g}"
    scores = ", ".join(
        f"{name} {score:+.3g}"
        for name, score in ((ability.sharp, ability.sharp_score), (ability.smooth, ability.smooth_score))
        if score is not None
    )
    return f"n = {ability.items:,}, chance {chance}, resolution 1/n = {ability.resolution:.2g}" + (
        f", emergence score {scores}" if scores else ""
    )


def rows(ability: Ability, scale: str) -> Iterator[list[str]]:
    """Yield a table's rows, one column per size: first the sizes, then every metric's mean by size."""
    sizes = ability.sizes
    own = [[point for point in ability.points if point.scale == size.scale] for size in sizes]
    yield [scale, *(short(size.scale) for size in sizes)]
    yield ["models", *(str(size.models) for size in sizes)]
    yield [ability.sharp, *(f"{size.sharp:.3f}" for size in sizes)]
    yield ["  Wilson, from", *(f"{size.lower:.3f}" for size in sizes)]
    yield ["  to", *(f"{size.upper:.3f}" for size in sizes)]
    if ability.sharp == "exact_match" and all(p.independent is not None for p in ability.points):
        yield ["  if digits were independent", *(_mean(p.independent or 0.0 for p in group) for group in own)]
    for name in METRICS:
        if name != ability.sharp and all(name in point.metrics for point in ability.points):
            yield [name, *(_mean(point.metrics[name].value for point in group) for group in own)]
            if name == ability.smooth:
                yield ["  noise", *(f"{size.noise:.3f}" for size in sizes)]


def page(abilities: Sequence[Ability], scale: str, folder: Path, begin: str = "") -> str:
    """Write a figure of each task into a folder; return the Markdown that shows them with their numbers."""
    parts = [begin] if begin else []
    for ability in abilities:
        name = f"{ability.task.replace('/', '-')}.svg"
        (folder / name).write_text(draw(ability, scale), encoding="utf-8")
        first, *others = rows(ability, scale)
        parts += [
            f"## {ability.task}\n",
            f"![{ability.sharp} and {ability.smooth} over {scale}]({name})\n",
            f"**{VERDICTS[ability.kind]}**: {ability.why}\n",
            f"{facts(ability)}.\n",
            "| " + " | ".join(first) + " |",
            "|---|" + "--:|" * (len(first) - 1),
            *("| " + " | ".join(row) + " |" for row in others),
            "",
            *(f"- {remark}" for remark in ability.remarks),
        ]
    return "\n".join(parts).rstrip() + "\n"


def _mean(values: Iterable[float]) -> str:
    held = list(values)
    return f"{sum(held) / len(held):.3f}"
