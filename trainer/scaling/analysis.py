"""The analysis of a table of runs: fits, intervals, rival laws, three approaches, held-out checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.errors import RunsError
from trainer.scaling.approaches import Frontier, side_by_side
from trainer.scaling.choice import Candidate, candidates, choose, repeated
from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import CHINCHILLA, TIED, Floats, Law
from trainer.scaling.prediction import Predictions, order, predict
from trainer.scaling.runs import Columns, Finding, Runs
from trainer.scaling.source import Asked, Source, load
from trainer.scaling.uncertainty import RESAMPLES, Bootstrap, bootstrap

HELD_OUT = 0.2
"""The share of runs, the largest ones, that the check holds out and predicts."""
DESCENTS = 16
"""Number of descents of fits that only check or compare."""
BASE = "single-epoch base"
_FAR = np.log(1.25)
_MISSES = 20.0
"""A loss is absurd if it is off by a quarter and by this many times the median error of all runs …"""
_MOST = 0.25
"""… unless this share of the runs or more are: then the law is wrong, not the runs."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The largest runs, predicted from the rest in the order of `by`; `rivals`: each law's median error."""

    by: str
    fitted: int
    runs: Runs
    predicted: Predictions
    rivals: dict[str, float]

    @property
    def error(self) -> float:
        """Return the median relative error of the law that answers."""
        return float(np.median(np.abs(self.predicted.loss / self.runs.loss - 1)))

    @property
    def coverage(self) -> float:
        """Return the share of the runs inside their intervals."""
        return self.predicted.coverage(self.runs.loss)

    @property
    def half_width(self) -> float:
        """Return the median relative half-width of the intervals."""
        return float(np.median(self.predicted.half_width))

    @property
    def level(self) -> float:
        """Return the level of the intervals: the nominal one, or the highest that so few errors support."""
        return min(self.predicted.level, self.predicted.possible)

    @property
    def farthest(self) -> float:
        """Return how far beyond the fitted runs the largest is, as a factor of `by`."""
        return float(self.predicted.ratio.max())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "by": self.by,
            "fitted": self.fitted,
            "predicted": len(self.runs),
            **{name: getattr(self, name) for name in ("farthest", "error", "coverage", "half_width")},
            "nominal": self.predicted.level,
            "possible": self.predicted.possible,
            "rivals": self.rivals,
            "losses": self.runs.loss.tolist(),
            "intervals": self.predicted,
        }


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of one loss column; `fits` has the law that answers first, then its rivals.

    `compared` are the candidates of which it was chosen.
    """

    loss: str
    runs: int
    clusters: int
    ranges: dict[str, tuple[float, float]]
    compared: tuple[Candidate, ...]
    fits: dict[str, Fit]
    bootstrap: Bootstrap
    approaches: tuple[Frontier, ...]
    held_out: tuple[HeldOut, ...]
    remarks: tuple[str, ...]

    @property
    def fit(self) -> Fit:
        """Return the law's own fit."""
        return next(iter(self.fits.values()))


@dataclass(frozen=True, eq=False)
class TableFit:
    """The analysis of every loss column of a table, and the findings of its checks."""

    path: str
    findings: tuple[Finding, ...]
    analyses: tuple[Analysis, ...]


def fit_table(
    path: Path,
    columns: Columns,
    law: str = "",
    resamples: int = RESAMPLES,
) -> TableFit:
    """Fit every loss column of a table, by the named law or the one that predicts held-out runs best.

    RunsError if the table is refused.
    """
    if path.is_dir():
        table = "expected a table of the kind .csv, .parquet or .jsonl"
        raise RunsError(f"{path}: a folder; {table}; `derlem report` reads a study's folder")
    source = load(path, Asked(columns, law=law))
    told = [*source.findings, *(Finding("warn", "remark", each) for each in source.remarks)]
    analyses = []
    for name in columns.loss:
        kept = without_diverged(source, name)
        told += [
            Finding("warn", "excluded", f"{row.run} is excluded from the fit: {row.left_out}")
            for row in kept.rows
            if row.left_out
        ]
        analyses.append(analyse(name, kept.runs(name), law, resamples))
    return TableFit(str(path), tuple(dict.fromkeys(told)), tuple(analyses))


def without_diverged(source: Source, loss: str) -> Source:
    """Return a source without the runs whose losses are absurd, each with its reason."""
    made = source.runs(loss)
    absurd, why = diverged(loss, candidates(source.asked.law, made)[0], made)
    names = [row.run for row in source.fitted(loss)]
    excluded = zip(np.flatnonzero(absurd), why, strict=True)
    return source.without({names[row]: said for row, said in excluded})


def diverged(loss: str, law: Law, runs: Runs) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which runs have absurd losses [n], and for each of them why it is excluded.

    A loss is absurd if it is far from the law. Repeated data may raise a loss as far: then it is absurd only
    if it is above the losses of all runs with no more of anything. Huber's objective is hardly affected by a
    few rows of this kind, so a fit to all runs shows them.
    """
    expected = fit(law, runs, descents=DESCENTS).predict(runs)
    miss = np.log(runs.loss / expected)
    far = np.abs(miss) > max(_FAR, _MISSES * float(np.median(np.abs(miss))))
    found = far.copy()
    if "unique" in runs.columns and "tokens" in runs.columns:
        columns = np.stack([runs.columns[name] for name in law.columns])
        for row in np.flatnonzero(far & repeated(runs) & (miss > 0)):
            no_more = (columns <= columns[:, [row]]).all(0) & ~far
            found[row] = (runs.loss[row] > runs.loss[no_more]).all()
    if found.mean() > _MOST:
        found[:] = False
    why = [
        f"{loss} is {runs.loss[row]:.4g}, the law of the other runs gives {expected[row]:.4g}: "
        "the run diverged, or the number is wrong"
        for row in np.flatnonzero(found)
    ]
    return found, why


def analyse(name: str, runs: Runs, law: str, resamples: int, seed: int = 0) -> Analysis:
    """Choose a law unless one is named, fit it and its rivals, with intervals and held-out checks."""
    chosen, compared = choose(law, runs, seed)
    fits = _fits(chosen, runs)
    first = fits[chosen.name]
    draws = bootstrap(first, runs, resamples, seed)
    surface = fits.get(BASE, first)
    # repeated data are worth less, so a budget's runs are comparable only if all saw fresh data
    two_sided = {"alpha", "b"} <= surface.parameters.keys()
    approaches = side_by_side(runs.take(~repeated(runs)), surface) if two_sided else ()
    ways = [by for by in ("compute", "params", "tokens") if by == "compute" or by in chosen.columns]
    return Analysis(
        loss=name,
        runs=len(runs),
        clusters=draws.clusters,
        ranges={c: (float(runs.columns[c].min()), float(runs.columns[c].max())) for c in chosen.columns},
        compared=compared,
        fits=fits,
        bootstrap=draws,
        approaches=approaches,
        held_out=tuple(one for by in ways if (one := held_out(fits, runs, by)) is not None),
        remarks=tuple(_remarks(first, draws, runs)),
    )


def _fits(law: Law, runs: Runs) -> dict[str, Fit]:
    """Fit the law, then its rivals on the same runs, and the base law on runs that repeat nothing."""
    fits = {law.name: fit(law, runs)}
    if "params" not in law.columns or "tokens" not in law.columns:
        return fits
    if "unique" in law.columns:
        single = runs.take(~repeated(runs))
        if len(single) > len(CHINCHILLA.parameters) + 2:
            base = fits[BASE] = fit(_base(law), single)
            fits[f"{law.name}, two-step"] = fit(law, runs, held=base.parameters)
    rivals = candidates("", runs) if "unique" in law.columns else ()
    for rival in (*rivals, CHINCHILLA, TIED):
        if rival.name not in fits and len(runs) > len(rival.parameters):
            fits[rival.name] = fit(rival, runs)
    return fits


def _base(law: Law) -> Law:
    """Return the law of fresh data with the same exponents."""
    return CHINCHILLA if "beta" in law.parameters else TIED


def held_out(fits: dict[str, Fit], runs: Runs, by: str) -> HeldOut | None:
    """Predict the largest runs from the others by every law; None if the runs are too few for the first."""
    if by == "compute" and not {"params", "tokens"} <= runs.columns.keys():
        return None
    key = order(runs, by)
    below = key < np.quantile(key, 1 - HELD_OUT)
    first = next(iter(fits.values()))
    if below.all() or below.sum() < len(first.law.parameters) + 6:
        return None
    inner, outer = runs.take(below), runs.take(~below)
    rivals: dict[str, float] = {}
    predicted = None
    for name, each in fits.items():
        if name == BASE:
            continue
        try:
            fixed = {}
            if each.held:  # of a fit in two steps: its first step, from the runs that it may use
                single = inner.take(~repeated(inner))
                base = fit(_base(each.law), single, each.objective, descents=DESCENTS)
                fixed = {key: base.parameters[key] for key in each.held}
            found = fit(each.law, inner, each.objective, fixed, DESCENTS)
            rivals[name] = float(np.median(np.abs(found.predict(outer) / outer.loss - 1)))
            if each is first:
                predicted = predict(found, inner, outer, by)
        except RunsError:  # too few runs for this law's check: no statement is better than a weak one
            continue
    return None if predicted is None else HeldOut(by, len(inner), outer, predicted, rivals)


def _remarks(first: Fit, draws: Bootstrap, runs: Runs) -> list[str]:
    out = []
    for name in first.law.parameters:
        found = draws.interval(name)
        if not found.determined:
            side = "above" if found.upper is None else "below"
            label = {"log_rd": "R_D*", "log_rn": "R_N*", "log_tau": "tau"}.get(name, name)
            limit = found.lower if found.upper is None else found.upper
            shown = limit if limit is None or label == name else float(np.exp(limit))
            beyond = "" if shown is None else f" {shown:.3g}"
            out.append(f"{label} is not determined: the data set no limit {side}{beyond}")
    out += [
        f"{name} reached its bound: its term is not needed, or the law is wrong"
        for name in first.certificate.at_bound
    ]
    if len(first.certificate.basins) > 1:
        out.append(f"{len(first.certificate.basins)} minima are within 5 % of the lowest objective")
    for column in ("params", "tokens"):
        if column in first.law.columns:
            decades = float(np.ptp(np.log10(runs.columns[column])))
            if decades < 1:
                out.append(f"{column} span {decades:.2f} decades: too little to trust an exponent")
    if {"params", "tokens"} <= set(first.law.columns):
        logs = runs.logs()
        if np.ptp(logs["params"]) > 0 and np.ptp(logs["tokens"]) > 0:
            together = _correlation(logs["params"], logs["tokens"])
            if abs(together) > 0.95:
                out.append(f"ln N and ln D correlate at {together:.2f}: their terms cannot be separated")
    return out


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])
