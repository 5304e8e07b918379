"""The fetched pages in a folder: the rounds of a crawl, and captures taken from Common Crawl."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from corpus import dataset, files
from corpus.crawl.state import layout

COMMONCRAWL = "commoncrawl"
"""The subfolder of a crawl's folder whose folders hold captures from Common Crawl."""

_PATTERNS = {
    "warc": "*.warc.gz",
    "wet": "*.warc.wet.gz",
}  # by kind of file, which is also the name of its folder


@dataclass(frozen=True, slots=True)
class Source:
    """Files for a configuration's source: their format, and patterns for their paths."""

    format: str
    paths: tuple[str, ...]


def stages(folder: str) -> list[str]:
    """Return the finished stage folders of fetched pages, rounds first."""
    rounds = [layout.round_folder(folder, number + 1) for number in range(layout.rounds(folder))]
    return [*rounds, *(one for one in taken(folder) if files.size(one, dataset.MANIFEST) is not None)]


def is_crawl(folder: str) -> bool:
    """Return whether a folder holds a crawl, or captures from Common Crawl."""
    return files.size(folder, layout.START) is not None or bool(taken(folder))


def sources(folder: str, base: Path) -> list[Source]:
    """Return the sources in a crawl's folder for a configuration in the folder `base`, if it is one."""
    found = files.located(folder)
    if files.is_local(found):  # its name may contain special characters of a glob
        found = glob.escape(found if os.path.isabs(found) else os.path.relpath(found, base))
    paths: dict[str, list[str]] = {kind: [] for kind in _PATTERNS}
    if files.size(folder, layout.START) is not None:
        paths[layout.WARC].append(files.join(found, layout.ROUNDS, "*", layout.WARC, _PATTERNS["warc"]))
    for home in taken(folder):
        fs, root = files.filesystem(home)
        for kind, pattern in _PATTERNS.items():
            if fs.isdir(files.join(root, kind)):
                paths[kind].append(files.join(found, COMMONCRAWL, _name(home), kind, pattern))
    return [Source(kind, tuple(named)) for kind, named in paths.items() if named]


def advice(stage: str) -> str:
    """Return the advice on damaged files, by the name of the stage that wrote them."""
    if stage not in ("crawl", COMMONCRAWL):
        return "remove the files named above: the next build makes them again"
    return (
        "fetched files cannot be rebuilt from other files: restore the files named above from a copy, or "
        f"remove them and run the `derlem {stage}` command that fetched them again; it requests everything "
        "that their units fetched from the servers again, as far as it still exists"
    )


def taken(folder: str) -> list[str]:
    """Return the folders of captures from Common Crawl, finished or not."""
    home = files.join(folder, COMMONCRAWL)
    fs, root = files.filesystem(home)
    inside = fs.ls(root, detail=True) if fs.isdir(root) else []
    names = sorted(_name(entry["name"]) for entry in inside if entry["type"] == "directory")
    return [files.join(home, name) for name in names]


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
