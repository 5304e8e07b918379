"""Clip the gradient, and leave out steps that would harm: not finite, or far above the norms of late.

A step is decided by two numbers, the loss and the norm of the whole gradient, which are the same on every
rank; so all ranks decide alike without asking each other. They come to the host together: one wait for the
device a step. A step left out is no step at all: no optimizer runs, so moments, step counters and averages
stay as they were. (Skipping inside the optimizer would save the wait, at the price of a mask in every rule.)

After `patience` such steps in a row the weights themselves are suspect, and `rollback` asks the loop to

    load the latest checkpoint from before them (weights, optimizers, averages, this guard), call
    `rolled_back()`, and go on with the NEXT step's data and schedule,

so the bad stretch is passed over, and one integer, the step, still says where a run stands: the updates
between the checkpoint and the bad stretch are lost, their tokens are not read again. A run killed before
its next checkpoint repeats the same steps, decisions and rollback, because the guard's state is in the
checkpoint. `rolled_back` forgets the norms too: should they have changed for good (another phase of the
curriculum), going back again would not help.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

WINDOW = 128
"""Norms remembered. Outliers are looked for once half of them are there, as OLMo-core's skip-step does."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A step's numbers, and whether the step is left out; a norm above `limit` is an outlier."""

    loss: float
    norm: float
    limit: float
    skip: Literal["", "not finite", "outlier"]


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, the same on every rank; waits for no device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


class Guard:
    """Decides each step from its norm and the norms before it; state for checkpoints."""

    def __init__(self, clip: float, outlier: float, patience: int) -> None:
        self._clip, self._outlier, self._patience = clip, outlier, patience
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._row = 0
        self.skipped = 0
        self.rollbacks = 0

    @property
    def rollback(self) -> bool:
        """Return whether `patience` steps in a row were left out."""
        return self._row >= self._patience

    def check(self, loss: Tensor | float, parameters: Iterable[nn.Parameter]) -> Decision:
        """Decide a step from its loss (the same on every rank) and gradients; clip these if it is taken."""
        parameters = list(parameters)
        norm = gradient_norm(parameters)
        numbers = torch.stack([torch.as_tensor(loss, device=norm.device).detach().double(), norm.double()])
        decision = self.decide(*numbers.tolist())
        if not decision.skip and 0 < self._clip < decision.norm:
            gradients = [p.grad for p in parameters if p.grad is not None]
            torch._foreach_mul_(gradients, self._clip / decision.norm)
        return decision

    def decide(self, loss: float, norm: float) -> Decision:
        """Decide a step from its loss and gradient norm, and remember it.

        An outlier enters the history as the limit that it passed: one spike cannot blind the guard for the
        next 128 steps, and norms that stay higher are accepted after some steps.
        """
        limit = self._limit()
        skip: Literal["", "not finite", "outlier"] = ""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            skip = "not finite"
        else:
            self._norms.append(min(norm, limit))
            skip = "outlier" if norm > limit else ""
        self._row = self._row + 1 if skip else 0
        self.skipped += bool(skip)
        return Decision(loss, norm, limit, skip)

    def rolled_back(self) -> None:
        """Begin anew after a checkpoint was loaded because of `rollback`; count it."""
        self.rollbacks += 1
        self.forget()

    def forget(self) -> None:
        """Learn anew which norms are usual."""
        self._row = 0
        self._norms.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors of fixed shapes: norms float64 [128], NaN where there is none yet, and counts."""
        norms = torch.full((WINDOW,), math.nan, dtype=torch.float64)
        norms[: len(self._norms)] = torch.tensor(list(self._norms), dtype=torch.float64)
        return {"norms": norms, "counts": torch.tensor([self._row, self.skipped, self.rollbacks])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where the state was taken."""
        self._norms = deque((x for x in state["norms"].tolist() if not math.isnan(x)), maxlen=WINDOW)
        self._row, self.skipped, self.rollbacks = state["counts"].tolist()

    def _limit(self) -> float:
        """Return the norm above which the next step is left out."""
        if not self._outlier or len(self._norms) < WINDOW // 2:
            return math.inf
        return fmean(self._norms) + self._outlier * pstdev(self._norms)
