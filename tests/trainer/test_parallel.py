"""Ranks: gradients are sums, however a batch is divided; a run starts and stops as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ranks import on_ranks
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer import config, parallel
from trainer.attention import Documents
from trainer.model import Transformer, build
from trainer.shape import shape
from trainer.world import World

CPU = torch.device("cpu")
ALONE = World(0, 1, 0, CPU)
ROWS, LENGTH, VOCABULARY = 8, 16, 300
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Let a small model use one thread: more of them wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model(
    dtype: torch.dtype = torch.float32, *, tied: bool = False, dropout: float = 0.0, experts: int = 0
) -> Transformer:
    mixture = config.Experts(count=experts)
    made = shape(config.Model(depth=2, width=32, head=16, tied=tied, experts=mixture), VOCABULARY)
    return build(made, 0, CPU, dtype, dropout=dropout)


def batch() -> tuple[Tensor, Tensor]:
    """Make a batch whose rows have 3, 0, 16, ... targets, so that shares of ranks are unequal."""
    tokens = torch.randint(0, VOCABULARY, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
    for row, valid in enumerate([3, 0, 16, 1, 16, 16, 15, 16]):
        targets[row, valid:] = -100
    return inputs, targets


def whole(tensor: Tensor | None) -> NDArray[Any]:
    assert tensor is not None
    found = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return found.detach().numpy().copy()


def gradients(
    world: World,
    how: parallel.Kind = "alone",
    micro_batches: int = 1,
    *,
    dtype: torch.dtype = torch.float32,
    tied: bool = False,
    compiled: bool = False,
    recompute: bool = False,
    dropout: float = 0.0,
    experts: int = 0,
    steps: int = 1,
) -> Arrays:
    """Return the gradients of a step's batch by name, of the last of some steps of gradient descent."""
    torch.manual_seed(0)
    bare = model(dtype, tied=tied, dropout=dropout, experts=experts)
    wrapped = parallel.wrap(bare, world, how, compiled=compiled, recompute=recompute)
    inputs, targets = (each.chunk(world.size)[world.rank] for each in batch())
    valid = world.total((targets != -100).sum())
    for step in range(steps):
        parts = list(zip(inputs.chunk(micro_batches), targets.chunk(micro_batches), strict=True))
        for number, (x, y) in enumerate(parts):
            with parallel.accumulate(wrapped, last=number == len(parts) - 1):
                loss, _ = wrapped(x, Documents.whole(len(x), LENGTH, CPU), y)
                (loss / valid).backward()
        if step < steps - 1:
            with torch.no_grad():
                for parameter in bare.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(parameter.grad, alpha=0.1)
                    parameter.grad = None
    return {name: whole(p.grad) for name, p in bare.named_parameters()}


def largest_difference(found: Arrays, expected: Arrays) -> float:
    assert found.keys() == expected.keys()
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)


WAYS: list[dict[str, Any]] = [
    {"how": "ddp"},
    {"how": "ddp", "micro_batches": 2, "recompute": True},
    {"how": "ddp", "micro_batches": 4, "tied": True, "steps": 2},
    {"how": "fsdp"},
    {"how": "fsdp", "micro_batches": 2, "recompute": True},
    {"how": "fsdp", "micro_batches": 4, "tied": True, "steps": 2},
    {"how": "ddp", "micro_batches": 2, "recompute": True, "experts": 3},
    {"how": "fsdp", "micro_batches": 2, "recompute": True, "experts": 3},  # two of them on one rank
]


def _all_ways(world: World) -> list[Arrays]:
    return [gradients(world, **way) for way in WAYS]


def test_two_ranks_and_accumulation_give_the_gradients_of_one_rank_and_one_batch() -> None:
    ranks = on_ranks(_all_ways)
    for found in ranks:
        for way, each in zip(WAYS, found, strict=True):
            rest = {name: way[name] for name in way if name in ("tied", "steps", "experts")}
            expected = gradients(ALONE, **rest)
            assert largest_difference(each, expected) < 1e-6, way
            assert max(np.abs(each[name]).max() for name in each) > 0.01
            assert ("head.weight" in each) != rest.get("tied", False)


@pytest.mark.parametrize("micro_batches", [2, 4, 8])
def test_one_rank_accumulates_the_gradients_of_one_batch(micro_batches: int) -> None:
    assert largest_difference(gradients(ALONE, "alone", micro_batches), gradients(ALONE)) < 1e-6


@pytest.mark.parametrize(("dropout", "experts"), [(0.0, 0), (0.1, 0), (0.1, 4)])
def test_recomputed_activations_change_no_bit(dropout: float, experts: int) -> None:
    again = gradients(ALONE, recompute=True, dropout=dropout, experts=experts)
    assert largest_difference(again, gradients(ALONE, dropout=dropout, experts=experts)) == 0.0


def _between_micro_batches(world: World) -> tuple[float, bool]:
    """Return the largest difference from the rank's own gradients, and whether sharded ones exist."""
    inputs, targets = (each.chunk(world.size)[world.rank] for each in batch())
    own, replicated, sharded = model(), model(), model()
    ways: list[tuple[parallel.Kind, Transformer]] = [("alone", own), ("ddp", replicated), ("fsdp", sharded)]
    for how, each in ways:
        wrapped = parallel.wrap(each, world, how)
        with parallel.accumulate(wrapped, last=False):
            wrapped(inputs, Documents.whole(len(inputs), LENGTH, CPU), targets)[0].backward()
    expected = {name: whole(p.grad) for name, p in own.named_parameters()}
    found = {name: whole(p.grad) for name, p in replicated.named_parameters()}
    return largest_difference(found, expected), any(p.grad is not None for p in sharded.parameters())


def test_gradients_travel_with_the_last_micro_batch_only() -> None:
    for difference, sharded in on_ranks(_between_micro_batches):
        assert difference == 0.0
        assert not sharded


def _bfloat16(world: World) -> tuple[Arrays, set[str]]:
    wrapped = parallel.wrap(model(torch.bfloat16), world, "fsdp")
    kept = {str(parameter.dtype) for parameter in wrapped.parameters()}
    return gradients(world, "fsdp", 2, dtype=torch.bfloat16), kept


def test_sharded_bfloat16_keeps_weights_and_gradients_in_float32() -> None:
    expected = gradients(ALONE, dtype=torch.bfloat16)
    for found, kept in on_ranks(_bfloat16):
        assert kept == {"torch.float32"}
        assert {each.dtype for each in found.values()} == {np.dtype(np.float32)}
        for name, each in expected.items():
            assert np.linalg.norm(found[name] - each) < 0.02 * np.linalg.norm(each), name
        summed = torch.from_numpy(found["embedding.weight"])
        assert not torch.equal(summed, summed.bfloat16().float())  # summed in float32


def _swapped(world: World) -> tuple[list[float], list[float]]:
    """Evaluate with weights and with others in turn; sharded ones must never be those of the time before."""
    losses: list[list[float]] = []
    for how in ("ddp", "fsdp"):
        plain = model()
        wrapped = parallel.wrap(plain, world, how)
        inputs, targets = batch()
        losses.append([])
        for factor in (1.0, 0.0, 1.0, 2.0):
            kept = [parameter.detach().clone() for parameter in plain.parameters()]
            with torch.no_grad():
                for parameter in plain.parameters():
                    parameter.mul_(factor)
                loss, _ = wrapped(inputs, Documents.whole(ROWS, LENGTH, CPU), targets)
                losses[-1].append(float(loss))
                for parameter, before in zip(plain.parameters(), kept, strict=True):
                    parameter.copy_(before)
    return losses[0], losses[1]


def test_weights_that_are_swapped_for_an_evaluation_are_the_ones_used() -> None:
    for replicated, sharded in on_ranks(_swapped):
        assert sharded == pytest.approx(replicated, rel=1e-6)
        assert len(set(replicated)) == 3


def test_compiled_blocks_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Callable[..., Any]] = []

    def trace(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
        compiled.append(function)
        return original(function, backend="aot_eager", **settings)

    original = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    found = gradients(ALONE, compiled=True, recompute=True)
    assert largest_difference(found, gradients(ALONE)) < 1e-6
    assert len(compiled) == 2  # one function a block


def test_compiled_experts_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """In half precision, in which alone torch compiles their products."""
    original = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **settings: original(function, backend="aot_eager", **settings)
    )
    found = gradients(ALONE, compiled=True, recompute=True, dtype=torch.bfloat16, experts=4)
    for name, each in gradients(ALONE, dtype=torch.bfloat16, experts=4).items():
        assert np.linalg.norm(found[name] - each) < 0.02 * np.linalg.norm(each), name


def test_names_of_parameters_stay_when_blocks_are_compiled_and_recomputed() -> None:
    names = [name for name, _ in model().named_parameters()]
    wrapped = parallel.wrap(model(), ALONE, "alone", compiled=True, recompute=True)
    assert [name for name, _ in wrapped.named_parameters()] == names


def test_sharding_refuses_to_untie_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.compute_dtype = torch.float32
            self.blocks = nn.ModuleList([nn.Linear(4, 4)])
            self.embedding = nn.Embedding(8, 4)
            self.head = nn.Linear(4, 8, bias=False)
            self.head.weight = self.embedding.weight

    def untie(module: nn.Module, **_: Any) -> None:
        if isinstance(module, Tied):
            module.head.weight = nn.Parameter(module.head.weight.detach().clone())

    monkeypatch.setattr("torch.distributed.fsdp.fully_shard", untie)
    monkeypatch.setattr("torch.distributed.device_mesh.init_device_mesh", lambda *_: None)
    with pytest.raises(AssertionError, match="untied"):
        parallel.wrap(Tied(), ALONE, "fsdp")


def test_ranks_are_wrapped_as_configured() -> None:
    two = World(0, 2, 0, CPU)
    assert [parallel.kind(config.Run(parallel=each), two) for each in ("auto", "ddp", "fsdp")] == [
        "ddp",
        "ddp",
        "fsdp",
    ]
