"""Everything computed about a report's runs, before it is turned into text and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from corpus.errors import RunsError
from trainer.scaling.analysis import HELD_OUT, Analysis, analyse, choose, repeated
from trainer.scaling.approaches import Frontier, approach_1, approach_2, approach_3
from trainer.scaling.conventions import CONVENTIONS
from trainer.scaling.descent import HUBER, Objective, descend
from trainer.scaling.diverged import diverged, reasons
from trainer.scaling.fit import Fit, fit, problem
from trainer.scaling.laws import CHINCHILLA, Floats
from trainer.scaling.prediction import Predictions, order, predict
from trainer.scaling.report.compare import Comparison, compare_all
from trainer.scaling.report.source import Run, Source
from trainer.scaling.runs import Runs, runs
from trainer.scaling.uncertainty import LEVEL, Bootstrap, Interval, bootstrap

DESCENTS = 16
"""Number of descents in the many fits that only show how far the answer moves."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A fitted law with its refits on resampled runs; losses at any size and number of tokens."""

    fit: Fit
    draws: Bootstrap

    def losses(self, params: Floats, tokens: Floats, unique: Floats) -> tuple[Floats, Floats]:
        """Return the losses [n], and those of every refit [b, n]."""
        given = {"params": params, "tokens": tokens, "unique": np.minimum(unique, tokens)}
        logs = {name: np.log(np.asarray(given[name], dtype=float)) for name in self.fit.law.columns}
        law = self.fit.law
        return np.exp(law.log_loss(self.fit.theta, logs)), np.exp(law.log_loss(self.draws.samples, logs))

    def gain(self, before: Mapping[str, float], after: Mapping[str, float]) -> Interval:
        """Return how much the loss falls from one (params, tokens, unique) to another."""
        points = {name: np.array([before[name], after[name]]) for name in ("params", "tokens", "unique")}
        value, refits = self.losses(**points)
        return interval(float(value[0] - value[1]), refits[:, 0] - refits[:, 1])


@dataclass(frozen=True, eq=False)
class Variant:
    """The law fitted in another way, or to fewer or more runs."""

    name: str
    fit: Fit


@dataclass(frozen=True, eq=False)
class Convention:
    """The compute-optimal sizes if parameters and FLOPs are counted as `name` does."""

    name: str
    source: str
    exponent: Interval
    second: Frontier
    third: Frontier


@dataclass(frozen=True, eq=False)
class HeldOutRuns:
    """The largest runs, predicted from the rest; `rivals` holds every law's median relative error on them."""

    runs: Runs
    predicted: Predictions
    rivals: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """All numbers from which a report is written."""

    source: Source
    runs: Runs
    analysis: Analysis
    surface: Surface
    fresh: Surface | None
    noise: float | None
    replicates: int
    others: Mapping[str, Surface]
    variants: tuple[Variant, ...]
    leave_one_out: Mapping[str, tuple[float, float]]
    conventions: tuple[Convention, ...]
    held_out: HeldOutRuns | None
    comparisons: tuple[Comparison, ...]

    @property
    def loss(self) -> str:
        """Return the name of the fitted loss."""
        return self.analysis.loss

    @property
    def repeats(self) -> bool:
        """Return whether the law has a term for repeated data."""
        return "unique" in self.analysis.fit.law.columns


def interval(estimate: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """Return the percentile interval of a number from each refit [b]; open where refits have none."""
    tail = (1 - level) / 2
    low, high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), [tail, 1 - tail], method="nearest")
    ends = [float(value) if np.isfinite(value) else None for value in (low, high)]
    return Interval(estimate, ends[0], ends[1], level)


def measure(source: Source, resamples: int, seed: int = 0) -> Measured:
    """Fit the runs in every way that the report shows."""
    loss = source.asked.columns.loss[0]
    made = source.runs(loss)
    law = choose(source.asked.law, made)
    absurd, expected = diverged(law, made)
    if absurd.any():
        why = dict(zip(np.flatnonzero(absurd), reasons(loss, made, absurd, expected), strict=True))
        names = [row.run for row in source.fitted(loss)]
        source = source.without({names[row]: said for row, said in why.items()})
        made = source.runs(loss)
    analysis = analyse(loss, made, law, HUBER, resamples, seed)
    analysis = _on_trunks(analysis, source, made)
    noise, replicates = noise_floor(source.kept(source.about), loss)
    return Measured(
        source=source,
        runs=made,
        analysis=analysis,
        surface=Surface(analysis.fit, analysis.bootstrap),
        fresh=_fresh(analysis, made, resamples, seed),
        noise=noise,
        replicates=replicates,
        others=_others(source, resamples, seed),
        variants=tuple(_variants(source, analysis.fit, made)),
        leave_one_out=_leave_one_out(analysis.fit, made),
        conventions=tuple(_conventions(source, made, loss, resamples, seed)),
        held_out=_held_out(analysis, made),
        comparisons=compare_all(source, loss, seed),
    )


def _on_trunks(analysis: Analysis, source: Source, made: Runs) -> Analysis:
    """Let approach 1 see a trunk's branches as one curve even if they are resampled one by one."""
    curves = np.array([row.curve for row in source.fitted(analysis.loss)])
    if not analysis.approaches or np.array_equal(curves, made.group):
        return analysis
    fresh = ~repeated(made)
    again = approach_1(Runs(made.columns, made.loss, curves).take(fresh))
    return replace(analysis, approaches=(again, *analysis.approaches[1:]))


def noise_floor(rows: list[Run], loss: str) -> tuple[float | None, int]:
    """Return the standard deviation of ln loss between runs that differ only in their seed, and the number
    of such runs; None if there are none."""
    groups: dict[tuple[float, float, float], list[float]] = {}
    for row in rows:
        groups.setdefault((row.params, row.tokens, row.unique), []).append(float(np.log(row.losses[loss])))
    several = [np.array(values) for values in groups.values() if len(values) > 1 and np.ptp(values) > 0]
    if not several:
        return None, 0
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    return float(np.sqrt(squares / sum(len(v) - 1 for v in several))), sum(map(len, several))


def _fresh(analysis: Analysis, made: Runs, resamples: int, seed: int) -> Surface | None:
    """Return the surface of N and D on fresh data, used for the compute-optimal sizes."""
    if not analysis.approaches:
        return None
    if analysis.fit.law is CHINCHILLA:
        return Surface(analysis.fit, analysis.bootstrap)
    name = "single-epoch base" if "single-epoch base" in analysis.fits else "chinchilla"
    found = analysis.fits.get(name, analysis.fit)
    rows = made.take(~repeated(made)) if name == "single-epoch base" else made
    return Surface(found, bootstrap(found, rows, resamples, seed))


def _others(source: Source, resamples: int, seed: int) -> dict[str, Surface]:
    """Fit the other losses, such as those of languages, by the same choice of law."""
    out = {}
    for name in source.asked.columns.loss[1:]:
        try:
            made = source.runs(name)
            found = fit(choose(source.asked.law, made), made, descents=DESCENTS)
        except RunsError:  # a language with too few scores: it is missing from the table of losses
            continue
        out[name] = Surface(found, bootstrap(found, made, resamples, seed))
    return out


def _variants(source: Source, main: Fit, made: Runs) -> list[Variant]:
    """Fit again with other objectives and other runs; fits that are not possible are skipped."""
    ways: list[tuple[str, Objective, Runs]] = [
        ("Huber's delta 0.01 instead of 0.001", Objective("log", 1e-2), made),
        ("Huber's delta 0.0001", Objective("log", 1e-4), made),
        ("residuals of the loss, not of its logarithm", Objective("loss", 1e-3), made),
        ("least squares of the loss", Objective("loss", float("inf")), made),
        ("the lower edge: overestimates count tenfold", Objective("log", 1e-3, 10.0), made),
    ]
    for column, thing in (("params", "model"), ("tokens", "number of tokens")):
        if column in main.law.columns and len(values := np.unique(made.columns[column])) > 3:
            ways.append((f"without the smallest {thing}", HUBER, made.take(made.columns[column] > values[0])))
            ways.append((f"without the largest {thing}", HUBER, made.take(made.columns[column] < values[-1])))
    if {"params", "tokens"} <= made.columns.keys():
        ratio = made.columns["tokens"] / made.columns["params"]
        early = ratio <= np.quantile(ratio, 0.1)
        ways.append(
            ("without the tenth of the runs with the fewest tokens per parameter", HUBER, made.take(~early))
        )
    whole = source.runs(main_loss(source), whole=True)
    if len(whole) > len(made):
        ways.append(("with the excluded runs", HUBER, whole))
    out = [Variant("as reported", main)]
    for name, objective, chosen in ways:
        try:
            out.append(Variant(name, fit(main.law, chosen, objective, main.held, DESCENTS)))
        except RunsError:  # too few runs remain for this variant
            continue
    return out


def main_loss(source: Source) -> str:
    """Return the name of the loss that the report is about."""
    return source.asked.columns.loss[0]


def _leave_one_out(found: Fit, made: Runs) -> dict[str, tuple[float, float]]:
    """Return the range of each parameter over all fits without one run."""
    clusters = made.clusters()
    task = problem(found.law, made, found.objective, found.held)
    weights = (clusters[None, :] != np.arange(clusters.max() + 1)[:, None]).astype(float)
    start = np.repeat(task.centred(found.theta[None]), len(weights), axis=0)
    ended = task.raw(descend(task, start, weights, steps=100, rest=1e-7).theta)
    rows = [found.law.derived(dict(zip(found.law.parameters, row, strict=True))) for row in ended.tolist()]
    out = {
        name: (float(ended[:, i].min()), float(ended[:, i].max()))
        for i, name in enumerate(found.law.parameters)
    }
    return out | {n: (min(row[n] for row in rows), max(row[n] for row in rows)) for n in found.derived}


def _conventions(source: Source, made: Runs, loss: str, resamples: int, seed: int) -> list[Convention]:
    """Fit the surface under every way of counting, if the rows have shapes."""
    rows = source.fitted(loss)
    if not all(row.counts for row in rows):
        return []
    out = []
    for name, way in CONVENTIONS.items():
        counted = runs(
            made.loss,
            params=np.array([row.counts[name] for row in rows]),
            tokens=made.columns["tokens"],
            unique=made.columns["unique"],
            compute=np.array([row.flops[name] for row in rows]),
            group=made.group,
        )
        counted = counted.take(~repeated(counted))
        try:
            found = fit(CHINCHILLA, counted, descents=DESCENTS)
        except RunsError:  # too few runs on fresh data: the section reports it
            return []
        exponent = bootstrap(found, counted, resamples, seed).derived()["N exponent"]
        out.append(
            Convention(
                name, way.source, exponent, approach_2(counted), approach_3(found.parameters, found.runs)
            )
        )
    return out


def _base(found: Fit, inner: Runs) -> dict[str, float]:
    """Return the values that a two-step fit fixes, from the runs that it may use."""
    if not found.held:
        return {}
    base = fit(CHINCHILLA, inner.take(~repeated(inner)), found.objective, descents=DESCENTS)
    return {name: base.parameters[name] for name in found.held}


def _held_out(analysis: Analysis, made: Runs) -> HeldOutRuns | None:
    """Predict the fifth of the runs with most compute from the others, by every law."""
    by = "compute" if {"params", "tokens"} <= made.columns.keys() else analysis.fit.law.columns[0]
    key = order(made, by)
    below = key < np.quantile(key, 1 - HELD_OUT)
    if below.all() or not below.any():
        return None
    inner, outer = made.take(below), made.take(~below)
    rivals: dict[str, float] = {}
    predicted = None
    for name, each in analysis.fits.items():
        if name == "single-epoch base":
            continue
        try:
            found = fit(each.law, inner, each.objective, _base(each, inner), DESCENTS)
            rivals[name] = float(np.median(np.abs(found.predict(outer) / outer.loss - 1)))
            if each is analysis.fit:
                predicted = predict(found, inner, outer, by)
        except RunsError:  # too few runs for this law's check
            continue
    return HeldOutRuns(outer, predicted, rivals) if predicted is not None else None
