"""The folded sections of a report: the law, blind predictions, corpora, repeated data, the runs."""

from __future__ import annotations

import numpy as np

from corpus.plural import plural
from trainer.page.formatting import count, named, number, percent, power, unit
from trainer.page.html import Cell, Column, Table
from trainer.scaling.report import chart_data
from trainer.scaling.report.measured import Measured
from trainer.scaling.report.report_model import Section
from trainer.scaling.source import Run
from trainer.scaling.uncertainty import Interval


def sections(m: Measured, corpora: tuple[str, ...]) -> tuple[Section, ...]:
    """Return the page's sections in order, without those for which there are no data."""
    every = (
        _law(m),
        _predictions(m) if m.source.predictions else None,
        Section("corpora", "Which corpus is better", corpora) if corpora else None,
        Section("repetition", "Repeated data", (), (chart_data.repetition(m),)) if m.repeats else None,
        _languages(m) if m.others else None,
        _runs(m),
    )
    return tuple(one for one in every if one is not None)


def _law(m: Measured) -> Section:
    fit, draws = m.analysis.fit, m.draws
    intervals = {named(name): draws.interval(name) for name in fit.law.parameters} | draws.derived()
    estimates = Table(
        f"Estimates of {fit.law.formula}, with 95 % intervals",
        (Column("parameter", "text"), Column("estimate")),
        tuple(intervals.items()),
        f"Percentile bootstrap: {len(draws.samples)} resamples of {draws.clusters} runs. a, b and e are the "
        "natural logarithms of A, B and E.",
    )
    compared = Table(
        "The law that answers",
        (
            Column("law", "text"),
            Column("error in rollouts", "percent"),
            Column("parameters not determined", "count"),
            Column("error with penalty", "percent"),
        ),
        tuple((one.law, one.error, float(one.undetermined), one.penalised) for one in m.analysis.compared),
        f"“{fit.law.name}” answers. Rollouts: fitted to the smaller runs, it predicts the larger ones. A "
        "simpler law answers only if it is clearly better.",
    )
    text = (
        f"Source: {fit.law.source}. Fitted to {m.analysis.runs} rows of "
        f"{plural(m.analysis.clusters, 'run')} by the {fit.objective.describe()}: R² {number(fit.r2)}, "
        f"mean error {percent(fit.error)}.",
    )
    return Section(
        "law", "The law and its fit", text, (), (estimates, *([compared] if compared.rows else []))
    )


def _predictions(m: Measured) -> Section:
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
    table = Table(
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
    return Section("held-out", "Predictions made before training", (), (), (table,))


def _languages(m: Measured) -> Section:
    here = m.here
    table = Table(
        "Each loss separately",
        (
            Column("loss", "text"),
            Column("E"),
            Column(f"gain from doubling {count(here.unique)} fresh tokens", "percent"),
            Column("mean error", "percent"),
        ),
        tuple(
            (
                unit(name).removeprefix("bits per byte, "),
                one.derived().get("E"),
                one.gain(here.at(here.unique), here.at(2 * here.unique)),
                one.fit.error,
            )
            for name, one in m.others.items()
        ),
    )
    return Section("languages", "Language by language", (), (), (table,))


def _runs(m: Measured) -> Section:
    rows = m.source.rows
    left = [row.left_out for row in rows if row.left_out]
    columns = [
        Column("run", "text"),
        Column("corpus", "text"),
        Column("N", "count"),
        Column("D", "count"),
        Column("epochs"),
        Column(unit(m.loss)),
        Column("excluded because", "text"),
    ]
    table = Table(f"All {plural(len(rows), 'row')}", tuple(columns), tuple(_row(row, m.loss) for row in rows))
    compute = m.runs.compute()
    text = [f"{plural(len(rows) - len(left), 'row')} fitted or compared, {len(left)} excluded."]
    text += [f"{reason}: {plural(left.count(reason), 'row')}." for reason in sorted(set(left))]
    text += [f"{each}." for each in m.source.findings]
    text.append(f"Compute is between {power(float(compute.min()))} and {power(float(compute.max()))} FLOPs.")
    return Section("runs", "The runs", tuple(text), (), (table,))


def _row(row: Run, loss: str) -> tuple[Cell, ...]:
    numbers = (row.params, row.tokens, row.epochs, row.losses.get(loss))
    known = (one if one is not None and np.isfinite(one) else None for one in numbers)
    return (row.run, row.corpus, *known, row.left_out)
