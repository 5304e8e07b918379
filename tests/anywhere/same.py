"""What two builds of one corpus must have in common, wherever and by whatever they were made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anywhere.conftest import Cloud
    from anywhere.stores import Store

_FETCH = """
import sys
from corpus import files
fs, root = files.filesystem(sys.argv[1])
if fs.exists(root):
    fs.get(root, sys.argv[2], recursive=True)
"""


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a build; of its units and reports, which hold times, the name.

    What the build remembers of its configuration, which names the output, is left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.name.startswith(".") and not name.startswith("units/"):
            is_timed = "/units/" in name or path.name == "report.json"
            found[name] = "" if is_timed else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def on_store(cloud: Cloud, store: Store, name: str, folder: Path) -> dict[str, str]:
    """Return the `contents` of a build on a store, by way of a new folder."""
    store.proxy.clear()
    cloud.run(_FETCH, store.url(name), folder, store=store)
    return contents(folder)
