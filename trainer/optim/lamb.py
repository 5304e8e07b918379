"""LAMB: Adam's step scaled to the size of each matrix (You et al. 2020, arXiv 1904.00962, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from trainer.optim.shards import counter, local, sum_over_ranks
from trainer.optim.skip import masked, skipped, unless


class Lamb(Optimizer):
    """A matrix moves by lr × its own norm: w -= lr · |w| / |u| · u, with u = Adam's direction + λ·w.

    φ of the paper is the identity, a layer is a parameter tensor. Vectors (norms) use u unscaled, as in the
    authors' own code, and so does a matrix while it or u is zero.
    """

    def __init__(
        self,
        params: Iterable[Any],
        betas: tuple[float, float],
        eps: float = 1e-6,
        lr: float = 1e-2,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        state = self.state[p]
        if not state:
            state.update(step=counter(p), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        skip = skipped(self)
        state["step"] += unless(skip, 1.0, 0.0)
        first, second = group["betas"]
        steps = state["step"].double()
        assert p.grad is not None
        weight, gradient = local(p), local(p.grad)
        mean = local(state["exp_avg"]).lerp_(gradient, unless(skip, 1 - first, 0.0))
        # Of a skipped step the gradient is 0.
        square = local(state["exp_avg_sq"]).mul_(unless(skip, second, 1.0))
        square.addcmul_(gradient, gradient, value=1 - second)
        root = (square / (1 - second**steps)).sqrt_().add_(group["eps"])
        update = (mean / (1 - first**steps)).div_(root).add_(weight, alpha=group["weight_decay"])
        masked(update, skip)
        if p.ndim > 1:
            # Both sums go in one message per matrix.
            squares = sum_over_ranks(torch.stack([weight.square().sum(), update.square().sum()]), p)
            ratio = torch.where((squares > 0).all(), (squares[0] / squares[1]).sqrt(), 1.0)
            update.mul_(ratio)
        weight.add_(update, alpha=-group["lr"])
