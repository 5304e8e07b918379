"""The interface for messages and progress of long work; `commands` implements it for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Bar(Protocol):
    """A bar of progress that is being drawn."""

    def update(self, done: float, text: str) -> None:
        """Draw how much of the total is done, with a text beside it."""


class Teller(Protocol):
    """The receiver of messages: a person at a terminal, or a log file."""

    @property
    def draws(self) -> bool:
        """Whether bars can be drawn; where not, lines say the same from time to time."""

    def say(self, text: str, style: str = "") -> None:
        """Print plain text; `style` is a colour."""

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show a text for as long as the block runs, where bars can be drawn."""

    def bar(self, name: str, total: float, stays: bool = False) -> AbstractContextManager[Bar]:
        """Draw a bar while the block runs; where it `stays`, its last state remains on the screen."""

    def report(self, summary: Mapping[str, Any]) -> None:
        """Print what a stage did (`pipelines.report.summarise`)."""

    def note(self, event: str, **facts: object) -> None:
        """Record an event for programs that watch the work; people are not told.

        Events: "stage started" (stage, units, pending), "progress" (stage, pending, done, documents, kept),
        "unit done" (stage, unit, fingerprint, documents, kept, seconds), "unit failed" (stage, unit, error)
        and "failed" (error).
        """


class _NoBar:
    def update(self, done: float, text: str) -> None:
        pass


class Silent:
    """A teller that prints nothing."""

    draws = False

    def say(self, text: str, style: str = "") -> None:
        pass

    def waiting(self, text: str) -> AbstractContextManager[object]:
        return nullcontext()

    def bar(self, name: str, total: float, stays: bool = False) -> AbstractContextManager[Bar]:
        return nullcontext(_NoBar())

    def report(self, summary: Mapping[str, Any]) -> None:
        pass

    def note(self, event: str, **facts: object) -> None:
        pass


SILENT: Teller = Silent()
