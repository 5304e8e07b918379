"""Lines that a host repeats on many of its pages: counted by host, judged over the corpus, removed.

A single page does not show that "Haberin devamı için tıklayınız" is furniture; a host's hundred pages do.
A line is known by the hash of its normal form. What is counted of a unit is kept, so that a later crawl only
adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus import dataset
from corpus.schema import FURNITURE

PAGES = 10  # the fewest pages of its host that have a line of furniture
SHARE = 0.1  # and the least share of the host's pages
TEXT = 0.3  # a line that holds this share of a page's text, or more, is content there
EDGE = 3  # lines at each end of a page, where furniture stands
AT_EDGE = 0.9  # the least share of its pages with it there; headings that a host repeats stand between

COUNTED = np.dtype([("host", "<u8"), ("line", "<u8"), ("pages", "<u4"), ("edge", "<u4"), ("row", "<u4")])
"""A line of a host: hashes of both, its pages, those with it at their edge, and the row of the first page."""

_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


def host_of(url: str) -> str:
    """Return the host of a URL; "" where it has none, as texts from files."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # of brackets that do not hold an address
        return ""


def normal(line: str) -> str:
    """Return a line as it is counted: in small letters, numbers as 0; "" for one without letters."""
    return " ".join(_NUMBER.sub("0", line.casefold()).split()) if _LETTER.search(line) else ""


def hashed(text: str) -> int:
    """Return the 64-bit hash by which a host or a line in normal form is known."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


def lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield the lines of a text with their hashes; 0 for those that cannot be furniture of this page."""
    most = TEXT * len(text)
    for line in text.split("\n"):
        key = normal(line) if len(line) < most else ""
        yield line, hashed(key) if key else 0


@dataclass(slots=True)
class Counter:
    """Counts the lines of one unit's pages, by host."""

    hosts: dict[str, int] = field(default_factory=dict)
    _lines: dict[str, dict[int, list[int]]] = field(default_factory=dict)

    def add(self, url: str, text: str, row: int) -> None:
        """Count a page, which is a row of the unit's file; one without a host does not count."""
        if not url or not (host := host_of(url)):
            return
        self.hosts[host] = self.hosts.get(host, 0) + 1
        found = self._lines.setdefault(host, {})
        keys = [key for _, key in lines(text)]
        at_edge = {*keys[:EDGE], *keys[-EDGE:]}
        for key in set(keys) - {0}:
            numbers = found.setdefault(key, [0, 0, row])
            numbers[0] += 1
            numbers[1] += key in at_edge

    def counted(self) -> NDArray[np.void]:
        """Return what was counted, in the order of the hashes."""
        rows = [
            (hashed(host), line, pages, edge, row)
            for host, found in self._lines.items()
            for line, (pages, edge, row) in found.items()
        ]
        return np.sort(np.array(rows, dtype=COUNTED), order=["host", "line"])


@dataclass(frozen=True, slots=True)
class Found:
    """Furniture: the counts summed over units, the unit and row of an example, and the pages of each host.

    `others` is on how many hosts of the corpus a line stands.
    """

    lines: NDArray[np.void]
    unit: NDArray[np.int64]
    of_host: NDArray[np.int64]
    others: NDArray[np.int64]


def judge(counted: Collection[NDArray[np.void]], pages: dict[int, int]) -> Found:
    """Return the furniture among the counts of all units; `pages` are those of each host, by its hash.

    The result depends on the order of the units in its examples only.
    """
    together = np.concatenate([np.empty(0, COUNTED), *counted])
    unit = (
        np.repeat(np.arange(len(counted)), [len(each) for each in counted]) if counted else np.empty(0, int)
    )
    order = np.lexsort((unit, together["line"], together["host"]))
    together, unit = together[order], unit[order]
    same = (together["host"][1:] == together["host"][:-1]) & (together["line"][1:] == together["line"][:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~same])) if together.size else np.empty(0, int)
    summed = together[starts].copy()
    for name in ("pages", "edge") if starts.size else ():
        summed[name] = np.add.reduceat(together[name], starts)
    of_host = np.array([pages[host] for host in summed["host"].tolist()], dtype=np.int64)
    stays = summed["pages"] >= np.maximum(PAGES, SHARE * of_host)
    stays &= summed["edge"] >= AT_EDGE * summed["pages"]
    kinds, hosts = np.unique(summed["line"], return_counts=True)
    chosen = summed[stays]
    others = hosts[np.searchsorted(kinds, chosen["line"])] if chosen.size else np.empty(0, np.int64)
    return Found(chosen, unit[starts][stays], of_host[stays], others)


def without(text: str, furniture: Collection[int]) -> tuple[str, list[int]]:
    """Return a text without the lines that are furniture of its host, and the hashes of those."""
    kept, gone = [], []
    for line, key in lines(text):
        if key in furniture:
            gone.append(key)
        else:
            kept.append(line)
    return "\n".join(kept).strip("\n"), gone


def clear(row: dict[str, Any], furniture: Mapping[str, Collection[int]]) -> int:
    """Take the furniture of its host out of a row of an extracted file; return how many lines that were."""
    found = furniture.get(host_of(row["url"])) if row["url"] else None
    if not found:
        return 0
    row["text"], gone = without(row["text"], found)
    row["bytes"] = len(row["text"].encode())
    return len(gone)


def read(folder: str, path: str) -> dict[str, frozenset[int]]:
    """Return the furniture of one unit's hosts, as hashes of lines."""
    found: dict[str, set[int]] = {}
    for batch in dataset.batches(folder, path, ["host", "hash"]):
        for host, line in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            found.setdefault(host, set()).add(line)
    return {host: frozenset(hashes) for host, hashes in found.items()}


def of_units(manifest: dataset.Manifest) -> dict[str, tuple[str, str]]:
    """Return the file of furniture, and the digest of what it removes, of each unit of extract with some."""
    digests = manifest.facts.get("digests", {})
    assert isinstance(digests, dict)
    found = {}
    for file in manifest.files(FURNITURE.name):
        unit = file.path.rpartition("/")[2].split("-")[1]
        found[unit] = (file.path, str(digests[unit]))
    return found
