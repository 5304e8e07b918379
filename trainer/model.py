"""A decoder-only transformer, from token ids to the loss, in the order of the computation.

Weights are float32 and are cast where they are used to the dtype of the activations, which is the dtype of
the embedding's output (`Transformer.compute_dtype`). Norms and rotary positions are computed in float32.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.attention import Documents, Mask, Pair, attend, mask
from trainer.experts import Experts
from trainer.layers import Linear, Norm, drop, swiglu
from trainer.loss import linear_cross_entropy
from trainer.rope import Rope, Rotation, rotate
from trainer.shape import Shape

if TYPE_CHECKING:
    from trainer.encoder_decoder import Memory


class Transformer(nn.Module):
    """Embedding, blocks, norm, output layer. Made by `build`; `forward` returns the loss of a micro-batch."""

    def __init__(self, shape: Shape, z_loss: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.z_loss = z_loss
        self.compute_dtype = torch.float32
        self.rope = Rope(shape.rope_base)  # a phase of training may have its own
        self.whole_prompts = False  # whether prompts are seen in both directions
        self.compile_loss = False
        # `build` draws all weights; torch's own draws would be overwritten.
        empty = torch.empty(shape.rows, shape.width)
        self.embedding = nn.Embedding(shape.rows, shape.width, _weight=empty)
        self.blocks = nn.ModuleList(self.layers(dropout))
        self.drop = drop(dropout)
        self.norm = Norm(shape.width)
        if not shape.tied:  # if tied, one parameter is used twice: no second one exists that could diverge
            self.head = Linear(shape.width, shape.rows)

    def layers(self, dropout: float) -> Sequence[nn.Module]:
        """Return new blocks."""
        return [Block(self.shape, dropout) for _ in range(self.shape.layers)]

    def forward(self, tokens: Tensor, documents: Documents | Pair, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Predict `targets` int64 [B, T] (loss.IGNORED: none) from `tokens` int64 [B, T].

        Return the loss, summed over targets (nll + z_loss · log-partition²), so that the caller, who knows
        the number of targets of the whole batch, can divide; and the nll float32 [B, T], detached, 0 without
        a target.
        """
        hidden = self.hidden(tokens, documents)
        loss, nll = linear_cross_entropy(
            hidden.flatten(0, 1),
            self.output,
            targets.flatten(),
            vocabulary=self.shape.vocabulary,
            z_loss=self.z_loss,
            soft_cap=self.shape.soft_cap,
            compiled=self.compile_loss,
        )
        return loss, nll.view_as(targets)

    def hidden(
        self, tokens: Tensor, documents: Documents | Pair | None = None, cache: KVCache | None = None
    ) -> Tensor:
        """Return the states [B, T, width] after the last norm for `tokens` int64 [B, T].

        The tokens either belong to `documents`, or continue the documents in `cache`, one per row, and are
        added to it.
        """
        if (documents is None) == (cache is None):
            raise ValueError("Transformer.hidden: expected either documents or a cache")
        keys: Mask
        if cache is not None:
            positions, keys = cache.reserve(tokens.shape[1])
        else:
            assert isinstance(documents, Documents)
            positions, keys = documents.positions, mask(documents, self.compute_dtype)
        rotation, x = self.rope.rotation(positions, self.shape.head), self.embed(tokens)
        for number, block in enumerate(self.blocks):
            x = block(x, rotation, keys, None if cache is None else cache.layer(number))
        if cache is not None:
            cache.lengths = cache.lengths + tokens.shape[1]
        out: Tensor = self.norm(x)
        return out

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings [B, T, width] of tokens int64 [B, T]."""
        x: Tensor = self.drop(functional.embedding(tokens, self.embedding.weight).to(self.compute_dtype))
        return x

    def begin(self, prompts: Sequence[Sequence[int]], more: int) -> tuple[Sequence[Sequence[int]], KVCache]:
        """Return what is to be read before up to `more` tokens are written, and a cache for both."""
        device, room = self.embedding.weight.device, max(map(len, prompts)) + more
        cache = KVCache(self.shape, len(prompts), room, device, self.compute_dtype)
        if self.whole_prompts:
            cache.prefix = torch.tensor([len(prompt) for prompt in prompts], device=device)
        return prompts, cache

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits float32 [..., rows] of states, capped; padding rows are minus infinity."""
        logits = functional.linear(hidden.float(), self.output.float())
        if self.shape.soft_cap:
            logits = self.shape.soft_cap * torch.tanh(logits / self.shape.soft_cap)
        logits[..., self.shape.vocabulary :] = -torch.inf
        return logits

    @property
    def output(self) -> Tensor:
        """Return the output layer's weight [rows, width]: the embedding's if they are tied."""
        return self.embedding.weight if self.shape.tied else self.head.weight


class Block(nn.Module):
    """Attention, then the feed-forward network or experts; both are added, with dropout, to the stream."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.feed = Experts(shape) if shape.experts else FeedForward(shape)
        self.drop = drop(dropout)

    def forward(self, x: Tensor, rotation: Rotation, keys: Mask, past: LayerCache | None) -> Tensor:
        x = x + self.drop(self.attention(x, rotation, keys, past))
        out: Tensor = x + self.drop(self.feed(x))
        return out


class Attention(nn.Module):
    """Attention: queries, keys and values from one product; rotary positions; optional normalisation."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.norm = Norm(shape.width)
        self.qkv = Linear(shape.width, (shape.heads + 2 * shape.kv_heads) * shape.head)
        if shape.qk_norm:
            self.q_norm = Norm(shape.head)
            self.k_norm = Norm(shape.head)
        self.out = Linear(shape.heads * shape.head, shape.width)

    def forward(self, x: Tensor, rotation: Rotation, keys: Mask, past: LayerCache | None) -> Tensor:
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        qkv = self.qkv(self.norm(x)).unflatten(2, (-1, self.shape.head))
        query, key, value = qkv.split([heads, kv_heads, kv_heads], dim=2)
        if self.shape.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        query, key = rotate(query, rotation), rotate(key, rotation)
        if past is not None:
            key, value = past.extend(key, value)
        out: Tensor = self.out(attend(query, key, value, keys).flatten(2))
        return out


class FeedForward(nn.Module):
    """The feed-forward network: SwiGLU (2002.05202) or squared ReLU (2109.08668)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = Norm(shape.width)
        if shape.activation == "swiglu":
            self.gate_up = Linear(shape.width, 2 * shape.hidden)
        else:
            self.up = Linear(shape.width, shape.hidden)
        self.down = Linear(shape.hidden, shape.width)
        self.swiglu = shape.activation == "swiglu"

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        inner = swiglu(self.gate_up(x)) if self.swiglu else functional.relu(self.up(x)).square()
        out: Tensor = self.down(inner)
        return out


class LayerCache:
    """The keys and values of a layer [B, capacity, K, Q], and the positions of this call's tokens [B, T]."""

    def __init__(self, keys: Tensor, values: Tensor, positions: Tensor, end: int) -> None:
        self.keys, self.values, self.positions, self.end = keys, values, positions, end

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values [B, T, K, Q] of the new tokens; return those of all, [B, end, K, Q]."""
        rows = torch.arange(len(key), device=key.device)[:, None]
        self.keys[rows, self.positions] = key
        self.values[rows, self.positions] = value
        return self.keys[:, : self.end], self.values[:, : self.end]


class KVCache:
    """Keys and values of the tokens that were read, for generation: each row is one unfinished document.

    Rows may have different numbers of tokens, `lengths` int64 [B]. Prompts are padded on the right; after
    `Transformer.hidden` has read them, `trim` removes the padding, and the next token of a row follows the
    row's own last token.
    """

    def __init__(
        self, shape: Shape, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        size = (shape.layers, rows, capacity, shape.kv_heads, shape.head)
        self.keys = torch.zeros(size, device=device, dtype=dtype)
        self.values = torch.zeros(size, device=device, dtype=dtype)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)
        self.prefix = torch.zeros_like(self.lengths)  # tokens of each row that all its tokens see
        self.memory: Memory | None = None  # what an encoder has read
        self._end = 0  # upper bound of all lengths, kept on the host to avoid a device sync
        self._positions = self.lengths[:, None]

    def trim(self, lengths: Tensor) -> None:
        """Remove what rows hold beyond `lengths` int64 [B]."""
        self.lengths = torch.minimum(self.lengths, lengths.to(self.lengths))
        self._end = int(self.lengths.max())

    def select(self, index: Tensor) -> KVCache:
        """Copy rows `index` int64 [n] into a new cache, for beams and candidates; rows may be repeated."""
        chosen = object.__new__(KVCache)
        chosen.keys, chosen.values = self.keys[:, index], self.values[:, index]
        chosen.lengths, chosen.prefix = self.lengths[index], self.prefix[index]
        chosen.memory = None if self.memory is None else self.memory.select(index)
        chosen._end, chosen._positions = self._end, self._positions[index]
        return chosen

    def reserve(self, tokens: int) -> tuple[Tensor, Tensor]:
        """Reserve places for the next `tokens` of each row; return their positions and the keys they see."""
        if self._end + tokens > self.keys.shape[2]:
            raise ValueError(
                f"the cache holds {self.keys.shape[2]} tokens per row: {self._end} are used and {tokens} "
                "more are needed; make it with a larger capacity"
            )
        self._end += tokens
        self._positions = self.lengths[:, None] + torch.arange(tokens, device=self.lengths.device)
        places = torch.arange(self._end, device=self.lengths.device)
        seen = (places <= self._positions[..., None]) | (places < self.prefix[:, None, None])
        return self._positions, seen[:, None]

    def layer(self, number: int) -> LayerCache:
        """Return the part of one layer, for the tokens reserved last."""
        return LayerCache(self.keys[number], self.values[number], self._positions, self._end)


def build(
    shape: Shape,
    seed: int,
    device: torch.device | str,
    dtype: torch.dtype,
    z_loss: float = 0.0,
    dropout: float = 0.0,
    *,
    draw: bool = True,
) -> Transformer:
    """Return a model with activations in `dtype` and float32 weights; initial weights depend only on `seed`.

    Each parameter is drawn on the CPU by its name, so it is the same on any device and any number of ranks.
    Without `draw` the weights are whatever the memory holds, for a caller that overwrites them all.
    """
    with torch.device(device):  # no module draws weights of its own
        model = _class(shape)(shape, z_loss, dropout)
    model.compute_dtype = dtype
    if not draw:
        return model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_beginning(name, parameter.shape, shape, seed))
    return model


def _class(shape: Shape) -> type[Transformer]:
    if shape.kind == "decoder":
        return Transformer
    from trainer.encoder_decoder import EncoderDecoder  # here, because it is made of what this module has

    return EncoderDecoder


def _beginning(name: str, size: torch.Size, shape: Shape, seed: int) -> Tensor:
    """Draw a parameter's initial values from its own seed.

    Norms are ones. Matrices are normal with standard deviation 0.02 (GPT-2). Those that write into the
    residual stream, two per layer, are divided by √(2·layers), so that its variance does not grow with depth;
    so are an encoder-decoder's norms after its attentions and feed-forward networks, which write into it.
    The output layer is near zero, so the first loss is ln(vocabulary). An untied embedding has standard
    deviation 1, as in nanochat: in small trials with Muon and with AdamW it learned better than with 0.2 and
    0.02. A tied embedding is also the output layer and must be small.
    """
    kind = name.split(".")[-2]
    if kind == "after_norm":
        return torch.full(size, 1 / math.sqrt(2 * shape.layers))
    if kind.endswith("norm"):
        return torch.ones(size)
    deviations = {
        "embedding": 0.02 if shape.tied else 1.0,
        "head": 0.001,
        "router": 0.02,
        "qkv": 0.02,
        "query": 0.02,
        "kv": 0.02,
        "gate_up": 0.02,
        "up": 0.02,
        "out": 0.02 / math.sqrt(2 * shape.layers),
        "down": 0.02 / math.sqrt(2 * shape.layers),
    }
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little"))
    return torch.empty(size).normal_(0.0, deviations[kind], generator=generator)
