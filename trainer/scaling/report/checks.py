"""The quality checks of a report, each strong, weak or not measured, and the list of what stays unknown."""

from __future__ import annotations

import numpy as np

from corpus.plural import plural
from corpus.tokenizer.lost import TOO_LOW
from trainer.page.formatting import count, ends, listed, named, number, percent, unit
from trainer.scaling.approaches import parabola_bias
from trainer.scaling.report.answers import REACH
from trainer.scaling.report.measured import Measured
from trainer.scaling.report.report_model import Answer, Check, Verdict
from trainer.scaling.uncertainty import LEVEL

REST = 1e-3
"""A gradient smaller than this, in units of uncertainty, counts as zero."""
SPAN = 1.0
"""Decades that N and D should span before their exponents are trusted."""


MISSING: Verdict = "not measured"


def _rated(name: str, strong: bool, why: str) -> Check:
    return Check(name, "strong" if strong else "weak", why)


def checklist(m: Measured, answers: tuple[Answer, ...]) -> tuple[Check, ...]:
    """Return the checks of the data, the fit and the predictions."""
    return (
        _described(m),
        _scored(m),
        _span(m),
        _single_epoch(m),
        _units(m),
        _noise(m),
        _optimum_found(m),
        _determined(m),
        _approaches(m),
        _conventions(m),
        _held_out(m),
        _rivals(m),
        _sensitivity(m),
        _languages(m),
        _reach(answers),
    )


def cannot(m: Measured, answers: tuple[Answer, ...]) -> tuple[str, ...]:
    """Return what must not be concluded, in plain words."""
    out = [f"{each.question} No answer from these runs." for each in answers if not each.known]
    out += [f"{_said(remark, m)}." for remark in (*m.analysis.remarks, *m.source.remarks)]
    bias = _bias(m)
    return (*out, bias) if bias else tuple(out)


def _said(remark: str, m: Measured) -> str:
    """Return a remark as a sentence with a capital letter, unless it starts with a parameter's name."""
    first = remark.split()[0]
    if first in m.analysis.fit.law.parameters:
        return remark.replace(first, named(first), 1)
    return f"{remark[0].upper()}{remark[1:]}"


def _described(m: Measured) -> Check:
    rows = m.source.kept(m.source.about)
    wanted = {
        "parameters": [row.params for row in rows],
        "tokens": [row.tokens for row in rows],
        "learning rate": [row.lr for row in rows],
        "batch": [row.batch for row in rows],
    }
    missing = [name for name, values in wanted.items() if not np.isfinite(values).all()]
    missing += [] if all(row.seed for row in rows) else ["seed"]
    missing += [] if m.source.asked.columns.unique or m.source.study else ["unique tokens"]
    missing += [] if all(row.stage for row in rows) else ["stage of the schedule"]
    left = sum(bool(row.left_out) for row in m.source.rows)
    tail = f"; {left} excluded, each with its reason" if left else "; none excluded"
    if missing:
        return _rated(
            "Every run is fully described", False, f"the table does not have {listed(missing)}{tail}"
        )
    return _rated(
        "Every run is fully described", True, f"{plural(len(rows), 'run')}, all columns known{tail}"
    )


def _scored(m: Measured) -> Check:
    name = "All runs are scored on the same documents"
    lists = {row.documents for row in m.source.kept()}
    if not m.source.study or lists == {""}:
        return Check(name, MISSING, "the table does not name the validation documents of its losses")
    said = f"the hash of the list of documents is {listed(sorted(lists))}"
    rows = [row for row in m.source.kept() if np.isfinite(row.scored) and np.isfinite(row.error)]
    if rows:
        share = float(np.median([row.error / row.losses[m.loss] for row in rows]))
        tokens = count(min(row.scored for row in rows))
        said += f"; {tokens} tokens, with a standard error of {percent(share)}, the same for all runs"
    return _rated(name, len(lists) == 1, said)


def _span(m: Measured) -> Check:
    decades = {
        {"params": "N", "tokens": "D"}[c]: float(np.ptp(np.log10(m.runs.columns[c])))
        for c in ("params", "tokens")
        if c in m.runs.columns
    }
    said = listed([f"{name} spans {number(value, 2)} decades" for name, value in decades.items()])
    return _rated(
        "Sizes and tokens span a decade each",
        len(decades) == 2 and min(decades.values()) >= SPAN,
        said if len(decades) == 2 else f"{said}; the other is not given",
    )


def _single_epoch(m: Measured) -> Check:
    name = "Repeated data are distinguished from fresh data"
    if m.repeats:
        most = float((m.runs.columns["tokens"] / m.runs.columns["unique"]).max())
        return _rated(name, True, f"unique tokens are known, and runs reach {number(most, 2)} epochs")
    if m.source.asked.columns.unique or m.source.study:
        return _rated(name, True, "unique tokens are known, and no run saw its data twice")
    return Check(name, MISSING, "the table has no column of unique tokens: all tokens are treated as fresh")


def _units(m: Measured) -> Check:
    clusters = m.analysis.clusters
    enough = clusters >= 10 and not m.source.remarks
    why = "; ".join(m.source.remarks) or f"{plural(clusters, 'independent run')} are resampled whole"
    return _rated("Intervals rest on independent runs", enough, why)


def _noise(m: Measured) -> Check:
    name = "The noise between seeds is measured"
    if m.noise is None:
        return Check(name, MISSING, "no two runs differ only in their seed")
    return _rated(name, True, f"{percent(m.noise)} of the loss, from {plural(m.replicates, 'run')}")


def _optimum_found(m: Measured) -> Check:
    proof = m.analysis.fit.certificate
    good = proof.gradient < REST and proof.agreeing > 1
    near = "one minimum" if len(proof.basins) == 1 else f"{len(proof.basins)} minima"
    why = (
        f"{proof.agreeing} of {proof.descents} descents from the best of {proof.starts:,} starts agree; the "
        f"gradient there is {number(proof.gradient, 2)} in units of uncertainty; {near} within 5 % of the "
        "lowest objective"
    )
    return _rated("The fit is at its optimum", good, why)


def _determined(m: Measured) -> Check:
    draws = m.analysis.bootstrap
    free = m.analysis.fit.law.parameters
    loose = [named(name) for name in free if not draws.interval(name).determined]
    why = (
        f"{listed(loose)} not limited by the data" if loose else f"all {len(free)} have closed 95 % intervals"
    )
    return _rated("The data determine every parameter", not loose, why)


def _approaches(m: Measured) -> Check:
    name = "Three approaches to the compute-optimal size agree"
    usable = [one for one in m.analysis.approaches if not one.why]
    if len(usable) < 3:
        why = "; ".join(f"approach {one.approach} {one.why}" for one in m.analysis.approaches if one.why)
        return Check(name, MISSING, why or "the law has no compute-optimal size")
    exponents = [one.a for one in usable]
    said = listed([number(a, 2) for a in exponents])
    return _rated(name, max(exponents) - min(exponents) < 0.1, f"N grows as compute to the power {said}")


def _conventions(m: Measured) -> Check:
    name = "The answer is shown for each way of counting"
    if not m.conventions:
        return Check(
            name, MISSING, "the table does not have the shapes of its models, so N is counted one way"
        )
    low, high = (f(one.exponent.estimate for one in m.conventions.values()) for f in (min, max))
    return _rated(name, True, f"the exponent of N is between {number(low, 2)} and {number(high, 2)}")


def _held_out(m: Measured) -> Check:
    name = "Intervals contain the held-out runs"
    checks = m.analysis.held_out
    if not checks:
        return Check(name, MISSING, "too few runs to hold some out")
    said = [f"{percent(c.coverage)} by {c.by} (±{percent(c.half_width)})" for c in checks]
    worst = min(c.coverage for c in checks)
    return _rated(name, worst >= 0.9, f"of the runs inside {percent(LEVEL)} intervals, {listed(said)}")


def _rivals(m: Measured) -> Check:
    name = "No other law predicts the held-out runs better"
    if m.held_out is None or len(m.held_out.rivals) < 2:
        return Check(name, MISSING, "too few runs to compare laws on held-out runs")
    rivals = m.held_out.rivals
    own = next(iter(rivals.values()))
    best = min(rivals, key=lambda each: rivals[each])
    said = f"{m.analysis.fit.law.name} has an error of {percent(own)}, "
    said += f"the least of {len(rivals)} laws" if rivals[best] == own else f"{best} {percent(rivals[best])}"
    return _rated(name, own <= 1.1 * rivals[best], said)


def _sensitivity(m: Measured) -> Check:
    name = "The answer does not depend on one choice"
    if "N exponent" not in m.analysis.fit.derived:
        low, high = _moved(m, "E")
        why = f"E is between {number(low)} and {number(high)} over {len(m.variants)} ways to fit"
        return (
            _rated(name, high - low < 0.1 * m.analysis.fit.derived["E"], why)
            if high
            else Check(name, MISSING, why)
        )
    found = m.analysis.bootstrap.derived()["N exponent"]
    low, high = _moved(m, "N exponent")
    inside = found.holds(low) and found.holds(high)
    between = f"between {number(low, 3)} and {number(high, 3)}"
    said = f"over {len(m.variants)} ways to fit, the exponent of N is {between}"
    return _rated(
        name,
        inside,
        f"{said}; the 95 % interval {ends(found)} {'contains' if inside else 'does not contain'} them all",
    )


def _moved(m: Measured, name: str) -> tuple[float, float]:
    values = [each.derived[name] for each in m.variants.values() if name in each.derived]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _languages(m: Measured) -> Check:
    name = "Losses are comparable across tokenizers and languages"
    if "bits_per_byte" not in m.loss:
        return _rated(
            name, False, f"{unit(m.loss)} is not known to be in bits per byte: it depends on the tokenizer"
        )
    if not all(row.exact for row in m.source.kept(m.source.about)):
        return _rated(name, False, f"bits per byte are {TOO_LOW}")
    return _rated(name, True, f"bits per byte of UTF-8, {plural(len(m.others), 'language')} separately")


def _reach(answers: tuple[Answer, ...]) -> Check:
    name = "No answer extrapolates far beyond the runs"
    far = [each for each in answers if not each.known and (each.beyond or 0.0) > REACH]
    if far:
        ratio = max(each.beyond or 0.0 for each in far)
        why = f"{plural(len(far), 'answer')} would be up to {count(ratio)} times beyond, and are not given"
        return _rated(name, False, why)
    return _rated(name, True, f"all are within {REACH:.0f} times the compute of the largest run")


def _bias(m: Measured) -> str:
    """Return how far a parabola's vertex is off on a surface such as the fitted one."""
    second = next((one for one in m.analysis.approaches if one.approach == 2 and not one.why), None)
    if second is None or m.fresh is None:
        return ""
    found = m.fresh.fit.parameters
    alpha, beta = found["alpha"], found.get("beta", found["alpha"])
    shift = np.expm1(parabola_bias(alpha, beta, float(np.log(4)), 7))
    return (
        f"Approach 2 is biased even without noise: with sizes up to four times above and below the best, "
        f"these exponents move its N* by {percent(float(shift))}."
    )
