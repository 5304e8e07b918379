"""The page of a report: HTML that can be read without network, scripts or colour."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from trainer.scaling.report.answers import NO
from trainer.scaling.report.charts import draw, draw_forest, legend
from trainer.scaling.report.formatting import GAP, around, ends, number, percent, write
from trainer.scaling.report.report_model import (
    Answer,
    Cell,
    Chart,
    Check,
    Column,
    Forest,
    Headline,
    Kind,
    Number,
    Report,
    Section,
    Table,
)
from trainer.scaling.report.style import STYLE
from trainer.scaling.uncertainty import Interval

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content policy: the page may load nothing."""
TALL = 25
"""Tables with more rows than this scroll separately on a screen."""
_AMOUNTS = {"tokens", "parameters"}
_MARKS = {"strong": ("pass", "✓"), "weak": ("fail", "✗"), "not measured": ("none", "–")}


def render(report: Report, twin: str) -> str:
    """Return the page of a report; its JSON twin is in the same folder under the name `twin`."""
    body = "".join(
        (
            f'<header><h1>{escape(report.title)}</h1><p class="about">{escape(report.about)}</p></header>',
            "<main>",
            _headline(report.headline),
            '<section id="more"><h2>Everything else</h2>',
            _folded("answers", "All questions and answers", _answers(report.answers)),
            _folded("cannot", "What cannot be concluded", _cannot(report.cannot)),
            _folded(
                "checklist", f"Quality checks: {_verdicts(report.checklist)}", _checklist(report.checklist)
            ),
            *(_folded(one.id, one.title, _section(one)) for one in report.sections),
            _folded("made", "How this was made", _made(report, twin)),
            "</section></main>",
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(f"{report.title}: {report.about}")}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _headline(one: Headline) -> str:
    """Return the first screen: what more data buys, and how far to trust it."""
    sentence = f'<p class="sentence">{escape(one.sentence)}</p>' if one.sentence else ""
    charts = "".join(_figure(chart, f"headline-{i}", "broad") for i, chart in enumerate(one.charts))
    # On a narrow screen the letters of a wide chart would be too small to read.
    charts += "".join(
        _figure(replace(chart, wide=False), f"narrow-{i}", "narrow") for i, chart in enumerate(one.charts)
    )
    numbers = "".join(_number(each) for each in one.numbers)
    predictions = "".join(_figure(chart, f"trust-{i}") for i, chart in enumerate(one.predictions))
    return (
        f'<section id="headline" aria-label="What more data buys">{sentence}{charts}'
        f'<div class="numbers">{numbers}</div></section>'
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


def _folded(name: str, title: str, body: str) -> str:
    """Return a part of the page that opens when its title is clicked."""
    return f'<details id="{name}"><summary><h3>{escape(title)}</h3></summary>{body}</details>'


def _answers(answers: tuple[Answer, ...]) -> str:
    cards = "".join(_answer(one) for one in answers)
    return f'<div class="answers">{cards}</div>'


def _answer(one: Answer) -> str:
    kind: Kind = "percent" if one.unit == "lower loss" else "count" if one.unit in _AMOUNTS else "number"
    figure, said = "", escape(one.statement)
    if one.known and one.value is not None:
        value = number(one.value.estimate, 2) if kind == "number" else write(one.value.estimate, kind)
        unit = f'<span class="unit">{escape(one.unit)}</span>'
        spread = f"95{GAP}% interval {ends(one.value, kind)}"
        figure = f'<p class="figure">{escape(value)} {unit}<small>{escape(spread)}</small></p>'
    if not one.known:
        said = said.replace(NO, f"<strong>{NO}</strong>", 1)
    ratio = ""
    if one.beyond is not None:
        times = number(one.beyond, 2)
        ratio = f'<p class="ratio">At {times} times the compute of the largest run</p>'
    return (
        f'<article class="answer{"" if one.known else " open"}"><h3>{escape(one.question)}</h3>{figure}'
        f"<p>{said}</p>{ratio}</article>"
    )


def _cannot(said: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in said) or "<li>Every question has an answer.</li>"
    return f'<ul class="plain">{items}</ul>'


def _checklist(checks: tuple[Check, ...]) -> str:
    rows = "".join(_checked(one) for one in checks)
    caption = "What supports the answers, and what does not"
    head = "".join(f'<th scope="col" class="text">{name}</th>' for name in ("verdict", "check", "why"))
    return _scroll(caption, head, rows, "")


def _verdicts(checks: tuple[Check, ...]) -> str:
    """Return how many checks have each verdict, such as "11 strong, 2 weak, 2 not measured"."""
    many = {verdict: sum(one.verdict == verdict for one in checks) for verdict in _MARKS}
    return ", ".join(f"{number} {verdict}" for verdict, number in many.items() if number)


def _checked(one: Check) -> str:
    verdict = f'<span class="{_MARKS[one.verdict][0]}">{_MARKS[one.verdict][1]} {one.verdict}</span>'
    return (
        f'<tr><td class="text verdict">{verdict}</td><th scope="row" class="text">{escape(one.name)}</th>'
        f'<td class="text">{escape(one.why)}</td></tr>'
    )


def _section(one: Section) -> str:
    text = "".join(f"<p>{escape(each)}</p>" for each in one.text)
    wide = [(i, c) for i, c in enumerate(one.charts) if isinstance(c, Forest) or not c.small]
    small = [(i, c) for i, c in enumerate(one.charts) if isinstance(c, Chart) and c.small]
    groups = "".join(
        f'<div class="charts{extra}">{"".join(_figure(c, f"{one.id}-{i}") for i, c in group)}</div>'
        for group, extra in ((wide, ""), (small, " small"))
        if group
    )
    tables = "".join(_table(each) for each in one.tables)
    return f"{text}{groups}{tables}"


def _figure(chart: Chart | Forest, name: str, style: str = "") -> str:
    drawn = draw_forest(chart, name) if isinstance(chart, Forest) else draw(chart, name) + legend(chart)
    kind = f' class="{style}"' if style else ""
    caption = f"<figcaption>{escape(chart.title)}<p>{escape(chart.alt)}</p></figcaption>"
    return f"<figure{kind}>{caption}{drawn}</figure>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_kind(column)}>{escape(column.name)}</th>' for column in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(
            _cell(cell, column, i == 0)
            for i, (cell, column) in enumerate(zip(row, table.columns, strict=True))
        )
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return _scroll(table.caption, head, rows, note, tall=len(table.rows) > TALL)


def _scroll(caption: str, head: str, rows: str, note: str, tall: bool = False) -> str:
    """Return a table that scrolls separately if the screen is too narrow for it."""
    style = "scroll tall" if tall else "scroll"
    return (
        f'<div class="{style}" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _cell(cell: Cell, column: Column, first: bool) -> str:
    if cell is None or cell == "":
        shown = "–"
    elif isinstance(cell, str):
        shown = escape(cell)
    elif isinstance(cell, Interval):
        shown = _interval(cell, column)
    else:
        shown = write(cell, column.kind)
    return f'<th scope="row" class="text">{shown}</th>' if first else f"<td{_kind(column)}>{shown}</td>"


def _interval(found: Interval, column: Column) -> str:
    if not found.determined:
        return f'not determined<span class="span">{ends(found, column.kind)}</span>'
    value = around(found, column.kind).split(" (")[0]
    return f'{value}<span class="span">{ends(found, column.kind)}</span>'


def _kind(column: Column) -> str:
    return ' class="text"' if column.kind == "text" else ""


def _made(report: Report, twin: str) -> str:
    facts = {**report.input, **report.versions}
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        "<p>Every number on this page is in "
        f'<a href="{escape(twin)}">{escape(twin)}</a>, in the same folder.</p><dl>{rows}</dl>'
    )
