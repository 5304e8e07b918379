"""Attention within documents, causal or in both directions; never from one document to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Prefix:
    """The tokens that their whole document sees: `inside` bool [rows, length].

    cu_seqlens int32 [2n + 1]: where each of n documents starts, and where its prefix ends.
    """

    inside: Tensor
    cu_seqlens: Tensor


@dataclass(frozen=True, eq=False)
class Documents:
    """Where documents start in `rows` windows of `length` tokens, as tensors of constant shape.

    cu_seqlens int32 [n + 1]: the starts of documents in the flattened windows, then rows·length; every window
    starts a document; empty documents, such as the padding at the end, do not count. ids [rows, length]: the
    number of each token's document. positions int64 [rows, length]: each token's position in its document.
    `causal`: a token sees its document up to itself, else all of its document. With `prefix` it also sees the
    start of its document that is given as input.
    """

    cu_seqlens: Tensor
    ids: Tensor
    positions: Tensor
    length: int
    causal: bool = True
    prefix: Prefix | None = None

    @staticmethod
    def of(cu_seqlens: Tensor, rows: int, length: int, causal: bool = True) -> Documents:
        """Make them from the starts of documents, on the starts' device, without a device sync."""
        tokens = torch.arange(rows * length, dtype=torch.int32, device=cu_seqlens.device)
        ids = torch.searchsorted(cu_seqlens, tokens, right=True) - 1
        positions = tokens.long() - cu_seqlens[ids]
        return Documents(cu_seqlens, ids.view(rows, length), positions.view(rows, length), length, causal)

    def with_prefix(self, inside: Tensor) -> Documents:
        """Return them with prefixes: `inside` bool [rows, length], for the first tokens of documents."""
        counted = functional.pad(inside.flatten().cumsum(0), (1, 0))[self.cu_seqlens]
        ends = self.cu_seqlens[:-1] + counted.diff().int()
        bounds = torch.stack([self.cu_seqlens[:-1], ends], dim=1).flatten()
        return replace(self, prefix=Prefix(inside, torch.cat([bounds, self.cu_seqlens[-1:]])))

    @staticmethod
    def whole(rows: int, length: int, device: torch.device | str = "cpu") -> Documents:
        """Return documents for windows of one document each."""
        starts = torch.arange(0, (rows + 1) * length, length, dtype=torch.int32, device=device)
        return Documents.of(starts, rows, length)


@dataclass(frozen=True, eq=False)
class Pair:
    """The documents of an encoder's inputs and of a decoder's: those of one number belong together."""

    inputs: Documents
    outputs: Documents


Mask = Documents | Pair | Tensor
"""The keys that each query sees: its document's, those that its document has in the encoder, or those of a
mask, bool [B, 1, T, S]."""


def mask(documents: Documents | Pair, dtype: torch.dtype) -> Mask:
    """Return documents in the form that `attend` needs on their device, for activations of `dtype`.

    Flash attention over packed documents (CUDA and half precision only) takes them unchanged; otherwise a
    mask is made, once for all layers. That of a pair is for queries of the decoder and keys of the encoder.
    """
    ids = documents.ids if isinstance(documents, Documents) else documents.outputs.ids
    if ids.is_cuda and dtype in (torch.bfloat16, torch.float16):
        return documents
    if isinstance(documents, Pair):
        same = ids[:, :, None] == documents.inputs.ids[:, None, :]
        # Padding may have no key: it sees all of them, as no softmax is defined over none.
        return (same | ~same.any(2, keepdim=True))[:, None]
    seen = torch.ones(documents.length, documents.length, dtype=torch.bool, device=ids.device)
    if documents.causal:
        seen = seen.tril()
    if documents.prefix is not None:
        seen = seen | documents.prefix.inside[:, None, :]
    return ((ids[:, :, None] == ids[:, None, :]) & seen)[:, None]


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Mask) -> Tensor:
    """Return attention [B, T, H, Q] of queries [B, T, H, Q] to keys and values [B, S, K, Q]; K divides H."""
    if isinstance(allowed, Tensor):
        out = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=allowed,
            enable_gqa=query.shape[2] != key.shape[2],
        )
        return out.transpose(1, 2)
    if isinstance(allowed, Pair):
        return _packed(query, key, value, allowed.outputs, allowed.inputs, causal=False)
    out = _packed(query, key, value, allowed, allowed, causal=allowed.causal)
    if allowed.prefix is None:
        return out
    # The kernel knows no prefixes, but each query is right in one of two calls: those of prefixes where
    # prefixes and the rest are documents of their own, all others in the causal one.
    parts = replace(allowed, cu_seqlens=allowed.prefix.cu_seqlens)
    both = _packed(query, key, value, parts, parts, causal=False)
    return torch.where(allowed.prefix.inside[..., None, None], both, out)


def _packed(
    query: Tensor, key: Tensor, value: Tensor, queries: Documents, keys: Documents, *, causal: bool
) -> Tensor:
    """Return attention from documents of queries to those of keys, by flash attention."""
    # Imported here: it takes dynamo along, a third of what `import trainer.run` cost, for a path of GPUs.
    from torch.nn.attention.varlen import varlen_attn

    # torch 2.11 may not know this argument
    option: Any = {"enable_gqa": True} if query.shape[2] != key.shape[2] else {}
    packed = varlen_attn(
        query.flatten(0, 1),
        key.flatten(0, 1),
        value.flatten(0, 1),
        queries.cu_seqlens,
        keys.cu_seqlens,
        queries.length,
        keys.length,
        window_size=(-1, 0) if causal else (-1, -1),
        **option,
    )
    assert isinstance(packed, Tensor)
    return packed.view_as(query)
