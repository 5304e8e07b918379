"""An environment in which only what `pip install .[EXTRAS]` brings can be imported."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def brought(*extras: str) -> set[str]:
    """Return the distributions that derlem and these extras of it ask for, with what those ask for."""
    found: set[tuple[str, str]] = set()
    waiting = [("derlem", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = asked = waiting.pop()
        if asked in found:
            continue
        found.add(asked)
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # asked for on other systems, or in other ways met here
            continue
        for requirement in map(Requirement, wanted):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                waiting += [(needed, part) for part in ("", *requirement.extras)]
    return {name for name, _ in found}


def environment(*extras: str) -> dict[str, str]:
    """Return the variables of a process whose Python finds no other distribution's modules."""
    allowed = brought(*extras)
    owners = metadata.packages_distributions()
    hidden = [
        module
        for module, names in owners.items()
        if not any(canonicalize_name(name) in allowed for name in names)
    ]
    return {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent / "bare"),
        "HIDDEN_MODULES": " ".join(hidden),
    }
