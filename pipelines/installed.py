"""What is installed where units are done: workers elsewhere must have what the driver has."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from corpus import versions
from corpus.errors import StageError

_PACKAGE = "derlem"
_ROOMS = ("corpus", "pipelines")  # whose code the workers run
_LIBRARIES = (
    "apache-beam",
    "ftfy",
    "lxml",
    "numpy",
    "pyarrow",
    "resiliparse",
    "sentencepiece",
    "trafilatura",
)


@lru_cache(maxsize=1)
def here() -> Mapping[str, str]:
    """Return the versions of Python, of derlem with a digest of its code, and of what decides bytes."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(each for room in _ROOMS for each in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    derlem = f"{versions.of(_PACKAGE)[_PACKAGE]} with code {digest.hexdigest()[:12]}"
    python = ".".join(map(str, sys.version_info[:2]))
    return {_PACKAGE: derlem, "Python": python, **versions.of(*_LIBRARIES)}


def check(driver: Mapping[str, str]) -> None:
    """Raise StageError where this process has other versions than the `driver`."""
    mine = here()
    if other := [name for name in driver if driver[name] != mine.get(name, "")]:
        found = ", ".join(f"{name} {mine.get(name) or 'absent'} (driver: {driver[name]})" for name in other)
        raise StageError(
            f"this worker has {found}; make the images of the driver and of the workers from one commit, "
            "with the versions of constraints.txt (infra/README.md)"
        )
