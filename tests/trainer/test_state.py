"""States of runs: what was saved is loaded bit for bit, on any number of ranks, or refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from ranks import on_ranks
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from corpus.errors import CheckpointError
from trainer import config, dcp, optim, parallel, state
from trainer.attention import Documents
from trainer.average import Ema
from trainer.checkpoint import Checkpoints
from trainer.guard import Guard
from trainer.model import build
from trainer.shape import shape
from trainer.world import World

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
        total = self.world.total(loss)
        verdict = self.guard.check(total, self.bare.parameters())
        optim.set_rate(self.optimizers, 1 / (number + 1))
        optim.set_skip(self.optimizers, verdict.skip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(verdict.skip)
        return float(total)

    def bits(self) -> dict[str, NDArray[Any]]:
        """Return every tensor of the state by name, whole."""
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
    write = dcp.write

    def later(*arguments: Any) -> None:
        assert begin.wait(30)
        write(*arguments)

    monkeypatch.setattr(dcp, "write", later)
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


def _staged(world: World, how: parallel.Kind) -> tuple[dict[str, int], int]:
    """Return the bytes of host memory that each tensor of this rank is staged in, and those of the state."""
    training = Training(0, "muon", world, how)
    training.step(0)
    content = state.collect(training.state)
    return held_bytes(state.staged(content, world.rank, world.size)), state.size(content)


def held_bytes(content: Any, name: str = "") -> dict[str, int]:
    if isinstance(content, dict):
        return {k: v for key, each in content.items() for k, v in held_bytes(each, f"{name}.{key}").items()}
    own = content.to_local() if isinstance(content, DTensor) else content
    return {name: own.nbytes if isinstance(own, Tensor) else 0}


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_each_rank_stages_its_share(how: str) -> None:
    staged = on_ranks(_staged, how)
    (one, whole), (other, _) = staged
    assert sum(one.values()) + sum(other.values()) == whole
    assert all(0.4 * whole < sum(each.values()) < 0.6 * whole for each, _ in staged)
    if how == "ddp":
        assert not one.keys() & other.keys()


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 40), min_size=1),
    ranks=st.integers(1, 5),
)
def test_each_tensor_is_staged_by_one_rank_and_none_has_more_than_a_tensor_above_another(
    sizes: dict[str, int], ranks: int
) -> None:
    content = {"part": {name: torch.zeros(size, dtype=torch.uint8) for name, size in sizes.items()}}
    staged = [state.staged(content, rank, ranks).get("part", {}) for rank in range(ranks)]
    assert sorted(name for each in staged for name in each) == sorted(sizes)
    shares = [sum(tensor.nbytes for tensor in each.values()) for each in staged]
    assert max(shares) - min(shares) <= max(sizes.values())


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
    content = {"a": torch.ones(1000), "b": torch.ones(3, 7)}
    held.save(1, content | {"d": {"x": torch.ones(1), "y": torch.ones(1)}}, {})
    with pytest.raises(CheckpointError, match=message):
        held.load(1, wanted)
