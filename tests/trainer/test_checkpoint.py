"""Checkpoints: what is damaged is found, what is written appears whole, and no kill loses a run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import on_ranks, process
from torch import Tensor
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from corpus.errors import CheckpointError, ElsewhereError
from trainer.checkpoint import Checkpoints
from trainer.contents import ContentsError, read
from trainer.world import World

CPU = torch.device("cpu")
ALONE = World(0, 1, 0, CPU)


def small(value: float) -> dict[str, Tensor]:
    """Make a state that tells its step."""
    return {"a": torch.full((1000,), float(value)), "b": torch.full((3, 7), -float(value))}


def loaded(held: Checkpoints, step: int) -> float:
    """Load a small state; every number in it must be of one step."""
    found = small(-1.0)
    held.load(step, found)
    (value,) = {*found["a"].tolist(), *(-found["b"]).flatten().tolist()}
    return float(value)


def save(held: Checkpoints, *steps: int) -> None:
    for step in steps:
        held.save(step, small(step), {})
    held.wait()


@pytest.mark.parametrize(
    ("keep", "every", "left"),
    [(1, 0, [70]), (2, 0, [60, 70]), (2, 30, [30, 60, 70]), (9, 0, [*range(10, 80, 10)])],
)
def test_checkpoints_are_kept_by_rule(tmp_path: Path, keep: int, every: int, left: list[int]) -> None:
    held = Checkpoints(tmp_path, keep, every)
    save(held, *range(10, 80, 10))
    assert held.steps() == left
    assert held.latest() == left[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{step:010d}" for step in left]


def test_facts_say_what_a_checkpoint_is_of(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    held.save(7, {"x": torch.ones(3)}, {"tokens": 192, "fingerprint": "Türkçe", "configuration": {"seed": 0}})
    held.wait()
    facts = held.facts(7)
    assert facts["step"] == 7
    assert facts["tokens"] == 192
    assert facts["fingerprint"] == "Türkçe"
    assert facts["configuration"] == {"seed": 0}
    assert facts["torch"] == torch.__version__
    assert facts["derlem"]
    names = {path.name for path in held.path(7).iterdir()}
    assert set(facts["files"]) == names - {"facts.json"}


def test_what_killed_saves_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".0000000001.partial", ".0000000001.removed", ".notes", "0000000004"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    held = Checkpoints(tmp_path)
    assert held.steps() == []  # one without facts was never finished
    assert held.latest() is None
    save(held, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes", "0000000004", "0000000005"]


def test_a_finished_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    save(held, 1)
    held.save(1, small(2), {})
    with pytest.raises(CheckpointError, match="step already exists; remove it"):
        held.wait()
    assert loaded(held, 1) == 1


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 1), r"has [\d,]+ bytes, expected [\d,]+"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9] + bytes(9)), "has checksum .* expected"),
        (Path.unlink, "is missing"),
    ],
)
def test_damage_is_found_and_an_earlier_checkpoint_named(
    tmp_path: Path, name: str, damage: Callable[[Path], object], what: str
) -> None:
    held = Checkpoints(tmp_path, 3)
    save(held, 10, 20, 30)
    damage(held.path(20) / name)
    with pytest.raises(CheckpointError, match=rf"0000000020: damaged: {name} {what}.* resume from step 10$"):
        loaded(held, 20)
    assert loaded(held, 10) == 10
    damage(held.path(10) / name)
    with pytest.raises(CheckpointError, match="start again: there is no earlier one"):
        loaded(held, 10)


class Mischief:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)

    def __deepcopy__(self, _: object) -> Mischief:
        return self


def forge(held: Checkpoints, step: int, name: str, content: bytes) -> None:
    """Change a file of a checkpoint, and what its facts say of the file."""
    path, facts = held.path(step) / name, held.facts(step)
    path.write_bytes(content)
    facts["files"][name] = {"bytes": len(content), "xxh3": xxhash.xxh3_64_hexdigest(content)}
    (held.path(step) / "facts.json").write_text(json.dumps(facts))


def test_a_checkpoint_from_elsewhere_runs_no_code(tmp_path: Path) -> None:
    held, mark = Checkpoints(tmp_path / "checkpoints", 3), tmp_path / "mark"
    pickle.loads(pickle.dumps(Mischief(mark)))
    mark.rmdir()  # it would have worked
    save(held, 1)
    known = pickle.loads((held.path(1) / ".metadata").read_bytes())
    inside = dataclasses.replace(known, planner_data=Mischief(mark))
    for content in (pickle.dumps(Mischief(mark)), pickle.dumps(inside), pickle.dumps([known, print])):
        forge(held, 1, ".metadata", content)
        with pytest.raises(
            CheckpointError, match=r"0000000001: \.metadata is refused: .* could run code; do not use"
        ):
            loaded(held, 1)
    assert not mark.exists()
    forge(held, 1, ".metadata", pickle.dumps(known))
    assert loaded(held, 1) == 1


def test_a_value_of_a_checkpoint_from_elsewhere_runs_no_code(tmp_path: Path) -> None:
    held, mark = Checkpoints(tmp_path / "checkpoints", 3), tmp_path / "mark"
    held.save(1, {"x": {"value": Mischief(mark)}}, {})
    held.wait()
    found = {"x": {"value": 0}}
    with pytest.raises(CheckpointError, match="Weights only load failed"):
        held.load(1, found)
    assert not mark.exists()
    held.save(2, {"x": {"value": [3, "üç"]}}, {})
    held.load(2, found)
    assert found == {"x": {"value": [3, "üç"]}}


@pytest.mark.parametrize("where", ["/etc/hostname", "../other/__0_0.distcp", ".."])
def test_a_checkpoint_refers_to_its_own_files_alone(tmp_path: Path, where: str) -> None:
    held = Checkpoints(tmp_path)
    save(held, 1)
    known = pickle.loads((held.path(1) / ".metadata").read_bytes())
    for place in known.storage_data.values():
        place.relative_path = where
    forge(held, 1, ".metadata", pickle.dumps(known))
    with pytest.raises(CheckpointError, match=r"refers to '.*', outside the checkpoint"):
        loaded(held, 1)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_any_change_of_the_table_of_contents_is_refused_or_harmless(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".metadata").write_bytes(mutated(data, METADATA))
        with contextlib.suppress(ContentsError):
            assert isinstance(read(Path(folder)), Metadata)


def mutated(data: st.DataObject, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(changed)))])


METADATA = pickle.dumps(
    Metadata(
        {"a": TensorStorageMetadata(TensorProperties(torch.bfloat16), torch.Size([3]), [])},
        storage_data={MetadataIndex("a"): _StorageInfo("__0_0.distcp", 0, 7)},
    )
)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_facts_are_found(tmp_path: Path, content: str) -> None:
    held = Checkpoints(tmp_path, 2)
    save(held, 1, 2)
    (held.path(2) / "facts.json").write_text(content)
    assert held.latest() == 2
    with pytest.raises(CheckpointError, match=r"0000000002: damaged: facts.json .* resume from step 1$"):
        held.facts(2)


def test_a_step_without_checkpoint_is_refused_with_those_there_are(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path, 2)
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; existing ones: none"):
        held.facts(3)
    save(held, 1, 2)
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; existing ones: 1, 2"):
        loaded(held, 3)


def test_an_object_store_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"gs://bucket/run: .* local or network"):
        Checkpoints("gs://bucket/run")
    with pytest.raises(CheckpointError, match="local or network"):
        Checkpoints(Path("gs://bucket/run"))  # which is gs:/bucket/run


class Limited:
    """Within the block no file may grow beyond some bytes, as on a full disk."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_write_that_fails_is_told_and_loses_nothing(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path, 2)
    save(held, 1)
    with Limited(3000):
        held.save(2, small(2), {})
        with pytest.raises(CheckpointError, match=r"02: not written: .* unchanged: 1$"):
            held.save(3, small(3), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000000001"]
    assert loaded(held, 1) == 1
    save(held, 4)
    assert held.steps() == [1, 4]


def test_a_full_disk_is_told_before_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(4083))
    held = Checkpoints(tmp_path)
    held.save(1, small(1), {})
    with pytest.raises(CheckpointError, match="not written: it needs 4,084 bytes; 4,083 bytes are free"):
        held.wait()


def _fail_on_second_rank(world: World, folder: Path) -> list[str]:
    """Let the second rank's disk be full, then not; give what each rank was told."""
    held = Checkpoints(folder, 2, world=world)
    told = []
    for step, limit in ((1, 1 << 30), (2, 1000), (3, 1 << 30)):
        content = {"a": torch.full((4000,), 1.0), "b": torch.full((4000,), 2.0)}
        with Limited(limit if world.rank else 1 << 30):
            held.save(step, content, {})
            try:
                held.wait()
                told.append("")
            except (CheckpointError, ElsewhereError) as error:
                told.append(f"{type(error).__name__}: {error}")
    return told


def _train_and_fail(world: World, folder: Path, failure: type[Exception] | None) -> None:
    with Checkpoints(folder, world=world) as held:
        held.save(1, small(1), {})
        if failure is not None:
            raise failure


def _fail_in_training(world: World, folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _train_and_fail(world, folder, ZeroDivisionError)


def test_a_checkpoint_is_finished_where_training_fails(tmp_path: Path) -> None:
    on_ranks(_fail_in_training, tmp_path)
    assert loaded(Checkpoints(tmp_path), 1) == 1


def test_an_error_of_writing_is_raised_at_the_end_unless_training_failed(tmp_path: Path) -> None:
    with Limited(1000), pytest.raises(CheckpointError):
        _train_and_fail(ALONE, tmp_path, None)
    with Limited(1000), pytest.raises(ZeroDivisionError):
        _train_and_fail(ALONE, tmp_path, ZeroDivisionError)


def test_what_fails_on_one_rank_is_told_on_all(tmp_path: Path) -> None:
    kinds = ("CheckpointError", "ElsewhereError")  # the first rank reports it
    for told, kind in zip(on_ranks(_fail_on_second_rank, tmp_path), kinds, strict=True):
        assert [bool(each) for each in told] == [False, True, False]
        assert told[1].startswith(kind)
        assert "rank 1" in told[1]
    assert Checkpoints(tmp_path).steps() == [1, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        *((text, "lists no files with lengths and checksums") for text in (b"[]", b"3", b"{}")),
        *(
            (b'{"files": {"__0_0.distcp": %s}}' % text, "lists no files with lengths and checksums")
            for text in (b"3", b"{}", b'{"bytes": "10", "xxh3": ""}', b'{"bytes": 10}')
        ),
    ],
)
def test_a_damaged_list_of_a_checkpoints_files_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    held = Checkpoints(tmp_path)
    save(held, 1, 2)
    (held.path(2) / "facts.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"damaged: facts.json {said}.*remove this folder to start"):
        held.load(2, small(0))


def test_a_checkpoint_that_does_not_say_what_it_belongs_to_is_damaged(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, small(1), {"fingerprint": "a=b"})
    held.wait()
    assert held.fact(1, "fingerprint") == "a=b"
    with pytest.raises(CheckpointError, match=r"damaged: facts\.json has no seed"):
        held.fact(1, "seed")
    facts = held.path(1) / "facts.json"
    facts.unlink()
    facts.mkdir()
    with pytest.raises(CheckpointError, match=r"damaged: facts\.json cannot be read"):
        held.fact(1, "fingerprint")


def _damaged_on_ranks(world: World, folder: Path) -> str:
    try:
        Checkpoints(folder, world=world).load(1, small(0))
    except (CheckpointError, ElsewhereError) as error:
        return str(error)
    return ""


def test_damage_is_told_on_all_ranks(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    save(held, 1)
    os.truncate(held.path(1) / "__0_0.distcp", 10)
    for told in on_ranks(_damaged_on_ranks, tmp_path):
        assert "damaged: __0_0.distcp has 10 bytes" in told


WRITES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree")


def _die_at(event: int, folder: Path) -> None:
    """Save step 2, and die as by SIGKILL before the event-th thing is done to the folder."""
    count = 0

    def watch(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if name in WRITES and str(folder) in str(arguments[0]):
            count += 1
            if count == event:
                os.kill(os.getpid(), signal.SIGKILL)

    held = Checkpoints(folder)
    sys.addaudithook(watch)
    save(held, 2)


def test_a_kill_at_any_moment_leaves_a_checkpoint(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path / "0"), 1)
    found = []
    for event in range(1, 100):
        folder = tmp_path / str(event)
        shutil.copytree(tmp_path / "0", folder)
        (done := process(_die_at, event, folder)).join(60)
        held = Checkpoints(folder)
        latest = held.latest()
        assert latest is not None
        assert loaded(held, latest) == latest
        found.append(latest)
        save(held, 3)  # and the next save cleans up
        assert [path.name for path in folder.iterdir()] == ["0000000003"]
        if done.exitcode == 0:
            break
    assert done.exitcode == 0  # every moment was tried
    assert found == sorted(found)
    assert len(found) > 8
    assert found.count(1) > 4
    assert found.count(2) > 1


def _save_forever(folder: Path) -> None:
    held = Checkpoints(folder, 2)
    for step in range(1, 100_000):
        held.save(step, small(step), {})


def test_a_kill_at_random_moments_leaves_a_checkpoint(tmp_path: Path) -> None:
    moments = random.Random(0)
    for trial in range(4):
        folder = tmp_path / str(trial)
        started = process(_save_forever, folder)
        held = Checkpoints(folder)
        while len(held.steps()) < 2:
            assert started.is_alive()
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        started.kill()
        started.join()
        for step in held.steps():
            assert loaded(held, step) == step
