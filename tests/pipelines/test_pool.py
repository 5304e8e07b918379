"""Units go to worker processes one at a time, and whatever ends a worker ends the run with its cause.

A unit here is Python that its worker executes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpus import cores
from corpus.config import Run
from corpus.errors import UnitError, WorkerDiedError
from pipelines import options, pool, stage
from pipelines.options import Runner
from pipelines.stage import Planned


def touch(path: Path) -> str:
    return f"open({str(path)!r}, 'x').close()"


def until(code: str) -> str:
    return f"import os, time\nwhile not ({code}): time.sleep(0.01)"


def test_every_unit_is_done_once(tmp_path: Path) -> None:
    pool.run(exec, [touch(tmp_path / f"{number}.done") for number in range(7)], 3, tmp_path)
    assert len(list(tmp_path.glob("*.done"))) == 7


def test_a_free_worker_takes_the_next_unit_while_another_is_at_a_long_one(tmp_path: Path) -> None:
    """The first unit ends when all others are done, which no division made beforehand allows."""
    others = [touch(tmp_path / f"{number}.done") for number in range(5)]
    long = until(f"sum(name.endswith('.done') for name in os.listdir({str(tmp_path)!r})) == 5")
    pool.run(exec, [long, *others], 2, tmp_path)


def test_no_more_workers_start_than_there_are_units(tmp_path: Path) -> None:
    pool.run(exec, ["pass", "pass"], 5, tmp_path)
    assert len(list(tmp_path.glob("worker-*.log"))) == 2


def test_the_error_of_a_unit_is_told_and_the_other_workers_end(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    other = f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    failing = until(f"os.path.exists({str(note)!r}) and open({str(note)!r}).read()") + "\n1 / 0"
    with pytest.raises(UnitError, match=r"^ZeroDivisionError: division by zero$"):
        pool.run(exec, [other, failing], 2, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", ["return code -9 (SIGKILL)", "memory ran out"]),
        ("import os; os._exit(3)", ["return code 3"]),
        (
            "import sys, os; print('No space left on device', file=sys.stderr, flush=True); os._exit(1)",
            ["return code 1", "No space left on device", "make room"],
        ),
        ("import ctypes; ctypes.string_at(0)", ["SIGSEGV", "a library crashed"]),
        ("raise SystemExit(4)", ["return code 4"]),
    ],
)
def test_a_worker_that_dies_says_why(tmp_path: Path, code: str, said: list[str]) -> None:
    with pytest.raises(WorkerDiedError) as died:
        pool.run(exec, ["pass", code, "pass"], 2, tmp_path)
    assert [words for words in said if words not in str(died.value)] == []
    assert str(died.value).endswith(f"\nits unit was {code}")


def test_a_worker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(WorkerDiedError, match="Python could not be started"):
        pool.run(exec, ["pass", "pass"], 2, tmp_path)


def test_a_worker_does_not_import_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "multiprocessing.py").write_text("raise ImportError('of the working directory')")
    monkeypatch.chdir(tmp_path)
    pool.run(exec, ["import multiprocessing", "pass"], 2, tmp_path)


def planned(weights: list[int]) -> list[Planned]:
    return [Planned(str(number), f"{number:016x}", (), None, weight) for number, weight in enumerate(weights)]


@pytest.mark.parametrize(
    ("weights", "asked", "useful"),
    [
        ([100] * 8, 4, 4),
        ([100] * 2, 4, 2),
        ([100], 4, 1),
        ([9] * 8, 4, 4),
        ([4] * 4, 4, 1),  # too little for two
        ([5] * 4, 4, 2),
        ([], 4, 0),
    ],
)
def test_workers_are_as_many_as_the_work_is_worth(weights: list[int], asked: int, useful: int) -> None:
    toy = stage.Stage("toy", 1, "", {}, (), lambda *_: None, worker_bytes=10)
    assert stage.useful_workers(toy, planned(weights), asked) == useful


def test_where_weights_are_no_bytes_each_unit_is_worth_a_worker() -> None:
    toy = stage.Stage("toy", 1, "", {}, (), lambda *_: None, worker_bytes=0)
    assert stage.useful_workers(toy, planned([0, 0, 0]), 2) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_as_many_workers_are_taken_as_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert options.choose(Run(), None, ()) == Runner(workers=1)
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.setattr(cores, "quota", lambda group: float("inf"))
    assert options.choose(Run(), None, ()) == Runner(workers=len(allowed))
    assert options.choose(Run(workers=7), None, ()) == Runner(workers=7)
    assert options.choose(Run(workers=7), 3, ()) == Runner(workers=3)
