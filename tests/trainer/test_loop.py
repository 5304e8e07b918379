"""A step does not wait for its device, and a skipped one changes nothing."""

from __future__ import annotations

import math
import sys
from functools import partial
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainer import config, optim, recipe
from trainer.average import Ema
from trainer.experts import Balance
from trainer.guard import Guard
from trainer.loader import Batch
from trainer.loop import Loop
from trainer.model import build
from trainer.shape import shape
from trainer.world import World

CPU = torch.device("cpu")
META = torch.device("meta")
READS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "unique")


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that would wait for a device: reads of it, and copies that wait for it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        out = func(*args, **kwargs)
        moved = name == "_to_copy" and out.device != args[0].device and not kwargs.get("non_blocking")
        copied = name == "copy_" and args[0].device != args[1].device
        if name in READS or moved or copied:
            self.found.append(name)
        return out


def batch(seed: int) -> Batch:
    """Two windows of eight targets, one document each."""
    drawn = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    starts, whole = torch.tensor([0, 8, 16, 16], dtype=torch.int32), torch.full((2,), 8, dtype=torch.int32)
    return Batch(drawn, starts, whole, torch.zeros(2, dtype=torch.bool), torch.arange(2), 16, 72, 2)


def looped(
    settings: config.Optimizer, experts: int = 0, device: torch.device = CPU, outlier: float = 6.0
) -> Loop:
    sizes = config.Model(depth=2, width=32, head=16, experts=config.Experts(count=experts))
    on_cpu = device.type == "cpu"
    dtype = torch.float32 if on_cpu else torch.bfloat16
    model = build(shape(sizes, 64), 0, device, dtype, draw=on_cpu)
    guard = Guard(settings.clip, outlier, settings.patience, device)
    balance = Balance(model, 0.001) if experts else None
    optimizers = optim.build(model, settings, device)
    world = World(0, 1, 0, device)
    return Loop(model, optimizers, guard, Ema(model, 0.9), world, balance=balance)


def optimizers() -> list[dict[str, Any]]:
    names: list[dict[str, Any]] = [{"name": name} for name in sorted(recipe.LEARNING_RATES)]
    return [*names, {"name": "muon", "normalize": True, "cautious": True}]


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("settings", optimizers(), ids=str)
def test_a_step_does_not_wait_for_its_device(
    settings: dict[str, Any], packed: bool, experts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device has no values: what depends on one fails. The copy to the host is omitted."""
    monkeypatch.setattr("trainer.guard.Unread", lambda numbers: numbers)
    optimizer = sys.modules["torch.optim.optimizer"]  # of AdamW, which takes only devices that it knows
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta"])
    if packed:
        monkeypatch.setattr("trainer.model.mask", lambda documents, dtype: documents)
    loop = looped(config.Optimizer.model_validate(settings), experts, META)
    for step in range(2):
        with Reads() as reads:
            done = loop.step([batch(2 * step), batch(2 * step + 1)], 1.0)
        assert reads.found == []
        assert (done.tokens, done.targets) == (32, 32)
        assert done.unread.shape == (5,)  # type: ignore[attr-defined]


def test_the_numbers_of_a_step_are_read_from_a_copy_that_does_not_wait() -> None:
    loop = looped(config.Optimizer(clip=1e-3))
    with Reads() as reads:
        done = loop.step([batch(0), batch(1)], 1.0)
    assert reads.found == []
    assert (done.decision.skip, done.decision.row, done.decision.limit) == ("", 0, math.inf)
    assert done.decision.norm > 1e-3
    assert done.decision is done.decision  # read once


def test_a_read_of_a_device_is_noticed() -> None:
    with Reads() as reads:
        assert torch.ones(()).item() == 1.0
        torch.ones(3).to("meta")
        torch.ones(3).to("meta", non_blocking=True)
        torch.empty(3, device="meta").copy_(torch.ones(3))
    assert reads.found == ["_local_scalar_dense", "_to_copy", "copy_"]


def held(loop: Loop) -> dict[str, Tensor]:
    """Everything that a step changes, but for the guard's memory; a moment that is not there yet is zeros."""
    assert loop.ema is not None
    found = {name: value.clone() for name, value in loop.model.state_dict().items()}
    found |= {f"ema.{name}": value.clone() for name, value in loop.ema.weights.items()}
    found["ema"] = loop.ema.state_dict()["count"].clone()
    for number, optimizer in enumerate(loop.optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for place, parameter in enumerate(parameters):
            for key, value in optimizer.state[parameter].items():
                found[f"{number}.{place}.{key}"] = value.clone()
    return found


@pytest.mark.parametrize("kind", ["not finite", "outlier"])
@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("settings", optimizers(), ids=str)
@given(bad=st.sets(st.integers(0, 5), min_size=1, max_size=4))
@hypothesis.settings(
    deadline=None, max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_skipped_step_leaves_everything_as_it_was(
    settings: dict[str, Any], experts: int, kind: str, bad: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with bad steps between the others is, bit for bit, the run of the others alone."""
    good = [step for step in range(6) if step not in bad]
    found = []
    for steps in (range(6), good):
        loop = looped(config.Optimizer.model_validate(settings), experts)
        decide = loop.guard.decide

        def decided(loss: Tensor, norm: Tensor, spoil: bool, decide: Any = decide) -> Tensor:
            if spoil and kind == "not finite":
                return torch.tensor([loss, math.nan, math.inf, 1.0, 1.0], dtype=torch.float64)
            numbers: Tensor = decide(loss, norm)
            if spoil:
                numbers[3:] = torch.tensor([2.0, 1.0])
            return numbers

        for step in steps:
            spoil = step in bad
            monkeypatch.setattr(loop.guard, "decide", partial(decided, spoil=spoil))
            before = held(loop)
            if spoil and kind == "not finite":
                first = next(loop.model.parameters())
                handle = first.register_hook(lambda gradient: gradient * math.nan)
            done = loop.step([batch(step)], 1.0)
            if spoil and kind == "not finite":
                handle.remove()
            assert done.decision.skip == (kind if spoil else "")
            after = held(loop)
            for name, value in after.items():
                was = before.get(name, torch.zeros_like(value))
                assert not spoil or torch.equal(value, was), name
        found.append(held(loop))
    for name, value in found[1].items():
        assert torch.equal(found[0][name], value), name


def test_biases_change_once_a_step_by_all_of_its_tokens_and_not_if_it_is_skipped() -> None:
    loop = looped(config.Optimizer(), 4)
    biases = {name: value for name, value in loop.model.named_buffers() if name.endswith("bias")}
    assert len(biases) == 2
    assert loop.balance is not None
    loop.step([batch(0), batch(1)], 1.0)
    assert loop.balance.load.sum(1).tolist() == [64, 64]  # 2 · 2 windows of 8 tokens, 2 experts each
    expected = (loop.balance.load.mean(1, keepdim=True) - loop.balance.load).sign() * 0.001
    torch.testing.assert_close(torch.stack(list(biases.values())), expected.float())
    held = {name: value.clone() for name, value in biases.items()}
    with torch.no_grad():
        next(loop.model.parameters()).fill_(torch.nan)
    assert loop.step([batch(2)], 1.0).decision.skip == "not finite"
    assert all(torch.equal(value, held[name]) for name, value in biases.items())
    assert loop.balance.load.sum(1).tolist() == [32, 32]
