"""Everything computed about a report's runs, before it is turned into text and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.errors import RunsError
from trainer.page.formatting import count
from trainer.scaling.analysis import DESCENTS, Analysis, analyse, without_diverged
from trainer.scaling.choice import candidates
from trainer.scaling.fit import fit
from trainer.scaling.laws import Floats
from trainer.scaling.report.compare import Comparison, compare_all
from trainer.scaling.runs import Runs
from trainer.scaling.source import Source
from trainer.scaling.uncertainty import Bootstrap, bootstrap


@dataclass(frozen=True)
class Point:
    """The model and the corpus that a report is about.

    `recipe` has the other columns of the law that answers, such as the weight decay, of the largest run.
    """

    params: float
    unique: float
    recipe: Mapping[str, float]

    @property
    def said(self) -> str:
        """Return the model's name in texts."""
        return f"a model of {count(self.params)} parameters" if np.isfinite(self.params) else "this model"

    def at(
        self, tokens: float | Floats, unique: float | None = None, params: float | None = None
    ) -> dict[str, Floats]:
        """Return the columns of runs with these tokens [n], fresh unless `unique` says otherwise."""
        seen = np.atleast_1d(np.asarray(tokens, dtype=float))
        given = {
            "params": self.params if params is None else params,
            "tokens": seen,
            "unique": seen if unique is None else unique,
            **self.recipe,
        }
        return {name: np.broadcast_to(value, seen.shape) for name, value in given.items()}


@dataclass(frozen=True, eq=False)
class Measured:
    """All numbers from which a report is written; `others` are the other losses, such as those of languages.

    `here` is the model and the corpus of the answers.
    """

    source: Source
    runs: Runs
    analysis: Analysis
    others: Mapping[str, Bootstrap]
    comparisons: tuple[Comparison, ...]
    here: Point

    @property
    def loss(self) -> str:
        """Return the name of the fitted loss."""
        return self.analysis.loss

    @property
    def draws(self) -> Bootstrap:
        """Return the law that answers, with its refits."""
        return self.analysis.draws

    @property
    def repeats(self) -> bool:
        """Return whether the law has a term for repeated data."""
        return "unique" in self.analysis.fit.law.columns

    def as_dict(self) -> dict[str, Any]:
        """Return what only the twin has."""
        before, after = self.here.at(self.here.unique), self.here.at(2 * self.here.unique)
        return {
            "predicted": self.analysis.fit.predict(self.runs).tolist(),
            "losses": {
                name: {
                    **one.fit.as_dict(),
                    "derived_intervals": one.derived(),
                    "doubling": one.gain(before, after),
                }
                for name, one in self.others.items()
            },
            "comparisons": self.comparisons,
            "runs": [{**row.record, "left_out": row.left_out} for row in self.source.rows],
        }


def measure(source: Source, resamples: int, seed: int = 0) -> Measured:
    """Fit the runs in every way that the report shows."""
    loss = source.asked.columns.loss[0]
    source = without_diverged(source, loss)
    made = source.runs(loss)
    analysis = analyse(source, loss, resamples, seed)
    return Measured(
        source=source,
        runs=made,
        analysis=analysis,
        others=_others(source, analysis.fit.law.name, resamples, seed),
        comparisons=compare_all(source, loss),
        here=_point(source, made, analysis.fit.law.columns),
    )


def _point(source: Source, runs: Runs, columns: tuple[str, ...]) -> Point:
    asked, largest = source.asked, int(runs.compute().argmax())
    most = {name: float(column.max()) for name, column in runs.columns.items()}
    return Point(
        params=asked.params or most.get("params", float("nan")),
        unique=asked.unique or most["unique"],
        recipe={name: float(runs.columns[name][largest]) for name in ("share", "decay") if name in columns},
    )


def _others(source: Source, law: str, resamples: int, seed: int) -> dict[str, Bootstrap]:
    """Fit the other losses by the same law."""
    out = {}
    for name in source.asked.columns.loss[1:]:
        try:
            made = source.runs(name)
            found = fit(candidates(law, made)[0], made, descents=DESCENTS)
        except RunsError:  # a language with too few scores
            continue
        out[name] = bootstrap(found, made, resamples, seed)
    return out
