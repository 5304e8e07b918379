"""Products of linear layers in 8-bit floats: e4m3 forward, e5m2 for gradients, a scale a tensor.

Weights stay float32, and so does the optimizer; a scale maps the largest value of a tensor to the largest of
its format (2209.05433), in each product again. Evaluation multiplies as without it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from trainer.layers import Linear

MULTIPLE = 16
"""What both sizes of a matrix, and the number of states, are multiples of; else the layer stays as it is."""

_STATES, _GRADIENTS = torch.float8_e4m3fn, torch.float8_e5m2
_SMALLEST = 1e-12  # a largest value below it is a tensor of zeros


def convert(blocks: nn.Module) -> int:
    """Let linear layers multiply in 8-bit floats while they train; return how many do."""
    layers = [module for module in blocks.modules() if isinstance(module, Linear)]
    fitting = [each for each in layers if not any(size % MULTIPLE for size in each.weight.shape)]
    for layer in fitting:
        layer.product = product
    return len(fitting)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x [..., in] times a weight [out, in], transposed, in the dtype of x."""
    states = x.flatten(0, -2)
    if len(states) % MULTIPLE:
        return functional.linear(x, weight.to(x.dtype))
    out: Tensor = _Product.apply(states, weight.to(x.dtype))  # type: ignore[no-untyped-call]
    return out.view(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        states, matrix = quantised(x, _STATES), quantised(weight, _STATES)
        ctx.save_for_backward(*states, *matrix)
        left, right = states, (matrix[0].t(), matrix[1])
        return _multiplied(left, right, x.dtype, fast=x.is_cuda)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        states, state_scale, matrix, matrix_scale = ctx.saved_tensors
        values, scale = quantised(gradient, _GRADIENTS)
        d_x = _multiplied((values, scale), (_by_columns(matrix), matrix_scale), gradient.dtype)
        d_weight = _multiplied(
            (values.t().contiguous(), scale), (_by_columns(states), state_scale), gradient.dtype
        )
        return d_x, d_weight


def quantised(tensor: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return a tensor in an 8-bit format, and the float32 scale that multiplies it back."""
    most = torch.finfo(dtype).max
    scale = tensor.abs().amax().float().clamp(min=_SMALLEST) / most
    return (tensor.float() / scale).clamp(-most, most).to(dtype), scale


def _by_columns(matrix: Tensor) -> Tensor:
    """Return a matrix stored by columns, as the right side of a product has to be."""
    return matrix.t().contiguous().t()


def _multiplied(
    left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], dtype: torch.dtype, *, fast: bool = False
) -> Tensor:
    """Multiply quantised matrices, the right one stored by columns; `fast`: sums are less exact."""
    return torch._scaled_mm(
        left[0], right[0], scale_a=left[1], scale_b=right[1], out_dtype=dtype, use_fast_accum=fast
    )
