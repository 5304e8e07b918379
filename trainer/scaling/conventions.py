"""What counts as N and as training compute: the published conventions side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trainer.scaling.laws import Floats


class Sizes(Protocol):
    """The sizes of a transformer, as `trainer.shape.Shape` has them."""

    @property
    def layers(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def non_embedding_parameters(self) -> int: ...
    @property
    def matmul_parameters(self) -> int: ...
    @property
    def parameters(self) -> int: ...


@dataclass(frozen=True)
class Convention:
    """A paper's way to count: parameters of a shape, and training FLOPs per token at a window length."""

    name: str
    source: str
    params: Callable[[Sizes], int]
    flops: Callable[[Sizes, int], float]


def _chinchilla_flops(s: Sizes, length: int) -> float:
    # forward, per token of a sequence of `length`: matrices, lookups as products with one-hot rows,
    # attention's scores and values, three FLOPs per score for its softmax; backward costs twice as much
    matrices = 2 * s.non_embedding_parameters + 4 * s.vocabulary * s.width
    attention = s.layers * s.heads * length * (4 * s.head + 3)
    return 3.0 * (matrices + attention)


CONVENTIONS: dict[str, Convention] = {
    c.name: c
    for c in (
        Convention(
            "kaplan",
            "Kaplan et al. 2020, table 1: no embeddings; attention's window counted once",
            lambda s: s.non_embedding_parameters,
            lambda s, length: 6.0 * s.non_embedding_parameters + 6.0 * s.layers * length * s.heads * s.head,
        ),
        Convention(
            "chinchilla",
            "Hoffmann et al. 2022, appendix F: all parameters; embeddings and softmax counted",
            lambda s: s.parameters,
            _chinchilla_flops,
        ),
        Convention(
            "palm",
            "Chowdhery et al. 2022, appendix B, and nanochat: matrices with the output layer, no lookups",
            lambda s: s.matmul_parameters,
            lambda s, length: 6.0 * s.matmul_parameters + 12.0 * s.layers * s.heads * s.head * length,
        ),
        Convention(
            "porian",
            "Porian et al. 2024: matrices with the output layer, without attention",
            lambda s: s.matmul_parameters,
            lambda s, length: 6.0 * s.matmul_parameters,
        ),
    )
}


def six_nd(params: Floats, tokens: Floats) -> Floats:
    """Return 6·N·D, in floating point: as an integer it overflows 63 bits above 9.2e18."""
    return np.asarray(6.0 * params.astype(float) * tokens.astype(float))
