"""What a folder holds of fetched pages: rounds of our own crawl, and what was taken from Common Crawl."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from corpus import dataset, files
from corpus.crawl.state import layout

COMMONCRAWL = "commoncrawl"
"""The folder, below that of a crawl, whose folders hold what was taken from Common Crawl."""

_PATTERNS = {"warc": "*.warc.gz", "wet": "*.warc.wet.gz"}  # by the kind of file, which is its folder's name


@dataclass(frozen=True, slots=True)
class Source:
    """Files that a configuration can name: their format, and the patterns of their paths."""

    format: str
    paths: tuple[str, ...]


def stages(folder: str) -> list[str]:
    """Return the stage folders of fetched pages that are finished: rounds first."""
    rounds = [layout.round_folder(folder, number + 1) for number in range(layout.rounds(folder))]
    return [*rounds, *(one for one in _taken(folder) if files.size(one, dataset.MANIFEST) is not None)]


def sources(folder: str, base: Path) -> list[Source]:
    """Return what a configuration in the folder `base` can name of a crawl's folder, if it is one."""
    found = files.located(folder)
    if files.is_local(found):  # its name may hold the letters that a glob gives a meaning to
        found = glob.escape(found if os.path.isabs(found) else os.path.relpath(found, base))
    paths: dict[str, list[str]] = {kind: [] for kind in _PATTERNS}
    if files.size(folder, layout.START) is not None:
        paths[layout.WARC].append(files.join(found, layout.ROUNDS, "*", layout.WARC, _PATTERNS["warc"]))
    for home in _taken(folder):
        fs, root = files.filesystem(home)
        for kind, pattern in _PATTERNS.items():
            if fs.isdir(files.join(root, kind)):
                paths[kind].append(files.join(found, COMMONCRAWL, _name(home), kind, pattern))
    return [Source(kind, tuple(named)) for kind, named in paths.items() if named]


def mending(stage: str) -> str:
    """Return what can be done about damaged files, by the name of the stage that wrote them."""
    if stage not in ("crawl", COMMONCRAWL):
        return "remove the files named above: the next build makes them anew"
    return (
        "what was fetched cannot be made anew from anything here: put the files named above back from a "
        f"copy, or remove them and run the `derlem {stage}` command that fetched them again; it finds them "
        "gone and asks the servers once more for all that their unit fetched, as far as it is still there"
    )


def _taken(folder: str) -> list[str]:
    """Return the folders of what was taken from Common Crawl, finished or not."""
    home = files.join(folder, COMMONCRAWL)
    fs, root = files.filesystem(home)
    inside = fs.ls(root, detail=True) if fs.isdir(root) else []
    names = sorted(_name(entry["name"]) for entry in inside if entry["type"] == "directory")
    return [files.join(home, name) for name in names]


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
