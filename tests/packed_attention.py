"""A CPU kernel for torch's packed attention, so that the code that GPUs run is tested without one.

`install` registers it: by the operator's documentation, in plain products, forward and backward. The wrapper,
its autograd and its shapes for the compiler are torch's own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def install() -> None:
    """Register the kernels; torch has none for the CPU."""
    from torch.nn.attention import varlen

    varlen._varlen_attn.register_kernel("cpu")(_forward)
    varlen._varlen_attn_backward.register_kernel("cpu")(_backward)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    key_starts: Tensor,
    most: int,
    key_most: int,
    is_causal: bool = False,
    scale: float | None = None,
    window_size: list[int] | None = None,
    enable_gqa: bool = False,
    *rest: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    assert window_size in ([-1, 0], [-1, -1])
    assert is_causal == (window_size == [-1, 0])
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert starts.dtype == key_starts.dtype == torch.int32
    assert set(rest) <= {None}
    for bounds, longest, tokens in ((starts, most, query), (key_starts, key_most, key)):
        assert bounds.diff().min() >= 0
        assert bounds.diff().max() <= longest
        assert bounds[-1] == len(tokens)
    assert len(starts) == len(key_starts)
    assert not is_causal or torch.equal(starts, key_starts)
    _, _, values, _, probability = _softmax(query, key, value, (starts, key_starts), is_causal, scale)
    out = torch.einsum("hts,shq->thq", probability, values).to(query.dtype)
    # The partition is what a kernel keeps for its backward pass; this one does not read it.
    return out, out.new_zeros(out.shape[1::-1], dtype=torch.float32), torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    partition: Tensor,
    starts: Tensor,
    key_starts: Tensor,
    most: int,
    key_most: int,
    is_causal: bool,
    rng_state: Tensor,
    scale: float | None = None,
    window_size: list[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    bounds = (starts, key_starts)
    queries, keys, values, factor, probability = _softmax(query, key, value, bounds, is_causal, scale)
    upward = grad_out.float()
    d_probability = torch.einsum("thq,shq->hts", upward, values)
    d_scores = probability * (d_probability - (d_probability * probability).sum(-1, keepdim=True)) * factor
    d_query = torch.einsum("hts,shq->thq", d_scores, keys)
    d_key = torch.einsum("hts,thq->shq", d_scores, queries)
    d_value = torch.einsum("hts,thq->shq", probability, upward)
    groups = (key.shape[1], -1)  # a key's heads are summed
    d_key, d_value = (each.unflatten(1, groups).sum(2) for each in (d_key, d_value))
    return d_query.to(query.dtype), d_key.to(key.dtype), d_value.to(value.dtype)


def _softmax(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: tuple[Tensor, Tensor],
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor, float, Tensor]:
    """Return queries, keys and values of all heads in float32, the scale, and the probabilities [H, T, S]."""
    places, others = torch.arange(len(query)), torch.arange(len(key))
    ids, key_ids = (
        torch.bucketize(each, starts, right=True)
        for each, starts in zip((places, others), bounds, strict=True)
    )
    seen = ids[:, None] == key_ids
    if causal:
        seen &= places[:, None] >= others
    groups = query.shape[1] // key.shape[1]
    keys, values = (each.float().repeat_interleave(groups, 1) for each in (key, value))
    factor = query.shape[2] ** -0.5 if scale is None else scale
    scores = torch.einsum("thq,shq->hts", query.float(), keys) * factor
    probability = scores.masked_fill(~seen, -torch.inf).softmax(-1).nan_to_num(0.0)  # 0 for one without keys
    return query.float(), keys, values, factor, probability
