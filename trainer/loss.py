"""Output layer and cross-entropy in chunks of tokens, so that the full logits are never in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100
"""The target of a token that is not scored."""

_CPU_ELEMENTS = 2**21
"""Logits per chunk on a CPU: what its caches hold."""

_GPU_ELEMENTS = 2**27
"""Logits per chunk on a GPU: what keeps it busy."""

_MULTIPLE = 128
"""The rows of a chunk are a multiple of this, the fastest for products, if there are as many."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    vocabulary: int,
    z_loss: float = 0.0,
    soft_cap: float = 0.0,
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Predict `targets` int64 [N] from states `hidden` [N, D] by the output layer `weight` [V, D].

    Return a scalar, the sum over targets other than IGNORED of nll + z_loss · log-partition², and the nll
    alone [N], detached, 0 where ignored; both at least in float32. Rows from `vocabulary` on are padding and
    never predicted. Logits are soft_cap · tanh(logits / soft_cap) if soft_cap > 0.

    Products are computed in the dtype of `hidden`, softmax and sums in float32. The gradient of `weight` is
    summed in float32 and returned in the dtype of `weight`. Gradients, if needed, are computed together with
    the loss, so each chunk's logits are computed once; the result can be differentiated once. `compiled`: use
    torch.compile, which makes half as many passes over a chunk's logits.
    """
    gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss, nll = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, vocabulary, z_loss, soft_cap, gradient, compiled
    )
    return loss, nll


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        vocabulary: int,
        z_loss: float,
        soft_cap: float,
        gradient: bool,
        compiled: bool,
    ) -> tuple[Tensor, Tensor]:
        chunk = _compiled_chunk() if compiled else _chunk
        rows = weight.to(hidden.dtype)
        precise = _precise(hidden)
        nll = hidden.new_empty(len(hidden), dtype=precise)
        loss = hidden.new_zeros((), dtype=precise)
        d_hidden = torch.empty_like(hidden) if gradient else None
        d_weight = torch.zeros_like(weight, dtype=precise) if gradient else None
        size = _rows(len(hidden), len(weight), _GPU_ELEMENTS if hidden.is_cuda else _CPU_ELEMENTS)
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _product(hidden[part], rows.T)
            part_loss, nll[part], d_logits = chunk(
                logits, targets[part], vocabulary, z_loss, soft_cap, hidden.dtype if gradient else None
            )
            loss += part_loss
            if d_hidden is not None and d_weight is not None:
                torch.mm(d_logits, rows, out=d_hidden[part])
                _add_product(d_weight, d_logits.T, hidden[part])
        if gradient:
            ctx.save_for_backward(d_hidden, d_weight)
            ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        # Not in half precision, where 1 / (number of targets) may be off by 0.4 %.
        d_hidden = (d_hidden.to(d_loss.dtype) * d_loss).to(d_hidden.dtype)
        d_weight = (d_weight * d_loss).to(ctx.dtype)
        return d_hidden, d_weight, None, None, None, None, None, None


def _chunk(
    logits: Tensor,
    targets: Tensor,
    vocabulary: int,
    z_loss: float,
    soft_cap: float,
    dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summed loss and the nll [n] of logits [n, V] before the cap, and their gradient in `dtype`.

    The logits are left as they are: where a compiled function changes its input, the compiler keeps two more
    buffers of their size in float32. With `dtype` None no gradient is computed, and the value returned in its
    place is meaningless.
    """
    counted = targets != IGNORED
    index = torch.where(counted, targets, 0)[:, None]
    bent = torch.tanh(logits / soft_cap) if soft_cap else None
    capped = logits if bent is None else bent * soft_cap
    own = capped.gather(1, index)[:, 0]
    highest = capped[:, :vocabulary].amax(1)
    exponentials = (capped - highest[:, None]).exp_()
    exponentials[:, vocabulary:] = 0
    total = exponentials.sum(1)
    partition = total.log() + highest
    nll = torch.where(counted, partition - own, 0)
    loss = nll.sum() + z_loss * torch.where(counted, partition, 0).square().sum()
    if dtype is None:
        return loss, nll, logits
    factor = torch.where(counted, 1 + 2 * z_loss * partition, 0)
    d_logits = exponentials.mul_((factor / total)[:, None])
    d_own = factor * torch.exp(own - partition) - counted.to(logits.dtype)
    if bent is not None:
        d_logits.mul_(1 - bent.square_())
        d_own = d_own * (1 - (own / soft_cap).square())
    # The target's entry is set after rounding: near 1, minus 1 would vanish in half precision.
    return loss, nll, d_logits.to(dtype).scatter_(1, index, d_own[:, None].to(dtype))


@cache
def _compiled_chunk() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """Return the compiled chunk, made on first use: torch.compile imports inductor, which takes a second."""
    compiled: Callable[..., tuple[Tensor, Tensor, Tensor]] = torch.compile(_chunk, dynamic=False)
    return compiled


def _rows(rows: int, columns: int, elements: int) -> int:
    """Return the rows of a chunk of about this many logits: equal ones, so that few shapes are compiled."""
    chunks = max(1, -(-rows * columns // elements))
    even = -(-rows // chunks)
    return even if even < _MULTIPLE else -(-even // _MULTIPLE) * _MULTIPLE


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a product of matrices to a total of at least float32, in one kernel where the device has one."""
    if a.dtype == total.dtype:
        torch.addmm(total, a, b, out=total)
    elif a.is_cuda:
        torch.addmm(total, a, b, out_dtype=total.dtype, out=total)
    else:
        total += _product(a, b)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices; the result is at least float32 where the device supports it."""
    if a.is_cuda and a.dtype != _precise(a):
        return torch.mm(a, b, out_dtype=torch.float32)
    return torch.mm(a, b).to(_precise(a))


def _precise(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
