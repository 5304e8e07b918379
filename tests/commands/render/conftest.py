"""The small build that these tests look into."""

from small_build import build

__all__ = ["build"]
