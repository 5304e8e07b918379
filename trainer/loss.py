"""Output layer and cross-entropy in chunks of tokens, so that the logits never exist whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100
"""The target of a token without one."""

_ELEMENTS = (2**21, 2**27)
"""Logits that exist at once, on a CPU and on a GPU: what caches hold, what keeps it busy."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    vocabulary: int,
    z_loss: float = 0.0,
    soft_cap: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Predict `targets` int64 [N] from states `hidden` [N, D] by the output layer `weight` [V, D].

    Returns a scalar, the sum over targets other than IGNORED of nll + z_loss · log-partition², and the nll
    alone [N], detached, 0 where ignored; both in float32 at least. Rows from `vocabulary` on are padding and
    never predicted. Logits are soft_cap · tanh(logits / soft_cap) where soft_cap > 0.

    Products are computed in the dtype of `hidden`, whatever that of `weight`, softmax and sums in float32;
    the gradient of `weight` is summed in float32 and reaches it in its own dtype. Gradients, where wanted,
    are made along with the loss: each chunk's logits are computed once. Differentiable once.
    """
    gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss, nll = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, vocabulary, z_loss, soft_cap, gradient
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
    ) -> tuple[Tensor, Tensor]:
        rows = weight.to(hidden.dtype)
        precise = _precise(hidden)
        nll = hidden.new_empty(len(hidden), dtype=precise)
        loss = hidden.new_zeros((), dtype=precise)
        d_hidden = torch.empty_like(hidden) if gradient else None
        d_weight = torch.zeros_like(weight, dtype=precise) if gradient else None
        size = max(1, _ELEMENTS[hidden.is_cuda] // len(weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _product(hidden[part], rows.T)
            part_loss, nll[part] = _chunk(logits, targets[part], vocabulary, z_loss, soft_cap, gradient)
            loss += part_loss
            if d_hidden is not None and d_weight is not None:
                d_logits = logits.to(hidden.dtype)
                torch.mm(d_logits, rows, out=d_hidden[part])
                d_weight += _product(d_logits.T, hidden[part])
        if gradient:
            ctx.save_for_backward(d_hidden, d_weight)
            ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        d_hidden = d_hidden * d_loss.to(d_hidden.dtype)
        d_weight = (d_weight * d_loss).to(ctx.dtype)
        return d_hidden, d_weight, None, None, None, None, None


def _chunk(
    logits: Tensor, targets: Tensor, vocabulary: int, z_loss: float, soft_cap: float, gradient: bool
) -> tuple[Tensor, Tensor]:
    """Give the loss, summed, and the nll [n] of logits [n, V] before the cap; overwrite these.

    Where the gradient is wanted, they become it. In place: a chunk has room for its logits once.
    """
    slope = None
    if soft_cap:
        logits.div_(soft_cap).tanh_()
        slope = 1 - logits.square() if gradient else None
        logits.mul_(soft_cap)
    logits[:, vocabulary:] = -torch.inf
    counted = targets != IGNORED
    index = torch.where(counted, targets, 0)[:, None]
    chosen = logits.gather(1, index)[:, 0]
    highest = logits.amax(1)
    total = logits.sub_(highest[:, None]).exp_().sum(1)
    partition = total.log() + highest
    nll = torch.where(counted, partition - chosen, 0)
    loss = nll.sum() + z_loss * torch.where(counted, partition, 0).square().sum()
    if gradient:
        factor = torch.where(counted, (1 + 2 * z_loss * partition) / total, 0)
        logits.mul_(factor[:, None]).scatter_add_(1, index, -counted[:, None].to(logits.dtype))
        if slope is not None:
            logits.mul_(slope)
    return loss, nll


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices; the sums leave the product in float32 at least where the device can do that."""
    if a.is_cuda and a.dtype != _precise(a):
        return torch.mm(a, b, out_dtype=torch.float32)
    return torch.mm(a, b).to(_precise(a))


def _precise(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
