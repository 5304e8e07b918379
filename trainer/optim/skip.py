"""Steps that leave everything as it was: whether a step is one is known on the device alone.

As with torch's own optimizers, `found_inf` of an optimizer is 1 where its next step is to change nothing:
no weight, no moment and no step counter. The gradients are finite then too. An optimizer without the
attribute takes every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer


def set_skip(optimizers: Sequence[Optimizer], skip: Tensor) -> None:
    """Let the next steps of optimizers change nothing if `skip`, a bool scalar of the device, is true."""
    for optimizer in optimizers:
        optimizer.found_inf = skip.float()  # type: ignore[attr-defined]


def skipped(optimizer: Optimizer) -> Tensor | None:
    """Return whether an optimizer's step is skipped, a bool scalar of the device; None: it is taken."""
    found: Tensor | None = getattr(optimizer, "found_inf", None)
    return None if found is None else found > 0


def unless(skip: Tensor | None, taken: float, otherwise: float) -> float | Tensor:
    """Return a number for a step that is taken, or another one if it is skipped, without a device sync."""
    return taken if skip is None else torch.where(skip, otherwise, taken).float()


def masked(update: Tensor, skip: Tensor | None) -> Tensor:
    """Set an update, which may not even be finite, to zeros if its step is skipped; return it."""
    return update if skip is None else update.masked_fill_(skip, 0.0)


def lerp(moments: Sequence[Tensor], gradients: Sequence[Tensor], share: float | Tensor) -> None:
    """Move each moment by a share of its distance to the gradient, in place."""
    shares = [share] * len(moments) if isinstance(share, Tensor) else share
    torch._foreach_lerp_(list(moments), list(gradients), shares)
