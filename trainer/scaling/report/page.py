"""The page of a report: HTML that can be read without network, scripts or colour."""

from __future__ import annotations

from html import escape

from trainer.scaling.report.answers import NO
from trainer.scaling.report.charts import draw, draw_forest, legend
from trainer.scaling.report.facts import (
    Answer,
    Cell,
    Chart,
    Check,
    Column,
    Forest,
    Kind,
    Report,
    Section,
    Table,
)
from trainer.scaling.report.style import STYLE
from trainer.scaling.report.words import GAP, around, ends, number, write
from trainer.scaling.uncertainty import Interval

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content policy: the page may load nothing."""
TALL = 25
"""Tables with more rows than this scroll separately on a screen."""
_AMOUNTS = {"tokens", "parameters"}


def render(report: Report, twin: str) -> str:
    """Return the page of a report; its JSON twin is in the same folder under the name `twin`."""
    places = [("answers", "Answers"), ("cannot", "Not known"), ("checklist", "Checklist")]
    places += [(one.id, one.title) for one in report.sections] + [("made", "How this was made")]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in places)
    body = "".join(
        (
            f'<header><h1>{escape(report.title)}</h1><p class="about">{escape(report.about)}</p>',
            f'<nav aria-label="Contents"><ul>{links}</ul></nav></header><main>',
            _answers(report.answers),
            _cannot(report.cannot),
            _checklist(report.checklist),
            *(_section(one) for one in report.sections),
            _made(report, twin),
            "</main>",
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(f"{report.title}: {report.about}")}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _answers(answers: tuple[Answer, ...]) -> str:
    cards = "".join(_answer(one) for one in answers)
    return f'<section id="answers"><h2>What the runs say</h2><div class="answers">{cards}</div></section>'


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
    return f'<section id="cannot"><h2>What cannot be concluded</h2><ul class="plain">{items}</ul></section>'


def _checklist(checks: tuple[Check, ...]) -> str:
    passed = sum(one.passed for one in checks)
    rows = "".join(_checked(one) for one in checks)
    caption = f"{passed} of {len(checks)} pass"
    head = "".join(f'<th scope="col" class="text">{name}</th>' for name in ("verdict", "check", "why"))
    return f'<section id="checklist"><h2>Quality checks</h2>{_scroll(caption, head, rows, "")}</section>'


def _checked(one: Check) -> str:
    verdict = '<span class="pass">✓ pass</span>' if one.passed else '<span class="fail">✗ fail</span>'
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
    return f'<section id="{one.id}"><h2>{escape(one.title)}</h2>{text}{groups}{tables}</section>'


def _figure(chart: Chart | Forest, name: str) -> str:
    drawn = draw_forest(chart, name) if isinstance(chart, Forest) else draw(chart, name) + legend(chart)
    return f"<figure><figcaption>{escape(chart.title)}<p>{escape(chart.alt)}</p></figcaption>{drawn}</figure>"


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
        '<section id="made"><h2>How this was made</h2><p>Every number on this page is in '
        f'<a href="{escape(twin)}">{escape(twin)}</a>, in the same folder.</p><dl>{rows}</dl></section>'
    )
