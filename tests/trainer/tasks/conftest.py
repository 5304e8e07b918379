"""The small build in which questions are planted."""

from small_build import build

__all__ = ["build"]
