"""Whole WARC and WET files: listed, fetched to the disk, gone on with where a fetch was cut, and checked."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpus import files
from corpus.commoncrawl.config import Access
from corpus.commoncrawl.store import MissingError, Store, opened
from corpus.errors import ConfigError, ServerError
from corpus.web.codecs import Gzip
from corpus.web.compression import DamageError, Window, inflate
from corpus.web.retry import PassingError

_PATH = re.compile(r"(?:[\w.=+-]+/)*[\w.=+-]+?(\.warc\.wet|\.warc)\.gz")
_CRAWL = re.compile(r"(?:^|/)crawl-data/([\w-]+)/")

Beat = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of a crawl: its path below the base, its kind (warc or wet), and its name without suffixes."""

    path: str
    kind: str
    name: str


def listed(access: Access, where: str) -> list[Archive]:
    """Read a list of paths, plain or gzip, from a file or URL; ConfigError for what is no such path."""
    place, slash, name = where.rpartition("/")
    try:
        with opened(access, place or slash or ".") as store:
            data = store.whole(name)
        if data[:2] == Gzip.magic[:2]:
            data = gzip.decompress(data)
        lines = data.decode().split()
    except MissingError:
        raise ConfigError(f"--paths {where}: not found") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"--paths {where}: no list of paths: {error}") from None
    archives = [_archive(where, line) for line in dict.fromkeys(lines)]
    if not archives:
        raise ConfigError(f"--paths {where}: holds no path")
    return archives


def _archive(where: str, line: str) -> Archive:
    found = _PATH.fullmatch(line)
    if found is None or ".." in line.split("/"):
        raise ConfigError(
            f"--paths {where}: {line[:200]!r}: expected the path of a WARC or WET file below Common Crawl's "
            f"base, such as crawl-data/CC-MAIN-2024-22/segments/…/wet/….warc.wet.gz"
        )
    kind = "wet" if found[1] == ".warc.wet" else "warc"
    return Archive(line, kind, line.rpartition("/")[2].removesuffix(f"{found[1]}.gz"))


def crawl_of(archives: list[Archive]) -> str:
    """Name the crawl that all paths belong to; ConfigError where they say none or several."""
    names = {found[1] if (found := _CRAWL.search(archive.path)) else "" for archive in archives}
    if len(names) != 1 or "" in names:
        said = ", ".join(sorted(names - {""})) or "none"
        raise ConfigError(f"--paths: the paths should be of one crawl, crawl-data/NAME/…; they name: {said}")
    return names.pop()


class Part:
    """A file on its way: its bytes so far and, beside them, which content they belong to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.note")

    def size(self) -> int:
        """Return how many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def note(self) -> dict[str, Any]:
        """Give version and length of the content; neither is known where the bytes cannot be gone on with."""
        try:
            found: dict[str, Any] = json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return {"version": "", "total": 0}
        return found

    def forget(self) -> None:
        """Remove the bytes and the note."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def begin(self, version: str, total: int) -> None:
        """Begin with no bytes of this content."""
        self.forget()
        if version:
            self._note.write_text(json.dumps({"version": version, "total": total}))


def fetch(store: Store, path: str, part: Part, beat: Beat) -> None:
    """Fetch a file to `part`, from where its bytes end if the content is still the same.

    Raises MissingError and ServerError as the store does. Tries count anew whenever bytes have come.
    """
    store.retry.attempt(f"{store.base}/{path}", partial(_go_on, store, path, part, beat))


def _go_on(store: Store, path: str, part: Part, beat: Beat) -> None:
    note, size = part.note(), part.size()
    if not note["version"] or size > note["total"]:
        part.forget()
        note, size = {"version": "", "total": 0}, 0
    elif size == note["total"]:
        return
    came = 0
    try:
        with store.open(path, size, note["version"]) as body:
            if body.start and body.version not in ("", note["version"]):
                part.forget()
                raise PassingError("the file has changed on the server meanwhile")
            if not body.start:
                part.begin(body.version, body.total)
            with part.path.open("ab") as sink:
                for piece in body.pieces:
                    sink.write(piece)
                    came += len(piece)
                    beat((body.start + came) / body.total if body.total else 0.0)
            if body.total and body.start + came != body.total:
                raise PassingError(f"{body.start + came:,} of {body.total:,} bytes came")
    except PassingError as error:
        raise PassingError(str(error), error.after_s, progress=came > 0) from None


def check(path: Path) -> tuple[int, str]:
    """Return a gzip file's number of members, which is that of its records, and its SHA-256.

    Raises DamageError where it is not whole.
    """
    members = 0
    with path.open("rb", buffering=0) as file:
        window = Window(file)
        while window.skip(b"\0"):
            for _ in inflate(window, Gzip()):
                pass
            members += 1
    if not members:
        raise DamageError("truncated", "the file holds nothing")
    return members, files.sha256(str(path))


def checked(store: Store, path: str, part: Part) -> tuple[int, str]:
    """Check what was fetched; what is damaged is removed, and ServerError says so."""
    try:
        return check(part.path)
    except DamageError as damage:
        part.forget()
        raise ServerError(
            f"{store.base}/{path}: came whole, but is damaged ({damage}); run the same command again to "
            f"fetch it anew, or take it off the list"
        ) from None
