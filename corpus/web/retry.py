"""How a server is asked again: at a steady pace, later after each failure, and not for ever."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

from corpus.errors import ServerError, Signal

T = TypeVar("T")

_FIRST_TRIES = 3  # of a server that has never answered: more likely its name is wrong, or there is no network


def retry_after(value: str, now: datetime) -> float | None:
    """Read a Retry-After field (RFC 9110, section 10.2.3), seconds or a date; None where it says nothing."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


class Limits(Protocol):
    """How often a server is asked, and how long it is waited for."""

    @property
    def requests_per_s(self) -> float: ...
    @property
    def tries(self) -> int: ...
    @property
    def backoff_s(self) -> float: ...
    @property
    def max_backoff_s(self) -> float: ...


class PassingError(Signal):
    """A failure that may pass: what was found, how long the server asks to wait, whether bytes came, and
    whether anybody answered at all."""

    def __init__(
        self, detail: str, after_s: float = 0.0, progress: bool = False, answered: bool = True
    ) -> None:
        super().__init__(detail)
        self.after_s = after_s
        self.progress = progress
        self.answered = answered


@dataclass
class Retry:
    """The manners of one worker, shared by its connections.

    Requests begin at most `requests_per_s` times a second. After a failure nobody asks for a while: a random
    share (a tenth to all) of `backoff_s`, doubled with each failure in a row, at most `max_backoff_s`, and no
    less than the server's Retry-After. The random share keeps many workers from coming back as one.
    """

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] | None = None
    paused_s: float = 0.0  # in all, after failures
    met: bool = False  # whether the server has answered to anything
    _cause: str = ""  # why the work was given up
    _closed: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next: float = 0.0  # when the next request may begin, by the pace
    _resume: float = 0.0  # ... and after failures

    def attempt(self, what: str, once: Callable[[], T]) -> T:
        """Do `once` until it raises no PassingError, at most `tries` times in a row without progress.

        Raises ServerError, naming `what`, after the last try and where Retry-After is longer than is waited
        for; and that of another thread as soon as it has one, since the work they share is lost.
        """
        began = self.clock()
        failures = 0
        while True:
            self._take_turn()
            try:
                result = once()
                self.met = True
                return result
            except PassingError as error:
                self.met = self.met or error.answered
                failures = 1 if error.progress else failures + 1
                self._bear(what, error, failures, self.clock() - began)
            except ServerError as error:
                raise self._given_up(str(error)) from None

    def close(self) -> None:
        """Let no thread wait or begin any longer."""
        self._given_up("the work was given up")

    def _given_up(self, said: str) -> ServerError:
        with self._lock:
            self._cause = self._cause or said
        self._closed.set()
        return ServerError(self._cause)

    def _bear(self, what: str, error: PassingError, failures: int, spent: float) -> None:
        """Put off everybody's next request; ServerError when it is time to give up."""
        limits = self.limits
        if error.after_s > limits.max_backoff_s:
            raise self._given_up(
                f"{what}: {error}; the server asks to come back in {error.after_s:,.0f} s: run the same "
                f"command again then, it goes on where it stopped"
            ) from None
        if failures >= (limits.tries if self.met else min(limits.tries, _FIRST_TRIES)):
            raise self._given_up(
                f"{what}: tried {failures} times in {spent:,.0f} s, the last time: {error}; run the same "
                f"command again later, it goes on where it stopped"
            ) from None
        most = min(limits.max_backoff_s, limits.backoff_s * 2.0 ** (failures - 1))
        pause = max(error.after_s, most * random.uniform(0.1, 1.0))
        with self._lock:
            self.paused_s += pause
            self._resume = max(self._resume, self.clock() + pause)

    def _take_turn(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                now = self.clock()
                wait = max(self._next, self._resume) - now
                if wait <= 0:
                    self._next = now + 1.0 / self.limits.requests_per_s
                    return
            (self.sleep or self._closed.wait)(wait)
        raise ServerError(self._cause)
