"""An encoder-decoder (1910.10683): an encoder reads a text, and a decoder writes another by cross-attention.

Norms come before and after each part of a layer, positions are rotary, and cross-attention has none: as in
T5Gemma (2504.06225), the format in which `transformers` loads such models. Both sides share one embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.attention import Documents, Mask, Pair, attend, mask
from trainer.layers import Linear, Norm, drop
from trainer.model import Attention, FeedForward, KVCache, LayerCache, Transformer
from trainer.rope import Rotation
from trainer.shape import Shape

Projected = tuple[Tensor, Tensor]
"""The keys and values of an encoder's states in one layer, [B, S, K, Q]."""


class EncoderDecoder(Transformer):
    """The first half of `blocks` is the encoder's, the second the decoder's.

    Called with a Pair of documents, the tokens [B, S + T] are those of the encoder and then of the decoder,
    and the targets [B, T] are the decoder's. `start`: the token before all that the decoder writes.
    """

    def __init__(self, shape: Shape, z_loss: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__(shape, z_loss, dropout)
        self.encoder_norm = Norm(shape.width)
        self.start = 0

    def layers(self, dropout: float) -> list[nn.Module]:
        """Return new blocks of both sides."""
        kinds = [EncoderBlock] * self.shape.layers + [DecoderBlock] * self.shape.layers
        return [kind(self.shape, dropout) for kind in kinds]

    def encode(self, tokens: Tensor, documents: Documents) -> Tensor:
        """Return the encoder's states [B, S, width] for its tokens int64 [B, S]."""
        rotation = self.rope.rotation(documents.positions, self.shape.head)
        keys, x = mask(documents, self.compute_dtype), self.embed(tokens)
        for block in self.blocks[: self.shape.layers]:
            x = block(x, rotation, keys)
        out: Tensor = self.encoder_norm(x)
        return out

    def hidden(
        self, tokens: Tensor, documents: Documents | Pair | None = None, cache: KVCache | None = None
    ) -> Tensor:
        """Return the decoder's states [B, T, width] after the last norm.

        `tokens` are those of both sides of a pair of `documents`, or continue what is in `cache`.
        """
        source: Tensor | Memory
        keys: Mask
        across: Mask
        if cache is not None and cache.memory is not None:
            positions, keys = cache.reserve(tokens.shape[1])
            source, across = cache.memory, cache.memory.seen
        elif isinstance(documents, Pair):
            inputs, tokens = tokens.tensor_split([documents.inputs.length], dim=1)
            source, across = self.encode(inputs, documents.inputs), mask(documents, self.compute_dtype)
            positions, keys = documents.outputs.positions, mask(documents.outputs, self.compute_dtype)
        else:
            raise ValueError("EncoderDecoder.hidden: expected a pair of documents, or a cache with a memory")
        rotation, x = self.rope.rotation(positions, self.shape.head), self.embed(tokens)
        for number, block in enumerate(self.blocks[self.shape.layers :]):
            past = None if cache is None else cache.layer(number)
            read = source.layer(number) if isinstance(source, Memory) else source
            x = block(x, read, rotation, keys, across, past)
        if cache is not None:
            cache.lengths = cache.lengths + tokens.shape[1]
        out: Tensor = self.norm(x)
        return out

    def begin(self, prompts: Sequence[Sequence[int]], more: int) -> tuple[list[list[int]], KVCache]:
        """Read prompts by the encoder; return what the decoder reads before it writes, and its cache."""
        device, lengths = self.embedding.weight.device, torch.tensor([len(prompt) for prompt in prompts])
        tokens = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = torch.tensor(prompt)
        rows, longest = tokens.shape
        begins = torch.arange(rows) * longest
        bounds = torch.cat(
            [torch.stack([begins, begins + lengths], 1).flatten(), torch.tensor([rows * longest])]
        )
        documents = Documents.of(bounds.int().to(device), rows, longest, causal=False)
        states = self.encode(tokens.to(device), documents)
        written = [block for block in self.blocks if isinstance(block, DecoderBlock)]
        projected = [block.cross.project(states) for block in written]
        keys, values = (torch.stack(each) for each in zip(*projected, strict=True))
        seen = (torch.arange(longest) < lengths[:, None])[:, None, None].to(device)
        cache = KVCache(self.shape, rows, 1 + more, device, self.compute_dtype)
        cache.memory = Memory(keys, values, seen)
        return [[self.start] for _ in prompts], cache


@dataclass(frozen=True, eq=False)
class Memory:
    """Keys and values [layers, B, S, K, Q] of what an encoder read; `seen` [B, 1, 1, S]: not padding."""

    keys: Tensor
    values: Tensor
    seen: Tensor

    def layer(self, number: int) -> Projected:
        """Return the keys and values of a layer of the decoder."""
        return self.keys[number], self.values[number]

    def select(self, index: Tensor) -> Memory:
        """Copy rows `index` int64 [n]."""
        return Memory(self.keys[:, index], self.values[:, index], self.seen[index])


class EncoderBlock(nn.Module):
    """Attention in both directions, then the feed-forward network."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention, self.feed = SelfAttention(shape), Feed(shape)
        self.drop = drop(dropout)

    def forward(self, x: Tensor, rotation: Rotation, keys: Mask) -> Tensor:
        x = x + self.drop(self.attention(x, rotation, keys, None))
        out: Tensor = x + self.drop(self.feed(x))
        return out


class DecoderBlock(nn.Module):
    """Causal attention, attention to the encoder's states, then the feed-forward network."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention, self.cross, self.feed = SelfAttention(shape), CrossAttention(shape), Feed(shape)
        self.drop = drop(dropout)

    def forward(
        self,
        x: Tensor,
        source: Tensor | Projected,
        rotation: Rotation,
        keys: Mask,
        across: Mask,
        past: LayerCache | None,
    ) -> Tensor:
        """Read the encoder's states [B, S, width], or their keys and values, through the mask `across`."""
        x = x + self.drop(self.attention(x, rotation, keys, past))
        key, value = self.cross.project(source) if isinstance(source, Tensor) else source
        x = x + self.drop(self.cross(x, key, value, across))
        out: Tensor = x + self.drop(self.feed(x))
        return out


class SelfAttention(Attention):
    """Attention with a norm after it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.after_norm = Norm(shape.width)

    def forward(self, x: Tensor, rotation: Rotation, keys: Mask, past: LayerCache | None) -> Tensor:
        out: Tensor = self.after_norm(super().forward(x, rotation, keys, past))
        return out


class CrossAttention(nn.Module):
    """Attention of a decoder's tokens to the encoder's states of their document; without positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.norm = Norm(shape.width)
        self.query = Linear(shape.width, shape.heads * shape.head)
        self.kv = Linear(shape.width, 2 * shape.kv_heads * shape.head)
        self.out = Linear(shape.heads * shape.head, shape.width)
        self.after_norm = Norm(shape.width)

    def project(self, states: Tensor) -> Projected:
        """Return the keys and values [B, S, K, Q] of states [B, S, width]."""
        key, value = self.kv(states).unflatten(2, (2, -1, self.shape.head)).unbind(2)
        return key, value

    def forward(self, x: Tensor, key: Tensor, value: Tensor, across: Mask) -> Tensor:
        query = self.query(self.norm(x)).unflatten(2, (-1, self.shape.head))
        out: Tensor = self.after_norm(self.out(attend(query, key, value, across).flatten(2)))
        return out


class Feed(FeedForward):
    """The feed-forward network with a norm after it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.after_norm = Norm(shape.width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after_norm(super().forward(x))
        return out
