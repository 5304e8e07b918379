"""Everything computed about a report's runs, before it is turned into text and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from corpus.errors import RunsError
from trainer.page.formatting import count
from trainer.scaling.analysis import BASE, DESCENTS, Analysis, HeldOut, analyse, without_diverged
from trainer.scaling.approaches import CONVENTIONS, Frontier, approach_1, approach_2, approach_3
from trainer.scaling.choice import candidates, repeated
from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import CHINCHILLA, Floats
from trainer.scaling.minimise import HUBER, Objective
from trainer.scaling.rates import seed_noise
from trainer.scaling.report.compare import Comparison, compare_all
from trainer.scaling.runs import Runs, runs
from trainer.scaling.source import Source
from trainer.scaling.uncertainty import Bootstrap, Interval, bootstrap, percentiles

EPOCHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


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

    def at(self, *points: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Return the losses at points that are given by their columns."""
        columns = ("params", "tokens", "unique")
        return self.losses(*(np.array([point[name] for point in points]) for name in columns))

    def gain(self, before: Mapping[str, float], after: Mapping[str, float]) -> Interval:
        """Return how much the loss falls from one (params, tokens, unique) to another."""
        value, refits = self.at(before, after)
        return percentiles(float(value[0] - value[1]), refits[:, 0] - refits[:, 1])

    def share(self, before: Mapping[str, float], after: Mapping[str, float]) -> Interval:
        """Return by which share the loss falls from one (params, tokens, unique) to another."""
        value, refits = self.at(before, after)
        return percentiles(float(1 - value[1] / value[0]), 1 - refits[:, 1] / refits[:, 0])


@dataclass(frozen=True, eq=False)
class Counted:
    """The compute-optimal sizes if parameters and FLOPs are counted by a convention."""

    source: str
    exponent: Interval
    second: Frontier
    third: Frontier


@dataclass(frozen=True, eq=False)
class Measured:
    """All numbers from which a report is written.

    `fresh` is the law of N and D on fresh data, of which the best sizes are; `others` the other losses, such
    as those of languages; `variants` the law fitted in other ways; `conventions` the exponents by what counts
    as N.
    """

    source: Source
    runs: Runs
    analysis: Analysis
    surface: Surface
    fresh: Surface | None
    noise: float | None
    replicates: int
    others: Mapping[str, Surface]
    variants: Mapping[str, Fit]
    conventions: Mapping[str, Counted]
    comparisons: tuple[Comparison, ...]

    @property
    def loss(self) -> str:
        """Return the name of the fitted loss."""
        return self.analysis.loss

    @property
    def repeats(self) -> bool:
        """Return whether the law has a term for repeated data."""
        return "unique" in self.analysis.fit.law.columns

    @property
    def held_out(self) -> HeldOut | None:
        """Return the check on the runs with most compute, or on the largest in another column."""
        return next(iter(self.analysis.held_out), None)

    def worth(self, epochs: Floats) -> tuple[Floats, Floats]:
        """Return D'/U after epochs [n], by fit and every refit [b, n] (Muennighoff et al., equation 5)."""
        k = self.analysis.fit.law.index("log_rd")
        r = np.exp(np.append(self.analysis.fit.theta[k], self.surface.draws.samples[:, k]))[:, None]
        out = 1 - r * np.expm1(-(epochs - 1) / r)
        return out[0], out[1:]

    def as_dict(self, here: Mapping[str, float]) -> dict[str, Any]:
        """Return what only the twin has; `here` is the model and corpus of the answers."""
        found: dict[str, Any] = {
            "seed_noise": {"of_ln_loss": self.noise, "runs": self.replicates},
            "predicted": self.analysis.fit.predict(self.runs).tolist(),
            "variants": {name: self._variant(one, here) for name, one in self.variants.items()},
            "conventions": self.conventions,
            "losses": {
                name: {
                    **one.fit.as_dict(),
                    "derived_intervals": one.draws.derived(),
                    "doubling": one.gain(here, {**here, **_twice(here)}),
                }
                for name, one in self.others.items()
            },
            "comparisons": self.comparisons,
        }
        if self.repeats:
            found["epochs"] = [self._epoch(epochs, here) for epochs in EPOCHS]
        return found

    def _variant(self, one: Fit, here: Mapping[str, float]) -> dict[str, Any]:
        ask = {name: value * (1 if name == "params" else 10) for name, value in here.items()}
        loss = float(one.predict({c: ask[c] for c in one.law.columns})[0])
        numbers = {"runs": one.runs, "parameters": one.parameters, "derived": one.derived}
        return numbers | {"loss_at_ten_times_the_tokens": loss}

    def _epoch(self, epochs: float, here: Mapping[str, float]) -> dict[str, Any]:
        value, drawn = self.worth(np.array([epochs, epochs + 1.0]))
        before, after = ({**here, "tokens": n * here["unique"]} for n in (epochs, epochs + 1))
        return {
            "epochs": epochs,
            "worth": percentiles(float(value[0]), drawn[:, 0]),
            "next": percentiles(float(value[1] - value[0]), drawn[:, 1] - drawn[:, 0]),
            "gain": self.surface.gain(before, after),
        }


def _twice(here: Mapping[str, float]) -> dict[str, float]:
    return {name: 2 * here[name] for name in ("tokens", "unique")}


@dataclass(frozen=True)
class Point:
    """A model and its corpus; `said` is how the answers name it."""

    params: float
    unique: float
    said: str

    def at(self, tokens: float, unique: float | None = None, params: float | None = None) -> dict[str, float]:
        """Return the columns of a run with this many tokens, fresh unless `unique` says otherwise."""
        return {
            "params": self.params if params is None else params,
            "tokens": tokens,
            "unique": tokens if unique is None else unique,
        }


def point(m: Measured) -> Point:
    """Return the model and corpus that the answers are about."""
    columns, asked = m.runs.columns, m.source.asked
    params = asked.params or (float(columns["params"].max()) if "params" in columns else float("nan"))
    unique = asked.unique or float(columns["unique"].max())
    sized = f"a model of {count(params)} parameters" if np.isfinite(params) else "this model"
    return Point(params, unique, sized)


def measure(source: Source, resamples: int, seed: int = 0) -> Measured:
    """Fit the runs in every way that the report shows."""
    loss = source.asked.columns.loss[0]
    source = without_diverged(source, loss)
    made = source.runs(loss)
    analysis = _on_trunks(analyse(loss, made, source.asked.law, resamples, seed), source, made)
    law = analysis.fit.law.name
    rows = source.kept(source.about)
    noise, replicates = seed_noise(
        [((row.params, row.tokens, row.unique), row.losses[loss]) for row in rows if loss in row.losses]
    )
    return Measured(
        source=source,
        runs=made,
        analysis=analysis,
        surface=Surface(analysis.fit, analysis.bootstrap),
        fresh=_fresh(analysis, made, resamples, seed),
        noise=noise or None,
        replicates=replicates,
        others=_others(source, law, resamples, seed),
        variants=_variants(source, analysis.fit, made),
        conventions=_conventions(source, made, loss, resamples, seed),
        comparisons=compare_all(source, loss),
    )


def _on_trunks(analysis: Analysis, source: Source, made: Runs) -> Analysis:
    """Let approach 1 see a trunk's branches as one curve even if they are resampled one by one."""
    curves = np.array([row.curve for row in source.fitted(analysis.loss)])
    if not analysis.approaches or np.array_equal(curves, made.group):
        return analysis
    again = approach_1(Runs(made.columns, made.loss, curves).take(~repeated(made)))
    return replace(analysis, approaches=(again, *analysis.approaches[1:]))


def _fresh(analysis: Analysis, made: Runs, resamples: int, seed: int) -> Surface | None:
    if not analysis.approaches:
        return None
    if BASE not in analysis.fits:
        return Surface(analysis.fit, analysis.bootstrap)
    found = analysis.fits[BASE]
    return Surface(found, bootstrap(found, made.take(~repeated(made)), resamples, seed))


def _others(source: Source, law: str, resamples: int, seed: int) -> dict[str, Surface]:
    """Fit the other losses by the same law."""
    out = {}
    for name in source.asked.columns.loss[1:]:
        try:
            made = source.runs(name)
            found = fit(candidates(law, made)[0], made, descents=DESCENTS)
        except RunsError:  # a language with too few scores
            continue
        out[name] = Surface(found, bootstrap(found, made, resamples, seed))
    return out


def _variants(source: Source, main: Fit, made: Runs) -> dict[str, Fit]:
    """Fit again with other objectives and other runs; fits that are not possible are skipped."""
    ways: dict[str, tuple[Objective, Runs]] = {
        "Huber's delta 0.01 instead of 0.001": (Objective("log", 1e-2), made),
        "Huber's delta 0.0001": (Objective("log", 1e-4), made),
        "residuals of the loss, not of its logarithm": (Objective("loss", 1e-3), made),
        "least squares of the loss": (Objective("loss", float("inf")), made),
        "the lower edge: overestimates count tenfold": (Objective("log", 1e-3, 10.0), made),
    }
    for column, thing in (("params", "model"), ("tokens", "number of tokens")):
        if column in main.law.columns and len(values := np.unique(made.columns[column])) > 3:
            ways[f"without the smallest {thing}"] = HUBER, made.take(made.columns[column] > values[0])
            ways[f"without the largest {thing}"] = HUBER, made.take(made.columns[column] < values[-1])
    if {"params", "tokens"} <= made.columns.keys():
        ratio = made.columns["tokens"] / made.columns["params"]
        late = made.take(ratio > np.quantile(ratio, 0.1))
        ways["without the tenth of the runs with the fewest tokens per parameter"] = HUBER, late
    whole = source.runs(source.asked.columns.loss[0], whole=True)
    if len(whole) > len(made):
        ways["with the excluded runs"] = HUBER, whole
    out = {"as reported": main}
    for name, (objective, chosen) in ways.items():
        try:
            out[name] = fit(main.law, chosen, objective, main.held, DESCENTS)
        except RunsError:  # too few runs remain for this variant
            continue
    return out


def _conventions(source: Source, made: Runs, loss: str, resamples: int, seed: int) -> dict[str, Counted]:
    """Fit the law of fresh data under every way of counting, if the rows have shapes."""
    rows = source.fitted(loss)
    if not all(row.counts for row in rows):
        return {}
    out = {}
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
        except RunsError:  # too few runs on fresh data
            return {}
        exponent = bootstrap(found, counted, resamples, seed).derived()["N exponent"]
        third = approach_3(found.parameters, found.runs)
        out[name] = Counted(way.source, exponent, approach_2(counted), third)
    return out
