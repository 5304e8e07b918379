"""A function in a child process: its limits, its failures, and that each is the end of one request only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from corpus import child as module
from corpus.child import Child, ChildError


def answer(request: bytes) -> bytes:
    """What the child runs: requests say what happens."""
    if request == b"noise":
        os.write(1, b"noise")
    if request == b"sleep":
        time.sleep(60)
    if request == b"memory":
        return b"x" * (1 << 31)
    if request == b"die":
        os._exit(1)
    if request == b"fail":
        raise ValueError("no such thing")
    return str(os.getpid()).encode()


@pytest.fixture
def child() -> Iterator[Child]:
    # Under pytest's import mode the child finds this module by its folder.
    sys.path.insert(0, os.path.dirname(__file__))
    started = Child("the child", "test_child:answer", requests=3, warm=b"", memory=1 << 30)
    yield started
    sys.path.remove(os.path.dirname(__file__))
    started.stop()


@pytest.mark.parametrize(
    ("request_", "cause", "found"),
    [
        (b"sleep", "timeout", "the child took more than 0.2 s"),
        (b"die", "crash", "the child ended its process"),
        (b"fail", "error", "ValueError: no such thing"),
        (b"memory", "error", "MemoryError"),
    ],
)
def test_a_failed_request_has_a_cause_and_the_next_is_answered(
    child: Child, request_: bytes, cause: str, found: str
) -> None:
    child.ask(b"", 30)
    with pytest.raises(ChildError, match=found) as caught:
        child.ask(request_, 0.2 if cause == "timeout" else 30)
    assert caught.value.cause == cause
    assert int(child.ask(b"", 30)) > 0


def test_it_is_replaced_when_killed_or_worn(child: Child) -> None:
    pids = [int(child.ask(b"", 30)) for _ in range(4)]
    assert pids[0] == pids[1] == pids[2] != pids[3]
    os.kill(pids[3], signal.SIGKILL)
    assert child._process is not None
    child._process.wait()
    with pytest.raises(ChildError):
        child.ask(b"", 30)
    assert int(child.ask(b"", 30)) not in pids


def test_a_fork_starts_a_child_of_its_own(child: Child) -> None:
    ours = child.ask(b"", 30)
    fork = os.fork()
    if not fork:
        same = child.ask(b"", 30) == ours
        child.stop()
        os._exit(same)
    assert os.waitpid(fork, 0)[1] == 0
    assert child.ask(b"", 30) == ours


def test_what_a_library_prints_does_not_reach_the_answers(child: Child) -> None:
    code = "from corpus.child import serve; serve('test_child:answer', b'')"
    request = module._HEADER.pack(b"t", 5) + b"noise"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], input=request, capture_output=True, check=True, env=environment
    )
    start = module._HEADER.pack(b"t", 5) + b"ready" + module._HEADER.pack(b"t", len(run.stdout) - 23)
    assert run.stdout.startswith(start)
    assert run.stdout[23:].isdigit()
