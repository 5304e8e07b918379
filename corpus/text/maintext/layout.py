"""Lines of a page as text: one block is one line, with list marks, cells set apart and code as it stands."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from corpus.text.maintext import tags
from corpus.text.maintext.lines import CHARS, ELEMENT, FIRST, ITEM, LAST, ROW
from corpus.text.maintext.markup import Markup

# Signs of icon fonts: nothing without the font.
_ICON = re.compile("[\ue000-\uf8ff]+")
_EMPTY = re.compile(r"(?:[•\-*·|/,]|\d{1,3}\.)?\s*\Z")
_LONG_ROW = 400  # characters from which a row of a table is there for the layout


def line_text(data: bytes, markup: Markup, at: int) -> str:
    """Return the text of a line; of code with its line ends and indentation."""
    line = markup.lines[at]
    text = b"".join(
        data[start:end] for start, end in markup.pieces[line[FIRST] : line[LAST]].tolist()
    ).decode("utf-8", "replace")
    if "&" in text:
        text = html.unescape(text)
    text = _ICON.sub("", text)
    if markup.marks[line[ELEMENT]] & tags.PRE:
        return "\n".join(part for row in text.splitlines() if (part := row.rstrip()))
    return " ".join(text.split())


def text(data: bytes, markup: Markup, kept: NDArray[np.bool_]) -> list[str]:
    """Return the lines of the text that the kept lines of a page make."""
    out: list[str] = []
    for row, lines in _rows(markup, np.flatnonzero(kept).tolist()):
        cells: dict[int, str] = {}
        for at in lines:
            text = line_text(data, markup, at)
            mark = _mark(markup, at)
            if _EMPTY.match(text):
                continue
            if not row:
                out += [mark + text] if mark else text.split("\n")
                continue
            cell = int(markup.lines[at, ELEMENT])
            cells[cell] = f"{cells[cell]} {mark}{text}" if cell in cells else mark + text
        if cells:
            out.append(" | ".join(" ".join(cell.split()) for cell in cells.values()))
    return out


def _rows(markup: Markup, kept: list[int]) -> Iterator[tuple[bool, list[int]]]:
    """Yield lines that follow each other, those of one row of a data table together."""
    row_of = markup.lines[kept, ROW].tolist() if kept else []
    start = 0
    while start < len(kept):
        end = start + 1
        while end < len(kept) and row_of[start] >= 0 and row_of[end] == row_of[start]:
            end += 1
        lines = kept[start:end]
        yield len(lines) > 1 and markup.lines[lines, CHARS].sum() <= _LONG_ROW, lines
        start = end


def _mark(markup: Markup, at: int) -> str:
    item = int(markup.lines[at, ITEM])
    if item < 0:
        return ""
    ordered = markup.tag[markup.parent[item]] == tags.NUMBER["ol"]
    return f"{markup.nth[item]}. " if ordered else "• "
