"""The sizes of a model, its parameters and its FLOPs per token, counted as the literature counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from corpus.errors import ConfigError
from trainer.config import Model

ROWS = 128
"""The rows of embedding and output layer are a multiple of this, the fastest for matrix products."""
ALIGNED = 8
"""Width and experts' width are multiples of this: rows of 16 bytes in bfloat16, for grouped products."""


@dataclass(frozen=True, slots=True)
class Shape:
    """All sizes and settings that decide the parameters of a model and its computation.

    An encoder-decoder has `layers` on each side, and cross-attention in those of the decoder. With `experts`,
    each of them is `hidden` wide; a token passes `active` that the router chooses, and `shared` ones.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    hidden: int
    vocabulary: int
    rows: int
    activation: Literal["swiglu", "relu2"]
    tied: bool
    qk_norm: bool
    rope_base: float
    soft_cap: float
    experts: int = 0  # defaults: results of older versions do not state them
    active: int = 0
    shared: int = 0
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    kind: Literal["decoder", "encoder-decoder"] = "decoder"

    @property
    def non_embedding_parameters(self) -> int:
        """Return the number of weights in the matrices of blocks: N of Kaplan et al. (2001.08361).

        Of experts, those count that a token passes.
        """
        passed = self.active + self.shared if self.experts else 1
        block = self._attention + passed * self._feed + self.experts * self.width
        if self.kind == "decoder":
            return self.layers * block
        return self.layers * (2 * block + self._attention)

    @property
    def encoder_parameters(self) -> int:
        """Return the number of weights that a token of an encoder's input is multiplied by; 0 without one.

        Those of its keys and values in the decoder's cross-attention count too.
        """
        if self.kind == "decoder":
            return 0
        return self.layers * (self._attention + self._feed + 2 * self.width * self.head * self.kv_heads)

    @property
    def matmul_parameters(self) -> int:
        """Return the number of weights that a token is multiplied by: blocks and output layer, tied or not.

        Looking up the embedding multiplies nothing. This is the N of 6·N, as in nanochat's scaling laws. Of
        an encoder-decoder it is that of a token of the decoder.
        """
        return self.non_embedding_parameters - self.encoder_parameters + self.rows * self.width

    @property
    def active_parameters(self) -> int:
        """Return the number of parameters, with embedding and norms, but without the experts that a token
        does not pass: N of Hoffmann et al. (2203.15556).
        """
        norms = self.layers * (2 * self.width + 2 * self.head * self.qk_norm) + self.width
        if self.kind == "encoder-decoder":  # norms before and after each of five parts of a layer pair
            norms = self.layers * 10 * self.width + 2 * self.width
        tables = (1 if self.tied else 2) * self.rows * self.width
        return self.non_embedding_parameters + tables + norms

    @property
    def parameters(self) -> int:
        """Return the number of all parameters, with all experts: what memory and files hold."""
        return self.active_parameters + self.layers * (self.experts - self.active) * self._feed

    @property
    def _attention(self) -> int:
        """Return the number of weights of one attention, to the same document or to that of an encoder."""
        return self.width * self.head * (2 * self.heads + 2 * self.kv_heads)

    @property
    def _feed(self) -> int:
        """Return the number of weights of one feed-forward network or expert."""
        return self.width * self.hidden * (3 if self.activation == "swiglu" else 2)


def shape(model: Model, vocabulary: int) -> Shape:
    """Return all sizes for a vocabulary of this many pieces; raise ConfigError if they do not fit."""
    width = model.width or 64 * model.depth
    heads, rest = divmod(width, model.head)
    if rest:
        raise ConfigError(
            f"model.width = {width}, model.head = {model.head}: the head dimension must divide the width; "
            f"set model.width to a multiple of {model.head}, or change model.head"
        )
    kv_heads = model.kv_heads or heads
    if heads % kv_heads:
        raise ConfigError(f"model.kv_heads = {kv_heads}: expected a divisor of the number of heads, {heads}")
    if model.head % 2:
        raise ConfigError(
            f"model.head = {model.head}: expected an even number, because rotary positions use pairs"
        )
    if vocabulary < 2:
        raise ConfigError(f"vocabulary of {vocabulary} pieces: expected at least 2")
    experts, hidden = model.experts, model.hidden or _hidden(model.activation, width)
    if experts.count:
        hidden = experts.hidden or _up(-(-hidden // (experts.active + experts.shared)), ALIGNED)
        for name, size in (("experts.hidden", hidden), ("width", width)):
            if size % ALIGNED:
                raise ConfigError(
                    f"model.{name} = {size}: expected a multiple of {ALIGNED}, as products of experts need it"
                )
    return Shape(
        layers=model.depth,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head=model.head,
        hidden=hidden,
        vocabulary=vocabulary,
        rows=_up(vocabulary, ROWS),
        activation=model.activation,
        tied=model.tied,
        qk_norm=model.qk_norm,
        rope_base=model.rope_base,
        soft_cap=model.soft_cap,
        experts=experts.count,
        active=experts.active if experts.count else 0,
        shared=experts.shared if experts.count else 0,
        scores=experts.scores,
        kind="encoder-decoder" if model.kind == "encoder-decoder" else "decoder",
    )


def flops(shape: Shape, keys: float, encoded: float = 0.0) -> float:
    """Return the FLOPs per token, forward and backward, with a mean of `keys` attended keys.

    `encoded` is the share of the tokens that an encoder reads.

    6·N + 12·layers·heads·head·keys (PaLM, 2204.02311, appendix B). With `keys` = the window's length it is
    the number that most projects publish. With the keys that are really attended, (length + 1) / 2 for whole
    windows and fewer if a window has several documents, it counts the work done. Recomputation never counts.
    """
    weights = (1 - encoded) * shape.matmul_parameters + encoded * shape.encoder_parameters
    return 6.0 * weights + 12.0 * shape.layers * shape.heads * shape.head * keys


def counted(parameters: int, active: int) -> str:
    """Return the number of parameters in words, with those that a token passes where they are fewer."""
    return f"{parameters:,}" if active == parameters else f"{parameters:,} ({active:,} active)"


def _hidden(activation: str, width: int) -> int:
    """Return the width of the feed-forward layer, rounded, for about 8·width² parameters.

    relu2 has two matrices, swiglu three.
    """
    if activation == "relu2":
        return 4 * width
    return _up(-(-8 * width // 3), 64 if width < 1024 else 128)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
