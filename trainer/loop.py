"""One training step: micro-batches give a gradient, the guard decides, the optimizers change the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from trainer import optim, parallel
from trainer.average import Ema
from trainer.experts import Balance
from trainer.guard import Decision, Guard
from trainer.loader import Batch
from trainer.objective import CAUSAL, Objective, unpack
from trainer.world import World


@dataclass(frozen=True, slots=True)
class Step:
    """The guard's decision and, over all ranks, the tokens that were read, the targets and attended keys.

    `encoded`: of the tokens, those that an encoder-decoder's encoder read.
    """

    decision: Decision
    tokens: int
    targets: int
    attended: int
    encoded: int = 0


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
        self._world, self._objective, self.balance = world, objective, balance

    def step(self, batches: Sequence[Batch], rate: float) -> Step:
        """Train on this rank's micro-batches of one step, at a share `rate` of the peak learning rates.

        The loss is a sum over tokens, divided by the number of targets of all ranks' micro-batches, so the
        gradient does not depend on how the step is divided into micro-batches and ranks.
        """
        learned = self._objective
        counts = torch.tensor(
            [
                [each.tokens, each.targets, each.attended, each.encoded]
                for each in map(learned.count, batches)
            ],
            dtype=torch.float64,
        )
        tokens, targets, attended, encoded = self._world.total(counts.sum(0)).tolist()
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
        decision = self.guard.check(mean, self.model.parameters())
        if not decision.skip:
            optim.set_rate(self.optimizers, rate)
            for optimizer in self.optimizers:
                optimizer.step()
            if self.balance is not None:
                self.balance.update()
            if self.ema is not None:
                self.ema.update()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        return Step(decision, int(tokens), int(targets), int(attended), int(encoded))
