"""Output layer and cross-entropy in chunks of tokens, so that the logits never exist whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100
"""The target of a token without one."""

_ELEMENTS = {"cpu": 2**22, "cuda": 2**27}
"""Logits that exist at once: on a CPU what its caches hold, on a GPU what fills it."""


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
    the gradient of `weight` is summed in float32 and reaches it in its own dtype. Gradients are made along with
    the loss, where wanted: each chunk's logits are made once. Differentiable once.
    """
    gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss, nll = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, vocabulary, z_loss, soft_cap, gradient
    )
    return loss, nll


def cap(logits: Tensor, vocabulary: int, soft_cap: float) -> Tensor:
    """Make logits [..., V] what they are compared by: float32, capped, minus infinity for rows of padding."""
    logits = logits.to(_precise(logits))
    if soft_cap:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    if vocabulary < logits.shape[-1]:
        logits = logits.clone() if not soft_cap else logits
        logits[..., vocabulary:] = -torch.inf
    return logits


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
        size = max(1, _ELEMENTS.get(hidden.device.type, 2**24) // len(weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _product(hidden[part], rows.T)
            part_loss, nll[part], d_logits = _chunk(
                logits, targets[part], vocabulary, z_loss, soft_cap, gradient
            )
            loss += part_loss
            if d_hidden is not None and d_weight is not None:
                d_logits = d_logits.to(hidden.dtype)
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
) -> tuple[Tensor, Tensor, Tensor]:
    """Give loss (summed), nll and, where wanted, the gradient of a chunk's uncapped logits [n, V]."""
    logits = cap(logits, vocabulary, soft_cap)
    counted = targets != IGNORED
    index = torch.where(counted, targets, 0)[:, None]
    partition = torch.logsumexp(logits, 1)
    nll = torch.where(counted, partition - logits.gather(1, index)[:, 0], 0)
    loss = (nll + torch.where(counted, z_loss * partition.square(), 0)).sum()
    if not gradient:
        return loss, nll, logits
    d_logits = torch.exp(logits - partition[:, None])
    if z_loss:
        d_logits *= 1 + 2 * z_loss * partition[:, None]
    d_logits.scatter_add_(1, index, torch.full_like(index, -1, dtype=d_logits.dtype))
    if soft_cap:
        slope = 1 - (logits / soft_cap).square()
        d_logits *= slope
        d_logits[:, vocabulary:] = 0  # their slope is that of minus infinity
    return loss, nll, d_logits * counted[:, None]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices; the sums leave the product in float32 at least where the device can do that."""
    if a.is_cuda and a.dtype != _precise(a):
        return torch.mm(a, b, out_dtype=torch.float32)
    return torch.mm(a, b).to(_precise(a))


def _precise(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
