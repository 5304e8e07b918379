"""Clip the gradient, and skip steps that would harm: a norm that is not finite, or far above recent norms.

The decision depends on two numbers, the loss and the norm of the whole gradient. They are the same on every
rank, so all ranks decide alike without communication. They come to the host together: one device sync per
step. A skipped step changes nothing: no optimizer runs, so moments, step counters and averages stay as they
were. (Skipping inside the optimizer would save the sync, but needs a mask in every update rule.)

After `patience` skipped steps in a row the weights themselves are suspect, and `rollback` asks the loop to

    load the latest checkpoint from before them (weights, optimizers, averages, this guard), call
    `rolled_back()`, and continue with the data and schedule of the NEXT step.

So the bad data are passed over, and one integer, the step, is still the position of the run: the updates
between the checkpoint and the bad steps are lost, and their tokens are not read again. A run killed before
its next checkpoint repeats the same steps, decisions and rollback, because the guard's state is in the
checkpoint. `rolled_back` clears the norms too: if the norms have changed for good, another rollback would
not help. Where a planned phase starts (longer windows, another mixture), the loop calls `forget()`.

A rollback that helped nothing is `hopeless`: all steps since the one before it were skipped, or two went back
to one checkpoint. How many steps were skipped in all is counted in the run's metrics, not here, because the
state of a checkpoint is older than the rollback that loads it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.optim.shards import sharded

WINDOW = 128
"""Norms remembered. Outliers are detected once half of them exist, as in OLMo-core's skip-step."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A step's numbers, and why the step is skipped ("": it is not); a norm above `limit` is an outlier."""

    loss: float
    norm: float
    limit: float
    skip: Literal["", "not finite", "outlier"]


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, the same on every rank, without a device sync."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if sharded(norm) else norm


class Guard:
    """Decide each step from its norm and the norms before it; the state goes into checkpoints."""

    def __init__(self, clip: float, outlier: float, patience: int) -> None:
        self._clip, self._outlier, self._patience = clip, outlier, patience
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._row = 0
        self._loaded: Counter[int] = Counter()  # rollbacks by the step of the checkpoint
        self._taken = True  # whether any step was taken since the last rollback

    @property
    def rollback(self) -> bool:
        """Return whether the last `patience` steps were skipped."""
        return self._row >= self._patience

    def check(self, loss: Tensor | float, parameters: Iterable[nn.Parameter]) -> Decision:
        """Decide a step from its loss (the same on every rank) and gradients; clip them if it is taken."""
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

        An outlier enters the history as the limit that it exceeded: one spike cannot blind the guard for the
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
        self._taken = self._taken or not skip
        return Decision(loss, norm, limit, skip)

    def hopeless(self, step: int) -> bool:
        """Return whether another rollback, to the checkpoint of `step`, would help as little as the last."""
        return not self._taken or self._loaded[step] >= 2

    def rolled_back(self, step: int) -> None:
        """Clear the history, after the checkpoint of `step` was loaded because of `rollback`."""
        self._loaded[step] += 1
        self._taken = False
        self.forget()

    def forget(self) -> None:
        """Clear the history of norms."""
        self._row = 0
        self._norms.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors of fixed shapes: norms float64 [128], NaN where none exists yet, and counts."""
        norms = torch.full((WINDOW,), math.nan, dtype=torch.float64)
        norms[: len(self._norms)] = torch.tensor(list(self._norms), dtype=torch.float64)
        # Three counts, as earlier versions wrote them: the last two are counted in the metrics now.
        return {"norms": norms, "counts": torch.tensor([self._row, 0, 0])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        self._norms = deque((x for x in state["norms"].tolist() if not math.isnan(x)), maxlen=WINDOW)
        self._row = int(state["counts"][0])

    def _limit(self) -> float:
        """Return the norm above which the next step is skipped."""
        if not self._outlier or len(self._norms) < WINDOW // 2:
            return math.inf
        return fmean(self._norms) + self._outlier * pstdev(self._norms)
