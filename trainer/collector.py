"""Python's garbage collector beside a training run: it looks at no modules, and stops no step."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def freeze_modules() -> None:
    """Take what the process has imported out of every later collection: a million objects that all stay."""
    gc.collect()
    gc.freeze()


@contextmanager
def paused() -> Iterator[None]:
    """Keep the collector from stopping steps: it waits for a save."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
