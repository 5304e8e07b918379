"""Printed pages to text: lines at their places become paragraphs in reading order, without page furniture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

_COLUMN_LINES = 6  # the least lines on each side of what is taken for the space between columns
_COLUMN_SHARE = 0.6  # and how many of them are as wide as a column of prose, a table's cells being shorter
_MARGIN = 0.15  # of the page's height, in which furniture stands
_FURNITURE_LINES = 4  # at each end of a page
_SAME_PLACE = 3.0  # points between the places of a repeated line
_NEAR_PAGES = 2  # the running head of left pages repeats on every second page
_SPACED, _INDENTED = 1.35, 0.8  # a paragraph starts after more than the usual space, or at more than the left
_OPEN = 2.0  # times the letters' height is as far as lines of one paragraph stand apart
_SIZES = 1.12  # letters of one paragraph differ less in size
_HYPHENS = "-\u00ad\u2010\u2011\ufffe"  # the last is how PDFium marks a word that a line end divides
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_ITEM = re.compile(
    r"[•◦▪■●○‣⁃∙·*–—-]\s|\(?(?:\d{1,3}(?:\.\d{1,3})*|[a-zA-ZçğıöşüÇĞİÖŞÜ])[.)]\s|\d+(?:\.\d+)+\s"
)
_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:sayfa|page|seite|s\.)\s*)?(?:\d{1,4}|[ivxlc]{1,7})(?:\s*(?:/|of|\|)\s*\d{1,4})?\W*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010\u2011][^\W\d_]+)*")
_LAST_WORD = re.compile(r"[\w'’]+$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"[\d\s]+")


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line: its text, its ends, its baseline and the height of its letters, in points.

    `gap` is the widest blank at the middle of the text block, if one is there that may divide two columns:
    where it starts in the text, and its ends.
    """

    text: str
    left: float
    right: float
    base: float
    size: float
    gap: tuple[int, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of a page in the order of the file, and its height; without places where it is rotated."""

    lines: tuple[Line, ...]
    height: float


def text(pages: Sequence[Page]) -> str:
    """Return the text of pages: a paragraph or a row of a table is one line.

    The running heads, page numbers and columns are judged by position, paragraphs by how lines fill their
    column. A hyphen at a line end goes where it divides a word, and stays where it belongs to it.
    """
    ordered = [_in_reading_order(lines) for lines in without_furniture(pages)]
    return _joined(ordered, _vocabulary(line for lines in ordered for line in lines)).translate(_LIGATURES)


def without_furniture(pages: Sequence[Page]) -> list[list[Line]]:
    """Return the lines of each page without page numbers and repeated heads and feet.

    From the page's ends inwards a line goes that is a page number, or that stands, digits aside, at the same
    place of one of the two pages before or after.
    """
    edges = [[*_edge(page, top=True), *_edge(page, top=False)] for page in pages]
    kept = []
    for number, page in enumerate(pages):
        near = edges[max(0, number - _NEAR_PAGES) : number] + edges[number + 1 : number + 1 + _NEAR_PAGES]
        seen = [(_key(line), line.base) for each in near for line in each]
        gone: set[int] = set()
        for top in (True, False):
            for depth, line in enumerate(_edge(page, top)):
                is_number = depth == 0 and _PAGE_NUMBER.fullmatch(line.text) is not None
                key = _key(line)
                if not is_number and not any(
                    key == other and abs(line.base - base) <= _SAME_PLACE for other, base in seen
                ):
                    break
                gone.add(id(line))
        kept.append([line for line in page.lines if id(line) not in gone])
    return kept


def _edge(page: Page, top: bool) -> list[Line]:
    """Return the lines in the upper or lower margin, the outermost first."""
    border = page.height * _MARGIN
    inside = [
        line for line in page.lines if (line.base > page.height - border if top else line.base < border)
    ]
    return sorted(inside, key=lambda line: -line.base if top else line.base)[:_FURNITURE_LINES]


def _key(line: Line) -> str:
    return _DIGITS.sub("", line.text).casefold()


def _in_reading_order(lines: list[Line]) -> list[Line]:
    """Return the lines of a page in reading order: of two columns the left one first, between wide lines.

    A page in one column keeps the order of the file, in which the cells of a table stay together.
    """
    gutter = _gutter(lines)
    if gutter is None:
        return lines
    found: list[Line] = []
    sides: tuple[list[Line], list[Line]] = ([], [])
    for line in sorted(
        (part for line in lines for part in _parts(line, gutter)), key=lambda line: -line.base
    ):
        if line.left < gutter < line.right:
            found += [*sides[0], *sides[1], line]
            sides = ([], [])
        else:
            sides[line.left >= gutter].append(line)
    return [*found, *sides[0], *sides[1]]


def _gutter(lines: list[Line]) -> float | None:
    """Return where the space between two columns of prose is, or None."""
    if len(lines) < _COLUMN_LINES:
        return None
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    gaps = [line.gap for line in lines if line.gap is not None]
    gutter = median((start + end) / 2 for _, start, end in gaps) if gaps else (left + right) / 2
    parts = [part for line in lines for part in _parts(line, gutter)]
    for side in (
        [part for part in parts if part.right <= gutter],
        [part for part in parts if part.left >= gutter],
    ):
        if len(side) < _COLUMN_LINES:
            return None
        width = max(part.right for part in side) - min(part.left for part in side)
        full = sum(part.right - part.left > _COLUMN_SHARE * width for part in side)
        if width < (right - left) / 4 or full < _COLUMN_SHARE * len(side):
            return None
    crossing = sum(part.left < gutter < part.right for part in parts)
    return gutter if crossing < len(parts) / 3 else None


def _parts(line: Line, gutter: float) -> list[Line]:
    """Return a line, or its halves where its blank is over the gutter."""
    if line.gap is None or not line.gap[1] <= gutter <= line.gap[2]:
        return [line]
    at, left, right = line.gap
    return [
        replace(line, text=line.text[:at].rstrip(), right=left, gap=None),
        replace(line, text=line.text[at:].lstrip(), left=right, gap=None),
    ]


def _vocabulary(lines: Iterable[Line]) -> Counter[str]:
    """Count the document's words, also those with a hyphen inside, as they stand within lines."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(word.casefold() for word in _WORD.findall(line.text))
    return counts


def _joined(pages: Sequence[Sequence[Line]], words: Counter[str]) -> str:
    """Join the lines of paragraphs, over the ends of pages too."""
    found: list[str] = []
    before: Line | None = None
    for lines in pages:
        space = _usual_space(lines)
        is_first = True
        for number, line in enumerate(lines):
            if not (clean := line.text.strip()):
                continue
            if before is None:
                found.append(clean)
            elif (half := found[-1][-1:]) and half in _HYPHENS and _divides(found[-1], clean):
                found[-1] = _undivided(found[-1], clean, words)
            elif _continues(before, line, _column_end(lines, number), 0.0 if is_first else space):
                found[-1] = f"{found[-1]} {clean}"
            else:
                found.append(clean)
            before, is_first = line, False
    return "\n".join(each.replace("\ufffe", "-") for each in found)


def _divides(before: str, after: str) -> bool:
    """Return whether the hyphen at the end of a line stands inside a word that the next one continues."""
    return len(before) > 1 and before[-2].isalnum() and after[0].isalnum()


def _undivided(before: str, after: str, words: Counter[str]) -> str:
    """Return two lines as one, without the hyphen between them unless it belongs to the word.

    It does after a number, a capital or a single letter (COVID-19, AB-Türkiye, e-posta), before what is not a
    small letter, and where the document has the word with it more often than without.
    """
    last, first = _LAST_WORD.search(before[:-1]), _FIRST_WORD.match(after)
    whole = before[:-1] + after
    kept = before[:-1] + "-" + after
    if (
        last is None
        or first is None
        or len(last[0]) == 1
        or not first[0][0].islower()
        or not last[0][-1].islower()
    ):
        return kept
    head, tail = last[0].casefold(), first[0].casefold()
    with_hyphen = sum(words[f"{head}{hyphen}{tail}"] for hyphen in "-\u2010\u2011")
    return kept if with_hyphen > words[head + tail] else whole


def _usual_space(lines: Sequence[Line]) -> float:
    steps = [above.base - below.base for above, below in pairwise(lines) if above.base > below.base]
    return min(median(steps), _OPEN * median(line.size for line in lines)) if steps else 0.0


def _column_end(lines: Sequence[Line], number: int) -> float:
    """Return how far to the right the lines around one reach that start where it starts."""
    near = lines[max(0, number - 8) : number + 9]
    line = lines[number]
    return max(other.right for other in near if abs(other.left - line.left) < 3 * line.size or other is line)


def _continues(before: Line, line: Line, end: float, space: float) -> bool:
    """Return whether a line continues the paragraph of the line before; `space` 0 is a new page.

    It does where its first word had no room in the line before.
    """
    if not 1 / _SIZES < line.size / before.size < _SIZES or _ITEM.match(line.text):
        return False
    step = before.base - line.base
    if space and step > 0 and step > _SPACED * space:
        return False
    if space and step > 0 and line.left - before.left > _INDENTED * line.size:
        return False
    if not space or step <= 0:  # over the end of a page or column the text itself must continue
        return line.text[0].islower() and before.text.rstrip()[-1:] not in ".!?:"
    letter = (line.right - line.left) / max(1, len(line.text))
    return before.right + letter * (len(line.text.split(maxsplit=1)[0]) + 1) > end
