"""Rotary positions (2104.09864), stretched for longer windows by YaRN (2309.00071)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]

_FAST, _SLOW = (
    32.0,
    1.0,
)  # turns within the first window: from 32 on nothing is stretched, below 1 all (§ 3.2)


@dataclass(frozen=True, slots=True)
class Rope:
    """The base of the positions, and YaRN's factor: the windows' length over that of the first, `window`."""

    base: float
    factor: float = 1.0
    window: int = 0

    @property
    def temperature(self) -> float:
        """Return the factor of queries and of keys by which YaRN sharpens attention, √(1/t) of its § 3.3."""
        return 0.1 * math.log(self.factor) + 1.0

    def rotation(self, positions: Tensor, head: int) -> Rotation:
        """Return cosines and sines float32 [B, T, 1, head / 2] of positions [B, T].

        They are computed for each micro-batch, which costs almost nothing. A stored table could be too short,
        be lost when a model is built on the meta device, or be rounded by a cast.
        """
        pairs = torch.arange(0, head, 2, dtype=torch.float32, device=positions.device)
        frequencies = self.base ** (-pairs / head)
        if self.factor > 1.0:
            kept = self._kept(pairs / 2, head)
            frequencies = frequencies * (kept + (1.0 - kept) / self.factor)
        angles = positions[..., None, None] * frequencies
        return angles.cos() * self.temperature, angles.sin() * self.temperature

    def _kept(self, pairs: Tensor, head: int) -> Tensor:
        """Return how far each pair's frequency is kept: 1 fully, 0 stretched by the factor."""

        def pair(turns: float) -> float:  # the one that makes this number of turns in a window
            return head * math.log(self.window / (turns * 2 * math.pi)) / (2 * math.log(self.base))

        low, high = max(math.floor(pair(_FAST)), 0), min(math.ceil(pair(_SLOW)), head - 1)
        return 1.0 - ((pairs - low) / max(high - low, 0.001)).clamp(0.0, 1.0)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the pairs (i, i + head / 2) of every head, the pairing of Hugging Face's Llama."""
    cos, sin = rotation
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)
