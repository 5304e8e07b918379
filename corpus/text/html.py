"""The main text of a web page: derlem's own extractor in this process, Trafilatura in a guarded one.

One block of the page (paragraph, heading, list item) is one line of the text, and one newline, never a blank
line, stands between them: that is how Trafilatura writes, so the thresholds for lines and paragraphs that
FineWeb and FineWeb2 publish for its output keep their meaning. A list item starts with "• " or its number;
lines of <pre> keep their indentation; no line ends in space.
"""

from __future__ import annotations

import atexit
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import IO, Literal

from corpus.errors import Signal
from corpus.text.maintext import main_text

Extractor = Literal["derlem", "trafilatura"]

# An article that stands twice: at least so many characters, in so long lines, and such a share of the text.
_COPY, _LONG_LINE, _COPY_SHARE = 200, 40, 0.4
_COPIES = 3
_PARTS = 3  # different lines: one that is there twice is a refrain, or filler

_PAGES_A_CHILD = 2000  # Trafilatura and lxml leak a little on each page
_START_LIMIT_S = 60.0
_HEADER = struct.Struct("!cQ")


class ExtractionError(Signal):
    """A page could not be turned into text; `cause` is stable: timeout, crash or error."""

    def __init__(self, cause: Literal["timeout", "crash", "error"], detail: str) -> None:
        super().__init__(f"extraction failed ({cause}): {detail}")
        self.cause = cause


def extract(html: str, extractor: Extractor = "derlem", timeout_s: float = 5.0) -> str:
    """Return the main text of a page, empty where it has none.

    Menus, comments, link targets and alternative texts are left out. The time of derlem's extractor grows
    with the page's length alone; `timeout_s` bounds that of Trafilatura's process. Raises ExtractionError.
    """
    lines = _child.extract(html, timeout_s).split("\n") if extractor == "trafilatura" else main_text(html)
    return "\n".join(_once([line for each in lines if (line := each.rstrip())]))


def _trafilatura(html: str) -> str:
    import trafilatura  # slow to import and needed by few

    return trafilatura.extract(html, favor_precision=True, include_comments=False, deduplicate=False) or ""


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

    def extract(self, html: str, timeout_s: float) -> str:
        with self._lock:
            try:
                process = self._started()
                _send(process.stdin, b"t", html.encode("utf-8", "replace"))
                kind, answer = _receive(process.stdout, time.monotonic() + timeout_s)
            except TimeoutError as error:
                self.stop()
                raise ExtractionError("timeout", f"trafilatura took more than {timeout_s:g} s") from error
            except (EOFError, OSError) as error:
                self.stop()
                raise ExtractionError("crash", "trafilatura ended its process") from error
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
        html = pages.read(_HEADER.unpack(header)[1]).decode()
        try:
            _send(answers, b"t", _trafilatura(html).encode("utf-8", "replace"))
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
