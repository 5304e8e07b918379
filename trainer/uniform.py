"""Random numbers by a key and a number, the same on every device."""

from __future__ import annotations

from torch import Tensor


def uniform(keys: Tensor, numbers: Tensor) -> Tensor:
    """Return float64 in [0, 1) for keys and numbers, both int64: SplitMix64's mixing."""
    x = keys + (numbers + 1) * _signed(0x9E3779B97F4A7C15)
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(0x94D049BB133111EB)
    x = x ^ ((x >> 31) & ((1 << 33) - 1))
    return ((x >> 11) & ((1 << 53) - 1)).double() * 2.0**-53


def _signed(number: int) -> int:
    """Return a 64-bit number as torch stores it: its products wrap around as unsigned ones do."""
    return number - (1 << 64) if number >> 63 else number
