"""The charts of a report: numbers to draw, and a description of each chart in words."""

from __future__ import annotations

import numpy as np

from trainer.scaling.analysis import repeated
from trainer.scaling.approaches import SAME_BUDGET, approach_3, vertices
from trainer.scaling.laws import Floats
from trainer.scaling.prediction import order
from trainer.scaling.report.formatting import (
    around,
    count,
    ends,
    listed,
    named,
    number,
    percent,
    plural,
    power,
)
from trainer.scaling.report.measured import Measured, Surface
from trainer.scaling.report.report_model import NEUTRAL, Axis, Chart, Forest, Mark, Series
from trainer.scaling.runs import Runs
from trainer.scaling.uncertainty import LEVEL, Interval

SHOWN = 5
"""Largest number of sizes or budgets in one chart: more could not be distinguished."""
POINTS = 41
TOKENS = Axis("tokens seen, D", log=True, kind="count")
PARAMS = Axis("parameters, N", log=True, kind="count")
COMPUTE = Axis("training compute, FLOPs", log=True, kind="power")
_FREEDOM = 3.84
_AXES = {"params": PARAMS, "tokens": TOKENS, "compute": COMPUTE}


def unit(loss: str) -> str:
    """Return a loss's name for people: `languages.tur_Latn.bits_per_byte` is bits per byte, tur_Latn."""
    if not loss.endswith("bits_per_byte"):
        return loss
    parts = loss.split(".")
    return "bits per byte" if len(parts) < 3 else f"bits per byte, {'.'.join(parts[1:-1])}"


def fits(m: Measured) -> list[Chart]:
    """Return charts of the law with its band through the runs, against tokens or its only column."""
    columns = [c for c in m.analysis.fit.law.columns if c != "unique"]
    loss = Axis(unit(m.loss), log=True)
    if len(columns) == 1:
        whole = _curve(m.surface, columns[0], m.runs, {}, "law with 95 % band", 0)
        runs = Series("runs", t(m.runs.columns[columns[0]]), t(m.runs.loss))
        alt = f"{unit(m.loss)} of {len(m.runs)} runs and the law through them."
        return [Chart("The law through the runs", _AXES[columns[0]], loss, alt, (whole,), (runs,))]
    again = repeated(m.runs)
    single = m.runs.columns["params"][~again]
    every = np.unique(single)
    curves = np.array([n for n in every if np.ptp(m.runs.columns["tokens"][~again][single == n]) > 0])
    sizes = spread(curves if len(curves) > 1 else every)
    lines, dots = [], []
    for style, size in enumerate(sizes):
        own = m.runs.take((m.runs.columns["params"] == size) & ~again)
        label = f"{count(size)} parameters"
        over = own if np.ptp(own.columns["tokens"]) else m.runs
        lines.append(_curve(m.surface, "tokens", over, {"params": size}, label, style))
        dots.append(Series(label, t(own.columns["tokens"]), t(own.loss), style=style))
    shown = "the largest, the smallest and some between" if len(sizes) < len(_sizes(m.runs)) else "all sizes"
    alt = (
        f"{unit(m.loss)} falls with tokens at {len(sizes)} sizes ({shown}); the mean relative error of the "
        f"fitted law is {percent(m.analysis.fit.error)}."
    )
    seen_once = " (data seen once)" if again.any() else ""
    return [
        Chart(f"Loss against tokens, by model size{seen_once}", TOKENS, loss, alt, tuple(lines), tuple(dots))
    ]


def spread(values: Floats, most: int = SHOWN) -> list[float]:
    """Return some of many sorted values, including both ends."""
    at = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [float(values[i]) for i in at]


def residuals(m: Measured) -> list[Chart]:
    """Return charts of the residuals, against everything on which they might depend."""
    left = m.runs.loss / m.analysis.fit.predict(m.runs) - 1
    columns = m.runs.columns
    against: list[tuple[str, Axis, Floats]] = [
        (f"against {name}", _AXES[key], columns[key])
        for key, name in (("params", "parameters"), ("tokens", "tokens"))
        if key in columns
    ]
    if {"params", "tokens"} <= columns.keys():
        against.append(("against compute", COMPUTE, m.runs.compute()))
        ratio = columns["tokens"] / columns["params"]
        against.append(("against tokens per parameter", Axis("D / N", log=True, kind="count"), ratio))
    if repeated(m.runs).any():
        seen = columns["tokens"] / columns["unique"]
        against.append(("against epochs", Axis("epochs, D / U", log=True, kind="count"), seen))
    axis = Axis("measured over law, minus 1", kind="percent")
    marks = [Mark("", 0.0)]
    if m.noise is not None:
        marks += [Mark("twice the noise between seeds", 2 * m.noise), Mark("", -2 * m.noise)]
    return [
        Chart(
            f"Residuals {name}",
            x,
            axis,
            f"Between {percent(float(left.min()))} and {percent(float(left.max()))}; rank correlation "
            f"{number(_rank(values, left), 2)}.",
            dots=(Series("runs", t(values), t(left)),),
            marks=tuple(marks),
            small=True,
        )
        for name, x, values in against
    ]


def budgets(m: Measured) -> list[Chart]:
    """Return a chart of loss against size at equal compute, with the law's curves and the vertices."""
    if m.fresh is None:
        return []
    fresh = m.runs.take(~repeated(m.runs))
    compute, params = fresh.compute(), fresh.columns["params"]
    logs = np.sort(np.log(compute))
    parts = np.split(logs, np.flatnonzero(np.diff(logs) > SAME_BUDGET) + 1)
    shared = [float(part.mean()) for part in parts if len(part) > 2 and np.ptp(part) < 2 * SAME_BUDGET]
    places = (
        spread(np.array(shared)) if len(shared) > 1 else np.quantile(logs, [0.1, 0.35, 0.6, 0.85]).tolist()
    )
    lines, dots = [], []
    grid = np.geomspace(params.min(), params.max(), POINTS)
    for style, place in enumerate(places):
        budget = float(np.exp(place))
        label = f"{power(budget, 2)} FLOPs"
        value, _ = m.fresh.losses(grid, budget / (6 * grid), budget / (6 * grid))
        near = value < 1.25 * value.min()
        lines.append(Series(label, t(grid[near]), t(value[near]), style=style))
        own = np.abs(np.log(compute) - place) < SAME_BUDGET
        dots.append(Series(label, t(params[own]), t(fresh.loss[own]), style=style))
    found, refused = vertices(compute, params, fresh.columns["tokens"], fresh.loss)
    if found:
        dots.append(
            Series(
                "vertex of a parabola",
                tuple(v.params for v in found),
                tuple(v.loss for v in found),
                style=5,
            )
        )
    alt = (
        f"At equal compute the loss is lowest at one size and rises to both sides; {len(found)} of "
        f"{plural(len(found) + refused, 'budget')} have a parabola with its vertex inside."
    )
    loss = Axis(unit(m.loss), log=True)
    return [Chart("Loss against size at equal compute", PARAMS, loss, alt, tuple(lines), tuple(dots))]


def frontier(m: Measured) -> list[Chart]:
    """Return charts of the compute-optimal size by each approach, with its band and the data's range."""
    if m.fresh is None:
        return []
    compute = m.runs.compute()
    low, high = float(compute.min()), float(compute.max())
    grid = np.geomspace(low / 2, 100 * high, POINTS)
    drawn = [
        approach_3(dict(zip(m.fresh.fit.law.parameters, row, strict=True)))
        for row in m.fresh.draws.samples.tolist()
    ]
    drawn = [one for one in drawn if not one.why]
    shown = [one for one in m.analysis.approaches if not one.why]
    out = []
    for name, axis, place in (
        ("Compute-optimal parameters", PARAMS, 0),
        ("Compute-optimal tokens", TOKENS, 1),
    ):
        lines = []
        for one in shown:
            best = np.array([one.optimum(c)[place] for c in grid])
            band: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
            if one.approach == 3 and drawn:
                all_best = np.array([[each.optimum(c)[place] for c in grid] for each in drawn])
                ends_ = np.quantile(all_best, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
                band = (t(ends_[0]), t(ends_[1]))
            label = f"approach {one.approach}" + (", with 95 % band" if band[0] else "")
            lines.append(Series(label, t(grid), t(best), *band, style=one.approach - 1))
        dots = Series(
            "runs", t(compute), t(m.runs.columns["params" if place == 0 else "tokens"]), style=NEUTRAL
        )
        alt = (
            f"{name} against compute by approach {listed([str(one.approach) for one in shown])}; the runs "
            f"are between {power(low)} and {power(high)} FLOPs."
        )
        out.append(
            Chart(name, COMPUTE, axis, alt, tuple(lines), (dots,), (Mark("compute of the runs", low, high),))
        )
    return out


def held_out(m: Measured) -> list[Chart]:
    """Return a chart of the largest runs against predictions from the others, with their intervals."""
    if m.held_out is None:
        return []
    runs, asked = m.held_out.runs, m.held_out.predicted
    by = "compute" if {"params", "tokens"} <= runs.columns.keys() else m.analysis.fit.law.columns[0]
    at = order(runs, by)
    rank = np.argsort(at, kind="stable")
    miss, half = (runs.loss / asked.loss - 1)[rank], asked.half_width[rank]
    inside = np.abs(miss) <= half
    kinds = (("measured, inside its 95 % interval", inside, 0), ("measured, outside it", ~inside, 1))
    dots = [
        Series(label, t(at[rank][it]), t(miss[it]), t(-half[it]), t(half[it]), style)
        for label, it, style in kinds
        if it.any()
    ]
    alt = f"{int(inside.sum())} of {len(rank)} held-out runs are inside their 95 % intervals."
    axis = Axis("measured over predicted, minus 1", kind="percent")
    return [
        Chart(
            "The largest runs against their predictions",
            _AXES[by],
            axis,
            alt,
            (),
            tuple(dots),
            (Mark("prediction", 0.0),),
        )
    ]


def profiles(m: Measured) -> list[Chart]:
    """Return charts of the rise of the objective when one parameter is fixed away from its estimate."""
    out = []
    for one in m.analysis.profiles:
        near = one.rise <= 6 * _FREEDOM
        values, rise = one.values[near], one.rise[near]
        if len(values) < 2:
            continue
        found = m.analysis.bootstrap.interval(one.name)
        marks, name = [Mark("edge of 95 %", _FREEDOM)], named(one.name)
        alt = (
            f"Estimate {number(found.estimate)}; by profile {ends(one.interval)}, by bootstrap {ends(found)}."
        )
        lowest = Series(
            "estimate", (found.estimate,), (float(np.interp(found.estimate, values, rise)),), style=1
        )
        line = Series("rise", t(values), t(np.maximum(rise, 0.0)))
        axis = Axis("rise of the objective")
        out.append(Chart(name, Axis(name), axis, alt, (line,), (lowest,), tuple(marks), small=True))
    return out


def repetition(m: Measured) -> list[Chart]:
    """Return charts of the value of repeated data, and of the loss over epochs at fixed unique tokens."""
    if not m.repeats:
        return []
    most = float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
    epochs = np.geomspace(1, max(100.0, 2 * most), POINTS)
    value, drawn = worth(m, epochs)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    axis = Axis("value in fresh tokens over unique tokens, D′ / U", log=True, kind="count")
    epoch_axis = Axis("epochs over the same data", log=True, kind="count")
    ideal = Series("as if all were fresh", t(epochs), t(epochs), style=1, guess=True)
    law = Series("the law, with 95 % band", t(epochs), t(value), t(low), t(np.minimum(high, epochs)))
    alt = (
        f"Repeated data are worth less each time: at {count(4)} epochs they count as "
        f"{number(float(np.interp(4, epochs, value)), 3)} times the unique tokens."
    )
    marks = (Mark("epochs of the runs", 1.0, most),)
    return [
        Chart("Value of repeated data", epoch_axis, axis, alt, (law, ideal), (), marks),
        *_epochs(m),
    ]


def worth(m: Measured, epochs: Floats) -> tuple[Floats, Floats]:
    """Return D'/U after these epochs [n], by fit and every refit [b, n] (Muennighoff et al., equation 5)."""
    at = m.analysis.fit.law.index("log_rd")
    r = np.exp(np.append(m.analysis.fit.theta[at], m.surface.draws.samples[:, at]))[:, None]
    out = 1 - r * np.expm1(-(epochs - 1) / r)
    return out[0], out[1:]


def languages(m: Measured) -> list[Chart]:
    """Return a chart of the loss of each language against tokens at the largest size."""
    if not m.others or "tokens" not in m.analysis.fit.law.columns:
        return []
    size = float(m.runs.columns["params"].max()) if "params" in m.runs.columns else float("nan")
    lines, dots = [], []
    for style, (name, surface) in enumerate(m.others.items()):
        made = m.source.runs(name)
        own = made.take(made.columns["params"] == size) if np.isfinite(size) else made
        own = own.take(~repeated(own))
        label = unit(name).removeprefix("bits per byte, ")
        lines.append(_curve(surface, "tokens", own if len(own) else made, {"params": size}, label, style))
        dots.append(Series(label, t(own.columns["tokens"]), t(own.loss), style=style))
    alt = f"Loss against tokens of {len(lines)} losses, at {count(size)} parameters."
    axis = Axis("bits per byte" if all("bits" in n for n in m.others) else "loss", log=True)
    return [Chart("Each language against tokens", TOKENS, axis, alt, tuple(lines), tuple(dots))]


def comparisons(m: Measured) -> list[Forest]:
    """Return charts of the difference of each cell trained on both corpora, and of all together."""
    out = []
    for one in m.comparisons:
        cells = one.cells
        chosen = [
            cells[int(i)] for i in np.unique(np.linspace(0, len(cells) - 1, min(16, len(cells))).round())
        ]
        rows = [(label, Interval(drop, drop, drop)) for label, _, drop in chosen]
        whole = f"all {len(cells)} cells" if len(cells) > 1 else "the one cell"
        drop = around(one.difference, "percent")
        alt = f"{one.second} against {one.first}: {drop} lower loss over {len(cells)} cells."
        title = f"How much lower the loss is on {one.second} than on {one.first}"
        axis = Axis("lower loss, share", kind="percent")
        out.append(Forest(title, axis, (*rows, (whole, one.difference)), alt))
    return out


def _epochs(m: Measured) -> list[Chart]:
    columns = m.runs.columns
    again = repeated(m.runs)
    sizes, many = np.unique(columns["params"][again], return_counts=True)
    if not len(sizes):
        return []
    size = float(sizes[many.argmax()])
    own = m.runs.take(columns["params"] == size)
    lines, dots = [], []
    for style, unique in enumerate(spread(np.unique(own.columns["unique"][repeated(own)]), 4)):
        rows = own.take(np.abs(own.columns["unique"] / unique - 1) < 1e-3)
        label = f"{count(unique)} unique tokens"
        lines.append(
            _curve(m.surface, "tokens", rows, {"params": size, "unique": unique}, label, style, unique)
        )
        dots.append(Series(label, t(rows.columns["tokens"]), t(rows.loss), style=style))
    alt = (
        f"At {count(size)} parameters the loss of repeated data levels off earlier with fewer unique tokens."
    )
    loss = Axis(unit(m.loss), log=True)
    title = f"Loss over epochs, {count(size)} parameters"
    return [Chart(title, TOKENS, loss, alt, tuple(lines), tuple(dots))]


def _curve(
    surface: Surface,
    column: str,
    rows: Runs,
    held: dict[str, float],
    label: str,
    style: int,
    low: float = 0.0,
) -> Series:
    """Return a law with its band over the range of some runs in one column, the others fixed."""
    seen = rows.columns[column]
    grid = np.geomspace(low or seen.min(), max(seen.max(), 1.01 * seen.min()), POINTS)
    places = {
        name: grid if name == column else np.full(POINTS, held.get(name, np.nan))
        for name in ("params", "tokens")
    }
    unique = np.full(POINTS, held["unique"]) if "unique" in held else places["tokens"]
    value, drawn = surface.losses(places["params"], places["tokens"], unique)
    lower, upper = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Series(label, t(grid), t(value), t(lower), t(upper), style)


def _sizes(runs: Runs) -> Floats:
    return np.unique(runs.columns["params"])


def _rank(a: Floats, b: Floats) -> float:
    """Return Spearman's correlation; 0 if one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def t(values: Floats) -> tuple[float, ...]:
    """Return numbers as a series holds them."""
    return tuple(float(v) for v in values)
