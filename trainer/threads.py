"""A few threads that run calls in order; no error, Ctrl-C or silent network leaves one hanging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_PATIENCE = 2.0  # seconds that closing waits for running calls


class Threads:
    """`count` threads. An exception of a call is raised where the result of its future is requested.

    They are daemons, unlike those of `concurrent.futures`, so that a read that never returns does not keep
    the process from ending.
    """

    def __init__(self, count: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Queue a call; calls start in the order in which they came. RuntimeError once closed."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("closed: no more calls are accepted")
            self._calls.put((future, call))
        return future

    def close(self) -> None:
        """Cancel calls that have not started, and wait a few seconds for those that have."""
        with self._lock:
            self._closed = True
            while True:
                try:
                    waiting = self._calls.get_nowait()
                except Empty:
                    break
                if waiting is not None:
                    waiting[0].cancel()
            for _ in self._threads:
                self._calls.put(None)
        end = time.monotonic() + _PATIENCE
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (waiting := self._calls.get()) is not None:
            _do(*waiting)
            del waiting  # the next call may come late, and nothing of this one should be kept


def _do(future: Future[Result], call: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # raised where the result is requested
        future.set_exception(error)
    else:
        future.set_result(result)
