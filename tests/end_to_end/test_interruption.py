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
from support import DERLEM, command, final_files, texts

WORKERS = 2
WORTH = 5 << 20
LIMIT_S = 120


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


def write(folder: Path, copies: int = 100) -> Path:
    """Write as many inputs as workers, each worth a worker by its bytes, and their configuration.

    Return its path. Most bytes are a blank line, which takes no time.
    """
    rows = [" " * WORTH]
    rows += [json.dumps({"url": f"{url}?{n}", "text": text}) for n in range(copies) for url, text in texts()]
    sources = []
    for number in range(WORKERS):
        (folder / f"{number}.jsonl").write_text("\n".join(rows))
        sources.append(f'[[source]]\nname = "s{number}"\nformat = "jsonl"\npaths = ["{number}.jsonl"]\n')
    (folder / "corpus.toml").write_text("".join(sources))
    return folder / "corpus.toml"


def start(config: Path, where: Path) -> subprocess.Popen[str]:
    """Start a build with two workers from a folder, in a process group of its own."""
    return subprocess.Popen(
        [DERLEM[0], "-P", *DERLEM[1:], "build", str(config), "--workers", str(WORKERS)],
        cwd=where,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A build with two workers, in the middle of its work, from a folder with an output called corpus."""
    run = start(write(tmp_path), tmp_path)
    units = tmp_path / "corpus" / "extract" / "units"
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
    assert "return code -9 (SIGKILL)" in output
    assert "memory ran out" in output
    assert "Traceback" not in output
    until(lambda: not any(map(is_alive, workers)), "workers gone", limit=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_build_in_one_line(at_work: subprocess.Popen[str], number: signal.Signals) -> None:
    workers = children(at_work.pid)
    os.killpg(at_work.pid, number) if number == signal.SIGINT else at_work.send_signal(number)
    output, _ = at_work.communicate(timeout=LIMIT_S)
    assert at_work.returncode == 128 + number
    assert output == "stopped: finished work is kept; run the same command to resume\n"
    until(lambda: not any(map(is_alive, workers)), "workers gone", limit=10)


def test_a_worker_that_cannot_import_says_so(tmp_path: Path) -> None:
    """A module that breaks only in the workers is put before derlem's own by PYTHONPATH."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pyarrow.py").write_text(
        "import sys\nif any('pipelines' in word for word in sys.orig_argv):\n"
        "    raise ImportError('this pyarrow is broken')\n"
        "import importlib\nbefore = sys.path.pop(0) if 'broken' in sys.path[0] else None\n"
        "sys.path = [path for path in sys.path if 'broken' not in path]\n"
        "del sys.modules['pyarrow']\nimport pyarrow\n"
    )
    run = subprocess.run(
        [DERLEM[0], "-P", *DERLEM[1:], "build", str(write(tmp_path, 1)), "--workers", str(WORKERS)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "broken")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 1
    assert "ImportError: this pyarrow is broken" in run.stderr
    assert "install derlem again" in run.stderr


def answers(pid: int) -> bool:
    """Return whether a process answers SIGTERM itself: the command's first act."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        pytest.skip("this system has no /proc with the signals of a process")
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("moment", ["imports", "workers", "work"])
def test_ctrl_c_while_a_build_starts_prints_one_line(tmp_path: Path, moment: str) -> None:
    run = start(write(tmp_path), tmp_path)
    units = tmp_path / "corpus" / "extract" / "units"
    reached = {
        "imports": lambda: answers(run.pid),
        "workers": lambda: any(units.glob("worker-*.log")),
        "work": lambda: any(units.glob("*.progress")),
    }
    until(reached[moment], moment)
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=LIMIT_S)  # until the last worker has closed it
    assert run.returncode == 128 + signal.SIGINT
    assert output.startswith("stopped")
    assert len(output.splitlines()) == 1


def test_modules_where_the_user_stands_are_not_imported_by_workers(tmp_path: Path) -> None:
    stands = tmp_path / "stands"
    for name in ("corpus", "pipelines", "trainer", "apache_beam"):
        (stands / name).mkdir(parents=True)
        (stands / name / "__init__.py").write_text(f"raise ImportError('{name} of the working directory')\n")
    for name in ("numpy", "typer", "json", "derlem"):
        (stands / f"{name}.py").write_text(f"raise ImportError('{name} of the working directory')\n")
    run = start(write(tmp_path, 1), stands)
    output, _ = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, output
    assert (tmp_path / "corpus" / "shards" / "manifest.json").is_file()


def left_over(corpus: Path) -> list[str]:
    """Return what no finished build may leave."""
    names = [path.name for path in corpus.rglob("*")]
    endings = (".progress", ".error", ".log")
    return [name for name in names if ".tmp-" in name or name == ".writable" or name.endswith(endings)]


def test_a_build_that_is_killed_in_each_of_its_phases_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Killed as it writes: no unit done, then one, then within dedupe and shard; then one worker ends it."""
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, 4)
    calm, killed = tmp_path / "calm" / "corpus", tmp_path / "killed" / "corpus"
    moments: list[Callable[[], bool]] = [
        lambda: any(killed.glob("extract/extracted/*.tmp-*")),
        lambda: any(killed.glob("extract/units/" + "[0-9a-f]" * 16 + ".json")),
        lambda: (killed / "dedupe" / "units" / "stage.json").exists(),
        lambda: (killed / "shards" / "units" / "stage.json").exists(),
    ]
    for number, reached in enumerate(moments):
        run = start(tmp_path / "killed" / "corpus.toml", tmp_path)
        until(lambda run=run, reached=reached: run.poll() is not None or reached(), f"moment {number}")
        os.kill(run.pid, signal.SIGKILL) if number % 2 else os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=LIMIT_S)  # until its last worker is gone
        assert run.returncode == -signal.SIGKILL
    (killed / ".writable.tmp-0123abcd").touch()
    for name in ("calm", "killed"):
        command("build", tmp_path / name / "corpus.toml")
    assert final_files(killed) == final_files(calm)
    assert left_over(killed) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_build_that_may_write_no_more_says_so_and_the_next_goes_on(tmp_path: Path, workers: str) -> None:
    build = ["build", str(write(tmp_path, 4)), "--workers", workers]
    limited = ["/bin/sh", "-c", 'ulimit -f 16; exec "$@"', "sh", DERLEM[0], "-P", *DERLEM[1:], *build]
    found = subprocess.run(limited, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert found.returncode == 1
    assert "not written: File too large; raise the limit on file sizes" in found.stderr
    assert "Traceback" not in found.stderr
    if workers == "1":  # another worker may be ended as it writes; the next run removes what it left
        assert [path for path in tmp_path.rglob("*") if ".tmp-" in path.name] == []
    command(*build)
    assert left_over(tmp_path / "corpus") == []
