"""Calls are done in their order, their errors reach who asks, and nothing is left hanging."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import pytest
from ranks import process
from token_shards import write

from corpus import files
from trainer import threads as module
from trainer import tokens
from trainer.loader import Loader
from trainer.threads import Threads


def test_calls_are_done_in_order_and_errors_reach_who_asks() -> None:
    threads = Threads(1, "test")
    done: list[int] = []

    def note(number: int) -> int:
        done.append(number)
        return number

    futures = [threads.submit(partial(note, number)) for number in range(50)]
    failing = threads.submit(lambda: 1 // 0)
    assert [future.result(5) for future in futures] == done == list(range(50))
    with pytest.raises(ZeroDivisionError):
        failing.result(5)
    assert threads.submit(lambda: "still").result(5) == "still"
    threads.close()


def test_closing_cancels_what_waits_and_ends_the_threads() -> None:
    threads = Threads(2, "closing")
    go = threading.Event()
    running = [threads.submit(lambda: go.wait(10)) for _ in range(2)]
    time.sleep(0.1)
    waiting = [threads.submit(lambda: True) for _ in range(5)]
    threading.Timer(0.2, go.set).start()
    threads.close()
    assert [future.result(1) for future in running] == [True, True]
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(1)
    assert not any(t.name.startswith("closing") for t in threading.enumerate())
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(lambda: True)
    threads.close()


def test_closing_waits_for_no_call_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    threads, end = Threads(3, "stuck"), threading.Event()
    for _ in range(3):
        threads.submit(lambda: end.wait(30))
    began = time.monotonic()
    threads.close()
    assert time.monotonic() - began < 3
    end.set()


def test_nothing_of_a_call_is_kept() -> None:
    class Held:
        """Something large."""

    threads, held = Threads(1, "keeping"), Held()
    gone = weakref.ref(held)
    threads.submit(lambda held=held: held).result(5)  # type: ignore[misc]
    del held
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert gone() is None
    threads.close()


def _read_what_never_comes(folder: Path) -> None:
    """Load remote tokens whose network went silent."""
    with (folder / "errors").open("wb") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())

    def silent(*_: object) -> bytes:
        (folder / "reading").touch()
        time.sleep(600)
        return b""

    write("memory://t", {"tur_Latn/web": [[[5, 6, 2]] * 30]})
    opened = tokens.open("memory://t")
    order = tokens.Order(tokens.streams(opened), [tokens.Phase(1, {"tur_Latn/web": 1}, 8, 2)], 0)
    files.read_range = silent
    with Loader(opened, order, cache=str(folder / "cache")) as loader:
        next(loader.steps(0, 5))


def test_ctrl_c_ends_a_process_whose_network_is_silent(tmp_path: Path) -> None:
    reading = process(_read_what_never_comes, tmp_path)
    while not (tmp_path / "reading").exists():
        assert reading.is_alive(), (tmp_path / "errors").read_text()
        time.sleep(0.01)
    assert reading.pid is not None
    os.kill(reading.pid, signal.SIGINT)
    reading.join(20)
    assert reading.exitcode == 1
    assert "KeyboardInterrupt" in (tmp_path / "errors").read_text()
    assert list((tmp_path / "cache").iterdir()) == []
