"""The lines that a host of a build repeats, and that the build removes from its pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from corpus import dataset
from corpus.errors import NotThereError
from corpus.inspect.build import open_build
from corpus.schema import FURNITURE


@dataclass(frozen=True, slots=True)
class Repeated:
    """A line, the pages of its host that have it, all pages of that host, and the hosts that have it."""

    line: str
    pages: int
    of_pages: int
    hosts: int

    def as_dict(self) -> dict[str, Any]:
        """Return the line for programs."""
        return asdict(self)


def furniture(folder: str, host: str) -> list[Repeated]:
    """Return the furniture of a host, the most frequent first.

    Raises NotThereError where the stage is not finished or the host has none; it then names some that do.
    """
    stage = open_build(folder).need("furniture", "know what hosts repeat")
    found: dict[int, Repeated] = {}
    others: dict[str, None] = {}
    for file in stage.manifest.files(FURNITURE.name):
        for batch in dataset.batches(stage.folder, file.path):
            for row in batch.to_pylist():
                others[row["host"]] = None
                if row["host"] == host:
                    found[row["hash"]] = Repeated(row["line"], row["pages"], row["of_pages"], row["hosts"])
    if not found:
        some = ", ".join(sorted(others)[:3]) or "none"
        raise NotThereError(f"{folder}: no line of host {host!r} was removed; hosts with such lines: {some}")
    return sorted(found.values(), key=lambda each: (-each.pages, each.line))
