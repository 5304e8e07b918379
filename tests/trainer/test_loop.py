"""A step reads its device once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
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
ALONE = World(0, 1, 0, CPU)
READS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "unique")


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that would wait for a device, but for those on the host's own `counters`."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._loop, self.found = loop, list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in READS and not any(args[0] is counter for counter in self._counters()):
            self.found.append(name)
        return func(*args, **kwargs or {})

    def _counters(self) -> list[Tensor]:
        states = [state for optimizer in self._loop.optimizers for state in optimizer.state.values()]
        return [state["step"] for state in states if "step" in state]


def batch(seed: int) -> Batch:
    """Two windows of eight targets, one document each."""
    drawn = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    starts, whole = torch.tensor([0, 8, 16, 16], dtype=torch.int32), torch.full((2,), 8, dtype=torch.int32)
    return Batch(drawn, starts, whole, torch.zeros(2, dtype=torch.bool), torch.arange(2), 16, 72, 2)


def looped(settings: config.Optimizer, experts: int) -> Loop:
    sizes = config.Model(depth=2, width=32, head=16, experts=config.Experts(count=experts))
    model = build(shape(sizes, 64), 0, CPU, torch.float32)
    guard = Guard(settings.clip, settings.outlier, settings.patience)
    balance = Balance(model, 0.001) if experts else None
    optimizers = optim.build(model, settings, CPU)
    return Loop(model, optimizers, guard, Ema(model, 0.9), ALONE, balance=balance)


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("name", sorted(recipe.LEARNING_RATES))
def test_a_step_reads_loss_and_norm_together_and_nothing_else(
    name: str, experts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.Optimizer.model_validate({"name": name, "clip": 1e-3})
    loop = looped(settings, experts)
    lists: list[tuple[int, ...]] = []
    tolist = Tensor.tolist

    def noted(self: Tensor) -> Any:
        lists.append(tuple(self.shape))
        return tolist(self)

    monkeypatch.setattr(Tensor, "tolist", noted)
    for step in range(2):
        lists.clear()
        with Reads(loop) as reads:
            done = loop.step([batch(2 * step), batch(2 * step + 1)], 1.0)
        assert (done.targets, done.decision.skip) == (32, "")
        assert done.decision.norm > settings.clip
        assert reads.found == []
        assert lists == [(4,), (2,)]  # the counts of tokens, targets and keys, on the host; loss and norm


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
