"""Quality checks of an analysis: how much each supports what the law says, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from corpus.plural import plural
from corpus.tokenizer.lost import TOO_LOW
from trainer.page.formatting import listed, named, number, percent, unit
from trainer.scaling.analysis import Analysis
from trainer.scaling.source import Source

Verdict: TypeAlias = Literal["strong", "weak", "not measured"]
REST = 1e-3
"""A gradient smaller than this, in units of uncertainty, counts as zero."""
SPAN = 1.0
"""Decades that N and D should span before their exponents are trusted."""
TOGETHER = 0.95
"""The correlation of ln N and ln D from which on their terms cannot be separated."""
INDEPENDENT = 10
"""The fewest independent runs on which intervals can rest."""
COVERED = 0.9
"""The least share of held-out runs inside their intervals."""


@dataclass(frozen=True)
class Check:
    """One quality check: how much it supports the answers, and why."""

    name: str
    verdict: Verdict
    why: str


def checklist(source: Source, found: Analysis) -> tuple[Check, ...]:
    """Return the checks of the data, the fit and the predictions."""
    return (
        _span(source, found),
        _independent(source, found),
        _noise(found),
        _optimum(found),
        _determined(found),
        _held_out(found),
        _units(source, found),
    )


def _rated(name: str, strong: bool, why: str) -> Check:
    return Check(name, "strong" if strong else "weak", why)


def _span(source: Source, found: Analysis) -> Check:
    logs = source.runs(found.loss).logs()
    letters = {"params": "N", "tokens": "D"}
    decades = {name: float(np.ptp(logs[c]) / np.log(10)) for c, name in letters.items() if c in logs}
    why = listed([f"{name} spans {number(value, 2)} decades" for name, value in decades.items()])
    if len(decades) < 2:
        return _rated("Sizes and tokens span a decade each", False, f"{why}; the other is not given")
    strong = min(decades.values()) >= SPAN
    if min(decades.values()) > 0:
        together = float(np.corrcoef(logs["params"], logs["tokens"])[0, 1])
        if abs(together) > TOGETHER:
            strong, why = False, f"{why}, and correlate at {together:.2f}: their terms cannot be separated"
    return _rated("Sizes and tokens span a decade each", strong, why)


def _independent(source: Source, found: Analysis) -> Check:
    strong = found.clusters >= INDEPENDENT and not source.branches
    why = source.branches or f"{plural(found.clusters, 'independent run')} are resampled whole"
    return _rated("Intervals rest on independent runs", strong, why)


def _noise(found: Analysis) -> Check:
    name = "The noise between seeds is measured"
    if found.noise is None:
        return Check(name, "not measured", "no two runs differ only in their seed")
    return _rated(name, True, f"{percent(found.noise)} of the loss, from {plural(found.replicates, 'run')}")


def _optimum(found: Analysis) -> Check:
    proof = found.fit.certificate
    near = "one minimum" if len(proof.basins) == 1 else f"{len(proof.basins)} minima"
    why = (
        f"{proof.agreeing} of {proof.descents} descents from the best of {proof.starts:,} starts agree; the "
        f"gradient there is {number(proof.gradient, 2)} in units of uncertainty; {near} within 5 % of the "
        "lowest objective"
    )
    return _rated("The fit is at its optimum", proof.gradient < REST and proof.agreeing > 1, why)


def _determined(found: Analysis) -> Check:
    law, bound = found.fit.law, found.fit.certificate.at_bound
    loose = [named(name) for name in law.parameters if not found.draws.interval(name).determined]
    why = f"all {len(law.parameters)} have closed 95 % intervals"
    if loose:
        why = f"{listed(loose)} not limited by the data"
    if bound:
        why += f"; {listed([named(name) for name in bound])} at a bound: a term that is not needed"
    return _rated("The data determine every parameter", not loose, why)


def _held_out(found: Analysis) -> Check:
    name, one = "Intervals contain the held-out runs", found.held_out
    if one is None:
        return Check(name, "not measured", "too few runs to hold some out")
    why = f"{percent(one.coverage)} of {len(one.runs)} inside {percent(one.predicted.level)} intervals"
    return _rated(name, one.coverage >= COVERED, f"{why} of ±{percent(one.half_width)}")


def _units(source: Source, found: Analysis) -> Check:
    name, shown = "Losses are comparable across tokenizers and languages", unit(found.loss)
    if "bits_per_byte" not in found.loss:
        return _rated(
            name, False, f"{shown} is not known to be in bits per byte: it depends on the tokenizer"
        )
    if not source.exact:
        return _rated(name, False, f"bits per byte are {TOO_LOW}")
    return _rated(name, True, "bits per byte of UTF-8")
