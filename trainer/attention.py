"""Attention inside documents: causal, and never from one document of a window to another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Documents:
    """Where the documents of `rows` windows of `length` tokens lie, in tensors of constant shapes.

    cu_seqlens int32 [n + 1]: where documents start in the flattened windows, then rows·length; every window
    starts one; empty documents, such as the padding at the end, are no documents. ids [rows, length]: the
    number of each token's document. positions int64 [rows, length]: of each token in its document.
    whole: every window is one document (known where it is made, so that nothing waits for the device).
    """

    cu_seqlens: Tensor
    ids: Tensor
    positions: Tensor
    length: int
    whole_rows: bool = False

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
        cu_seqlens = torch.arange(0, (rows + 1) * length, length, dtype=torch.int32, device=device)
        ids = torch.arange(rows, device=device)[:, None].expand(rows, length)
        positions = torch.arange(length, device=device).expand(rows, length)
        return Documents(cu_seqlens, ids, positions, length, whole_rows=True)


def visible(documents: Documents, dtype: torch.dtype) -> Tensor | None:
    """Say which keys each query sees, bool [rows, 1, length, length]; None where `attend` needs no telling.

    Made once for all layers, outside of them.
    """
    if documents.whole_rows or _varlen(documents.ids.device, dtype):
        return None
    ids = documents.ids
    causal = torch.ones(documents.length, documents.length, dtype=torch.bool, device=ids.device).tril()
    return ((ids[:, :, None] == ids[:, None, :]) & causal)[:, None]


def attend(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents | None, mask: Tensor | None
) -> Tensor:
    """Attend with queries [B, T, H, Q] to keys and values [B, S, K, Q], K a divisor of H; gives [B, T, H, Q].

    With `documents` (S = T) a token sees itself and what precedes it in its document; `mask` is what
    `visible` says of them. Without, as with a cache, `mask` alone, bool [B, 1, T, S], says what is seen.
    """
    grouped = query.shape[2] != key.shape[2]
    if documents is not None and _varlen(query.device, query.dtype):
        from torch.nn.attention.varlen import varlen_attn

        out = varlen_attn(
            query.flatten(0, 1),
            key.flatten(0, 1),
            value.flatten(0, 1),
            documents.cu_seqlens,
            documents.cu_seqlens,
            documents.length,
            documents.length,
            window_size=(-1, 0),
            enable_gqa=grouped,
        )
        assert isinstance(out, Tensor)
        return out.view_as(query)
    out = functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=grouped,
    )
    return out.transpose(1, 2)


def _varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Flash attention over packed documents exists for CUDA and half precision alone."""
    return device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)
