"""Judged tasks as text: their numbers as rows, and a page with their curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from trainer.abilities.scores import METRICS
from trainer.abilities.verdict import Ability
from trainer.page.charts import NEUTRAL, Axis, Chart, Mark, Series
from trainer.page.formatting import count
from trainer.page.html import Column, Table, figures, paragraphs, table
from trainer.page.html import page as html

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
    yield [scale, *(count(size.scale) for size in sizes)]
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


def page(abilities: Sequence[Ability], scale: str, remarks: Sequence[str]) -> str:
    """Return the page that shows every task's curves, numbers and verdict."""
    parts = [paragraphs(tuple(remarks))]
    for number, one in enumerate(abilities):
        first, *others = rows(one, scale)
        columns = (Column(first[0], "text"), *(Column(each) for each in first[1:]))
        said = (f"{VERDICTS[one.kind]}: {one.why}", f"{facts(one)}.", *one.remarks)
        parts += [
            f"<section><h2>{escape(one.task)}</h2>",
            paragraphs(said),
            figures(charts(one, scale), f"task-{number}"),
            table(Table(f"{one.task} by {scale}", columns, tuple(tuple(row) for row in others))),
            "</section>",
        ]
    about = f"{len(abilities)} tasks, models ordered by {scale}"
    return html("Does an ability appear suddenly, or only its metric?", about, "".join(parts))


def charts(one: Ability, scale: str) -> tuple[Chart, ...]:
    """Return the sharp metric with Wilson's intervals, and the smooth one with its noise, over scale."""
    x = Axis(scale, log=True, kind="count")
    at = tuple(size.scale for size in one.sizes)
    made = []
    for name, values, around in (
        (one.sharp, [s.sharp for s in one.sizes], [(s.lower, s.upper) for s in one.sizes]),
        (
            one.smooth,
            [s.smooth for s in one.sizes],
            [(s.smooth - s.noise, s.smooth + s.noise) for s in one.sizes],
        ),
    ):
        known = [i for i, value in enumerate(values) if math.isfinite(value)]
        place, y = tuple(at[i] for i in known), tuple(values[i] for i in known)
        low, high = (tuple(around[i][side] for i in known) for side in (0, 1))
        points = [(p.scale, p.metrics[name].value) for p in one.points if name in p.metrics]
        points = [point for point in points if math.isfinite(point[1])]
        own = tuple(point[0] for point in points), tuple(point[1] for point in points)
        dots = [Series(name, place, y, low, high)]
        if points:
            dots.append(Series("single models", *own, style=NEUTRAL))
        lines = [Series(name, place, y)]
        marks: tuple[Mark, ...] = ()
        if name == one.sharp and one.chance is not None:
            marks = (Mark("by guessing", one.chance),)
        alt = f"{name}: {METRICS[name].meaning}, {one.items} items, by {scale}."
        made.append(Chart(name, x, Axis(name), alt, tuple(lines), tuple(dots), marks))
    return tuple(made)


def _mean(values: Iterable[float]) -> str:
    held = list(values)
    return f"{sum(held) / len(held):.3f}"
