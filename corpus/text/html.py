"""The main text of a web page: derlem's own extractor in this process, Trafilatura in a guarded one.

One block of the page (paragraph, heading, list item) is one line of the text, and one newline, never a blank
line, stands between them: that is how Trafilatura writes, so the thresholds for lines and paragraphs that
FineWeb and FineWeb2 publish for its output keep their meaning. A list item starts with "• " or its number;
lines of <pre> keep their indentation; no line ends in space.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Literal, NamedTuple

from corpus.child import Child, ChildError
from corpus.errors import Signal
from corpus.text.maintext import MainText, main_text
from corpus.text.maintext.kinds import UNKNOWN, Kind

Extractor = Literal["derlem", "trafilatura"]

# An article that stands twice: at least this many characters, in so long lines, and such a share of the text.
_COPY, _LONG_LINE, _COPY_SHARE = 200, 40, 0.4
_COPIES = 3
_PARTS = 3  # different lines: one that is there twice is a refrain, or filler

_child = Child("trafilatura", "corpus.text.html:answer", requests=2000, warm=b"<p>warm")


class ExtractionError(Signal):
    """A page could not be turned into text; `cause` is stable: timeout, crash or error."""

    def __init__(self, cause: Literal["timeout", "crash", "error"], detail: str) -> None:
        super().__init__(f"extraction failed ({cause}): {detail}")
        self.cause = cause


class Page(NamedTuple):
    """The main text of a page, empty where it has none, and its kind, which Trafilatura does not say."""

    text: str
    kind: Kind


def extract(html: str, extractor: Extractor = "derlem", timeout_s: float = 5.0) -> str:
    """Return the main text of a page as `read` does."""
    return read(html, extractor, timeout_s).text


def read(html: str, extractor: Extractor = "derlem", timeout_s: float = 5.0) -> Page:
    """Return the main text of a page and its kind.

    Menus, comments, link targets and alternative texts are omitted. The time of derlem's extractor grows
    with the page's length alone; `timeout_s` bounds that of Trafilatura's process. Raises ExtractionError.
    """
    found = _by_trafilatura(html, timeout_s) if extractor == "trafilatura" else main_text(html)
    return Page("\n".join(_once([line for each in found.lines if (line := each.rstrip())])), found.kind)


def _by_trafilatura(html: str, timeout_s: float) -> MainText:
    try:
        return MainText(_child.ask(html.encode("utf-8", "replace"), timeout_s).decode().split("\n"), UNKNOWN)
    except ChildError as error:
        raise ExtractionError(error.cause, str(error)) from error


def answer(html: bytes) -> bytes:
    """Return what Trafilatura extracts of a page in UTF-8: what its process runs."""
    import trafilatura  # slow to import and needed by few

    text = trafilatura.extract(html.decode(), favor_precision=True, include_comments=False, deduplicate=False)
    return (text or "").encode("utf-8", "replace")


def _once(lines: list[str]) -> list[str]:
    """Return the lines without the second copy of an article that stands twice, for phones and for desks.

    Such a page repeats its long lines in their order; what repeats a line more often is left to the filters.
    """
    firsts: dict[str, int] = {}
    copies = []  # for each long line that stood before: where it first stood, where it stands now
    for at, line in enumerate(lines):
        first = firsts.setdefault(line, at)
        if first != at and len(line) >= _LONG_LINE:
            copies.append((first, at))
    held = sum(len(lines[at]) for _, at in copies)
    if held < _COPY or held < _COPY_SHARE * sum(map(len, lines)):
        return lines
    times = Counter(first for first, _ in copies)
    restarts = sum(later < earlier for (earlier, _), (later, _) in pairwise(copies))
    if len(times) < _PARTS or max(times.values()) >= _COPIES or restarts >= _COPIES - 1:
        return lines
    start, end = copies[0][1], copies[-1][1]
    while start and firsts[lines[start - 1]] < start - 1:  # its heading and other short lines before
        start -= 1
    return [line for at, line in enumerate(lines) if firsts[line] == at or not start <= at <= end]
