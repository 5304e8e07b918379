"""The analysis of a table of runs: fits, intervals, rival laws, three approaches, held-out checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.errors import RunsError
from trainer.scaling.approaches import Frontier, side_by_side
from trainer.scaling.descent import HUBER, Objective
from trainer.scaling.diverged import diverged, reasons
from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import CHINCHILLA, LAWS, REPETITION, TIED, Law
from trainer.scaling.prediction import order, predict
from trainer.scaling.runs import Runs
from trainer.scaling.table import Columns, Finding, load
from trainer.scaling.uncertainty import LEVEL, RESAMPLES, Bootstrap, Profile, around, bootstrap, profile

HELD_OUT = 0.2
"""The share of runs, the largest ones, that the check holds out and predicts."""
BASE = ("a", "b", "e", "alpha", "beta")


@dataclass(frozen=True)
class HeldOut:
    """The largest runs predicted from the rest: how many, how far beyond, how wrong, how often inside.

    `nominal` is the intervals' level, `possible` the highest level that so few earlier errors can support,
    `coverage` the share found inside, `half_width` the median relative half-width, `error` the median
    relative error.
    """

    by: str
    fitted: int
    predicted: int
    farthest: float
    error: float
    nominal: float
    possible: float
    coverage: float
    half_width: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of one loss column; `fits` has the law first, then its rivals on the same runs."""

    loss: str
    runs: int
    clusters: int
    ranges: dict[str, tuple[float, float]]
    fits: dict[str, Fit]
    bootstrap: Bootstrap
    profiles: tuple[Profile, ...]
    approaches: tuple[Frontier, ...]
    held_out: tuple[HeldOut, ...]
    remarks: tuple[str, ...]

    @property
    def fit(self) -> Fit:
        """Return the law's own fit."""
        return next(iter(self.fits.values()))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "loss": self.loss,
            "runs": self.runs,
            "clusters": self.clusters,
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "fits": {name: one.as_dict() for name, one in self.fits.items()},
            "bootstrap": self.bootstrap.as_dict(),
            "profiles": [one.as_dict() for one in self.profiles],
            "approaches": [one.as_dict() for one in self.approaches],
            "held_out": [one.as_dict() for one in self.held_out],
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, eq=False)
class TableFit:
    """The analysis of every loss column of a table, and the findings of its checks."""

    path: str
    findings: tuple[Finding, ...]
    analyses: tuple[Analysis, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "path": self.path,
            "findings": [one.as_dict() for one in self.findings],
            "analyses": [one.as_dict() for one in self.analyses],
        }


def fit_table(
    path: Path,
    columns: Columns,
    law: str = "",
    objective: Objective = HUBER,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> TableFit:
    """Fit every loss column of a table, by the named law or the richest that its columns allow.

    RunsError if the table is refused.
    """
    table = load(path, columns)
    findings, analyses = list(table.findings), []
    for name, runs in table.runs.items():
        chosen = choose(law, runs)
        absurd, expected = diverged(chosen, runs)
        findings += [
            Finding("warn", "diverged", f"row {row + 1} is excluded from the fit: {why}")
            for row, why in zip(np.flatnonzero(absurd), reasons(name, runs, absurd, expected), strict=True)
        ]
        analyses.append(analyse(name, runs.take(~absurd), chosen, objective, resamples, seed))
    return TableFit(str(path), tuple(findings), tuple(analyses))


def choose(name: str, runs: Runs) -> Law:
    """Return a law by name, or the richest that the runs' columns allow; RunsError if there is none."""
    if name:
        if name not in LAWS:
            raise RunsError(f"law {name!r} is unknown; expected one of {', '.join(LAWS)}")
        return LAWS[name]
    if {"params", "tokens"} <= runs.columns.keys():
        varied = {c for c in ("params", "tokens") if np.ptp(np.log(runs.columns[c])) > 0.01}
        if varied == {"params", "tokens"}:
            return REPETITION if repeated(runs).any() else CHINCHILLA
        return LAWS["size" if "params" in varied else "data"]
    if "tokens" in runs.columns:
        return LAWS["data"]
    if "params" in runs.columns:
        return LAWS["size"]
    raise RunsError("neither a parameter nor a token column is named: name at least one")


def repeated(runs: Runs) -> Any:
    """Return which runs saw some of their data more than once [n]."""
    return repeats(runs.columns["tokens"], runs.columns["unique"])


def repeats(tokens: Any, unique: Any) -> Any:
    """Return whether tokens exceed unique tokens (numbers or arrays) by more than a few at the end."""
    return tokens > 1.001 * unique


def analyse(name: str, runs: Runs, law: Law, objective: Objective, resamples: int, seed: int) -> Analysis:
    """Fit a law and its rivals to runs, with intervals, profiles, three approaches and held-out checks."""
    fits = {law.name: fit(law, runs, objective)}
    first = fits[law.name]
    if law is REPETITION:
        single = runs.take(~repeated(runs))
        if len(single) > len(BASE) + 2:
            base = fit(CHINCHILLA, single, objective)
            fits["single-epoch base"] = base
            held = {key: base.parameters[key] for key in BASE}
            fits["repetition, two-step"] = fit(REPETITION, runs, objective, held)
    if law is CHINCHILLA or law is REPETITION:
        for rival in (CHINCHILLA, TIED, LAWS["kaplan"]):
            fits.setdefault(rival.name, fit(rival, runs, objective))
    draws = bootstrap(first, runs, resamples, seed)
    free = [p for p in law.parameters if p not in first.held]
    profiles = tuple(profile(first, runs, p, around(first, draws, p)) for p in free)
    surface = fits.get("single-epoch base", fits.get("chinchilla", first))
    two_sided = {"alpha", "b"} <= surface.parameters.keys()
    # repeated data are worth less, so a budget's runs are comparable only if all saw fresh data
    approaches = side_by_side(runs.take(~repeated(runs)), surface) if two_sided else ()
    held_out = tuple(
        _held_out(law, runs, objective, by) for by in ("compute", *law.columns) if by != "unique"
    )
    return Analysis(
        loss=name,
        runs=len(runs),
        clusters=draws.clusters,
        ranges={c: (float(runs.columns[c].min()), float(runs.columns[c].max())) for c in law.columns},
        fits=fits,
        bootstrap=draws,
        profiles=profiles,
        approaches=approaches,
        held_out=tuple(one for one in held_out if one is not None),
        remarks=tuple(_remarks(first, draws, runs)),
    )


def _held_out(law: Law, runs: Runs, objective: Objective, by: str) -> HeldOut | None:
    if by == "compute" and not {"params", "tokens"} <= runs.columns.keys():
        return None
    key = order(runs, by)
    below = key < np.quantile(key, 1 - HELD_OUT)
    if below.all() or below.sum() < len(law.parameters) + 6:
        return None
    inner, outer = runs.take(below), runs.take(~below)
    try:
        asked = predict(fit(law, inner, objective, descents=24), inner, outer, by)
    except RunsError:  # too few runs to check the intervals: no statement is better than a weak one
        return None
    return HeldOut(
        by=by,
        fitted=len(inner),
        predicted=len(outer),
        farthest=float(asked.ratio.max()),
        error=float(np.median(np.abs(asked.loss / outer.loss - 1))),
        nominal=LEVEL,
        possible=asked.possible,
        coverage=asked.coverage(outer.loss),
        half_width=float(np.median(asked.half_width)),
    )


def _remarks(first: Fit, draws: Bootstrap, runs: Runs) -> list[str]:
    out = []
    for name in first.law.parameters:
        if name in first.held:
            continue
        found = draws.interval(name)
        if not found.determined:
            side = "above" if found.upper is None else "below"
            label = {"log_rd": "R_D*", "log_rn": "R_N*"}.get(name, name)
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
            together = float(np.corrcoef(logs["params"], logs["tokens"])[0, 1])
            if abs(together) > 0.95:
                out.append(f"ln N and ln D correlate at {together:.2f}: their terms cannot be separated")
    return out
