"""What a report answers on its first screen: a sentence, four numbers, how far to trust them."""

from __future__ import annotations

import numpy as np

from corpus.plural import plural
from trainer.page.formatting import GAP, around, count, ends, number, percent, power, unit
from trainer.scaling.choice import repeated
from trainer.scaling.laws import Floats, optimum
from trainer.scaling.report import chart_data
from trainer.scaling.report.compare import Comparison
from trainer.scaling.report.measured import Measured
from trainer.scaling.report.report_model import Headline, Number
from trainer.scaling.uncertainty import Interval, percentiles

REACH = 20.0
"""Largest extrapolation, in compute over that of the largest run; beyond it there is no answer."""
REREAD = 4
"""The fewest runs with repeated data for an answer: of three, one resample in twenty has none."""
SIZES = 3
"""The fewest sizes for an answer about sizes: E, A and alpha have three unknowns."""
OUTSIDE = 2.0
"""A best size beyond the sizes of the runs by a larger factor is not an answer: how many tokens a parameter
gets differs by the square of it, and runs of few tokens per parameter do not follow the law of the others."""
VAGUE = 3.0
"""An interval of a gain whose ends differ by a larger factor is too wide for an answer."""


def headline(m: Measured) -> Headline:
    """Return the first screen of a report."""
    trust, predictions = _trust(m), chart_data.held_out(m)
    if "params" not in m.analysis.fit.law.columns:
        return Headline(_doubling(m), chart_data.one_size(m), (), (), trust, predictions)
    return Headline(_doubling(m), chart_data.by_size(m), _numbers(m), chart_data.tasks(m), trust, predictions)


def _doubling(m: Measured) -> str:
    """Return what a corpus twice as large does, in one sentence."""
    here, noise = m.here, m.analysis.noise or 0.0
    have, twice = here.at(here.unique), here.at(2 * here.unique)
    found, sizes = m.draws.gain(have, twice), f"{count(here.unique)} → {count(2 * here.unique)} tokens"
    what = f"your corpus ({sizes})"
    if m.source.part_of:
        what = f"the data ({sizes}; your corpus holds {count(m.source.part_of)})"
    at = f" at {count(here.params)} parameters" if np.isfinite(here.params) else ""
    if why := _unsupported(m, found, twice):
        return f"What doubling {what} does{at} is not known: {why}"
    less = f"by {percent(found.estimate)} ({ends(found, 'percent').replace(f'{GAP}% to ', '–')})"
    if found.estimate < noise:
        less = f"by less than two runs differ by chance ({percent(noise)})"
    return f"Doubling {what} lowers {unit(m.loss)} {less}{at}."


def _unsupported(m: Measured, found: Interval, after: dict[str, Floats]) -> str:
    """Return why the runs do not support a gain, and which runs would; empty where they do."""
    ratio = beyond(m, after)
    if ratio > REACH:
        return (
            f"it is {count(ratio, 2)} times the compute of the largest run, more than {REACH:.0f}; runs of "
            f"{count(float(after['tokens'][0]) / (ratio / REACH), 2)} tokens or more at this size would tell."
        )
    if vague(found):
        return f"the interval is {ends(found, 'percent')}; more runs, or larger ones, would narrow it."
    return ""


def beyond(m: Measured, run: dict[str, Floats]) -> float:
    """Return a run's compute over that of the largest fitted run, both as 6·N·D (6·D if N is not known)."""
    known = [name for name in ("params", "tokens") if name in m.runs.columns]
    largest = np.prod([m.runs.columns[name] for name in known], axis=0).max()
    return float(np.prod([run[name][0] for name in known]) / largest)


def vague(found: Interval) -> bool:
    """Return whether an interval of a gain is open, reaches zero, or spans more than a factor of VAGUE."""
    if found.lower is None or found.upper is None or found.lower <= 0:
        return True
    return found.upper > VAGUE * found.lower


def _numbers(m: Measured) -> tuple[Number, ...]:
    """Return the four numbers: twice the data, twice the parameters, the next epoch, the best size."""
    here = m.here
    n, d, less = here.params, here.unique, f"lower {unit(m.loss)}"
    data = f"{less}, {count(d)} → {count(2 * d)} tokens"
    params = f"{less}, {count(n)} → {count(2 * n)} parameters"
    return (
        _gain(m, "Twice the data", here.at(2 * d), data),
        _few_sizes(m, "Twice the parameters")
        or _gain(m, "Twice the parameters", here.at(d, params=2 * n), params),
        _epoch(m, f"{less}, {count(d)} tokens read a second time"),
        _few_sizes(m, "The best size") or _best_size(m),
    )


def _few_sizes(m: Measured, title: str) -> Number | None:
    """Return why a question about sizes has no answer, if there are too few: two fit any exponent."""
    sizes = len(np.unique(m.runs.columns["params"]))
    if sizes >= SIZES:
        return None
    why = f"{plural(sizes, 'size')} cannot tell how loss falls with size; runs of {SIZES} sizes would"
    return Number(title, None, "percent", f"Not known: {why}.")


def _gain(m: Measured, title: str, after: dict[str, Floats], note: str) -> Number:
    found = m.draws.gain(m.here.at(m.here.unique), after)
    why = _unsupported(m, found, after)
    return Number(title, None if why else found, "percent", f"Not known: {why}" if why else note)


def _epoch(m: Measured, note: str) -> Number:
    """Return what a second epoch over the corpus gains."""
    title, again, why = "The next epoch", repeated(m.runs), ""
    if not m.repeats:
        known = m.source.study or m.source.asked.columns.unique
        why = "no run saw its data more than once" if known else "the number of unique tokens is not given"
    elif again.sum() < REREAD:
        why = f"only {plural(int(again.sum()), 'run')} repeated data, an answer needs {REREAD} or more"
    if why:
        missing = "runs that read the same data two, four and eight times would tell"
        return Number(title, None, "percent", f"Not known: {why}; {missing}.")
    most = float(m.runs.columns["params"][again].max())
    if most < m.here.params:
        note += f"; the runs that repeated data had at most {count(most)} parameters"
    return _gain(m, title, m.here.at(2 * m.here.unique, m.here.unique), note)


def _best_size(m: Measured) -> Number:
    """Return the best size for the compute of the largest run, by the law that answers."""
    title, compute, draws = "The best size", float(m.runs.compute().max()), m.draws
    names = draws.fit.law.parameters
    best, tokens = optimum(draws.fit.parameters, compute)
    drawn = [optimum(dict(zip(names, row, strict=True)), compute)[0] for row in draws.samples.tolist()]
    found = percentiles(best, np.array(drawn))
    if found.lower is None or found.upper is None or found.upper > VAGUE**2 * found.lower:
        missing = "more sizes at equal compute, smaller and larger than the best, would tell"
        note = f"Not known: the interval is {ends(found, 'count')} parameters; {missing}."
        return Number(title, None, "count", note)
    least, most = (float(end) for end in (m.runs.columns["params"].min(), m.runs.columns["params"].max()))
    if not least / OUTSIDE <= best <= most * OUTSIDE:
        law = f"by the law it is {count(best)} parameters on {count(tokens)} tokens"
        runs = f"the runs have {count(least)} to {count(most)}; some of about that size would tell"
        note = f"Not known: {law}; {runs}."
        return Number(title, None, "count", note)
    note = (
        f"parameters on {count(tokens)} tokens, for {power(compute, 2)} FLOPs, the compute of the largest run"
    )
    return Number(title, found, "count", note)


def better(one: Comparison) -> str:
    """Return which of two corpora is better, or why that is not known."""
    rests = f"over {plural(len(one.cells), 'run')} on both"
    if one.documents:
        rests += f" and {one.documents:,} validation documents, paired"
    found = one.difference
    if found.lower is None or found.upper is None:
        difference = f"differ by {percent(found.estimate)}, without an interval"
        return f"{one.first} or {one.second}, not known: their losses {difference}, {rests}."
    if found.lower <= 0 <= found.upper:
        lower = f"the loss on {one.second} is lower by {around(found, 'percent')}"
        return f"{one.first} or {one.second}, not known: {lower} {rests}."
    if found.estimate > 0:
        return f"{one.second}: its loss is {around(found, 'percent')} lower than on {one.first}, {rests}."
    sure = Interval(-found.estimate, -found.upper, -found.lower)
    return f"{one.first}: its loss is {around(sure, 'percent')} lower than on {one.second}, {rests}."


def _trust(m: Measured) -> str:
    one = m.analysis.held_out
    if one is None:
        return "Too few runs to hold some out, so no prediction was checked."
    return (
        f"The {len(one.runs)} largest runs, up to {number(one.farthest, 2)} times beyond the rest, were "
        f"predicted from the {one.fitted} others by the law “{m.analysis.fit.law.name}”: the median error is "
        f"{percent(one.error)}, and {percent(one.coverage)} of the runs are inside their "
        f"{percent(one.predicted.level)} intervals (±{percent(one.half_width)} wide)."
    )
