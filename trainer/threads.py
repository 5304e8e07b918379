"""A few threads that do calls in turn; neither an error, Ctrl-C nor a silent network leaves one hanging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_PATIENCE = 2.0  # seconds that closing waits for calls under way


class Threads:
    """`count` threads. What a call raises is raised where the result of its future is asked for.

    They are daemons, unlike those of `concurrent.futures`, so that a read that never answers keeps no process
    from its end.
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
        """Have a call done; calls begin in the order in which they came. RuntimeError once closed."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("closed: nothing is read any more")
            self._calls.put((future, call))
        return future

    def close(self) -> None:
        """Cancel what has not begun, and wait a few seconds for what has."""
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
            del waiting  # the next call may be long in coming, and nothing of this one should be kept


def _do(future: Future[Result], call: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # it belongs to whoever asks for the result
        future.set_exception(error)
    else:
        future.set_result(result)
