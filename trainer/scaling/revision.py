"""Which code made a number: the commit of the checkout that it ran from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def revision(folder: Path = Path(__file__).parent) -> str:
    """Return the commit that a folder's files are of, with "-dirty" if changed since; empty if unknown."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # installed from an archive, or no git: nothing is known
        return ""
    return found.stdout.strip()
