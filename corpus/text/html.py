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
from typing import IO, Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException

Extractor = Literal["resiliparse", "trafilatura"]

# Resiliparse's time grows with the square of the depth of nested blocks: 8,000 <div> take 1.4 s, 100,000 take
# seven minutes. A page of fewer tags cannot nest deeper; the rare others are read under the time limit.
_TAGS_WITHOUT_GUARD = 10_000
# Resiliparse takes every <ul> less than three elements below <body> for a menu, and so drops the lists of
# plain pages. Three more elements switch that off, together with its rules for <nav>, <aside> and <footer>
# there, which these selectors put back, and lists of links: F1 on tr-libreoffice-help rises by 0.037.
_DEEPER = "<div><div><div>"
_BODY = re.compile(r"<body\b[^>]{0,4000}>", re.I)
_HEAD_END = re.compile(r"</(?:head|title)\s*>", re.I)
_SHALLOW = [
    f"body > div > div > div > {depth}{element}"
    for depth in ("", "* > ", "* > * > ")
    for element in ("nav", "aside", "footer", "ul:has(> li > a:only-child)")
]
# What the heuristics keep and gold texts lack: without it, F1 on article-extraction-benchmark rises by 0.012
# at no cost in recall or time (benchmarks/extraction.py).
_FURNITURE = ['[class*="caption"]', '[class*="breadcrumb"]', '[class*="byline"]', '[class*="newsletter"]']
# What the heuristics drop and a look without them must drop too: banners that ask for consent are prose.
_BANNERS = [
    f'[{key}*="{word}" i]' for key in ("id", "class") for word in ("cookie", "consent", "cerez", "kvkk")
]
# Main text below this many characters makes us look whether the heuristics lost an article of more.
_NEAR_EMPTY = 200
_PROSE_LINE = re.compile(r"(?=.{60}).*[.!?…。！？।؟][\"'”’»)\]]?$")
_EMPTY_ITEM = re.compile(r"(?:[•\-*·|/,]|\d{1,3}\.)\s*\Z")
_SPACES = re.compile(r"[ \xa0\u2000-\u200a\u202f\u205f]{2,}")
_CELLS = re.compile(r"(?<=\S)[ \xa0]*\t\t\s*")  # what Resiliparse puts after a table cell

_PAGES_A_CHILD = 2000  # Trafilatura and lxml leak a little on each page
_START_LIMIT_S = 60.0
_HEADER = struct.Struct("!cQ")


class ExtractionError(Exception):
    """A page could not be turned into text; `cause` is stable: timeout, crash or error."""

    def __init__(self, cause: Literal["timeout", "crash", "error"], detail: str) -> None:
        super().__init__(f"extraction failed ({cause}): {detail}")
        self.cause = cause


def extract(html: str, extractor: Extractor = "resiliparse", timeout_s: float = 5.0) -> str:
    """Give the main text of a page, empty where it has none.

    Menus, comments, link targets and alternative texts are left out. `timeout_s` bounds the work of the child
    process (Trafilatura, and Resiliparse on pages of very many tags: any other takes it 2 s at the most).
    Raises ExtractionError.
    """
    if extractor == "trafilatura" or html.count("<") > _TAGS_WITHOUT_GUARD:
        text = _child.extract(html, extractor, timeout_s)
    else:
        text = _EXTRACTORS[extractor](html)
    return _tidy(text, keep_indent="<pre" in html)


def _resiliparse(html: str) -> str:
    text = _plain(html, main=True)
    if len(text) >= _NEAR_EMPTY or len(html) < 4 * _NEAR_EMPTY:
        return text
    prose = "\n".join(
        line for line in _plain(html, main=False).split("\n") if _PROSE_LINE.match(line.strip())
    )
    return prose if len(prose) >= max(_NEAR_EMPTY, 2 * len(text)) else text


def _plain(html: str, main: bool) -> str:
    try:
        text: str = extract_plain_text(
            _deepened(html) if main else html,
            main_content=main,
            preserve_formatting=True,
            alt_texts=False,
            comments=False,
            skip_elements=[*_SHALLOW, *_FURNITURE] if main else _BANNERS,
        )
    except TypeError:  # a lone surrogate, which no UTF-8 holds
        return _plain(html.encode("utf-8", "replace").decode(), main)
    except HTMLParserException as error:
        raise ExtractionError("error", str(error)) from error
    return text


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
    return "\n".join(lines).strip()


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
                [sys.executable, "-c", "from corpus.text.html import serve; serve()"],
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
