"""Passages that were removed from kept documents because other documents keep them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from corpus import dataset
from corpus.errors import NotThereError
from corpus.inspect import rows
from corpus.inspect.build import open_build
from corpus.inspect.documents import part_file
from corpus.inspect.rows import Place


@dataclass(frozen=True, slots=True)
class Removed:
    """A passage of the document `id`, its place there in bytes, and the document that keeps most of it.

    The rule is `dedupe.substrings` or `dedupe.paragraphs`.
    """

    id: str
    url: str
    start: int
    end: int
    kept: str
    rule: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return the passage for programs."""
        return asdict(self)


def spans(root: str, limit: int = 5, id: str = "") -> list[Removed]:
    """Return the first removed passages of a build, or those of the document whose id starts with `id`.

    Raises NotThereError where no passages were looked for, or none was removed of that document.
    """
    build = open_build(root)
    dedupe = build.need("dedupe", "show removed passages")
    home = build.need_last("documents", "show the texts of passages")
    files = home.manifest.by_unit("documents")
    stored = dedupe.manifest.files("spans")
    if "spans" not in dedupe.manifest.facts:
        raise NotThereError(
            f"{root}: no passages were looked for; dedupe.substrings.length = 500 does, "
            f"dedupe.paragraphs.most = 10 looks for paragraphs"
        )
    found: list[dict[str, Any]] = []
    for batch in (batch for file in stored for batch in dataset.batches(dedupe.folder, file.path)):
        found += (row for row in batch.to_pylist() if row["id"].startswith(id.lower()))
        if len(found) >= limit:
            break
    if id and not found:
        raise NotThereError(f"{root}: no passage of a document whose id starts with {id!r} was removed")
    found = found[:limit]
    places = [Place(home.folder, part_file(home.name, files, row["part"]), row["row"]) for row in found]
    return list(_removed(found, rows.read(places, ["text", "url"])))


def _removed(found: list[dict[str, Any]], documents: list[dict[str, Any]]) -> Iterator[Removed]:
    for row, document in zip(found, documents, strict=True):
        text = document["text"].encode()[row["start"] : row["end"]].decode()
        rule = f"dedupe.{row['kind']}"
        yield Removed(row["id"], document["url"], row["start"], row["end"], row["kept"], rule, text)
