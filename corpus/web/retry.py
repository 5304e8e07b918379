"""Requests to one server: a steady rate, a pause after each failure, and a limit on tries."""

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

_FIRST_TRIES = 3  # of a server that has never answered: its name is probably wrong, or there is no network


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds of a Retry-After field (RFC 9110, section 10.2.3); None if it is malformed."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


class Limits(Protocol):
    """The request rate, the number of tries and the pauses after failures."""

    @property
    def requests_per_s(self) -> float: ...
    @property
    def tries(self) -> int: ...
    @property
    def backoff_s(self) -> float: ...
    @property
    def max_backoff_s(self) -> float: ...


class PassingError(Signal):
    """A failure that may be temporary: what was found, how long the server asks to wait (Retry-After),
    whether bytes arrived, and whether the server answered at all."""

    def __init__(
        self, detail: str, after_s: float = 0.0, progress: bool = False, answered: bool = True
    ) -> None:
        super().__init__(detail)
        self.after_s = after_s
        self.progress = progress
        self.answered = answered


@dataclass
class Retry:
    """The request rate and pauses of one worker, shared by its connections.

    At most `requests_per_s` requests start per second. After a failure all threads pause for a random share
    (a tenth to all) of `backoff_s`, doubled with each consecutive failure, at most `max_backoff_s`, and not
    less than the server's Retry-After. The random share prevents many workers from returning at the same
    moment.
    """

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] | None = None
    paused_s: float = 0.0  # total, after failures
    has_answered: bool = False  # whether the server has answered any request
    _cause: str = ""  # why the work was given up
    _closed: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next: float = 0.0  # earliest start of the next request, by the rate
    _resume: float = 0.0  # the same, by the pauses after failures

    def attempt(self, what: str, once: Callable[[], T]) -> T:
        """Call `once` until it raises no PassingError, at most `tries` times in a row without progress.

        Raises ServerError with `what` in its message after the last try, or if Retry-After exceeds
        `max_backoff_s`. An error of another thread is raised here, too, because the work that they share is
        lost.
        """
        started = self.clock()
        failures = 0
        while True:
            self._take_turn()
            try:
                result = once()
                self.has_answered = True
                return result
            except PassingError as error:
                self.has_answered = self.has_answered or error.answered
                failures = 1 if error.progress else failures + 1
                self._pause(what, error, failures, self.clock() - started)
            except ServerError as error:
                raise self._given_up(str(error)) from None

    def close(self) -> None:
        """Stop all threads that wait, and let no further request start."""
        self._given_up("the work was given up")

    def _given_up(self, said: str) -> ServerError:
        with self._lock:
            self._cause = self._cause or said
        self._closed.set()
        return ServerError(self._cause)

    def _pause(self, what: str, error: PassingError, failures: int, spent: float) -> None:
        """Delay the next request of all threads; raise ServerError if it is time to give up."""
        limits = self.limits
        if error.after_s > limits.max_backoff_s:
            raise self._given_up(
                f"{what}: {error}; the server asks to wait {error.after_s:,.0f} s: run the same command "
                f"again after that, and it resumes where it stopped"
            ) from None
        if failures >= (limits.tries if self.has_answered else min(limits.tries, _FIRST_TRIES)):
            raise self._given_up(
                f"{what}: tried {failures} times in {spent:,.0f} s, the last time: {error}; run the same "
                f"command again later, and it resumes where it stopped"
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
