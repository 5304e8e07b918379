"""Clip the gradient, and skip steps that would harm: a norm that is not finite, or far above recent norms.

The decision depends on two numbers, the loss and the norm of the whole gradient. They are the same on every
rank, so all ranks decide alike without communication. It is made on the device, together with the norms that
it depends on, and the host does not wait for it: of a skipped step the gradients become zeros, and
`Verdict.skip` makes the optimizers, the averages and the biases of experts leave everything as it was:
weights, moments and step counters.

The host reads a step's numbers (`Unread`) when the next step is queued. After `patience` skipped steps in a
row the weights themselves are suspect, and `rollback` asks the run to

    load the latest checkpoint from before them (weights, optimizers, averages, this guard), call
    `rolled_back()`, and continue with the data and schedule of the NEXT step.

So the bad data are passed over, and one integer, the step, is still the position of the run: the updates
between the checkpoint and the bad steps are lost, and so is the one step that was queued before the last of
them was read; their tokens are not read again. A run killed before its next checkpoint repeats the same
steps, decisions and rollback, because the guard's state is in the checkpoint. `rolled_back` clears the norms
too: if the norms have changed for good, another rollback would not help. Where a planned phase starts (longer
windows, another mixture), the run calls `forget()`.

A rollback that helped nothing is `hopeless`: all steps since the one before it were skipped, or two went back
to one checkpoint. How many steps were skipped in all is counted in the run's metrics, not here, because the
state of a checkpoint is older than the rollback that loads it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.optim.shards import local, sharded

WINDOW = 128
"""Norms remembered. Outliers are detected once half of them exist, as in OLMo-core's skip-step."""

Skip = Literal["", "not finite", "outlier"]
_KINDS: tuple[Skip, ...] = ("", "not finite", "outlier")


@dataclass(frozen=True, slots=True)
class Decision:
    """A step's numbers, and why the step is skipped ("": it is not); a norm above `limit` is an outlier.

    `row`: the skipped steps in a row, up to this one.
    """

    loss: float
    norm: float
    limit: float
    skip: Skip
    row: int


class Unread:
    """A decision on its way to the host, copied when it is made: reading it waits for no later work."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers.to("cpu", non_blocking=True)  # torch makes its memory pinned
        self._copied = _recorded() if numbers.is_cuda else None
        self._read: Decision | None = None

    def read(self) -> Decision:
        """Return the decision; wait until the device has made it."""
        if self._read is None:
            if self._copied is not None:
                self._copied.synchronize()
            loss, norm, limit, kind, row = self._numbers.tolist()
            self._read = Decision(loss, norm, limit, _KINDS[int(kind)], int(row))
        return self._read


def _recorded() -> torch.cuda.Event:
    """Return an event of the work queued so far."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event


@dataclass(frozen=True, slots=True)
class Verdict:
    """On the device: whether a step is skipped, a bool scalar; and on its way from there, the decision."""

    skip: Tensor
    decision: Unread


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, the same on every rank, without a device sync."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if sharded(norm) else norm


class Guard:
    """Decide each step from its norm and the norms before it; the state goes into checkpoints."""

    def __init__(
        self, clip: float, outlier: float, patience: int, device: torch.device | str = "cpu"
    ) -> None:
        self._clip, self._outlier, self._patience = clip, outlier, patience
        # The oldest first, NaN where none exists yet; and how many steps in a row were skipped. Three counts,
        # as earlier versions wrote them: the last two are counted in the metrics now.
        self._norms = torch.full((WINDOW,), math.nan, dtype=torch.float64, device=device)
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)
        self._places = torch.arange(WINDOW, device=device)
        self._row = 0  # skipped steps in a row, as far as they were read
        self._loaded: Counter[int] = Counter()  # rollbacks by the step of the checkpoint
        self._taken = True  # whether any step was taken since the last rollback
        self.bad = Decision(math.nan, math.nan, math.inf, "not finite", 0)  # the last one that was read

    @property
    def row(self) -> int:
        """Return how many steps in a row were skipped, up to the last that was read."""
        return self._row

    @property
    def rollback(self) -> bool:
        """Return whether the last `patience` steps that were read were skipped."""
        return self._row >= self._patience

    def check(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Verdict:
        """Decide a step from its loss (the same on every rank) and gradients, without a device sync.

        The gradients are clipped, or are zeros if it is skipped.
        """
        parameters = list(parameters)
        norm = gradient_norm(parameters).double()
        numbers = self.decide(loss.detach().double(), norm)
        skip = numbers[3] > 0
        gradients = [local(p.grad) for p in parameters if p.grad is not None]
        if self._clip and gradients:
            scale = torch.where(norm > self._clip, self._clip / norm, 1.0)
            torch._foreach_mul_(gradients, scale.to(gradients[0].dtype))
        for gradient in gradients:
            gradient.masked_fill_(skip, 0.0)
        return Verdict(skip, Unread(numbers))

    def decide(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Decide a step from its loss and gradient norm, float64 scalars of the device, and remember it.

        Return the numbers of a `Decision`, float64 [5]. An outlier enters the history as the limit that it
        exceeded: one spike cannot blind the guard for the next 128 steps, and norms that stay higher are
        accepted after some steps.
        """
        limit = self._limit()
        finite = loss.isfinite() & norm.isfinite()
        kind = torch.where(finite, 2 * (norm > limit).long(), 1)  # an index of _KINDS
        known = self._known()
        full = known == WINDOW
        moved = torch.where(full, self._norms.roll(-1), self._norms)
        added = torch.where(self._places == known - full.long(), torch.minimum(norm, limit), moved)
        self._norms.copy_(torch.where(finite, added, self._norms))
        self._counts[0] = torch.where(kind > 0, self._counts[0] + 1, 0)
        return torch.stack([loss, norm, limit, kind.double(), self._counts[0].double()])

    def seen(self, decision: Decision) -> None:
        """Take note of a decision that was read, in the order of the steps."""
        self._row = decision.row
        self._taken = self._taken or not decision.skip
        if decision.skip:
            self.bad = decision

    def hopeless(self, step: int) -> bool:
        """Return whether another rollback, to the checkpoint of `step`, would help as little as the last."""
        return not self._taken or self._loaded[step] >= 2

    def rolled_back(self, step: int | None) -> None:
        """Clear the history, after the checkpoint of `step` was loaded because of `rollback`.

        None: there was no checkpoint, and such norms are accepted from now on.
        """
        if step is not None:
            self._loaded[step] += 1
            self._taken = False
        self._row = 0
        self.forget()

    def forget(self) -> None:
        """Clear the history of norms, of which the device decides."""
        self._counts.zero_()
        self._norms.fill_(math.nan)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors of fixed shapes: norms float64 [128], NaN where none exists yet, and counts."""
        return {"norms": self._norms, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        self._norms.copy_(state["norms"])
        self._counts.copy_(state["counts"])
        self._row = int(self._counts[0])

    def _known(self) -> Tensor:
        """Return the number of norms remembered."""
        return WINDOW - self._norms.isnan().sum()

    def _limit(self) -> Tensor:
        """Return the norm above which the next step is skipped."""
        unlimited = torch.full((), math.inf, dtype=torch.float64, device=self._norms.device)
        if not self._outlier:
            return unlimited
        known = self._known()
        mean = self._norms.nansum() / known
        deviation = ((self._norms - mean).square().nansum() / known).sqrt()
        return torch.where(known >= WINDOW // 2, mean + self._outlier * deviation, unlimited)
