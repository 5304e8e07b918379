"""The page of a report: its first screen, and everything else folded."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from trainer.page.formatting import GAP, ends, percent, write
from trainer.page.html import Column, Table, figure, figures, folded, page, paragraphs, table
from trainer.scaling.checks import Check
from trainer.scaling.report.report_model import Headline, Number, Report, Section

_MARKS = {"strong": "✓", "weak": "✗", "not measured": "–"}


def render(report: Report, twin: str) -> str:
    """Return the page of a report; its JSON twin is in the same folder under the name `twin`."""
    checks = f"Quality checks: {_verdicts(report.checklist)}"
    body = (
        _headline(report.headline),
        '<section id="more"><h2>Everything else</h2>',
        folded("checklist", checks, _checklist(report.checklist)),
        *(folded(one.id, one.title, _section(one)) for one in report.sections),
        folded("made", "How this was made", _made(report, twin)),
        "</section>",
    )
    return page(report.title, report.about, "".join(body))


def _headline(one: Headline) -> str:
    """Return the first screen: what more data buys, and how far to trust it."""
    sentence = f'<p class="sentence">{escape(one.sentence)}</p>' if one.sentence else ""
    # On a narrow screen the letters of a wide chart would be too small to read.
    chart = figure(one.chart, "headline-0", "broad")
    chart += figure(replace(one.chart, wide=False), "narrow-0", "narrow")
    numbers = "".join(_number(each) for each in one.numbers)
    predictions = "".join(figure(chart, f"trust-{i}") for i, chart in enumerate(one.predictions))
    tasks = figures(one.tasks, "tasks")
    if tasks:
        tasks = f'<section id="tasks"><h2>What more data teaches</h2>{tasks}</section>'
    return (
        f'<section id="headline" aria-label="What more data buys">{sentence}{chart}'
        f'<div class="numbers">{numbers}</div></section>{tasks}'
        f'<section id="trust"><h2>How far to trust it</h2><p>{escape(one.trust)}</p>{predictions}</section>'
    )


def _number(one: Number) -> str:
    if one.value is None:
        shown = '<p class="figure">–</p>'
    else:
        value = percent(one.value.estimate) if one.kind == "percent" else write(one.value.estimate, one.kind)
        shown = f'<p class="figure">{escape(value)}<small>{escape(ends(one.value, one.kind))}</small></p>'
    state = "" if one.value is not None else " open"
    title, note = escape(one.title), escape(one.note)
    return f'<article class="number{state}"><h2>{title}</h2>{shown}<p>{note}</p></article>'


def _checklist(checks: tuple[Check, ...]) -> str:
    columns = tuple(Column(name, "text") for name in ("check", "verdict", "why"))
    rows = tuple((one.name, f"{_MARKS[one.verdict]}{GAP}{one.verdict}", one.why) for one in checks)
    return table(Table("What supports the answers, and what does not", columns, rows))


def _verdicts(checks: tuple[Check, ...]) -> str:
    """Return how many checks have each verdict, such as "11 strong, 2 weak, 2 not measured"."""
    many = {verdict: sum(one.verdict == verdict for one in checks) for verdict in _MARKS}
    return ", ".join(f"{number} {verdict}" for verdict, number in many.items() if number)


def _section(one: Section) -> str:
    tables = "".join(table(each) for each in one.tables)
    return f"{paragraphs(one.text)}{figures(one.charts, one.id)}{tables}"


def _made(report: Report, twin: str) -> str:
    facts = {**report.input, **report.versions}
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        "<p>Every number on this page is in "
        f'<a href="{escape(twin)}">{escape(twin)}</a>, in the same folder.</p><dl>{rows}</dl>'
    )
