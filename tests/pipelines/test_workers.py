"""A worker that dies tells why: how it ended, what it said last, what can be done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import workers


def dead(logs: Path, said: str) -> Path:
    """Write the log of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    log = logs / f"worker-{ended.pid}.log"
    log.write_text(said)
    return log


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (-signal.SIGKILL, "", "memory ran out"),
        (128 + signal.SIGKILL, "", "memory ran out"),
        (-signal.SIGSEGV, "Fatal Python error: Segmentation fault", "a library crashed"),
        (-signal.SIGABRT, "terminate called", "a library gave up"),
        (-signal.SIGBUS, "", "the disk is full"),
        (-signal.SIGTERM, "", "it was ended"),
        (1, "ModuleNotFoundError: No module named 'pyarrow'", "install derlem again"),
        (1, "/usr/bin/python: No module named pipelines", "install derlem again"),
        (1, "ImportError: libz.so.1: cannot open shared object file", "install derlem again"),
        (1, "MemoryError", "memory ran out"),
        (-signal.SIGABRT, "MemoryError", "memory ran out"),
        (1, "OSError: [Errno 28] No space left on device", "a disk is full"),
        (1, "OSError: [Errno 24] Too many open files: 'x'", "ulimit -n"),
        (1, "RuntimeError: can't start new thread", "ulimit -u"),
        (127, "", "could not be started"),
    ],
)
def test_advice_goes_by_the_code_and_the_last_words(
    tmp_path: Path, status: int, said: str, advice: str
) -> None:
    log = dead(tmp_path, said)
    found = workers.epitaph(status, tmp_path)
    assert f"return code {status}" in found
    assert advice in found
    assert (str(log) in found) == bool(said)
    assert said in found


def test_the_end_of_a_long_log_is_quoted(tmp_path: Path) -> None:
    dead(tmp_path, "\n".join(f"line {n} \udcff".encode("utf-8", "replace").decode() for n in range(9999)))
    found = workers.epitaph(1, tmp_path)
    assert "line 9998" in found
    assert "line 9980" not in found


def test_of_a_code_that_tells_nothing_only_the_words_are_said(tmp_path: Path) -> None:
    dead(tmp_path, "ValueError: odd")
    assert workers.epitaph(3, tmp_path).splitlines()[2:] == ["  ValueError: odd"]


def test_the_log_is_that_of_the_dead_not_of_the_living(tmp_path: Path) -> None:
    dead(tmp_path, "ImportError: x")
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / f"worker-{living.pid}.log").write_text("still here")
        assert "still here" not in workers.epitaph(1, tmp_path)
    finally:
        living.communicate()


@pytest.mark.parametrize("folder", ["logs", "it's here", "a b;$(touch hacked)"])
def test_stderr_of_a_process_that_cannot_even_start_is_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    logs = tmp_path / folder
    logs.mkdir()
    (logs / "worker-1.log").write_text("of the last run")
    (logs / "worker-notes.log").write_text("mine")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    ended = subprocess.run(workers.command(logs), shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert ended.stderr == b""
    found = workers.epitaph(ended.returncode, logs)
    assert "/nowhere/python" in found
    assert "Python could not be started" in found
    assert not (logs / "worker-1.log").exists()
    assert (logs / "worker-notes.log").exists()
    assert not (tmp_path / "hacked").exists()
