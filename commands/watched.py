"""A log of JSON lines and a file of metrics beside what a person sees, where options ask for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from commands import prometheus
from commands.terminal import Terminal, local
from corpus import files
from corpus.errors import ConfigError, DerlemError
from corpus.teller import Bar, Teller

Log = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=local, help="Append messages and units as lines of JSON."),
]
Metrics = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=local, help="Write Prometheus metrics here, e.g. derlem.prom."),
]


class _Beside:
    """A teller that passes everything on to another one."""

    def __init__(self, inner: Teller) -> None:
        self._inner = inner

    @property
    def draws(self) -> bool:
        return self._inner.draws

    def say(self, text: str, style: str = "") -> None:
        self._inner.say(text, style)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        return self._inner.waiting(text)

    def bar(self, name: str, total: float, stays: bool = False) -> AbstractContextManager[Bar]:
        return self._inner.bar(name, total, stays)

    def report(self, summary: Mapping[str, Any]) -> None:
        self._inner.report(summary)

    def note(self, event: str, **facts: object) -> None:
        self._inner.note(event, **facts)


class JsonLog(_Beside):
    """Writes each message and event as a line of JSON, with the keys that log collectors know.

    `time` (UTC), `severity`, `message`, `stage`, `unit`, and the facts of an event. Where the file takes no
    more, the work continues without it.
    """

    def __init__(self, inner: Teller, file: IO[str]) -> None:
        super().__init__(inner)
        self._file = file
        self._stage = ""

    def say(self, text: str, style: str = "") -> None:
        self._write("WARNING" if style == "red" else "INFO", text)
        super().say(text, style)

    def report(self, summary: Mapping[str, Any]) -> None:
        self._write("INFO", "stage done", **summary)
        self._stage = ""
        super().report(summary)

    def note(self, event: str, **facts: object) -> None:
        if event == "stage started":
            self._stage = str(facts["stage"])
        if event != "progress":  # which a message tells once a minute
            self._write("ERROR" if "error" in facts else "INFO", event, **facts)
        super().note(event, **facts)

    def _write(self, severity: str, message: str, **facts: object) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        head = {"time": stamp, "severity": severity, "message": message, "stage": self._stage}
        with suppress(OSError):
            self._file.write(json.dumps(head | facts, ensure_ascii=False, default=str) + "\n")
            self._file.flush()


class PrometheusFile(_Beside):
    """Keeps a file of metrics up to date: at the start and the end of a stage, and as it proceeds.

    Where it cannot be written any more, the work continues without it.
    """

    def __init__(self, inner: Teller, path: Path) -> None:
        super().__init__(inner)
        self._path = path
        self._metrics = prometheus.Metrics()
        self._write()

    def report(self, summary: Mapping[str, Any]) -> None:
        self._metrics.finish(summary, time.time())
        with suppress(OSError):
            self._write()
        super().report(summary)

    def note(self, event: str, **facts: Any) -> None:
        if self._metrics.take(event, facts):
            with suppress(OSError):
                self._write()
        super().note(event, **facts)

    def _write(self) -> None:
        """Replace the file: a collector reads the old one or the new one, never a part."""
        text = self._metrics.text(time.time()).encode()
        files.write_bytes(str(self._path.parent), self._path.name, text)


@contextmanager
def watched(log: Path | None, metrics: Path | None) -> Iterator[Teller]:
    """Open the teller of a command that makes a corpus; an error that ends the block is noted.

    Raises ConfigError where one of the files cannot be written.
    """
    teller: Teller = Terminal()
    with ExitStack() as stack:
        try:
            if metrics is not None:
                teller = PrometheusFile(teller, metrics)
            if log is not None:
                teller = JsonLog(teller, stack.enter_context(log.open("a", encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"--log, --metrics: {error}; name files in an existing folder") from None
        try:
            yield teller
        except DerlemError as error:
            teller.note("failed", error=str(error))
            raise
