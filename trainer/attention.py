"""Attention inside documents: causal, and never from one document of a window to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn


@dataclass(frozen=True, eq=False)
class Documents:
    """Where the documents of `rows` windows of `length` tokens lie, in tensors of constant shapes.

    cu_seqlens int32 [n + 1]: where documents start in the flattened windows, then rows·length; every window
    starts one; empty documents, such as the padding at the end, are no documents. ids [rows, length]: the
    number of each token's document. positions int64 [rows, length]: of each token in its document.
    """

    cu_seqlens: Tensor
    ids: Tensor
    positions: Tensor
    length: int

    @staticmethod
    def of(cu_seqlens: Tensor, rows: int, length: int) -> Documents:
        """Read the starts of documents on the device where they are, without waiting for it."""
        tokens = torch.arange(rows * length, dtype=torch.int32, device=cu_seqlens.device)
        ids = torch.searchsorted(cu_seqlens, tokens, right=True) - 1
        positions = tokens.long() - cu_seqlens[ids]
        return Documents(cu_seqlens, ids.view(rows, length), positions.view(rows, length), length)

    @staticmethod
    def whole(rows: int, length: int, device: torch.device | str = "cpu") -> Documents:
        """Every window is one document."""
        starts = torch.arange(0, (rows + 1) * length, length, dtype=torch.int32, device=device)
        return Documents.of(starts, rows, length)


Seen = Documents | Tensor
"""Which keys each query sees: its document's up to itself, or by a mask, bool [B, 1, T, S]."""


def seen(documents: Documents, dtype: torch.dtype) -> Seen:
    """Return documents as `attend` takes them on their device, for activations of `dtype`.

    Flash attention over packed documents, for CUDA and half precision alone, takes them as they are;
    elsewhere a mask is made, once for all layers.
    """
    if documents.ids.is_cuda and dtype in (torch.bfloat16, torch.float16):
        return documents
    ids = documents.ids
    causal = torch.ones(documents.length, documents.length, dtype=torch.bool, device=ids.device).tril()
    return ((ids[:, :, None] == ids[:, None, :]) & causal)[:, None]


def attend(query: Tensor, key: Tensor, value: Tensor, seen: Seen) -> Tensor:
    """Attend with queries [B, T, H, Q] to keys and values [B, S, K, Q], K a divisor of H: [B, T, H, Q]."""
    grouped = query.shape[2] != key.shape[2]
    if isinstance(seen, Tensor):
        out = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=seen,
            enable_gqa=grouped,
        )
        return out.transpose(1, 2)
    option: Any = {"enable_gqa": True} if grouped else {}  # a word that torch 2.11 may not know
    packed = varlen_attn(
        query.flatten(0, 1),
        key.flatten(0, 1),
        value.flatten(0, 1),
        seen.cu_seqlens,
        seen.cu_seqlens,
        seen.length,
        seen.length,
        window_size=(-1, 0),
        **option,
    )
    assert isinstance(packed, Tensor)
    return packed.view_as(query)
