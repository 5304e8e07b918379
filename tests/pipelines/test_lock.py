"""One driver at a time works on an output, on a store as well as in a folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from corpus import files, interrupt
from corpus.errors import StageError
from pipelines import lock
from pipelines.lock import LOCK, alone


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder on a store, where runs show that they live all the time."""
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.4)
    return f"memory://{uuid.uuid4().hex}"


def held(output: str, host: str, process: int) -> None:
    record = {"token": "another", "host": host, "process": process, "began": "2024-05-01", "beat": 0}
    files.write_json(output, LOCK, record)


def test_a_second_run_is_refused_and_the_first_leaves_nothing(output: str) -> None:
    with (
        alone(output),
        pytest.raises(StageError, match="another run is at work here, on"),
        alone(output),
    ):
        pass
    assert files.names(output) == set()


def test_a_dead_run_s_lock_on_this_machine_is_replaced_at_once(output: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held(output, socket.gethostname(), ended.pid)
    with alone(output):
        assert files.read_json(output, LOCK)["token"] != "another"  # type: ignore[index]


@pytest.mark.parametrize("content", [None, b"{half", b"[]"])
def test_a_lock_that_does_not_change_is_replaced(output: str, content: bytes | None) -> None:
    held(output, "elsewhere", 1)
    if content is not None:
        files.write_bytes(output, LOCK, content)
    with alone(output):
        pass
    assert files.names(output) == set()


def test_a_lock_that_changes_is_not(output: str) -> None:
    held(output, "elsewhere", 1)

    def live() -> None:
        for beat in range(100):
            time.sleep(0.01)
            files.write_json(output, LOCK, {"token": "another", "host": "elsewhere", "beat": beat})

    thread = threading.Thread(target=live)
    thread.start()
    with pytest.raises(StageError, match="on elsewhere"), alone(output):
        pass
    thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_whose_lock_another_took_ends(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()

    def leave(text: str, status: int) -> None:
        assert "another run has taken" in text
        assert status == 1
        left.set()
        raise SystemExit

    monkeypatch.setattr(interrupt, "leave", leave)
    with alone(output):
        held(output, "elsewhere", 1)
        assert left.wait(10)
    assert LOCK in files.names(output)


def test_a_local_folder_is_held_by_the_system(tmp_path: Path) -> None:
    with alone(str(tmp_path)), pytest.raises(StageError, match="another run"), alone(str(tmp_path)):
        pass


class ClientError(Exception):
    """An error of a client's own, as botocore has them."""


ClientError.__module__ = "botocore.exceptions"


@pytest.mark.parametrize("error", [PermissionError("Forbidden"), ClientError("no answer")])
def test_a_store_that_refuses_or_is_away_is_one_message_even_if_the_lock_stays(
    output: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*of: object) -> None:
        raise error

    def work() -> None:
        with alone(output):
            monkeypatch.setattr(lock, "_read", refuse)
            refuse()

    with pytest.raises(StageError, match=f"{output}: the store did not do what was asked.*{error}"):
        work()


@pytest.mark.parametrize("error", [KeyError("a mistake of derlem's"), StageError("clean stopped")])
def test_any_other_error_on_a_store_stays_what_it_is(output: str, error: Exception) -> None:
    with pytest.raises(type(error)) as found, alone(output):
        raise error
    assert found.value is error
