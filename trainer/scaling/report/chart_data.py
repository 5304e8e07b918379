"""The charts of a report: numbers to draw, and a description of each chart in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.page.charts import Axis, Chart, Mark, Series
from trainer.page.formatting import GAP, count, number, percent, unit
from trainer.scaling.choice import repeated, repeats
from trainer.scaling.laws import Floats
from trainer.scaling.report.measured import Measured
from trainer.scaling.source import Accuracy
from trainer.scaling.uncertainty import LEVEL

SHOWN = 5
"""Largest number of sizes in one chart: more could not be distinguished."""
POINTS = 41
BEYOND = 10.0
"""The curves end at this many times the corpus."""
_AXES = {
    "tokens": Axis("training tokens", log=True, kind="count"),
    "compute": Axis("training compute, FLOPs", log=True, kind="power"),
}


def by_size(m: Measured) -> Chart:
    """Return loss against tokens by size: solid between its runs, dashed beyond, the corpus marked.

    Its runs are those on fresh data with the share and the weight decay that the answers are for.
    """
    here, alike = m.here, ~repeated(m.runs)
    for column, value in here.recipe.items():
        alike &= m.runs.columns[column] == value
    every = np.unique([*m.runs.columns["params"][alike], here.params])
    last, lines, dots = BEYOND * here.unique, [], []
    names = [row.run for row in m.source.fitted(m.loss)]
    for style, size in enumerate(every[_spread(len(every))]):
        label = f"{count(size)} parameters"
        mine = np.flatnonzero(alike & (m.runs.columns["params"] == size))
        own = m.runs.take(mine)
        seen = own.columns["tokens"] if len(own) else m.runs.columns["tokens"]
        low, high = float(seen.min()), float(seen.max())
        if len(own) and high > low:
            lines.append(_curve(m, here.at(np.geomspace(low, high, POINTS), params=size), label, style))
        if last > high:
            beyond = np.geomspace(high if len(own) else low, last, POINTS)
            lines.append(_curve(m, here.at(beyond, params=size), label, style, guess=True))
        if len(own):
            told = [f"{names[i]}: {count(d)} tokens" for i, d in zip(mine, seen, strict=True)]
            dots.append(_runs(label, seen, own.loss, style, told))
    name, law = unit(m.loss), m.analysis.fit.law
    alt = (
        f"{name[0].upper()}{name[1:]} of held-out text against training tokens. Points: runs. Curves: the "
        f"law “{law.name}”, {law.formula}, with {LEVEL * 100:.0f}{GAP}% band, dashed beyond a size's runs."
    )
    corpus = m.source.part_of or here.unique
    marks = (Mark(f"your corpus, {count(corpus)} tokens", corpus, upright=True),) if corpus <= last else ()
    y = Axis(f"held-out {name}", log=True)
    return Chart("What more data buys", _AXES["tokens"], y, alt, tuple(lines), tuple(dots), marks, wide=True)


def _spread(found: int) -> Any:
    """Return the places of SHOWN sizes at most, the smallest and the largest among them."""
    return np.unique(np.linspace(0, found - 1, min(SHOWN, found)).round().astype(int))


def tasks(m: Measured) -> tuple[Chart, ...]:
    """Return a chart of each task that the study's models were asked: accuracy against tokens by size.

    Accuracies of several seeds, and the ends of their intervals, are averaged: all seeds are asked the same
    questions, so that more of them do not narrow an interval of the questions.
    """
    rows = [row for row in m.source.fitted(m.loss) if not repeats(row.tokens, row.unique)]
    sizes = sorted({row.params for row in rows})
    made = []
    for task in dict.fromkeys(name for row in rows for name in row.tasks):
        lines, dots = [], []
        for style, size in enumerate(sizes[i] for i in _spread(len(sizes))):
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


def one_size(m: Measured) -> Chart:
    """Return loss against tokens of runs of one size, with the law's band."""
    seen = m.runs.columns["tokens"]
    line = _curve(m, m.here.at(np.geomspace(seen.min(), seen.max(), POINTS)), "law with 95 % band")
    told = [f"{row.run}: {count(x)}" for row, x in zip(m.source.fitted(m.loss), seen, strict=True)]
    dots = _runs("runs", seen, m.runs.loss, 0, told)
    alt = f"{unit(m.loss)} of {len(m.runs)} runs and the law through them, {m.analysis.fit.law.formula}."
    y = Axis(f"held-out {unit(m.loss)}", log=True)
    return Chart("The law through the runs", _AXES["tokens"], y, alt, (line,), (dots,))


def held_out(m: Measured) -> tuple[Chart, ...]:
    """Return a chart of the largest runs against predictions from the others, with their intervals."""
    one = m.analysis.held_out
    if one is None:
        return ()
    by = "compute" if "params" in m.runs.columns else "tokens"
    at = one.runs.compute() if by == "compute" else one.runs.columns[by]
    rank = np.argsort(at, kind="stable")
    miss, low, high = (
        (loss / one.predicted.loss - 1)[rank]
        for loss in (one.runs.loss, one.predicted.lower, one.predicted.upper)
    )
    inside = (low <= miss) & (miss <= high)
    level = percent(one.predicted.level)
    kinds = ((f"measured, inside its {level} interval", inside, 0), ("measured, outside it", ~inside, 1))
    dots = tuple(
        Series(label, t(at[rank][it]), t(miss[it]), t(low[it]), t(high[it]), style)
        for label, it, style in kinds
        if it.any()
    )
    alt = f"{int(inside.sum())} of {len(rank)} held-out runs are inside their {level} intervals."
    y = Axis("measured over predicted, minus 1", kind="percent")
    title = "The largest runs against their predictions"
    return (Chart(title, _AXES[by], y, alt, (), dots, (Mark("prediction", 0.0),)),)


def repetition(m: Measured) -> Chart:
    """Return the loss of the model by epochs over its corpus, beside as many fresh tokens."""
    here, most = m.here, float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
    tokens = here.unique * np.geomspace(1, 2 * most, POINTS)
    again = _curve(m, here.at(tokens, here.unique), "the corpus, repeated")
    fresh = _curve(m, here.at(tokens), "as many fresh tokens", 1, guess=True)
    alt = (
        f"{unit(m.loss)} of {here.said} by the law, if it reads {count(here.unique)} unique tokens again and "
        f"again, and if all were fresh. The runs reach {number(most, 3)} epochs."
    )
    marks = (Mark("epochs of the runs", most * here.unique, upright=True),)
    y = Axis(f"held-out {unit(m.loss)}", log=True)
    return Chart("What repeated data buy", _AXES["tokens"], y, alt, (again, fresh), (), marks)


def _curve(m: Measured, at: dict[str, Floats], label: str, style: int = 0, guess: bool = False) -> Series:
    """Return the law at these columns, with the band of its refits."""
    value, drawn = m.draws.losses(at)
    lower, upper = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Series(label, t(at["tokens"]), t(value), t(lower), t(upper), style, guess)


def _runs(label: str, x: Floats, y: Floats, style: int, told: Sequence[str]) -> Series:
    names = tuple(f"{words}, {number(loss)}" for words, loss in zip(told, y, strict=True))
    return Series(label, t(x), t(y), style=style, names=names)


def t(values: Floats) -> tuple[float, ...]:
    """Return numbers as a series holds them."""
    return tuple(float(v) for v in values)
