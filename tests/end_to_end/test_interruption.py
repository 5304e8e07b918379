"""However a build ends, its workers end with it, nothing waits for ever, and the next build goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import DERLEM, texts

WORKERS = 2
LIMIT_S = 60


def until(true: Callable[[], bool], what: str, limit: float = LIMIT_S) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if not found:
        pytest.skip("this system has no /proc with the children of a process")
    return [int(child) for path in found for child in path.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A build with two workers, in the middle of its work, from a folder with an output called corpus."""
    rows = [json.dumps({"url": f"{url}?{n}", "text": text}) for n in range(100) for url, text in texts()]
    sources = []
    for number in range(WORKERS):
        (tmp_path / f"{number}.jsonl").write_text("\n".join(rows))
        sources.append(f'[[source]]\nname = "s{number}"\nformat = "jsonl"\npaths = ["{number}.jsonl"]\n')
    (tmp_path / "corpus.toml").write_text("".join(sources))
    run = subprocess.Popen(
        [DERLEM[0], "-P", *DERLEM[1:], "build", "corpus.toml", "--workers", str(WORKERS)],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    units = tmp_path / "corpus" / "clean" / "units"
    try:
        until(lambda: run.poll() is not None or len(list(units.glob("*.progress"))) == WORKERS, "at work")
        assert run.poll() is None, run.stdout.read() if run.stdout else ""
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def test_workers_end_with_a_build_that_was_killed(at_work: subprocess.Popen[str]) -> None:
    workers = children(at_work.pid)
    assert len(workers) == WORKERS
    at_work.kill()
    until(lambda: not any(map(is_alive, workers)), "workers gone", limit=10)


def test_a_build_whose_worker_was_killed_says_so_and_ends(at_work: subprocess.Popen[str]) -> None:
    workers = children(at_work.pid)
    os.kill(workers[0], signal.SIGKILL)
    output, _ = at_work.communicate(timeout=LIMIT_S)
    assert at_work.returncode == 1
    assert "return code -9" in output
    assert "Traceback" not in output
    until(lambda: not any(map(is_alive, workers)), "workers gone", limit=10)


def test_ctrl_c_ends_a_build_in_one_line(at_work: subprocess.Popen[str]) -> None:
    workers = children(at_work.pid)
    os.killpg(at_work.pid, signal.SIGINT)
    output, _ = at_work.communicate(timeout=LIMIT_S)
    assert at_work.returncode == 128 + signal.SIGINT
    assert output == "stopped: what is finished is kept, and the same command goes on\n"
    until(lambda: not any(map(is_alive, workers)), "workers gone", limit=10)
