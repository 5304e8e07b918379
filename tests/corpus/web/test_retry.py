"""Asking again: a steady pace, longer and longer pauses after failures, and an end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from corpus.commoncrawl.config import Access
from corpus.errors import ServerError
from corpus.web.retry import PassingError, Retry


class Clock:
    """A clock that goes on only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def a_retry(**values: float) -> tuple[Retry, Clock]:
    clock = Clock()
    access = Access.model_validate({"requests_per_s": 1000.0, "backoff_s": 10.0, **values})
    return Retry(access, clock, clock.sleep), clock


def failing(
    times: int, after_s: float = 0.0, progress: bool = False, answered: bool = True
) -> Callable[[], str]:
    """Return a request that fails so many times and then does not."""
    left = [times]

    def once() -> str:
        if left[0]:
            left[0] -= 1
            raise PassingError("503 Slow Down", after_s, progress, answered)
        return "done"

    return once


def test_requests_begin_at_a_steady_pace() -> None:
    calm, clock = a_retry(requests_per_s=10.0)
    moments = []
    for _ in range(5):
        calm.attempt("it", lambda: moments.append(clock.now))
    assert moments == pytest.approx([100.0, 100.1, 100.2, 100.3, 100.4])


def test_pauses_double_and_are_drawn_from_a_tenth_to_all_of_it() -> None:
    for failures, shortest, longest in ((1, 1.0, 10.0), (2, 3.0, 30.0), (3, 7.0, 70.0)):
        spent = []
        for _ in range(50):
            calm, clock = a_retry()
            assert calm.attempt("it", failing(failures)) == "done"
            spent.append(clock.now - 100.0)
        assert shortest - 0.1 <= min(spent) <= max(spent) <= longest + 0.1
        assert max(spent) - min(spent) > (longest - shortest) / 4  # jittered: workers come back apart


def test_a_pause_is_never_longer_than_the_longest() -> None:
    calm, clock = a_retry(max_backoff_s=20.0, tries=10)
    calm.attempt("it", failing(9))
    assert clock.now - 100.0 <= 9 * 20.0 + 0.1


def test_retry_after_is_waited_for() -> None:
    calm, clock = a_retry()
    calm.attempt("it", failing(1, after_s=120.0))
    assert clock.now - 100.0 == pytest.approx(120.0, abs=0.1)


def test_a_retry_after_beyond_the_longest_pause_ends_it_at_once() -> None:
    calm, clock = a_retry(max_backoff_s=300.0)
    with pytest.raises(ServerError, match=r"it: 503 Slow Down; the server asks to wait 3,600 s: run"):
        calm.attempt("it", failing(1, after_s=3600.0))
    assert clock.now == 100.0


def test_after_so_many_failures_in_a_row_it_is_given_up_with_what_to_do() -> None:
    calm, _ = a_retry(tries=3)
    with pytest.raises(
        ServerError, match=r"it: tried 3 times in .* 503 Slow Down; run the same command again"
    ):
        calm.attempt("it", failing(3))


def test_a_server_that_never_answered_is_given_up_sooner() -> None:
    calm, _ = a_retry(tries=8)
    with pytest.raises(ServerError, match="tried 3 times"):
        calm.attempt("it", failing(8, answered=False))
    calm, _ = a_retry(tries=8)
    calm.attempt("it", lambda: None)
    assert calm.attempt("it", failing(7, answered=False)) == "done"


def test_failures_after_progress_do_not_add_up() -> None:
    calm, _ = a_retry(tries=2)
    assert calm.attempt("it", failing(20, progress=True)) == "done"


def test_a_failure_of_one_request_puts_off_all() -> None:
    calm, clock = a_retry()
    with pytest.raises(ValueError, match="stop here"):
        calm.attempt("it", _fails_then_stops())
    resumed = clock.now
    assert resumed - 100.0 >= 1.0
    calm.attempt("another", lambda: None)
    assert clock.now - resumed <= 0.01


def _fails_then_stops() -> Callable[[], str]:
    once = failing(1)

    def attempt() -> str:
        once()
        raise ValueError("stop here")

    return attempt


def test_closing_wakes_those_who_wait() -> None:
    waiting = Retry(Access(backoff_s=300.0))
    said: list[str] = []
    failed = threading.Event()

    def once() -> None:
        failed.set()
        raise PassingError("503")

    def work() -> None:
        try:
            waiting.attempt("it", once)
        except ServerError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert failed.wait(5)
    waiting.close()
    thread.join(5)
    assert not thread.is_alive()
    assert said == ["the work was given up"]


def test_when_one_request_is_given_up_those_who_wait_hear_why_at_once() -> None:
    waiting = Retry(Access(backoff_s=300.0))
    said: list[str] = []
    failed = threading.Event()

    def once() -> None:
        failed.set()
        raise PassingError("503")

    def work() -> None:
        try:
            waiting.attempt("it", once)
        except ServerError as error:
            said.append(str(error))

    def refused() -> None:
        assert failed.wait(5)
        raise ServerError("another: 401 Unauthorized")

    other = threading.Thread(target=lambda: said.append(_said(waiting, refused)))
    other.start()  # its turn comes before the failure that puts off everybody
    thread = threading.Thread(target=work)
    thread.start()
    for each in (thread, other):
        each.join(5)
        assert not each.is_alive()
    assert said == ["another: 401 Unauthorized"] * 2


def _said(calm: Retry, once: Callable[[], None]) -> str:
    try:
        calm.attempt("another", once)
    except ServerError as error:
        return str(error)
    return ""
