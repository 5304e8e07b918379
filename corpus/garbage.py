"""Many objects made at once, without repeated visits of all of them by the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def none() -> Iterator[None]:
    """Run a block that makes objects and no garbage without the collector."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
