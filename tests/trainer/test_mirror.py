"""A run's copy in a bucket: never half a checkpoint, whatever fails, and the same losses on a new machine."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import process
from token_shards import tokenizer, write

from corpus import settings
from corpus.errors import CheckpointError, ConfigError, StoppedError
from corpus.teller import SILENT
from trainer import metrics, run
from trainer.checkpoint import FACTS, Checkpoints
from trainer.config import Config
from trainer.identity import CHECKPOINTS, RESULT, RUN
from trainer.mirror import Mirror

STEPS, EVERY = 12, 3


def made(bucket: Path | None = None) -> Config:
    """Return a configuration of twelve small steps, with a checkpoint every three."""
    data: dict[str, Any] = {
        "model": {"depth": 1, "width": 32, "head": 16},
        "data": {"length": 16, "batch": 8, "tokens": STEPS * 8 * 16},
        "evaluate": {"documents": 0},
        "checkpoint": {"every": EVERY, "keep": 1, "mirror": f"file://{bucket}" if bucket else ""},
        "run": {"device": "cpu", "log": []},
    }
    return settings.parse(Config, data, "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    documents = [random.integers(3, 43, random.integers(4, 59)).tolist() for _ in range(40)]
    held = {"tur_Latn/web": [documents[:4]]}
    write(folder, {"tur_Latn/web": [documents]}, validation=held, model=tokenizer())
    return str(folder)


def train(corpus: str, folder: Path, bucket: Path | None = None) -> Any:
    torch.set_num_threads(1)
    return run.train(corpus, folder, made(bucket), SILENT)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics.read(folder / metrics.FILE, "train")]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was never stopped and has no copy."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(corpus, folder)
    return folder


def test_the_copy_of_a_finished_run_holds_what_its_folder_holds(corpus: str, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run", tmp_path / "bucket")
    assert files(tmp_path / "bucket") == files(tmp_path / "run")


def test_a_finished_run_is_fetched_and_not_trained_again(corpus: str, tmp_path: Path) -> None:
    first = train(corpus, tmp_path / "run", tmp_path / "bucket")
    assert train(corpus, tmp_path / "elsewhere", tmp_path / "bucket") == first
    assert files(tmp_path / "elsewhere") == files(tmp_path / "run")


def _train_slowly(corpus: str, folder: str, bucket: str) -> None:
    advance = run.Run.advance

    def slowly(self: run.Run, batches: Any) -> Any:
        time.sleep(0.05)
        return advance(self, batches)

    run.Run.advance = slowly  # type: ignore[method-assign]
    try:
        train(corpus, Path(folder), Path(bucket))
    except StoppedError as stopped:
        os._exit(128 + stopped.signal)


@pytest.mark.parametrize("lines", [2, 5, 8, 11])
def test_a_machine_that_is_lost_costs_the_steps_since_its_last_copy(
    lines: int, whole: Path, corpus: str, tmp_path: Path
) -> None:
    bucket, folder = tmp_path / "bucket", tmp_path / "run"
    training = process(_train_slowly, corpus, str(folder), str(bucket))
    end = time.monotonic() + 60
    file = folder / metrics.FILE
    while not file.exists() or file.read_bytes().count(b"\n") < lines:
        assert training.is_alive()
        assert time.monotonic() < end
        time.sleep(0.002)
    training.kill()
    training.join()
    done = len(losses(folder))
    shutil.rmtree(folder)
    copied = max((int(path.parent.name) for path in bucket.rglob(FACTS)), default=0)
    assert done - copied <= 2 * EVERY  # the last checkpoint may still have been on its way
    train(corpus, tmp_path / "next", bucket)
    assert losses(tmp_path / "next") == losses(whole)


class Bucket:
    """A file system that counts what is written, and fails or waits where it is told to."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.left = 1 << 30  # operations until all fail
        self.open = threading.Event()
        self.open.set()

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._real, name)
        if name not in ("put_file", "rm_file", "rm"):
            return function

        def limited(*values: Any, **more: Any) -> Any:
            self.open.wait(30)
            if self.left <= 0:
                raise PermissionError("revoked")
            self.left -= 1
            return function(*values, **more)

        return limited


def state(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.full((1000,), value)}


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[tuple[Checkpoints, Mirror, Bucket, list[str]]]:
    """Return the checkpoints of a run with a copy, and what the copy reported."""
    folder, said = tmp_path / "run", []
    folder.mkdir()
    (folder / RUN).write_text("{}")
    mirror = Mirror(folder, f"file://{tmp_path / 'bucket'}", Checkpoints(folder / CHECKPOINTS), said.append)
    bucket = Bucket(mirror._fs)
    mirror._fs = bucket
    with mirror, Checkpoints(folder / CHECKPOINTS, 1, copy=mirror) as checkpoints:
        yield checkpoints, mirror, bucket, said
        bucket.open.set()


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.save(step, state(step), {})
    checkpoints.wait()


def idle(mirror: Mirror) -> None:
    if mirror._running is not None:
        mirror._running.result()


def fetched(tmp_path: Path, name: str) -> int | None:
    """Return the step that a new machine starts from; its checkpoint is compared with its checksums."""
    folder = tmp_path / name
    held = Checkpoints(folder / CHECKPOINTS)
    Mirror(folder, f"file://{tmp_path / 'bucket'}", held, lambda text: None).fetch()
    step = held.latest()
    if step is not None:
        found = state(-1)
        held.load(step, found)
        assert set(found["a"].tolist()) == {step}
    return step


def test_an_upload_stopped_between_any_two_operations_leaves_the_earlier_copy(
    tmp_path: Path, copied: tuple[Checkpoints, Mirror, Bucket, list[str]]
) -> None:
    checkpoints, mirror, bucket, said = copied
    save(checkpoints, 1)
    idle(mirror)
    step, earlier = 1, set()
    for operations in range(12):
        bucket.left = operations
        step += 1
        save(checkpoints, step)
        idle(mirror)
        found = fetched(tmp_path, f"machine{operations}")
        assert found is not None
        earlier.add(found == step)
        bucket.left = 1 << 30
        step += 1
        save(checkpoints, step)
        idle(mirror)
        assert fetched(tmp_path, f"again{operations}") == step
    assert earlier == {False, True}
    assert "revoked" in said[0]


def test_a_slow_bucket_keeps_the_checkpoint_it_needs_and_gets_the_latest_next(
    tmp_path: Path, copied: tuple[Checkpoints, Mirror, Bucket, list[str]]
) -> None:
    checkpoints, mirror, bucket, said = copied
    bucket.open.clear()
    save(checkpoints, 1)
    while not mirror.needs(1):
        time.sleep(0.001)
    save(checkpoints, 2, 3, 4)
    assert checkpoints.steps() == [1, 4] or checkpoints.steps() == [1, 3, 4]
    bucket.open.set()
    idle(mirror)
    save(checkpoints, 5)
    mirror.finish()
    assert checkpoints.steps() == [5]
    assert mirror._steps() == [5]
    assert said == []


def test_a_damaged_copy_is_told_and_an_earlier_one_fetched(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    held = Checkpoints(bucket / CHECKPOINTS, keep=2)
    save(held, 1, 2)
    (bucket / RUN).write_text("{}")
    path = next(held.path(2).glob("__0_*"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert fetched(tmp_path, "machine") == 1
    next(held.path(1).glob("__0_*")).unlink()
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        fetched(tmp_path, "next")


def test_the_copy_of_another_run_is_refused(corpus: str, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run", tmp_path / "bucket")
    (tmp_path / "bucket" / RUN).write_text("{}")
    with pytest.raises(ConfigError, match="another run"):
        train(corpus, tmp_path / "run", tmp_path / "bucket")


def test_a_copy_that_is_not_complete_is_told_at_the_end_and_completed_by_the_same_command(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Mirror, name: str) -> None:
        raise PermissionError("revoked")

    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_put", refuse)
        with pytest.raises(CheckpointError, match="not complete: PermissionError: revoked"):
            train(corpus, tmp_path / "run", tmp_path / "bucket")
    assert (tmp_path / "run" / RESULT).exists()
    train(corpus, tmp_path / "run", tmp_path / "bucket")
    assert files(tmp_path / "bucket") == files(tmp_path / "run")
