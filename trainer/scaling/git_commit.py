"""The commit of the checkout whose code ran."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_commit(folder: Path = Path(__file__).parent) -> str:
    """Return the commit of a folder's files, with "-dirty" if changed since; empty if unknown."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # installed from an archive, or without git
        return ""
    return found.stdout.strip()
