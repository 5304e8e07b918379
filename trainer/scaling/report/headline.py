"""The first screen of a report: one chart, one sentence, four numbers, and how far to trust them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.scaling.analysis import repeated
from trainer.scaling.laws import Floats
from trainer.scaling.report import chart_data
from trainer.scaling.report.answers import (
    NO,
    REACH,
    Point,
    answer_best_size,
    answer_epoch,
    beyond,
    point,
    vague,
)
from trainer.scaling.report.chart_data import POINTS, spread, unit
from trainer.scaling.report.formatting import GAP, count, ends, number, percent, power
from trainer.scaling.report.measured import Measured, interval
from trainer.scaling.report.report_model import Answer, Axis, Chart, Headline, Mark, Number, Series
from trainer.scaling.uncertainty import LEVEL, Interval

BEYOND = 10.0
"""The curves end at this many times the corpus."""


def headline(m: Measured, answers: tuple[Answer, ...]) -> Headline:
    """Return the first screen of a report."""
    trust = answers[-1].statement.removeprefix(NO).strip()
    trust = f"{trust[:1].upper()}{trust[1:]}"
    predictions = chart_data.held_out(m)
    if not {"params", "tokens"} <= set(m.analysis.fit.law.columns):
        charts = chart_data.fits(m)
        sentence = _doubling(m, point(m)) if "tokens" in m.analysis.fit.law.columns else ""
        return Headline(sentence, tuple(charts), (), trust, tuple(predictions))
    here = point(m)
    return Headline(_doubling(m, here), (_chart(m, here),), _numbers(m, here), trust, tuple(predictions))


def share(m: Measured, before: dict[str, float], after: dict[str, float]) -> Interval:
    """Return by which share the loss falls from one (params, tokens, unique) to another."""
    points = {name: np.array([before[name], after[name]]) for name in ("params", "tokens", "unique")}
    value, refits = m.surface.losses(**points)
    return interval(float(1 - value[1] / value[0]), 1 - refits[:, 1] / refits[:, 0])


def _doubling(m: Measured, here: Point) -> str:
    """Return what a corpus twice as large does, in one sentence."""
    have, twice = here.at(here.unique), here.at(2 * here.unique)
    found, sizes = share(m, have, twice), f"({count(here.unique)} → {count(2 * here.unique)} tokens)"
    at = f" at {count(here.params)} parameters" if np.isfinite(here.params) else ""
    why = _unsupported(m, found, twice)
    if why:
        return f"What doubling your corpus {sizes} does{at} is not known: {why}"
    if found.estimate < (m.noise or 0.0):
        less = f"by less than two runs differ by chance ({percent(m.noise or 0.0)})"
    else:
        less = f"by {_percent(found)}"
    return f"Doubling your corpus {sizes} lowers {unit(m.loss)} {less}{at}."


def _numbers(m: Measured, here: Point) -> tuple[Number, ...]:
    """Return the four numbers: twice the data, twice the parameters, the next epoch, the best size."""
    have = here.at(here.unique)
    less = f"lower {unit(m.loss)}"
    tokens = f"{count(here.unique)} → {count(2 * here.unique)} tokens"
    params = f"{count(here.params)} → {count(2 * here.params)} parameters"
    larger = here.at(here.unique, params=2 * here.params)
    return (
        _gain(m, "Twice the data", f"{less}, {tokens}", have, here.at(2 * here.unique)),
        _gain(m, "Twice the parameters", f"{less}, {params}", have, larger),
        _epoch(m, here, less),
        _best_size(m),
    )


def _gain(m: Measured, title: str, note: str, before: dict[str, float], after: dict[str, float]) -> Number:
    found = share(m, before, after)
    why = _unsupported(m, found, after)
    return Number(title, None if why else found, "percent", why or note)


def _epoch(m: Measured, here: Point, less: str) -> Number:
    title = "The next epoch"
    answer = answer_epoch(m, here)
    found = share(m, here.at(here.unique), here.at(2 * here.unique, here.unique)) if m.repeats else None
    if not answer.known or found is None:
        missing = "runs that read the same data two, four and eight times would tell"
        return Number(title, None, "percent", f"{_reason(answer)}; {missing}.")
    note = f"{less}, {count(here.unique)} tokens read a second time"
    most = float(m.runs.columns["params"][repeated(m.runs)].max())
    if most < here.params:
        note += f"; the runs that repeated data had at most {count(most)} parameters"
    return Number(title, found, "percent", note)


def _best_size(m: Measured) -> Number:
    answer = answer_best_size(m)
    title, note = "The best size", f"parameters for {power(float(m.runs.compute().max()), 2)} FLOPs"
    if not answer.known or answer.value is None:
        missing = "more sizes at equal compute, smaller and larger than the best, would tell"
        return Number(title, None, "count", f"{_reason(answer)}; {missing}.")
    return Number(title, answer.value, "count", f"{note}, the compute of the largest run")


def _reason(answer: Answer) -> str:
    """Return why there is no answer, in one line."""
    first = answer.statement.removeprefix(NO).strip().split(". ")[0].split(";")[0].rstrip(".")
    return f"Not known: {first}"


def _unsupported(m: Measured, found: Interval, after: dict[str, float]) -> str:
    """Return why the runs do not support a gain, and which runs would; empty where they do."""
    ratio = beyond(m, after)
    if ratio > REACH:
        return (
            f"it is {count(ratio, 2)} times the compute of the largest run, more than {REACH:.0f}; runs of "
            f"{count(after['tokens'] / (ratio / REACH), 2)} tokens or more at this size would tell."
        )
    if vague(found):
        return f"the interval is {ends(found, 'percent')}; more runs, or larger ones, would narrow it."
    return ""


def _percent(found: Interval) -> str:
    low, high = found.lower, found.upper
    assert low is not None
    assert high is not None
    return f"{percent(found.estimate)} ({percent(low).removesuffix(f'{GAP}%')}–{percent(high)})"


def _chart(m: Measured, here: Point) -> Chart:
    """Return loss against tokens by size: solid between its runs, dashed beyond, the corpus marked."""
    again = repeated(m.runs)
    sizes = spread(np.unique([*m.runs.columns["params"][~again], here.params]))
    last = BEYOND * here.unique
    lines, dots = [], []
    for style, size in enumerate(sizes):
        label = f"{count(size)} parameters"
        mine = ~again & (m.runs.columns["params"] == size)
        own = m.runs.take(mine)
        seen = own.columns["tokens"] if len(own) else m.runs.columns["tokens"]
        low, high = float(seen.min()), float(seen.max())
        if len(own) and high > low:
            lines.append(_curve(m, size, np.geomspace(low, high, POINTS), label, style))
        if last > high:
            start = high if len(own) else low
            lines.append(_curve(m, size, np.geomspace(start, last, POINTS), label, style, guess=True))
        if len(own):
            dots.append(
                Series(label, chart_data.t(seen), chart_data.t(own.loss), style=style, names=_names(m, mine))
            )
    name, law = unit(m.loss), m.analysis.fit.law
    alt = (
        f"{name[0].upper()}{name[1:]} of held-out text against training tokens. Points: runs. Curves: the "
        f"law “{law.name}”, {law.formula}, with {LEVEL * 100:.0f}{GAP}% band, dashed beyond a size's runs."
    )
    marks = (Mark(f"your corpus, {count(here.unique)} tokens", here.unique, upright=True),)
    y = Axis(f"held-out {name}", log=True)
    x = Axis("training tokens", log=True, kind="count")
    return Chart("What more data buys", x, y, alt, tuple(lines), tuple(dots), marks, wide=True)


def _names(m: Measured, mine: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the words of some runs for a pointer: name, tokens and loss."""
    rows = [row for row, one in zip(m.source.fitted(m.loss), mine, strict=True) if one]
    return tuple(f"{row.run}: {count(row.tokens)} tokens, {number(row.losses[m.loss])}" for row in rows)


def _curve(m: Measured, size: float, tokens: Floats, label: str, style: int, guess: bool = False) -> Series:
    value, drawn = m.surface.losses(np.full(len(tokens), size), tokens, tokens)
    lower, upper = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    t = chart_data.t
    return Series(label, t(tokens), t(value), t(lower), t(upper), style, guess)
