"""What a report says: the first screen, and its questions, each answered in plain language or declined."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from corpus.plural import plural
from trainer.page.formatting import GAP, Kind, around, count, ends, number, percent, power, unit
from trainer.scaling.approaches import approach_3
from trainer.scaling.choice import repeated
from trainer.scaling.laws import Floats
from trainer.scaling.report import chart_data
from trainer.scaling.report.compare import Comparison
from trainer.scaling.report.measured import Measured, Point, point
from trainer.scaling.report.report_model import Answer, Headline, Number
from trainer.scaling.uncertainty import Interval, percentiles

Truths: TypeAlias = NDArray[np.bool_]
NO = "Not answered:"
REACH = 20.0
"""Largest extrapolation, in compute over that of the largest run; beyond it there is no answer."""
LITTLE = 0.005
"""A doubling of tokens that lowers the loss by less than this share, or than the noise, is not a gain."""
REREAD = 4
"""The fewest runs with repeated data for an answer: of three, one resample in twenty has none."""
WANTED = 0.02
"""The lowering of the loss, as a share, for which the needed tokens are asked."""
VAGUE = 3.0
"""An interval whose ends differ by a larger factor is too wide for an answer."""


def headline(m: Measured, answers: tuple[Answer, ...]) -> Headline:
    """Return the first screen of a report."""
    trust = answers[-1].statement.removeprefix(NO).strip()
    trust = f"{trust[:1].upper()}{trust[1:]}"
    predictions = chart_data.held_out(m)
    columns = m.analysis.fit.law.columns
    if not {"params", "tokens"} <= set(columns):
        sentence = _doubling(m, point(m)) if "tokens" in columns else ""
        return Headline(sentence, chart_data.one_column(m), (), (), trust, predictions)
    here = point(m)
    chart = chart_data.by_size(m, here.params, here.unique)
    return Headline(_doubling(m, here), chart, _numbers(m, here), chart_data.tasks(m), trust, predictions)


def _doubling(m: Measured, here: Point) -> str:
    """Return what a corpus twice as large does, in one sentence."""
    have, twice = here.at(here.unique), here.at(2 * here.unique)
    found, sizes = m.surface.share(have, twice), f"{count(here.unique)} → {count(2 * here.unique)} tokens"
    what = f"your corpus ({sizes})"
    if m.source.part_of:
        what = f"the data ({sizes}; your corpus holds {count(m.source.part_of)})"
    at = f" at {count(here.params)} parameters" if np.isfinite(here.params) else ""
    if why := _unsupported(m, found, twice):
        return f"What doubling {what} does{at} is not known: {why}"
    less = f"by {percent(found.estimate)} ({_between(found)})"
    if found.estimate < (m.noise or 0.0):
        less = f"by less than two runs differ by chance ({percent(m.noise or 0.0)})"
    return f"Doubling {what} lowers {unit(m.loss)} {less}{at}."


def _between(found: Interval) -> str:
    low, high = found.lower, found.upper
    assert low is not None
    assert high is not None
    return f"{percent(low).removesuffix(f'{GAP}%')}–{percent(high)}"


def _unsupported(m: Measured, found: Interval, after: dict[str, float]) -> str:
    """Return why the runs do not support a gain, and which runs would; empty where they do."""
    ratio = beyond(m, after)
    if ratio > REACH:
        return (
            f"it is {count(ratio, 2)} times the compute of the largest run, more than {REACH:.0f}; runs of "
            f"{count(after['tokens'] / (ratio / REACH), 2)} tokens or more at this size would tell."
        )
    if vague(found):
        return f"the interval is {ends(found, 'percent')}; more runs, or larger ones, would narrow it."
    return ""


def _numbers(m: Measured, here: Point) -> tuple[Number, ...]:
    """Return the four numbers: twice the data, twice the parameters, the next epoch, the best size."""
    have, less = here.at(here.unique), f"lower {unit(m.loss)}"
    steps = (
        ("Twice the data", here.at(2 * here.unique), f"{count(2 * here.unique)} tokens", here.unique),
        (
            "Twice the parameters",
            here.at(here.unique, params=2 * here.params),
            f"{count(2 * here.params)} parameters",
            here.params,
        ),
    )
    gains = []
    for title, after, to, start in steps:
        found = m.surface.share(have, after)
        why = _unsupported(m, found, after)
        note = why or f"{less}, {count(start)} → {to}"
        gains.append(Number(title, None if why else found, "percent", note))
    epoch, best = answer_epoch(m, here), answer_best_size(m)
    compute = power(float(m.runs.compute().max()), 2)
    again = f"{less}, {count(here.unique)} tokens read a second time{_read_again(m, here)}"
    share = None
    if epoch.known:
        share = m.surface.share(have, here.at(2 * here.unique, here.unique))
    return (
        *gains,
        _number("The next epoch", epoch, share, "percent", again,
                "runs that read the same data two, four and eight times would tell"),
        _number("The best size", best, best.value if best.known else None, "count",
                f"parameters for {compute} FLOPs, the compute of the largest run",
                "more sizes at equal compute, smaller and larger than the best, would tell"),
    )  # fmt: skip


def _number(
    title: str, answer: Answer, value: Interval | None, kind: Kind, note: str, missing: str
) -> Number:
    if value is None:
        first = answer.statement.removeprefix(NO).strip().split(". ")[0].split(";")[0].rstrip(".")
        return Number(title, None, kind, f"Not known: {first}; {missing}.")
    return Number(title, value, kind, note)


def _read_again(m: Measured, here: Point) -> str:
    """Return how large the models were that repeated data, if smaller than the answer's."""
    most = float(m.runs.columns["params"][repeated(m.runs)].max()) if m.repeats else np.inf
    return f"; the runs that repeated data had at most {count(most)} parameters" if most < here.params else ""


def answers(m: Measured) -> tuple[Answer, ...]:
    """Answer every question for which the law has the columns."""
    columns = m.analysis.fit.law.columns
    out = []
    if "tokens" in columns:
        here = point(m)
        out += [
            _stops(m, here),
            _more(m, here, m.source.asked.more),
            _more(m, here, here.unique),
            _missing(m, here),
            answer_epoch(m, here),
        ]
    if "params" in columns and "tokens" in columns:
        out += [_twice(m, point(m)), answer_best_size(m)]
    out += [_better(m, one) for one in m.comparisons]
    return (*out, _trust(m))


def beyond(m: Measured, run: dict[str, float]) -> float:
    """Return a run's compute over that of the largest fitted run, both as 6·N·D (6·D if N is constant)."""
    product, largest = 1.0, np.ones(len(m.runs))
    for name in ("params", "tokens"):
        if name in m.runs.columns and np.isfinite(run[name]):
            product, largest = product * run[name], largest * m.runs.columns[name]
    return product / float(largest.max())


def vague(found: Interval) -> bool:
    """Return whether an interval of a gain is open, reaches zero, or spans more than a factor of VAGUE."""
    if found.lower is None or found.upper is None or found.lower <= 0:
        return True
    return found.upper > VAGUE * found.lower


def gain(m: Measured, question: str, what: str, before: dict[str, float], after: dict[str, float]) -> Answer:
    """Answer how much a step lowers the loss, or why that is unknown."""
    found, ratio = m.surface.gain(before, after), beyond(m, after)
    loss = float(m.surface.at(before)[0][0])
    name = unit(m.loss)
    less = f"less {name}"
    if ratio > REACH:
        said = (
            f"{NO} this needs {number(ratio, 2)} times the compute of the largest run, "
            f"and the report extrapolates only to {REACH:.0f} times. By the formula alone it would lower "
            f"{name} by {around(found)}."
        )
        return Answer(question, said, False, found, less, ratio)
    if vague(found):
        said = f"{NO} the interval is too wide: {what} lower {name} by {ends(found)}."
        return Answer(question, said, False, found, less, ratio)
    share = percent(found.estimate / loss)
    said = f"{what[0].upper()}{what[1:]} lower {name} by {around(found)}, {share} of it."
    if m.noise is not None and found.estimate / loss < m.noise:
        said += f" That is less than two runs differ by chance ({percent(m.noise)})."
    return Answer(question, said, True, found, less, ratio)


def _stops(m: Measured, here: Point) -> Answer:
    """Answer from which number of tokens on a doubling hardly lowers the loss."""
    question = f"When does {here.said} stop gaining from data?"
    least = max(LITTLE, m.noise or 0.0)
    if m.repeats and (few := _few(m)):
        return Answer(question, few, False)
    first = here.unique if m.repeats else float(m.runs.columns["tokens"].min())
    grid = np.geomspace(first, max(here.unique, float(m.runs.columns["tokens"].max())) * 1e4, 400)
    unique = np.full(len(grid), here.unique) if m.repeats else grid
    params = np.full(len(grid), here.params)
    now, now_drawn = m.surface.losses(params, grid, unique)
    then, then_drawn = m.surface.losses(params, 2 * grid, unique if m.repeats else 2 * grid)
    found = _first(grid, 1 - then / now < least, 1 - then_drawn / now_drawn < least)
    where = "With fresh data, "
    if m.repeats:
        where = f"With this corpus of {count(here.unique)} unique tokens, repeated, "
    rule = f"from there on, doubling the tokens lowers the loss by less than {percent(least)}"
    ratio = beyond(m, here.at(found.estimate)) if np.isfinite(found.estimate) else None
    sure = found.lower is not None and found.upper is not None and found.upper <= VAGUE**2 * found.lower
    if ratio is None or ratio > REACH or not sure:
        if found.lower is None and found.upper is None:
            return Answer(question, f"{NO} these runs exclude no number of tokens ({rule}).", False)
        place = f"at {around(found, 'count')}" if found.determined else f"somewhere {ends(found, 'count')}"
        far = f", at {number(ratio, 2)} times the compute of the largest run" if ratio else ""
        lead = f"{NO} {where[0].lower()}{where[1:]}{here.said}"
        said = f"{lead} would stop gaining {place} tokens{far} ({rule})."
        return Answer(question, said, False, found, "tokens", ratio)
    said = f"{where}{here.said} stops gaining at {around(found, 'count')} tokens: {rule}."
    if m.repeats:
        said += f" That is {number(found.estimate / here.unique, 2)} epochs."
    elif found.estimate > here.unique:
        said += (
            f" That is more than the {count(here.unique)} available tokens; what repeating them would "
            "gain is unknown, because no run is known to have done so."
        )
    return Answer(question, said, True, found, "tokens", ratio)


def _first(grid: Floats, reached: Truths, drawn: Truths) -> Interval:
    """Return the first value [n] where a condition holds, by the fit [n] and every refit [b, n]."""

    def first(below: Truths) -> Floats:
        return np.where(below.any(axis=-1), grid[below.argmax(axis=-1)], np.inf)

    return percentiles(float(first(reached)), first(drawn))


def _more(m: Measured, here: Point, more: float) -> Answer:
    said = f"the next {count(more)} unique tokens"
    question = "What is a corpus twice as large worth?" if more == here.unique else f"What are {said} worth?"
    what = f"for {here.said}, {said} after {count(here.unique)}, each read once,"
    return gain(m, question, what, here.at(here.unique), here.at(here.unique + more))


def _reached(m: Measured, here: Point, target: Floats, targets: Floats) -> Interval:
    """Return how many times its tokens, all fresh, a model needs for a loss [1], by fit and refits [b]."""
    times = np.geomspace(1.0, 1e4, 600)
    tokens = here.unique * times
    loss, drawn = m.surface.losses(np.full(len(times), here.params), tokens, tokens)
    return _first(times, loss <= target, drawn <= targets[:, None])


def _missing(m: Measured, here: Point) -> Answer:
    """Answer how many fresh tokens are missing for a loss that is lower by WANTED."""
    question = f"How many more tokens would lower the loss by {percent(WANTED)}?"
    now, drawn = m.surface.at(here.at(here.unique))
    found = _reached(m, here, now * (1 - WANTED), drawn[:, 0] * (1 - WANTED))
    lower, upper = (None if end is None else (end - 1) * here.unique for end in (found.lower, found.upper))
    more = Interval((found.estimate - 1) * here.unique, lower, upper)
    if not np.isfinite(more.estimate):
        return Answer(question, f"{NO} by the law no number of fresh tokens is enough.", False)
    ratio = beyond(m, here.at(here.unique * found.estimate))
    if ratio > REACH or vague(more):
        said = f"{NO} {ends(more, 'count')} fresh tokens in addition to the {count(here.unique)}"
        far = f", at {number(ratio, 2)} times the compute of the largest run" if ratio > REACH else ""
        return Answer(question, f"{said}{far}.", False, more, "tokens", ratio)
    said = f"{around(more, 'count')} fresh tokens in addition to the {count(here.unique)}, for {here.said}."
    return Answer(question, said, True, more, "tokens", ratio)


def answer_epoch(m: Measured, here: Point) -> Answer:
    """Answer what a second epoch over the corpus is worth."""
    question = "What is the next epoch worth?"
    if not m.repeats:
        known = m.source.study or m.source.asked.columns.unique
        why = "no run saw its data more than once" if known else "the number of unique tokens is not given"
        return Answer(question, f"{NO} {why}.", False)
    if few := _few(m):
        return Answer(question, few, False)
    what = f"for {here.said}, two epochs over {count(here.unique)} unique tokens instead of one"
    found = gain(m, question, what, here.at(here.unique), here.at(2 * here.unique, here.unique))
    value, drawn = m.worth(np.array([2.0]))
    share = percentiles(float(value[0] - 1), drawn[:, 0] - 1)
    extra = f" A token read a second time counts as {around(share)} of a fresh one"
    said = f"{found.statement}{extra}{_read_again(m, here)}."
    return Answer(question, said, found.known, found.value, found.unit, found.beyond)


def _few(m: Measured) -> str:
    """Return an answer if there are too few runs with repeated data, else an empty string."""
    again = int(repeated(m.runs).sum())
    if again >= REREAD:
        return ""
    return f"{NO} only {plural(again, 'run')} repeated data; an answer needs {REREAD} or more."


def _twice(m: Measured, here: Point) -> Answer:
    after = here.at(here.unique, params=2 * here.params)
    sizes = f"{count(2 * here.params)} parameters instead of {count(here.params)}"
    what = f"at {count(here.unique)} fresh tokens, {sizes}"
    found = gain(m, "What would twice the parameters gain?", what, here.at(here.unique), after)
    if not found.known:
        return found
    target, targets = m.surface.at(after)
    same = _reached(m, here, target, targets[:, 0])
    times = around(same) if same.determined else f"{number(same.estimate, 2)} times the tokens ({ends(same)})"
    extra = f" The same by data alone would take {times}{' times the tokens' * same.determined}."
    if not np.isfinite(same.estimate):
        extra = " No amount of fresh tokens would give the same."
    return Answer(found.question, found.statement + extra, True, found.value, found.unit, found.beyond)


def answer_best_size(m: Measured) -> Answer:
    """Answer with the compute-optimal size at the compute of the largest run, by each approach."""
    question = "Which size is best for the compute of the largest run?"
    usable = [one for one in m.analysis.approaches if not one.why]
    if m.fresh is None or not usable:
        return Answer(question, f"{NO} no approach gave a compute-optimal size.", False)
    compute = float(m.runs.compute().max())
    law = m.fresh.fit.law
    drawn = [
        approach_3(dict(zip(law.parameters, row, strict=True))) for row in m.fresh.draws.samples.tolist()
    ]
    best = next((one for one in usable if one.approach == 3), usable[-1])
    sizes = np.array([one.optimum(compute)[0] if not one.why else np.inf for one in drawn])
    n, d = best.optimum(compute)
    found = percentiles(n, sizes)
    other = "".join(
        f"; approach {one.approach} says {count(one.optimum(compute)[0])}"
        for one in usable
        if one is not best
    )
    tokens = f"{count(d)} tokens, {number(d / n, 3)} tokens per parameter"
    known = found.lower is not None and found.upper is not None and found.upper <= VAGUE**2 * found.lower
    if known:
        said = f"{around(found, 'count')} parameters on {tokens}, by approach {best.approach}"
    else:
        said = (
            f"{NO} the interval is too wide: {ends(found, 'count')} parameters; the best guess, of approach "
            f"{best.approach}, is {count(n)} on {tokens}"
        )
    return Answer(question, f"{said}{other}.", known, found, "parameters", 1.0)


def _better(m: Measured, one: Comparison) -> Answer:
    question = f"Which corpus is better, {one.first} or {one.second}?"
    found = one.difference
    rests = f"over {plural(len(one.cells), 'cell')} trained on both"
    if one.documents:
        rests += f" and {one.documents:,} validation documents, paired"
    if found.lower is None or found.upper is None or found.lower <= 0 <= found.upper:
        said = (
            f"{NO} on {one.second} the loss is lower by {around(found, 'percent')} {rests}."
            if found.determined
            else f"{NO} {rests}, a difference of {percent(found.estimate)} has no interval."
        )
        return Answer(question, said, False, found, "lower loss")
    winner, loser = (one.second, one.first) if found.estimate > 0 else (one.first, one.second)
    sure = found if found.estimate > 0 else Interval(-found.estimate, -found.upper, -found.lower)
    said = f"{winner}: its loss is {around(sure, 'percent')} lower than on {loser}, {rests}."
    return Answer(question, said, True, sure, "lower loss")


def _trust(m: Measured) -> Answer:
    question = "How far can such predictions be trusted?"
    one = m.held_out
    if one is None:
        said = f"{NO} too few runs to hold some out, so no prediction was checked."
        return Answer(question, said, False)
    said = (
        f"The {len(one.runs)} largest runs, up to {number(one.farthest, 2)} times beyond the rest, were "
        f"predicted from the {one.fitted} others by the law “{m.analysis.fit.law.name}”: the median error is "
        f"{percent(one.error)}, and {percent(one.coverage)} of the runs are inside their "
        f"{percent(one.level)} intervals (±{percent(one.half_width)} wide)."
    )
    return Answer(question, said, one.coverage >= 0.9 * one.predicted.level)
