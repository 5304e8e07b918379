"""Calls are done in their order, their errors reach who asks, and nothing is left hanging."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import pytest

from trainer import threads as module
from trainer.threads import Threads

ROOT = Path(__file__).parents[2]
# A loader of remote tokens whose network went silent, told to stop by Ctrl-C.
SILENT = """
import sys, time
sys.path[:0] = ["tests"]
from token_shards import write
from corpus import files
from trainer import tokens
from trainer.loader import Loader
write("memory://t", {"tur_Latn/web": [[[5, 6, 2]] * 30]})
opened = tokens.open("memory://t")
order = tokens.Order(tokens.streams(opened), [tokens.Phase(1, {"tur_Latn/web": 1}, 8, 2)], 0)
files.read_range = lambda *_: (print("reading", flush=True), time.sleep(600))
with Loader(opened, order, cache=sys.argv[1]) as loader:
    next(loader.steps(0, 5))
"""


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


def test_ctrl_c_ends_a_process_whose_network_is_silent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SILENT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=180)
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - began < 20
    assert list(tmp_path.iterdir()) == []
