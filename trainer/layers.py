"""The layers that models are built of: a norm in full precision, a product without bias, SwiGLU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6


class Norm(nn.Module):
    """Division by the root mean square, computed in float32 (1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), self.weight.shape, self.weight.float(), EPSILON).to(x.dtype)


class Linear(nn.Linear):
    """A matrix product without bias, in the dtype of its input."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(width, out, bias=False)
        self.product: Callable[[Tensor, Tensor], Tensor] | None = None  # another one, in training alone

    def reset_parameters(self) -> None:
        """Draw nothing: `model.build` does."""

    def forward(self, x: Tensor) -> Tensor:
        if self.product is not None and self.training:
            return self.product(x, self.weight)
        return functional.linear(x, self.weight.to(x.dtype))


def swiglu(x: Tensor) -> Tensor:
    """Return silu(gate) · up [..., hidden] of gate and up, which `x` [..., 2·hidden] holds (2002.05202)."""
    gate, up = x.chunk(2, dim=-1)
    return functional.silu(gate) * up


def drop(share: float) -> nn.Module:
    """Return dropout (1207.0580); without a share nothing, so that no random number is drawn."""
    return nn.Dropout(share) if share else nn.Identity()
