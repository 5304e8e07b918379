"""The main text of a web page: Resiliparse in this process, Trafilatura in a guarded child process.

One block of the page (paragraph, heading, list item) is one line of the text, and one newline, never a blank
line, stands between them: that is how Trafilatura writes, so the thresholds for lines and paragraphs that
FineWeb and FineWeb2 publish for its output keep their meaning. A list item begins with "• " or its number;
lines of <pre> keep their indentation; no line ends in space.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import IO, Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException, HTMLTree

from corpus.errors import Signal
from corpus.text import page

Extractor = Literal["resiliparse", "trafilatura"]

# Resiliparse's time grows with the square of the depth of nested elements: 8,000 <div> take 1.4 s, with
# classes that it looks at 5 s, 100,000 take seven minutes. The rare pages of very many tags, or of fewer that
# may be so deep, are read under the time limit.
_TAGS_WITHOUT_GUARD = 10_000
_TAGS_WITHOUT_LOOK = 3_000  # a page of fewer cannot be deep
_DEEP = 1_000
_TAG_NAME = re.compile(
    r"<(/?)(?!(?:area|base|br|col|hr|img|input|link|meta|source|wbr)\b)([a-z][\w-]*)", re.I
)
# Resiliparse takes every <ul> less than three elements below <body> for a menu, and so drops the lists of
# plain pages. Three more elements switch that off, together with its rules for <nav>, <aside> and <footer>
# there, which these selectors put back, and lists of links: F1 on tr-libreoffice-help rises by 0.037.
_DEEPER = "<div><div><div>"
_BODY = re.compile(r"<body\b[^>]{0,4000}>", re.I)
_HEAD_END = re.compile(r"</(?:head|title)\s*>", re.I)
_DEPTHS = ("", "* > ", "* > * > ")
_SHALLOW = [
    page.MENUS,
    *(
        f"body > div > div > div > {depth}{element}"
        for depth in _DEPTHS
        for element in ("nav", "aside", "footer")
    ),
]
_SHALLOW_LISTS = [f"body > div > div > div > {depth}ul:has(> li > a:only-child)" for depth in _DEPTHS]
# What the heuristics drop and a look without them must drop too: banners that ask for consent are prose.
_BANNERS = [
    f'[{key}*="{word}" i]' for key in ("id", "class") for word in ("cookie", "consent", "cerez", "kvkk")
]
# Main text below this many characters makes us look whether the heuristics lost an article of more.
_NEAR_EMPTY = 200
# Beside more main text than this, captions and the like must be twice as long to be an article.
_LITTLE = 1000
# An article that stands twice: at least so many characters, in so long lines, and such a share of the text.
_COPY, _LONG_LINE, _COPY_SHARE = 200, 40, 0.4
_COPIES = 3
_PARTS = 3  # different lines: one that is there twice is a refrain, or filler
_PROSE_LINE = re.compile(r"(?=.{60}).*[.!?…。！？।؟][\"'”’»)\]]?$")
_EMPTY_ITEM = re.compile(r"(?:[•\-*·|/,]|\d{1,3}\.)\s*\Z")
_SPACES = re.compile(r"[ \xa0\u2000-\u200a\u202f\u205f]{2,}")
_CELLS = re.compile(r"(?<=\S)[ \xa0]*\t\t\s*")  # what Resiliparse puts after a table cell

_PAGES_A_CHILD = 2000  # Trafilatura and lxml leak a little on each page
_START_LIMIT_S = 60.0
_HEADER = struct.Struct("!cQ")


class ExtractionError(Signal):
    """A page could not be turned into text; `cause` is stable: timeout, crash or error."""

    def __init__(self, cause: Literal["timeout", "crash", "error"], detail: str) -> None:
        super().__init__(f"extraction failed ({cause}): {detail}")
        self.cause = cause


def extract(html: str, extractor: Extractor = "resiliparse", timeout_s: float = 5.0) -> str:
    """Return the main text of a page, empty where it has none.

    Menus, comments, link targets and alternative texts are left out. `timeout_s` bounds the work of the child
    process (Trafilatura, and Resiliparse on pages of very many tags: any other takes it 2 s at the most).
    Raises ExtractionError.
    """
    if extractor == "trafilatura" or _needs_guard(html):
        text = _child.extract(html, extractor, timeout_s)
    else:
        text = _EXTRACTORS[extractor](html)
    return _tidy(text, keep_indent="<pre" in html)


def _needs_guard(html: str) -> bool:
    """Return whether a page has so many tags, or may nest them so deep, that its time needs a limit."""
    tags = html.count("<")
    if not _TAGS_WITHOUT_LOOK < tags <= _TAGS_WITHOUT_GUARD:
        return tags > _TAGS_WITHOUT_GUARD
    # An end tag closes none of another name. What needs no end tag counts as never closed.
    opened: Counter[str] = Counter()
    depth = deepest = 0
    for end, name in _TAG_NAME.findall(html):
        if not end:
            opened[name] += 1
            depth += 1
            deepest = max(deepest, depth)
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    return deepest > _DEEP


def _resiliparse(html: str) -> str:
    try:
        return _main_or_prose(html)
    except HTMLParserException as error:
        raise ExtractionError("error", str(error)) from error


def _main_or_prose(html: str) -> str:
    text = _main(html)
    if len(text) >= _NEAR_EMPTY or len(html) < 4 * _NEAR_EMPTY:
        return text
    prose = "\n".join(
        line
        for line in _plain(page.tree(html), _BANNERS, main=False).split("\n")
        if _PROSE_LINE.match(line.strip())
    )
    return prose if len(prose) >= max(_NEAR_EMPTY, 2 * len(text)) else text


def _main(html: str) -> str:
    tree = page.tree(_deepened(html))
    page.mark_menus(tree, _SHALLOW_LISTS)
    furniture = page.mark_furniture(tree)
    text = _plain(tree, [*_SHALLOW, page.FURNITURE] if furniture else _SHALLOW)
    if furniture > len(text) * (1 if len(text) < _LITTLE else 2):
        text = _plain(tree, _SHALLOW)  # what bears such a class is the article
    if 2 * len(text) < page.prose(tree) and page.shield_article(tree):
        text = max(text, _plain(tree, _SHALLOW), key=len)
    return text


def _plain(tree: HTMLTree, skip: list[str], main: bool = True) -> str:
    text: str = extract_plain_text(
        tree, main_content=main, preserve_formatting=True, alt_texts=False, comments=False, skip_elements=skip
    )
    return page.unshielded(text)


def _deepened(html: str) -> str:
    start = _BODY.search(html) or _HEAD_END.search(html)
    at = start.end() if start else 0
    return html[:at] + _DEEPER + html[at:]


def _trafilatura(html: str) -> str:
    import trafilatura  # slow to import and needed by few

    return trafilatura.extract(html, favor_precision=True, include_comments=False, deduplicate=False) or ""


_EXTRACTORS = {"resiliparse": _resiliparse, "trafilatura": _trafilatura}


def _tidy(text: str, keep_indent: bool) -> str:
    lines = []
    for line in text.split("\n"):
        line = line.rstrip() if keep_indent else _SPACES.sub(" ", line.strip())
        if line and not _EMPTY_ITEM.match(line.lstrip()):
            lines.append(_CELLS.sub(" | ", line))
    return "\n".join(_once(lines)).strip()


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


class _Child:
    """The child process: started when first needed, killed at a time limit, replaced when worn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._pages = 0

    def extract(self, html: str, extractor: Extractor, timeout_s: float) -> str:
        with self._lock:
            try:
                process = self._started()
                _send(process.stdin, extractor[:1].encode(), html.encode("utf-8", "replace"))
                kind, answer = _receive(process.stdout, time.monotonic() + timeout_s)
            except TimeoutError as error:
                self.stop()
                raise ExtractionError("timeout", f"{extractor} took more than {timeout_s:g} s") from error
            except (EOFError, OSError) as error:
                self.stop()
                raise ExtractionError("crash", f"{extractor} ended its process") from error
            self._pages += 1
        if kind == b"e":
            raise ExtractionError("error", answer.decode())
        return answer.decode()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():
            self._process = None  # a fork has its parent's child in hand: not ours to talk to
        if self._pages >= _PAGES_A_CHILD:
            self.stop()
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: where the user stands is no place to import from, whatever stands there.
                [sys.executable, "-P", "-c", "from corpus.text.html import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            self._owner, self._pages = os.getpid(), 0
            try:
                _receive(self._process.stdout, time.monotonic() + _START_LIMIT_S)
            except TimeoutError as error:
                raise OSError("the extractor's process did not start") from error
        return self._process

    def stop(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process, self._pages = None, 0


_child = _Child()
atexit.register(_child.stop)


def serve() -> None:
    """Answer pages from standard input on standard output until it closes: what the child process runs."""
    pages, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the answers
    _trafilatura("<p>warm")
    _send(answers, b"t", b"ready")
    while header := pages.read(_HEADER.size):
        kind, length = _HEADER.unpack(header)
        html = pages.read(length).decode()
        try:
            text = _EXTRACTORS["trafilatura" if kind == b"t" else "resiliparse"](html)
            _send(answers, b"t", text.encode("utf-8", "replace"))
        except Exception as error:  # the border: a page's failure becomes its cause, the next goes on
            _send(answers, b"e", f"{type(error).__name__}: {error}".encode("utf-8", "replace"))


def _send(pipe: IO[bytes] | None, kind: bytes, body: bytes) -> None:
    assert pipe is not None
    pipe.write(_HEADER.pack(kind, len(body)) + body)
    pipe.flush()


def _receive(pipe: IO[bytes] | None, deadline: float) -> tuple[bytes, bytes]:
    """Read one message; raises TimeoutError at the deadline and EOFError when the sender is gone."""
    assert pipe is not None
    received = bytearray()
    wanted = _HEADER.size
    while len(received) < wanted:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        # Unbuffered, or select would wait for bytes that a buffer already holds.
        chunk = os.read(pipe.fileno(), min(1 << 20, wanted - len(received)))
        if not chunk:
            raise EOFError
        received += chunk
        if len(received) == _HEADER.size == wanted:
            wanted += _HEADER.unpack(received)[1]
    return bytes(received[:1]), bytes(received[_HEADER.size :])
