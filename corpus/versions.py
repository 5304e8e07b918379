"""The versions of the libraries that decide bytes: part of fingerprints; an upgrade is reported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

KEY = "libraries"
"""Where the settings of a stage hold the versions."""


def of(*libraries: str) -> dict[str, str]:
    """Return the installed version of each library, by the name that it is installed by; "" for none."""
    return {name: _version(name) for name in sorted(libraries)}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def changed(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Return in words which libraries differ between the settings of a stage, as "ftfy 6.3.1 → 6.4.0".

    Libraries that only one of them names do not count: what the stage uses has changed, not a version.
    """
    old, new = before.get(KEY), now.get(KEY)
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    return ", ".join(
        f"{name} {old[name] or 'absent'} → {new[name] or 'absent'}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    )
