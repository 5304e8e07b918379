"""Lion: the sign of an interpolated momentum (Chen et al. 2023, arXiv 2302.06675, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from trainer.optim.shards import local
from trainer.optim.skip import lerp, masked, skipped, unless


class Lion(Optimizer):
    """Every weight moves by ± lr (but for decay): c = β1·m + (1-β1)·g; w -= lr·(sign c + λ·w); m to β2.

    The paper advises a rate 3 to 10 times smaller than AdamW's, and a weight decay larger by the same factor.
    """

    def __init__(
        self, params: Iterable[Any], betas: tuple[float, float], lr: float = 3e-4, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            first, second = group["betas"]
            changed = [p for p in group["params"] if p.grad is not None]
            if not changed:
                continue
            for p in changed:
                if not self.state[p]:
                    self.state[p]["exp_avg"] = torch.zeros_like(p)
            weights = [local(p) for p in changed]
            gradients = [local(p.grad) for p in changed]
            moments = [local(self.state[p]["exp_avg"]) for p in changed]
            directions = torch._foreach_lerp(moments, gradients, 1 - first)
            torch._foreach_sign_(directions)
            skip = skipped(self)
            for direction in directions:
                masked(direction, skip)
            torch._foreach_mul_(weights, unless(skip, 1 - group["lr"] * group["weight_decay"], 1.0))
            torch._foreach_add_(weights, directions, alpha=-group["lr"])
            lerp(moments, gradients, unless(skip, 1 - second, 0.0))
