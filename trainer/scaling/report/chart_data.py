"""The charts of a report: numbers to draw, and a description of each chart in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.page.charts import Axis, Chart, Mark, Series
from trainer.page.formatting import GAP, count, number, percent, unit
from trainer.scaling.choice import repeated
from trainer.scaling.laws import Floats
from trainer.scaling.prediction import order
from trainer.scaling.report.measured import Measured
from trainer.scaling.source import Accuracy
from trainer.scaling.uncertainty import LEVEL

SHOWN = 5
"""Largest number of sizes in one chart: more could not be distinguished."""
POINTS = 41
BEYOND = 10.0
"""The curves end at this many times the corpus."""
_AXES = {
    "params": Axis("parameters", log=True, kind="count"),
    "tokens": Axis("training tokens", log=True, kind="count"),
    "compute": Axis("training compute, FLOPs", log=True, kind="power"),
}


def by_size(m: Measured, params: float, unique: float) -> Chart:
    """Return loss against tokens by size: solid between its runs, dashed beyond, the corpus marked."""
    fresh = ~repeated(m.runs)
    every = np.unique([*m.runs.columns["params"][fresh], params])
    at = np.unique(np.linspace(0, len(every) - 1, min(SHOWN, len(every))).round().astype(int))
    last = BEYOND * unique
    lines, dots = [], []
    names = [row.run for row in m.source.fitted(m.loss)]
    for style, size in enumerate(every[at]):
        label = f"{count(size)} parameters"
        mine = np.flatnonzero(fresh & (m.runs.columns["params"] == size))
        own = m.runs.take(mine)
        seen = own.columns["tokens"] if len(own) else m.runs.columns["tokens"]
        low, high = float(seen.min()), float(seen.max())
        if len(own) and high > low:
            lines.append(_curve(m, size, np.geomspace(low, high, POINTS), label, style))
        if last > high:
            start = high if len(own) else low
            lines.append(_curve(m, size, np.geomspace(start, last, POINTS), label, style, guess=True))
        if len(own):
            told = [f"{names[i]}: {count(d)} tokens" for i, d in zip(mine, seen, strict=True)]
            dots.append(_runs(label, seen, own.loss, style, told))
    name, law = unit(m.loss), m.analysis.fit.law
    alt = (
        f"{name[0].upper()}{name[1:]} of held-out text against training tokens. Points: runs. Curves: the "
        f"law “{law.name}”, {law.formula}, with {LEVEL * 100:.0f}{GAP}% band, dashed beyond a size's runs."
    )
    corpus = m.source.part_of or unique
    marks = (Mark(f"your corpus, {count(corpus)} tokens", corpus, upright=True),) if corpus <= last else ()
    y = Axis(f"held-out {name}", log=True)
    return Chart("What more data buys", _AXES["tokens"], y, alt, tuple(lines), tuple(dots), marks, wide=True)


def tasks(m: Measured) -> tuple[Chart, ...]:
    """Return a chart of each task that the study's models were asked: accuracy against tokens by size.

    Accuracies of several seeds, and the ends of their intervals, are averaged: all seeds are asked the same
    questions, so that more of them do not narrow an interval of the questions.
    """
    rows = [row for row in m.source.fitted(m.loss) if row.epochs <= 1]
    sizes = sorted({row.params for row in rows})
    at = np.unique(np.linspace(0, len(sizes) - 1, min(SHOWN, len(sizes))).round().astype(int))
    made = []
    for task in dict.fromkeys(name for row in rows for name in row.tasks):
        lines, dots = [], []
        for style, size in enumerate(sizes[i] for i in at):
            seeds: dict[float, list[Accuracy]] = {}
            for row in sorted(rows, key=lambda row: row.tokens):
                if row.params == size and task in row.tasks:
                    seeds.setdefault(row.tokens, []).append(row.tasks[task])
            label, x = f"{count(size)} parameters", tuple(seeds)
            share, low, high = (
                tuple(float(np.mean([getattr(one, end) for one in found])) for found in seeds.values())
                for end in ("share", "low", "high")
            )
            told = (
                f"{label}, {count(tokens)} tokens: {percent(mean, 3)}"
                for tokens, mean in zip(x, share, strict=True)
            )
            lines.append(Series(label, x, share, style=style))
            dots.append(Series(label, x, share, low, high, style, names=tuple(told)))
        chance = next(row.tasks[task].chance for row in rows if task in row.tasks)
        alt = (
            f"Share of the questions of “{task}” answered rightly, mean of seeds, with 95{GAP}% intervals of "
            "the questions."
        )
        y = Axis("right answers", kind="percent")
        mark = (Mark("by guessing", chance),)
        made.append(Chart(f"Accuracy on {task}", _AXES["tokens"], y, alt, tuple(lines), tuple(dots), mark))
    return tuple(made)


def one_column(m: Measured) -> Chart:
    """Return loss against the only column of the law, with its band."""
    (column,) = (name for name in m.analysis.fit.law.columns if name != "unique")
    seen = m.runs.columns[column]
    grid = np.geomspace(seen.min(), max(seen.max(), 1.01 * seen.min()), POINTS)
    value, drawn = m.surface.losses(grid, grid, grid)
    line = _band("law with 95 % band", grid, value, drawn, 0)
    told = [f"{row.run}: {count(x)}" for row, x in zip(m.source.fitted(m.loss), seen, strict=True)]
    dots = _runs("runs", seen, m.runs.loss, 0, told)
    alt = f"{unit(m.loss)} of {len(m.runs)} runs and the law through them, {m.analysis.fit.law.formula}."
    y = Axis(f"held-out {unit(m.loss)}", log=True)
    return Chart("The law through the runs", _AXES[column], y, alt, (line,), (dots,))


def held_out(m: Measured) -> tuple[Chart, ...]:
    """Return a chart of the largest runs against predictions from the others, with their intervals."""
    one = m.held_out
    if one is None:
        return ()
    at = order(one.runs, one.by)
    rank = np.argsort(at, kind="stable")
    miss, half = (one.runs.loss / one.predicted.loss - 1)[rank], one.predicted.half_width[rank]
    inside = np.abs(miss) <= half
    level = percent(one.level)
    kinds = ((f"measured, inside its {level} interval", inside, 0), ("measured, outside it", ~inside, 1))
    dots = tuple(
        Series(label, t(at[rank][it]), t(miss[it]), t(-half[it]), t(half[it]), style)
        for label, it, style in kinds
        if it.any()
    )
    alt = f"{int(inside.sum())} of {len(rank)} held-out runs are inside their {level} intervals."
    y = Axis("measured over predicted, minus 1", kind="percent")
    title = "The largest runs against their predictions"
    return (Chart(title, _AXES[one.by], y, alt, (), dots, (Mark("prediction", 0.0),)),)


def repetition(m: Measured) -> tuple[Chart, ...]:
    """Return a chart of the value of repeated data."""
    if not m.repeats:
        return ()
    most = float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
    epochs = np.geomspace(1, max(100.0, 2 * most), POINTS)
    value, drawn = m.worth(epochs)
    law = _band("the law, with 95 % band", epochs, value, np.minimum(drawn, epochs), 0)
    ideal = Series("as if all were fresh", t(epochs), t(epochs), style=1, guess=True)
    alt = (
        f"Repeated data are worth less each time: at {count(4)} epochs they count as "
        f"{number(float(np.interp(4, epochs, value)), 3)} times the unique tokens. The runs reach "
        f"{number(most, 3)} epochs."
    )
    x = Axis("epochs over the same data", log=True, kind="count")
    y = Axis("value in fresh tokens over unique tokens, D′ / U", log=True, kind="count")
    marks = (Mark("epochs of the runs", most, upright=True),)
    return (Chart("Value of repeated data", x, y, alt, (law, ideal), (), marks),)


def _curve(m: Measured, size: float, tokens: Floats, label: str, style: int, guess: bool = False) -> Series:
    value, drawn = m.surface.losses(np.full(len(tokens), size), tokens, tokens)
    return _band(label, tokens, value, drawn, style, guess)


def _band(label: str, x: Floats, y: Floats, drawn: Floats, style: int, guess: bool = False) -> Series:
    """Return a curve [n] with the band of its refits [b, n]."""
    lower, upper = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Series(label, t(x), t(y), t(lower), t(upper), style, guess)


def _runs(label: str, x: Floats, y: Floats, style: int, told: Sequence[str]) -> Series:
    names = tuple(f"{words}, {number(loss)}" for words, loss in zip(told, y, strict=True))
    return Series(label, t(x), t(y), style=style, names=names)


def t(values: Floats) -> tuple[float, ...]:
    """Return numbers as a series holds them."""
    return tuple(float(v) for v in values)
