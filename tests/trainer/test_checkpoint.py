"""Checkpoints: what was saved is loaded bit for bit on any number of ranks; no kill or damage loses a run."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ranks import on_ranks, process
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer import config, optim, parallel, state
from trainer.attention import Documents
from trainer.average import Ema
from trainer.checkpoint import CheckpointError, Checkpoints
from trainer.guard import Guard
from trainer.model import build
from trainer.parallel import World
from trainer.shape import shape

CPU = torch.device("cpu")
ALONE = World(0, 1, 0, CPU)
LENGTH, VOCABULARY = 16, 300
OPTIMIZERS = ["adamw", "muon", "adafactor", "lion", "lamb"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Let a small model use one thread: more of them wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Training:
    """A model in training, with all that a checkpoint of it holds."""

    def __init__(
        self, seed: int, name: str = "adamw", world: World = ALONE, how: parallel.Kind = "alone"
    ) -> None:
        settings = config.Optimizer(name=name)  # type: ignore[arg-type]
        made = shape(config.Model(depth=2, width=32, head=16, tied=True), VOCABULARY)
        self.world = world
        self.bare = build(made, seed, CPU, torch.float32)
        self.model = parallel.wrap(self.bare, world, how)
        self.optimizers = optim.build(self.bare, settings, CPU)
        self.guard = Guard(settings.clip, settings.outlier, settings.patience)
        self.ema = Ema(self.bare, 0.9)

    @property
    def state(self) -> dict[str, Any]:
        return {"model": self.bare, "optimizers": self.optimizers, "guard": self.guard, "ema": self.ema}

    def step(self, number: int) -> float:
        generator = torch.Generator().manual_seed(number)
        tokens = torch.randint(0, VOCABULARY, (4, LENGTH + 1), generator=generator)
        mine = tokens.chunk(self.world.size)[self.world.rank]
        documents = Documents.whole(len(mine), LENGTH, CPU)
        loss, _ = self.model(mine[:, :-1], documents, mine[:, 1:])
        (loss / 64).backward()
        total = float(self.world.total(loss))
        self.guard.check(total, self.bare.parameters())
        optim.set_rate(self.optimizers, 1 / (number + 1))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update()
        return total

    def bits(self) -> dict[str, NDArray[Any]]:
        """Give every tensor of the state by name, whole."""
        return flat(state.collect(self.state))


def flat(content: Any, name: str = "") -> dict[str, NDArray[Any]]:
    if isinstance(content, dict):
        return {k: v for key, each in content.items() for k, v in flat(each, f"{name}.{key}").items()}
    found = content.full_tensor() if isinstance(content, DTensor) else torch.as_tensor(content)
    return {name: found.detach().numpy().copy()}


def assert_same(found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        np.testing.assert_array_equal(found[name], each, err_msg=name)


def trained(steps: int, name: str = "adamw") -> Training:
    training = Training(0, name)
    for number in range(steps):
        training.step(number)
    return training


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    whole = trained(3, name)
    held = Checkpoints(tmp_path)
    held.save(3, whole.state, {"tokens": 192})
    saved = whole.bits()
    after = [whole.step(number) for number in range(3, 6)]

    resumed = Training(1, name)
    held.load(3, resumed.state)
    assert_same(resumed.bits(), saved)
    assert [resumed.step(number) for number in range(3, 6)] == after
    assert_same(resumed.bits(), whole.bits())


def test_what_training_does_after_a_save_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Event()
    write = state.write

    def later(*arguments: Any) -> None:
        assert begin.wait(30)
        write(*arguments)

    monkeypatch.setattr(state, "write", later)
    training = trained(1)
    held = Checkpoints(tmp_path)
    held.save(1, training.state, {})
    saved = training.bits()
    for number in range(1, 4):
        training.step(number)
    assert held.steps() == []  # still being written
    begin.set()
    held.wait()
    held.load(1, training.state)
    assert_same(training.bits(), saved)


def test_going_back_forgets_moments_that_a_checkpoint_has_not(tmp_path: Path) -> None:
    training = Training(0)
    held = Checkpoints(tmp_path)
    held.save(0, training.state, {})
    saved = training.bits()
    assert not any(".exp_avg" in name for name in saved)  # saving takes no step
    losses = [training.step(number) for number in range(2)]
    held.load(0, training.state)
    assert_same(training.bits(), saved)
    assert [training.step(number) for number in range(2)] == losses


def test_settings_of_optimizers_are_the_configurations(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, trained(1).state, {})
    other = Training(1)
    rates = [group["lr"] for optimizer in other.optimizers for group in optimizer.param_groups]
    held.load(1, other.state)
    assert [group["lr"] for optimizer in other.optimizers for group in optimizer.param_groups] == rates
    assert min(rates) > 0
    assert all(parameter.grad is None for parameter in other.bare.parameters())


def test_a_model_is_loaded_without_its_optimizers(tmp_path: Path) -> None:
    training = trained(1)
    held = Checkpoints(tmp_path)
    held.save(1, training.state, {})
    held.wait()
    model = Training(1).bare
    Checkpoints(tmp_path).load(1, {"model": model})
    assert_same(flat(model.state_dict()), flat(training.bare.state_dict()))


def test_an_average_is_loaded_into_plain_tensors(tmp_path: Path) -> None:
    training = trained(2)
    held = Checkpoints(tmp_path)
    held.save(2, training.state, {})
    weights = {name: torch.zeros_like(p) for name, p in training.bare.named_parameters()}
    held.load(2, {"ema": {"weights": weights, "count": (count := torch.tensor(0))}})
    assert_same(flat(weights), flat(training.ema.weights))
    assert count == 2


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


def test_tied_weights_are_saved_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(4096, 64)
            self.head = nn.Linear(64, 4096, bias=False)
            self.head.weight = self.embedding.weight
            self.register_buffer("scale", torch.ones(1))

    one, other = Tied(), Tied()
    held = Checkpoints(tmp_path)
    held.save(1, {"model": one}, {})
    held.load(1, {"model": other})
    size = sum(each["bytes"] for each in held.facts(1)["files"].values())
    assert 4096 * 64 * 4 < size < 1.1 * 4096 * 64 * 4
    assert torch.equal(other.head.weight, one.head.weight)
    assert other.head.weight is other.embedding.weight


def _load_sharded(world: World, folder: Path, name: str) -> list[tuple[dict[str, NDArray[Any]], float]]:
    """Load step 2, replicated and sharded; give the bits, and the loss of the step after."""
    answers = []
    held = Checkpoints(folder, world=world)
    for how in ("ddp", "fsdp"):
        training = Training(1, name, world, how)
        held.load(2, training.state)
        answers.append((training.bits(), training.step(2)))
    return answers


def _save_and_load_sharded(
    world: World, folder: Path, name: str, how: parallel.Kind
) -> list[tuple[dict[str, NDArray[Any]], float]]:
    """Save step 2; give the bits, and the loss of the step after; then what is loaded again."""
    training = Training(0, name, world, how)
    for number in range(2):
        training.step(number)
    held = Checkpoints(folder, world=world)
    held.save(2, training.state, {})
    saved = training.bits()
    after = training.step(2)
    held.wait()
    return [(saved, after), *_load_sharded(world, folder, name)]


@pytest.mark.parametrize("name", ["muon", "adafactor"])
@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_two_ranks_save_and_any_number_loads(tmp_path: Path, name: str, how: str) -> None:
    ranks = on_ranks(_save_and_load_sharded, tmp_path, name, how)
    saved, after = ranks[0][0]
    for answers in ranks:
        for loaded, next_loss in answers:
            assert_same(loaded, saved)
            assert next_loss == pytest.approx(after, rel=1e-5)
    files = [path.name for path in Checkpoints(tmp_path).path(2).iterdir()]
    assert {"__0_0.distcp", "__1_0.distcp"} <= set(files)  # both wrote
    alone = Training(1, name)
    Checkpoints(tmp_path).load(2, alone.state)
    assert_same(alone.bits(), saved)
    assert alone.step(2) == pytest.approx(after, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_one_process_saves_and_two_ranks_load(tmp_path: Path, name: str) -> None:
    training = trained(2, name)
    held = Checkpoints(tmp_path)
    held.save(2, training.state, {})
    saved = training.bits()
    held.wait()
    after = training.step(2)
    for answers in on_ranks(_load_sharded, tmp_path, name):
        for loaded, next_loss in answers:
            assert_same(loaded, saved)
            assert next_loss == pytest.approx(after, rel=1e-5)


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
    with pytest.raises(CheckpointError, match="step already; remove it"):
        held.wait()
    assert loaded(held, 1) == 1


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 1), r"has [\d,]+ bytes, not [\d,]+"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9] + bytes(9)), "has checksum .* not"),
        (Path.unlink, "is missing"),
    ],
)
def test_damage_is_found_and_an_earlier_checkpoint_named(
    tmp_path: Path, name: str, damage: Callable[[Path], object], what: str
) -> None:
    held = Checkpoints(tmp_path, 3)
    save(held, 10, 20, 30)
    damage(held.path(20) / name)
    with pytest.raises(CheckpointError, match=rf"0000000020: damaged: {name} {what}.* go on from step 10$"):
        loaded(held, 20)
    assert loaded(held, 10) == 10
    damage(held.path(10) / name)
    with pytest.raises(CheckpointError, match="begin anew: there is no earlier one"):
        loaded(held, 10)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_facts_are_found(tmp_path: Path, content: str) -> None:
    held = Checkpoints(tmp_path, 2)
    save(held, 1, 2)
    (held.path(2) / "facts.json").write_text(content)
    assert held.latest() == 2
    with pytest.raises(CheckpointError, match=r"0000000002: damaged: facts.json .* go on from step 1$"):
        held.facts(2)


def test_a_step_without_checkpoint_is_refused_with_those_there_are(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path, 2)
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; there are: none"):
        held.facts(3)
    save(held, 1, 2)
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; there are: 1, 2"):
        loaded(held, 3)


def test_an_object_store_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"gs://bucket/run: .* local or network"):
        Checkpoints("gs://bucket/run")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"a": torch.ones(1001), "b": torch.ones(3, 7)},
            r"a: found .* \[1000\], expected .* \[1001\]",
        ),
        ({"a": torch.ones(1000, dtype=torch.bfloat16)}, r"a: found torch.float32 .* expected torch.bfloat16"),
        ({"a": torch.ones(1000), "c": torch.ones(1)}, r"c: found nothing, expected torch.float32 \[1\]"),
        ({"d": {"x": torch.ones(1)}}, r"d.y: found torch.float32 \[1\], expected nothing"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, wanted: dict[str, Tensor], message: str
) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, small(1) | {"d": {"x": torch.ones(1), "y": torch.ones(1)}}, {})
    with pytest.raises(CheckpointError, match=message):
        held.load(1, wanted)


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
        with pytest.raises(CheckpointError, match=r"02: not written: .* as they were: 1$"):
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
    with pytest.raises(CheckpointError, match="not written: it takes 4,084 bytes; 4,083 bytes are free"):
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
            except CheckpointError as error:
                told.append(str(error))
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
    for told in on_ranks(_fail_on_second_rank, tmp_path):
        assert [bool(each) for each in told] == [False, True, False]
        assert "rank 1" in told[1]
    assert Checkpoints(tmp_path).steps() == [1, 3]


def _damaged_on_ranks(world: World, folder: Path) -> str:
    try:
        Checkpoints(folder, world=world).load(1, small(0))
    except CheckpointError as error:
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
