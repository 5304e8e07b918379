"""The parts of a page in HTML that needs no network and no scripts: frame, figures, tables, folded parts."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from trainer.page.charts import Chart, draw, legend
from trainer.page.formatting import Kind, around, ends, write
from trainer.page.style import STYLE
from trainer.scaling.uncertainty import Interval

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content policy: the page may load nothing."""
TALL = 25
"""Tables with more rows than this scroll separately on a screen."""
Cell: TypeAlias = str | float | Interval | None


@dataclass(frozen=True)
class Column:
    """A table's column: its heading and the format of its numbers."""

    name: str
    kind: Kind = "number"


@dataclass(frozen=True)
class Table:
    """A table with a caption; its first column names the rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def page(title: str, about: str, body: str) -> str:
    """Return a whole page; `body` is the content of its main part."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(f"{title}: {about}")}</title>'
        f"<style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
        f'<p class="about">{escape(about)}</p></header><main>{body}</main></body></html>\n'
    )


def folded(name: str, title: str, body: str) -> str:
    """Return a part of the page that opens when its title is clicked."""
    return f'<details id="{name}"><summary><h3>{escape(title)}</h3></summary>{body}</details>'


def paragraphs(text: tuple[str, ...]) -> str:
    """Return texts as paragraphs."""
    return "".join(f"<p>{escape(each)}</p>" for each in text)


def figures(charts: tuple[Chart, ...], name: str) -> str:
    """Return charts side by side; `name` must be unique on the page."""
    drawn = "".join(figure(chart, f"{name}-{i}") for i, chart in enumerate(charts))
    return f'<div class="charts">{drawn}</div>' if charts else ""


def figure(chart: Chart, name: str, style: str = "") -> str:
    """Return a chart with its title and description; `name` must be unique on the page."""
    kind = f' class="{style}"' if style else ""
    caption = f"<figcaption>{escape(chart.title)}<p>{escape(chart.alt)}</p></figcaption>"
    return f"<figure{kind}>{caption}{draw(chart, name)}{legend(chart)}</figure>"


def table(found: Table) -> str:
    """Return a table that scrolls separately if the screen is too narrow for it."""
    head = "".join(f'<th scope="col"{_kind(column)}>{escape(column.name)}</th>' for column in found.columns)
    rows = "".join(
        "<tr>"
        + "".join(
            _cell(cell, column, i == 0)
            for i, (cell, column) in enumerate(zip(row, found.columns, strict=True))
        )
        + "</tr>"
        for row in found.rows
    )
    note = f'<p class="note">{escape(found.note)}</p>' if found.note else ""
    return scroll(found.caption, head, rows, note, tall=len(found.rows) > TALL)


def scroll(caption: str, head: str, rows: str, note: str, tall: bool = False) -> str:
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
