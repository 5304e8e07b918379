"""Pages that a build must not hold: the list beside it, and what extraction takes out by it.

How pages are taken out of a build (`derlem forget`), and why so:

1. `forgotten.json` in the output folder lists requests: date, reason, and a hash of each URL, host or text,
   so that the list keeps no address. Extraction reads it and skips matching records as it skips images, so no
   later stage, table or count knows them, and an input that brings the page again changes nothing.
2. The list is not a part of fingerprints. As a part of every unit's, one request would make all units again;
   as a part of those units' that hold the page, a build from the start could not name its units before it has
   read them. So a unit keeps its name, and its files their paths, and only the content changes.
3. A finished unit of extract that holds a page of an open request counts as not done (`Forgotten.is_held`
   reads the addresses in its files). Its record goes first, so that a kill leaves it not done.
4. Every later stage follows by its own fingerprints, which have the checksums of its inputs: parts of those
   units, parts whose hosts' furniture changed, the clusters of copies (a page that was removed as a copy of a
   forgotten one comes back), the shards of their groups, the token shards of those. The rest stays.
5. So the bytes are those of a build with the same list from the start, and the rows those of a build whose
   inputs never had the pages. Only `skipped: forgotten` in the counts of extract tells.
6. When a build starts, it adds the lists of the local crawls that it reads to its own
   (`pipelines.forget.adopt`).
7. A request stays open until every stage is made again and no file holds the page; until then each build
   looks for it. `forgotten/0001.json`, the proof, has checksums before and after; its first half is written
   before the request joins the list. Killed anywhere, the same command, or a build, resumes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from corpus import dataset, files
from corpus.errors import DatasetError
from corpus.filters.url import host_of
from corpus.items import Item, RawDocument, Rejected, Skipped
from corpus.schema import DROPPED, EXTRACTED, REJECTED
from corpus.web.url import canonical

FILE = "forgotten.json"
SKIPPED = "forgotten"
"""The kind under which extraction counts the records that it skips."""

Kind = Literal["url", "host", "text"]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Key(_Stored):
    """What is forgotten: a page by its URL, all of a host, or a text that has no URL; as a hash."""

    kind: Kind
    hash: str


class Request(_Stored):
    """What one command forgot, when and why; `is_done` once every stage was made again without it."""

    date: str
    reason: str
    keys: tuple[Key, ...]
    is_done: bool = False


class Listed(_Stored):
    """The list of a build, or of a crawl."""

    requests: tuple[Request, ...] = ()


def of_url(url: str) -> Key:
    """Return the key of a page: http or https, `www.` and tracking parameters make no other page."""
    return Key(kind="url", hash=_hashed("url", canonical(url)))


def of_host(host: str) -> Key:
    """Return the key of a host with its subdomains."""
    return Key(kind="host", hash=_hashed("host", host_of(host)))


def of_text(text: str) -> Key:
    """Return the key of a text without a URL: of its letters and digits, which repair does not change."""
    return Key(kind="text", hash=_hashed("text", "".join(filter(str.isalnum, text.casefold()))))


def _hashed(kind: Kind, value: str) -> str:
    return hashlib.blake2b(f"{kind}\n{value}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def read(folder: str) -> Listed:
    """Return the list in a folder, an empty one where there is none; DatasetError for a damaged one."""
    try:
        found = files.read_json(folder, FILE)
        return Listed() if found is None else Listed.model_validate(found)
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DatasetError(
            f"{folder}/{FILE} is damaged ({first}): restore it from a copy; without it pages that were "
            "forgotten would come back"
        ) from None


def save(folder: str, listed: Listed) -> None:
    """Write the list of a folder."""
    files.write_json(folder, FILE, listed.model_dump(mode="json"), sweeps=True)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What extraction must skip; false where that is nothing."""

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.urls or self.hosts or self.texts)

    def has_url(self, url: str) -> bool:
        """Return whether the page of a URL is forgotten; never for an empty one."""
        if not url:
            return False
        if self.hosts and not self.hosts.isdisjoint(_of_hosts(host_of(url))):
            return True
        return bool(self.urls) and _hashed("url", canonical(url)) in self.urls

    def has_text(self, url: str, text: str) -> bool:
        """Return whether a text is forgotten; only one without a URL is known by itself."""
        return bool(self.texts) and not url and of_text(text).hash in self.texts

    def without(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield what a reader yields, and for a record of a forgotten page that it is skipped."""
        for item in items:
            if self and isinstance(item, RawDocument | Rejected) and self.has_url(item.url):
                yield Skipped(item.offset, SKIPPED)
            else:
                yield item

    def rows(self, batch: pa.RecordBatch) -> list[int]:
        """Return the rows that are forgotten in a batch with `url`, and with `text` if texts are."""
        urls = batch["url"].to_pylist()
        found = [row for row, url in enumerate(urls) if self.has_url(url or "")]
        if self.texts and "text" in batch.schema.names:
            texts = batch["text"].to_pylist()
            found += [row for row, url in enumerate(urls) if self.has_text(url or "", texts[row])]
        return found

    def columns(self, kind: str) -> list[str]:
        """Return the columns of a kind of files of extract that `rows` needs."""
        return ["url", "text"] if self.texts and kind == EXTRACTED.name else ["url"]

    def is_held(self, folder: str, unit: dataset.Unit) -> bool:
        """Return whether a file of a unit of extract holds a forgotten page."""
        return any(
            self.rows(batch)
            for file in unit.files
            if file.kind in (EXTRACTED.name, DROPPED.name, REJECTED.name)
            for batch in dataset.batches(folder, file.path, self.columns(file.kind))
        )


NOTHING = Forgotten()


@lru_cache(maxsize=65536)
def _of_hosts(host: str) -> frozenset[str]:
    """Return the hashes of a host and of the domains above it."""
    labels = host.split(".")
    return frozenset(_hashed("host", ".".join(labels[first:])) for first in range(len(labels)) if host)


def forgotten(requests: Sequence[Request]) -> Forgotten:
    """Return what some requests forget, together."""
    keys = [key for request in requests for key in request.keys]
    sets = (frozenset(key.hash for key in keys if key.kind == kind) for kind in ("url", "host", "text"))
    return Forgotten(*sets)
