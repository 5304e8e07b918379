"""The page of a comparison: one self-contained HTML file, drawn from its summary alone."""

from __future__ import annotations

import math
from html import escape

from corpus.plural import plural
from trainer.compare.sequential import BETTER, WORSE
from trainer.compare.summary import (
    Apart,
    Summary,
    headline,
    of_size,
    warnings,
    worth_text,
)
from trainer.page import html
from trainer.page.charts import STYLES, Axis, Chart, Series
from trainer.page.formatting import count, ends, percent
from trainer.page.html import Cell, Column, Table
from trainer.scaling.uncertainty import Interval

_KINDS = {"set": "held-out set", "language": "language", "domain": "domain"}
_MARKS = {BETTER: "pass", WORSE: "fail"}


def page(summary: Summary) -> str:
    """Return the page as HTML."""
    sets = ", ".join(summary.main)
    about = (
        f"Bits per byte on {sets}; {count(summary.parameters[-1])} parameters, "
        f"{count(summary.tokens[-1][-1])} tokens, {plural(summary.seeds, 'seed')}"
    )
    parts = [
        _answers(summary),
        _listed("What could mislead", warnings(summary)),
        _section("Every corpus", html.table(_corpora(summary))),
        _curves(summary),
        _section("By held-out set, language and domain", html.table(_breakdown(summary))),
        _section("What a token is worth", html.table(_worth(summary)) + _list(_sizes(summary))),
        _section("Tasks", html.table(_tasks(summary))) if summary.tasks else "",
        _section("What the corpora hold", html.table(_mix(summary))),
        _listed("How it was decided", _method(summary)),
    ]
    return html.page(f"{', '.join(summary.corpora[1:])} against {summary.corpora[0]}", about, "".join(parts))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _list(said: list[str]) -> str:
    return f'<ul class="plain">{"".join(f"<li>{escape(each)}</li>" for each in said)}</ul>'


def _listed(title: str, said: list[str]) -> str:
    return _section(title, _list(said)) if said else ""


def _answers(summary: Summary) -> str:
    """Return a card for each other corpus: its verdict, by how much, and what its tokens are worth."""
    cards = []
    for other, sentence in zip(summary.others, headline(summary), strict=True):
        found = _interval(other.apart, summary.bits_per_byte)
        verdict, sign = other.apart.verdict, "+" if found.estimate > 0 else ""
        state = "" if verdict in _MARKS else " open"
        cards.append(
            f'<article class="answer{state}"><h3>{escape(other.name)}</h3>'
            f'<p class="figure"><span class="{_MARKS.get(verdict, "none")}">{escape(verdict)}</span> '
            f'<span class="unit">{sign}{percent(found.estimate)}</span>'
            f"<small>{ends(found, 'percent')}</small></p>"
            f"<p>{escape(sentence)}</p></article>"
        )
    return f'<section class="answers" aria-label="Verdicts">{"".join(cards)}</section>'


def _interval(found: Apart, unit: float = 1.0) -> Interval:
    """Return a difference in a unit of bits per byte; with one seed it has no ends."""
    low, high = (each / unit if math.isfinite(each) else None for each in (found.low, found.high))
    return Interval(found.value / unit, low, high)


def _corpora(summary: Summary) -> Table:
    """Return every corpus, the best first."""
    by_name = {other.name: other for other in summary.others}
    rows: list[tuple[Cell, ...]] = []
    for name in summary.order:
        other = by_name.get(name)
        if other is None:
            rows.append((name, summary.bits_per_byte, None, None, "compared with"))
            continue
        apart, share = _interval(other.apart), _interval(other.apart, summary.bits_per_byte)
        rows.append((name, other.bits_per_byte, apart, share, other.apart.verdict))
    return Table(
        "Bits per byte at the largest size and number of tokens",
        (
            Column("corpus", "text"),
            Column("bits per byte"),
            Column(f"minus {summary.corpora[0]}"),
            Column("as a share", "percent"),
            Column("verdict", "text"),
        ),
        tuple(rows),
        f"Intervals of {100 * summary.interval:.1f} % hold together at "
        f"{100 * (1 - summary.rule.error):.0f} %, at whichever seed it stops. Lower is better.",
    )


def _curves(summary: Summary) -> str:
    if len(summary.tokens[0]) < 2:
        return ""
    charts = []
    for size, parameters in zip(summary.sizes, summary.parameters, strict=True):
        curves = [curve for curve in summary.curves if curve.size == size]
        series = tuple(
            Series(curve.corpus, tuple(map(float, curve.tokens)), curve.bits_per_byte, style=n % STYLES)
            for n, curve in enumerate(curves)
        )
        title = f"{count(parameters)} parameters"
        x, y = Axis("training tokens", log=True, kind="count"), Axis("bits per byte")
        said = f"One curve a corpus, the mean of {plural(summary.seeds, 'seed')}."
        charts.append(Chart(title, x, y, said, lines=series, dots=series))
    return _section("Bits per byte by training tokens", html.figures(tuple(charts), "curves"))


def _breakdown(summary: Summary) -> Table:
    first, *others = summary.corpora
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{_KINDS[row.kind]} {row.name}", float(row.documents), row.bits_per_byte, *map(_error, row.apart))
        for row in summary.rows[1:]
    )
    differences = tuple(Column(f"{name} minus {first}", "text") for name in others)
    return Table(
        "Bits per byte, and differences with one paired standard error over seeds and documents",
        (Column("held-out text", "text"), Column("documents", "count"), Column(first), *differences),
        rows,
    )


def _error(found: Apart) -> str:
    error = math.hypot(found.seed_error, found.document_error)
    return f"{found.value:+.4f} ± {error:.4f}" if math.isfinite(error) else f"{found.value:+.4f}"


def _worth(summary: Summary) -> Table:
    sizes = tuple(Column(f"{count(each)} parameters", "text") for each in summary.parameters)
    return Table(
        f"Tokens of {summary.corpora[0]} that equal one token of another corpus",
        (Column("corpus", "text"), *sizes),
        tuple((other.name, *map(worth_text, other.worth)) for other in summary.others),
    )


def _sizes(summary: Summary) -> list[str]:
    return [of_size(summary, other) for other in summary.others]


def _tasks(summary: Summary) -> Table:
    """Return the accuracy of every corpus's models; loss alone understates what some choices change."""
    rows: list[tuple[Cell, ...]] = []
    for one in summary.tasks:
        apart = zip(one.differences[1:], one.errors[1:], strict=True)
        told = (f"{100 * value:+.1f} ± {100 * error:.1f}" for value, error in apart)
        rows.append((one.task, one.chance, one.accuracy[0], *told))
    first, *others = summary.corpora
    differences = (Column(f"{name} minus {first}, points", "text") for name in others)
    head = (Column("task", "text"), Column("by guessing", "percent"), Column(first, "percent"))
    return Table(
        "Accuracy at the largest size and number of tokens, with one paired standard error over seeds",
        (*head, *differences),
        tuple(rows),
    )


def _mix(summary: Summary) -> Table:
    mix = summary.confounds.mix
    names = dict.fromkeys(name for each in mix.values() for name in each)
    rows: list[tuple[Cell, ...]] = [
        (name, *(percent(each.get(name, 0.0), 3) for each in mix.values())) for name in names
    ]
    read = (f"{each:.2g} ×" for each in summary.confounds.epochs.values())
    return Table(
        "Shares of training tokens by source, and how often the largest budget reads them",
        (Column("source", "text"), *(Column(name, "text") for name in mix)),
        (*rows, ("read by the largest budget", *read)),
    )


def _method(summary: Summary) -> list[str]:
    rule, seen = summary.rule, summary.power
    share = 100 * seen.smallest / seen.bits_per_byte
    return [
        f"The same models, token budgets and seeds for every corpus; {summary.seeds} seeds of at most "
        f"{rule.most}. After each seed from number {rule.first} on, every corpus is tested against "
        f"{summary.corpora[0]} at a level of {100 * (1 - summary.interval):.2f} %; so one of equal corpora "
        f"finds a difference with a chance of {100 * rule.error:.0f} %, counting all looks and corpora.",
        f"A tie is an interval within ± {100 * rule.tie / summary.bits_per_byte:.2f} % of the bits per byte.",
        f"A run varies by {seen.noise:.4f} bits per byte beside its seed. With {rule.most} seeds a "
        f"difference of {share:.2f} % is found with a chance of 80 %; a smaller one may stay undecided.",
        "Errors add the variance over seeds (noise pooled over corpora) and over held-out documents.",
    ]
