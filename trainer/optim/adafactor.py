"""Adafactor: Adam's second moment kept as row and column means (Shazeer & Stern 2018, arXiv 1804.04235).

torch.optim.Adafactor computes the same while its rate is below 1/√step, and is the reference in the tests.
It is not used itself for two reasons: it takes min(rate, 1/√step), so that after 10,000 steps of rate 0.01
the schedule has no effect, and it waits for the device twice for every parameter of every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from trainer.optim.shards import counter, local, sum_over_ranks
from trainer.optim.skip import masked, skipped, unless

_TINY = 1e-30  # ε1 of the paper, added to squared gradients
_SMALLEST = 1e-3  # ε2 of the paper: weights that start at zero must be able to leave it


class Adafactor(Optimizer):
    """A parameter moves by lr × its root mean square, at least lr × 1e-3; no momentum (the paper's §9).

    β2 = 1 - step^-0.8; an update is scaled down to a root mean square of 1 (d = 1); weight decay is
    decoupled. Vectors keep their whole second moment. Matrices may be sharded by rows; of a stack of them,
    which may be sharded by matrices, each has means of its own.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group["lr"], group["weight_decay"])

    def _update(self, p: Tensor, lr: float, decay: float) -> None:
        """Update one parameter."""
        assert p.grad is not None
        weight, gradient = local(p), local(p.grad)
        skip = skipped(self)
        update = masked(gradient * self._inverse_root(p, gradient.square().add_(_TINY), skip), skip)
        scale = (sum_over_ranks(weight.square().sum(), p) / p.numel()).sqrt_().clamp_(min=_SMALLEST)
        excess = (sum_over_ranks(update.square().sum(), p) / p.numel()).sqrt_().clamp_(min=1.0)
        weight.mul_(unless(skip, 1 - lr * decay, 1.0)).sub_(update.mul_(lr * scale / excess))

    def _inverse_root(self, p: Tensor, squares: Tensor, skip: Tensor | None) -> Tensor:
        """Add this rank's squared gradients to the second moment; return 1/√ of its estimate for them."""
        state = self.state[p]
        if not state:
            state["step"] = counter(p)
            if p.ndim == 1:
                state["variance"] = torch.zeros_like(p)
            else:
                state["row_var"] = p.mean(-1, keepdim=True).zero_()  # sharded as p is
                stacked = p.ndim == 3
                columns = p.mean(-2, keepdim=True).zero_() if stacked else squares.new_zeros(1, p.shape[1])
                state["col_var"] = columns  # of a stack sharded as p is, of a matrix the same on every rank
        state["step"] += unless(skip, 1.0, 0.0)
        fresh = state["step"].double().pow(-0.8).to(squares.dtype)
        if skip is not None:
            fresh = fresh.masked_fill(skip, 0.0)
        if p.ndim == 1:
            return local(state["variance"]).lerp_(squares, fresh).rsqrt()
        rows = local(state["row_var"]).lerp_(squares.mean(-1, keepdim=True), fresh)
        columns = local(state["col_var"]).lerp_(_column_means(squares, p), fresh)
        inverse: Tensor = (rows / _column_means(rows, p)).rsqrt_() * columns.rsqrt()
        return inverse


def _column_means(part: Tensor, like: Tensor) -> Tensor:
    """Return the means [..., 1, cols] over the rows of a matrix, or of each of a stack; the same on every
    rank for a matrix, of which each rank has some rows, and of this rank's matrices for a stack.
    """
    if like.ndim == 2:
        return sum_over_ranks(part.sum(0, keepdim=True), like) / like.shape[0]
    return part.mean(-2, keepdim=True)
