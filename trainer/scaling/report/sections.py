"""The folded sections of a report: the law, its predictions, repeated data, the runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.plural import plural
from trainer.page.formatting import GAP, Kind, count, named, number, percent, power, unit
from trainer.page.html import Cell, Column, Table
from trainer.scaling.report import chart_data
from trainer.scaling.report.measured import Measured, point
from trainer.scaling.report.report_model import Section
from trainer.scaling.source import Run
from trainer.scaling.uncertainty import Interval

BEYOND = (1.0, 10.0, 100.0)
"""Multiples of the largest run's compute for which compute-optimal sizes are given."""


def sections(m: Measured) -> tuple[Section, ...]:
    """Return the page's sections in order, without those for which there are no data."""
    every = (_law(m), _optimum(m), _held_out(m), _repeated(m), _languages(m), _runs(m))
    return tuple(one for one in every if one is not None)


def _law(m: Measured) -> Section:
    fit, proof, draws = m.analysis.fit, m.analysis.fit.certificate, m.analysis.bootstrap
    intervals = {named(name): draws.interval(name) for name in fit.law.parameters} | draws.derived()
    estimates = Table(
        f"Estimates of {fit.law.formula}, with 95 % intervals",
        (Column("parameter", "text"), Column("estimate")),
        tuple(intervals.items()),
        f"Percentile bootstrap: {len(draws.samples)} resamples of {draws.clusters} runs. a, b and e are the "
        "natural logarithms of A, B and E.",
    )
    rivals = m.held_out.rivals if m.held_out else {}
    laws = Table(
        "Laws on the same runs",
        (
            Column("law", "text"),
            Column("rows", "count"),
            Column("R²"),
            Column("mean error", "percent"),
            Column("median error, held-out runs", "percent"),
        ),
        tuple(
            (name, float(each.runs), each.r2, each.error, rivals.get(name))
            for name, each in m.analysis.fits.items()
        ),
    )
    tables = [estimates, laws]
    if m.analysis.compared:
        tables.append(
            Table(
                "The law that answers",
                (
                    Column("law", "text"),
                    Column("error in rollouts", "percent"),
                    Column("parameters not determined", "count"),
                    Column("error with penalty", "percent"),
                ),
                tuple(
                    (one.law, one.error, float(one.undetermined), one.penalised)
                    for one in m.analysis.compared
                ),
                f"“{fit.law.name}” answers. Rollouts: fitted to the smaller runs, it predicts the larger "
                "ones. A simpler law answers only if it is clearly better.",
            )
        )
    text = (
        f"Source: {fit.law.source}. Fitted to {m.analysis.runs} rows of "
        f"{plural(m.analysis.clusters, 'run')} by the {fit.objective.describe()}; {proof.agreeing} of "
        f"{proof.descents} descents from the best of {proof.starts:,} starts ended in the same minimum.",
    )
    return Section("law", "The law and its fit", text, (), tuple(tables))


def _optimum(m: Measured) -> Section | None:
    if m.fresh is None:
        return None
    largest = float(m.runs.compute().max())
    rows: list[tuple[Cell, ...]] = []
    for one in m.analysis.approaches:
        label = f"approach{GAP}{one.approach}"
        if one.why:
            rows.append((label, None, None, None, None, one.why))
            continue
        for times in BEYOND:
            n, d = one.optimum(times * largest)
            rows.append((label, one.a, times * largest, n, d, f"{count(times)} times the largest run"))
    table = Table(
        "Compute-optimal sizes by three approaches",
        (
            Column("", "text"),
            Column("N ~ C^a"),
            Column("FLOPs", "power"),
            Column("N*", "count"),
            Column("D*", "count"),
            Column("C over the largest run's, or why not", "text"),
        ),
        tuple(rows),
        "Approach 1: the lower envelope of training curves. 2: parabolas through runs of equal compute. "
        "3: the fitted law. Numbers beyond the largest run are extrapolated.",
    )
    ways = Table(
        "The exponent of N by what counts as a parameter and as compute",
        (Column("convention", "text"), Column("a, approach 3"), Column("convention", "text")),
        tuple((name, one.exponent, one.source) for name, one in m.conventions.items()),
    )
    tables = (table, ways) if m.conventions else (table,)
    return Section("optimum", "The best size for a compute", (), (), tables)


def _held_out(m: Measured) -> Section | None:
    tables = []
    if m.analysis.held_out:
        tables.append(
            Table(
                "The largest fifth of the runs, predicted from the rest",
                (
                    Column("held out by", "text"),
                    Column("runs", "count"),
                    Column("fitted to", "count"),
                    Column("farthest, times", "number"),
                    Column("median error", "percent"),
                    Column("promised", "percent"),
                    Column("inside", "percent"),
                    Column("half-width", "percent"),
                ),
                tuple(
                    (
                        one.by,
                        float(len(one.runs)),
                        float(one.fitted),
                        one.farthest,
                        one.error,
                        one.level,
                        one.coverage,
                        one.half_width,
                    )
                    for one in m.analysis.held_out
                ),
                "Intervals are conformal: as wide as the law's errors when it was fitted to smaller runs and "
                "predicted larger ones.",
            )
        )
    if m.source.predictions:
        tables.append(_predictions(m))
    return Section("held-out", "Predictions checked", (), (), tuple(tables)) if tables else None


def _predictions(m: Measured) -> Table:
    """Return the predictions made before training, in bits per byte as the rest of the page."""
    by_name = {row.run: row for row in m.source.rows}
    rows: list[tuple[Cell, ...]] = []
    for digest, one in m.source.predictions.items():
        row = by_name.get(str(one["cell"]))
        ends = [one.get(name) for name in ("loss", "lower", "upper")]
        bits = row.losses[m.loss] / row.nats if row else float("nan")
        shown: Cell = None
        if row and ends[0] is not None:
            low, high = (None if end is None else end * bits for end in ends[1:])
            shown = Interval(ends[0] * bits, low, high) if low is not None else ends[0] * bits
        fitted = f"{one.get('law', 'no')} law, {plural(len(one['fitted_to']), 'run')}"
        rows.append((str(one["cell"]), shown, row.losses[m.loss] if row else None, fitted, digest[:16]))
    return Table(
        "Predicted blind, before training",
        (
            Column("run", "text"),
            Column("predicted"),
            Column("measured"),
            Column("by", "text"),
            Column("hash", "text"),
        ),
        tuple(rows),
        f"In {unit(m.loss)}. A run on fresh data is predicted only from such runs. The hash is the first "
        "part of the prediction file's SHA-256, written before training.",
    )


def _repeated(m: Measured) -> Section | None:
    if not m.repeats:
        return None
    here = point(m)
    found = m.as_dict(here.at(here.unique))["epochs"]
    most = float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
    table = Table(
        f"Value of epochs over {count(here.unique)} unique tokens for {here.said}",
        (
            Column("epochs", "text"),
            Column("D′ / U"),
            Column("value of the next epoch (1: fresh)"),
            Column(f"lowers {unit(m.loss)} by"),
        ),
        tuple((count(one["epochs"]), one["worth"], one["next"], one["gain"]) for one in found),
    )
    text = (
        "D tokens over U unique ones are worth D′ = U + U·R_D*·(1 − exp(−(D/U − 1)/R_D*)) fresh ones. The "
        f"runs reach {number(most, 3)} epochs.",
    )
    return Section("repetition", "Repeated data", text, chart_data.repetition(m), (table,))


def _languages(m: Measured) -> Section | None:
    if not m.others:
        return None
    here = point(m)
    before, after = here.at(here.unique), here.at(2 * here.unique)
    table = Table(
        "Each loss separately",
        (
            Column("loss", "text"),
            Column("E"),
            Column(f"gain from doubling {count(here.unique)} fresh tokens"),
            Column("mean error", "percent"),
        ),
        tuple(
            (
                unit(name).removeprefix("bits per byte, "),
                one.draws.derived().get("E"),
                one.gain(before, after),
                one.fit.error,
            )
            for name, one in m.others.items()
        ),
    )
    return Section("languages", "Language by language", (), (), (table,))


def _runs(m: Measured) -> Section:
    rows = m.source.rows

    def column(name: str, kind: Kind, give: Callable[[Run], Cell]) -> tuple[Column, list[Cell]]:
        return Column(name, kind), [give(row) for row in rows]

    def lost(name: str) -> Callable[[Run], Cell]:
        return lambda row: _known(row.losses.get(name))

    extra = [
        column("run", "text", lambda row: row.run),
        column("N", "count", lambda row: _known(row.params)),
        column("D", "count", lambda row: _known(row.tokens)),
        column("U", "count", lambda row: _known(row.unique)),
        column("epochs", "number", lambda row: _known(row.epochs)),
        column("FLOPs", "power", lambda row: _known(row.compute)),
        *(column(unit(name), "number", lost(name)) for name in rows[0].losses),
        column("corpus", "text", lambda row: row.corpus),
        column("seed", "text", lambda row: row.seed),
        column("learning rate", "number", lambda row: _known(row.lr)),
        column("batch", "count", lambda row: _known(row.batch)),
        column("schedule", "text", lambda row: row.stage),
        column("scored on, tokens", "count", lambda row: _known(row.scored)),
        column("standard error of the loss", "number", lambda row: _known(row.error)),
        column("code", "text", lambda row: row.code[:12] + "-dirty" * row.code.endswith("-dirty")),
        column("excluded because", "text", lambda row: row.left_out),
    ]
    shown = [(column, cells) for column, cells in extra if any(cell not in (None, "") for cell in cells)]
    table = Table(
        f"All {plural(len(rows), 'row')}",
        tuple(column for column, _ in shown),
        tuple(zip(*(cells for _, cells in shown), strict=True)),
    )
    left = [row.left_out for row in rows if row.left_out]
    text = [f"{plural(len(rows) - len(left), 'row')} fitted or compared, {len(left)} excluded."]
    text += [f"{reason}: {plural(left.count(reason), 'row')}." for reason in sorted(set(left))]
    text += [f"{each.message}." for each in m.source.findings]
    compute = m.runs.compute()
    text.append(f"Compute is between {power(float(compute.min()))} and {power(float(compute.max()))} FLOPs.")
    if m.noise is not None:
        text.append(f"Runs that differ only in their seed differ by {percent(m.noise)} (standard deviation).")
    return Section("runs", "The runs", tuple(text), (), (table,))


def _known(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
