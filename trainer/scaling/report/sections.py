"""The sections of a report after its answers: tables and charts of everything that was fitted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainer.scaling.report import chart_data
from trainer.scaling.report.answers import point
from trainer.scaling.report.chart_data import unit, worth
from trainer.scaling.report.formatting import GAP, count, named, number, percent, plural, power
from trainer.scaling.report.measured import Measured, interval
from trainer.scaling.report.report_model import Cell, Column, Kind, Section, Table
from trainer.scaling.report.source import Run
from trainer.scaling.uncertainty import Interval

EPOCHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
BEYOND = (1.0, 10.0, 100.0)
"""Multiples of the largest run's compute for which compute-optimal sizes are shown."""


def sections(m: Measured) -> tuple[Section, ...]:
    """Return the page's sections in order, without those for which there are no data."""
    every = (_law(m), _residuals(m), _optimum(m), _held_out(m), _repeated(m), _languages(m), _corpora(m))
    return (*(one for one in every if one is not None), _sensitivity(m), _runs(m))


def _law(m: Measured) -> Section:
    fit, proof, draws = m.analysis.fit, m.analysis.fit.certificate, m.analysis.bootstrap
    rows: list[tuple[Cell, ...]] = []
    for name in fit.law.parameters:
        if name in fit.held:
            rows.append((f"{named(name)} (held)", fit.held[name], None, None))
            continue
        found = draws.interval(name)
        rows.append((named(name), found, *(m.leave_one_out[name] if found.determined else (None, None))))
    for name, found in draws.derived().items():
        rows.append((name, found, *(m.leave_one_out[name] if found.determined else (None, None))))
    estimates = Table(
        f"Estimates of {fit.law.formula}, with 95 % intervals",
        (Column("parameter", "text"), Column("estimate"), Column("least, without one run"), Column("most")),
        tuple(rows),
        f"Percentile bootstrap: {len(draws.samples)} resamples of {draws.clusters} runs. a, b and e are the "
        "natural logarithms of A, B and E.",
    )
    laws = Table(
        "Laws on the same runs",
        (
            Column("law", "text"),
            Column("rows", "count"),
            Column("objective"),
            Column("R²"),
            Column("mean error", "percent"),
            Column("median error, held-out runs", "percent"),
        ),
        tuple(
            (name, float(each.runs), each.value, each.r2, each.error, _score(m, name))
            for name, each in m.analysis.fits.items()
        ),
    )
    free = [i for i, name in enumerate(fit.law.parameters) if name not in fit.held]
    matrix = draws.correlation()
    correlations = Table(
        "Correlations of the estimates",
        (Column("", "text"), *(Column(named(fit.law.parameters[i]), "plain") for i in free)),
        tuple((named(fit.law.parameters[i]), *(float(matrix[i, j]) for j in free)) for i in free),
    )
    text = (
        f"{fit.law.formula}. Source: {fit.law.source}. Fitted to {m.analysis.runs} rows of "
        f"{plural(m.analysis.clusters, 'run')} by the {fit.objective.describe()}, with equal weights; "
        f"it is {number(fit.value, 6)} at the optimum.",
        f"{proof.starts:,} starts were screened, and the best {proof.descents} were descended from (damped "
        "Gauss–Newton until a step gains less than 10⁻⁹ of the objective, then Newton's steps from the "
        f"lowest until none gains 10⁻¹⁴); {proof.agreeing} ended in the same minimum. Its gradient is "
        f"{number(proof.gradient, 2)} in units of uncertainty; minima within 5 % of the lowest: "
        f"{len(proof.basins)}; {number(proof.seconds, 2)} seconds.",
        "Small charts: how much worse the fit is with one parameter fixed elsewhere; the dashed line is "
        "the edge of a 95 % interval by this profile, which treats rows as independent.",
    )
    charts = (*chart_data.fits(m), *chart_data.profiles(m))
    return Section("law", "The law and its fit", text, charts, (estimates, laws, correlations))


def _score(m: Measured, name: str) -> float | None:
    return m.held_out.rivals.get(name) if m.held_out is not None else None


def _residuals(m: Measured) -> Section:
    text = ["Residuals should show no trend; a slope or curve means that the formula is wrong in that range."]
    if m.noise is not None:
        text.append(
            f"Runs that differ only in their seed differ by {percent(m.noise)} (standard deviation of "
            f"{plural(m.replicates, 'run')})."
        )
    return Section("residuals", "Residuals of the law", tuple(text), tuple(chart_data.residuals(m)))


def _optimum(m: Measured) -> Section | None:
    if m.fresh is None:
        return None
    largest = float(m.runs.compute().max())
    rows: list[tuple[Cell, ...]] = []
    for one in m.analysis.approaches:
        label = f"approach{GAP}{one.approach}"
        if one.why:
            rows.append((label, None, None, None, None, None, one.why))
            continue
        for times in BEYOND:
            n, d = one.optimum(times * largest)
            rows.append((label, one.a, one.b, times * largest, n, d, f"{count(times)} times the largest run"))
    table = Table(
        "Compute-optimal sizes by three approaches",
        (
            Column("", "text"),
            Column("N ~ C^a"),
            Column("D ~ C^b"),
            Column("FLOPs", "power"),
            Column("N*", "count"),
            Column("D*", "count"),
            Column("C over the largest run's, or why not", "text"),
        ),
        tuple(rows),
        "Approach 1: the lower envelope of training curves. 2: parabolas through runs of equal compute. "
        "3: the fitted law. Numbers beyond the largest run are extrapolated.",
    )
    tables = [table]
    if m.conventions:
        tables.append(
            Table(
                "The exponent of N by what counts as a parameter and as compute",
                (
                    Column("convention", "text"),
                    Column("a, approach 3"),
                    Column("a, approach 2"),
                    Column("convention", "text"),
                ),
                tuple(
                    (one.name, one.exponent, None if one.second.why else one.second.a, one.source)
                    for one in m.conventions
                ),
            )
        )
    text = ("The best size for a given compute; the shaded range is that of the runs.",)
    charts = (*chart_data.budgets(m), *chart_data.frontier(m))
    return Section("optimum", "The best size for a compute", text, charts, tuple(tables))


def _held_out(m: Measured) -> Section | None:
    if not m.analysis.held_out and m.held_out is None and not m.source.predictions:
        return None
    table = Table(
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
                float(one.predicted),
                float(one.fitted),
                one.farthest,
                one.error,
                min(one.nominal, one.possible),
                one.coverage,
                one.half_width,
            )
            for one in m.analysis.held_out
        ),
        "Intervals are conformal: as wide as the law's errors when it was fitted to smaller runs and "
        "predicted larger ones.",
    )
    tables = [table] if m.analysis.held_out else []
    if m.source.predictions:
        tables.append(_predictions(m))
    text = (
        "The test of a law is its predictions: runs were held out, predicted, and compared to their losses.",
    )
    return Section("held-out", "Predictions checked", text, tuple(chart_data.held_out(m)), tuple(tables))


def _predictions(m: Measured) -> Table:
    by_name = {row.run: row for row in m.source.rows}
    rows: list[tuple[Cell, ...]] = []
    for digest, one in m.source.predictions.items():
        row = by_name.get(str(one["cell"]))
        loss, lower, upper = one.get("loss"), one.get("lower"), one.get("upper")
        asked = None if loss is None else Interval(loss, lower, upper)
        shown: Cell = loss if asked is not None and not asked.determined else asked
        fitted = f"{one.get('law', 'no')} law, {plural(len(one['fitted_to']), 'run')}"
        rows.append((str(one["cell"]), shown, row.nats if row else None, fitted, digest[:16]))
    return Table(
        "Predicted before training",
        (
            Column("cell", "text"),
            Column("predicted"),
            Column("measured"),
            Column("by", "text"),
            Column("hash", "text"),
        ),
        tuple(rows),
        "Loss in nats per token; a cell on fresh data is predicted only from such runs. The hash is the "
        "first part of the prediction file's SHA-256, written before training.",
    )


def _repeated(m: Measured) -> Section | None:
    if not m.repeats:
        return None
    most = float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
    here = point(m)
    rows: list[tuple[Cell, ...]] = []
    for epochs in EPOCHS:
        value, drawn = worth(m, np.array([epochs, epochs + 1.0]))
        whole = interval(float(value[0]), drawn[:, 0])
        another = interval(float(value[1] - value[0]), drawn[:, 1] - drawn[:, 0])
        before = here.at(epochs * here.unique, here.unique)
        after = here.at((epochs + 1) * here.unique, here.unique)
        within = "yes" if epochs <= most * 1.01 else f"no: at most {number(most, 3)}"
        rows.append((count(epochs), whole, another, m.surface.gain(before, after), within))
    table = Table(
        f"Value of epochs over {count(here.unique)} unique tokens for {here.said}",
        (
            Column("epochs", "text"),
            Column("D′ / U"),
            Column("value of the next epoch (1: fresh)"),
            Column(f"lowers {unit(m.loss)} by"),
            Column("within the data's range", "text"),
        ),
        tuple(rows),
    )
    text = (
        "Repeated data are worth less: D tokens over U unique ones are worth D′ = U + U·R_D*·(1 − "
        "exp(−(D/U − 1)/R_D*)) fresh ones.",
    )
    return Section("repetition", "Repeated data", text, tuple(chart_data.repetition(m)), (table,))


def _languages(m: Measured) -> Section | None:
    if not m.others:
        return None
    here = point(m)
    rows: list[tuple[Cell, ...]] = []
    for name, surface in m.others.items():
        derived = surface.draws.derived()
        again = surface.gain(here.at(here.unique), here.at(2 * here.unique))
        exponent = surface.draws.interval("beta") if "beta" in surface.fit.law.parameters else None
        rows.append(
            (unit(name).removeprefix("bits per byte, "), derived.get("E"), exponent, again, surface.fit.error)
        )
    table = Table(
        "Each loss separately",
        (
            Column("loss", "text"),
            Column("E"),
            Column("exponent of D"),
            Column(f"gain from doubling {count(here.unique)} fresh tokens"),
            Column("mean error", "percent"),
        ),
        tuple(rows),
    )
    return Section("languages", "Language by language", (), tuple(chart_data.languages(m)), (table,))


def _corpora(m: Measured) -> Section | None:
    if not m.comparisons:
        return None
    table = Table(
        "Corpora in pairs",
        (
            Column("corpora", "text"),
            Column("lower loss on the second", "percent"),
            Column("cells", "count"),
            Column("documents", "text"),
        ),
        tuple(
            (
                f"{one.first}, {one.second}",
                one.difference,
                float(len(one.cells)),
                f"{one.documents:,}, resampled" if one.documents else "no records: only cells",
            )
            for one in m.comparisons
        ),
    )
    text = ("Only runs of the same size, number of tokens, epochs and seed are compared, in pairs.",)
    return Section("corpora", "Corpora compared", text, tuple(chart_data.comparisons(m)), (table,))


def _sensitivity(m: Measured) -> Section:
    derived = [name for name in ("E", "N exponent", "R_D*") if name in m.analysis.fit.derived]
    exponents = [name for name in ("alpha", "beta") if name in m.analysis.fit.law.parameters]
    here = point(m)
    ask = {"params": here.params, "tokens": 10 * here.unique, "unique": 10 * here.unique}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            each.name,
            float(each.fit.runs),
            *(each.fit.parameters[name] for name in exponents),
            *(each.fit.derived[name] for name in derived),
            float(each.fit.predict({c: ask[c] for c in each.fit.law.columns})[0]),
        )
        for each in m.variants
    )
    table = Table(
        "The same law, fitted in other ways",
        (
            Column("way", "text"),
            Column("rows", "count"),
            *(Column(name) for name in (*exponents, *derived)),
            Column(f"loss at {count(ask['tokens'])} tokens"),
        ),
        rows,
        f"The last column is the prediction for {here.said} on ten times the corpus's tokens, all fresh.",
    )
    return Section("sensitivity", "Sensitivity to choices", (), (), (table,))


def _runs(m: Measured) -> Section:
    rows = m.source.rows
    losses = rows[0].losses

    def column(name: str, kind: Kind, give: Callable[[Run], Cell]) -> tuple[Column, list[Cell]]:
        return Column(name, kind), [give(row) for row in rows]

    def counted(way: str) -> Callable[[Run], Cell]:
        return lambda row: row.counts.get(way)

    def lost(name: str) -> Callable[[Run], Cell]:
        return lambda row: _known(row.losses.get(name))

    extra = [
        column("corpus", "text", lambda row: row.corpus),
        column("seed", "text", lambda row: row.seed),
        column("learning rate", "number", lambda row: _known(row.lr)),
        column("batch", "count", lambda row: _known(row.batch)),
        column("schedule", "text", lambda row: row.stage),
        column("scored on, tokens", "count", lambda row: _known(row.scored)),
        column("standard error of the loss", "number", lambda row: _known(row.error)),
        column("code", "text", lambda row: row.code[:12] + "-dirty" * row.code.endswith("-dirty")),
        *(column(f"N, {way}", "count", counted(way)) for way in rows[0].counts),
        *(column(unit(name), "number", lost(name)) for name in losses),
        column("excluded because", "text", lambda row: row.left_out),
    ]
    shown = [(column, cells) for column, cells in extra if any(cell not in (None, "") for cell in cells)]
    table = Table(
        f"All {plural(len(rows), 'row')}",
        (
            Column("run", "text"),
            Column("N", "count"),
            Column("D", "count"),
            Column("U", "count"),
            Column("epochs"),
            Column("FLOPs", "power"),
            *(column for column, _ in shown),
        ),
        tuple((*_sized(row), *(cells[i] for _, cells in shown)) for i, row in enumerate(rows)),
    )
    left = [row for row in rows if row.left_out]
    reasons = sorted({row.left_out for row in left})
    text = [f"{plural(len(rows) - len(left), 'row')} fitted or compared, {len(left)} excluded."]
    text += [f"{reason}: {plural(sum(row.left_out == reason for row in left), 'row')}." for reason in reasons]
    text += [f"{each.message}." for each in m.source.findings]
    compute = m.runs.compute()
    text.append(f"Compute is between {power(float(compute.min()))} and {power(float(compute.max()))} FLOPs.")
    return Section("runs", "The runs", tuple(text), (), (table,))


def _sized(row: Run) -> tuple[Cell, ...]:
    return (
        row.run,
        _known(row.params),
        _known(row.tokens),
        _known(row.unique),
        _known(row.epochs),
        _known(row.compute),
    )


def _known(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
