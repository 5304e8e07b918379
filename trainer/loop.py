"""One training step: micro-batches give a gradient, the guard decides, the optimizers change the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from trainer import optim, parallel
from trainer.average import Ema
from trainer.experts import Balance
from trainer.guard import Decision, Guard, Unread
from trainer.loader import Batch
from trainer.objective import CAUSAL, Objective, unpack
from trainer.world import World


@dataclass(frozen=True, slots=True)
class Step:
    """The guard's decision and, over all ranks, the tokens that were read, the targets and attended keys.

    `encoded`: of the tokens, those that an encoder-decoder's encoder read.
    """

    unread: Unread
    tokens: int
    targets: int
    attended: int
    encoded: int = 0

    @property
    def decision(self) -> Decision:
        """Return the guard's decision; wait until the device has made it."""
        return self.unread.read()


class Loop:
    """Everything that a step changes: weights, moments, averages, biases of experts, the guard's memory."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        guard: Guard,
        ema: Ema | None,
        world: World,
        objective: Objective = CAUSAL,
        balance: Balance | None = None,
    ) -> None:
        self.model, self.optimizers, self.guard, self.ema = model, list(optimizers), guard, ema
        self._world, self.objective, self.balance = world, objective, balance

    def step(self, batches: Sequence[Batch], rate: float) -> Step:
        """Train on this rank's micro-batches of one step, at a share `rate` of the peak learning rates.

        The step is queued on the device, and nothing here waits for it: `Step.decision` does.

        The loss is a sum over tokens, divided by the number of targets of all ranks' micro-batches, so the
        gradient does not depend on how the step is divided into micro-batches and ranks.
        """
        learned = self.objective
        counts = [learned.count(batch) for batch in batches]
        tokens, targets, attended, encoded = self._world.sums(
            sum(each.tokens for each in counts),
            sum(each.targets for each in counts),
            sum(each.attended for each in counts),
            sum(each.encoded for each in counts),
        )
        targets = max(targets, 1)  # texts too short for spans give nothing to learn
        nll = torch.zeros((), dtype=torch.float64, device=self._world.device)
        for number, batch in enumerate(batches):
            inputs, wanted, documents = unpack(batch, self._world.device, learned)
            with parallel.accumulate(self.model, last=number == len(batches) - 1):
                loss, each = self.model(inputs, documents, wanted)
                (loss / targets).backward()
            nll += each.sum(dtype=torch.float64)
            if self.balance is not None:
                self.balance.add()
        if self.balance is not None:
            self.balance.end(self._world)
        mean = self._world.total(nll) / targets
        verdict = self.guard.check(mean, self.model.parameters())
        optim.set_rate(self.optimizers, rate)
        optim.set_skip(self.optimizers, verdict.skip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.balance is not None:
            self.balance.update(verdict.skip)
        if self.ema is not None:
            self.ema.update(verdict.skip)
        return Step(verdict.decision, tokens, targets, attended, encoded)
