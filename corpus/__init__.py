"""Functions over text and Arrow batches; no module here imports Beam or torch.

The functions of `corpus.library` can be imported from here; each is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.library import extract, identify, judge, open_build, redact, signature

__all__ = ["extract", "identify", "judge", "open_build", "redact", "signature"]


def __getattr__(name: str) -> Any:
    """Load a function of the library (PEP 562), so that `import corpus` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'corpus' has no attribute {name!r}")
    from corpus import library

    return getattr(library, name)
