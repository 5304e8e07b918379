"""Whole WARC and WET files: listed, downloaded, resumed after an interruption, and checked."""

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
    """Read a list of paths, plain or gzip, from a file or URL; ConfigError for any other content."""
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
        raise ConfigError(f"--paths {where}: expected a list of paths: {error}") from None
    archives = [_archive(where, line) for line in dict.fromkeys(lines)]
    if not archives:
        raise ConfigError(f"--paths {where}: expected a list of paths, found an empty file")
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
    """Return the crawl that all paths belong to; ConfigError if they name none or several."""
    names = {found[1] if (found := _CRAWL.search(archive.path)) else "" for archive in archives}
    if len(names) != 1 or "" in names:
        said = ", ".join(sorted(names - {""})) or "none"
        raise ConfigError(f"--paths: expected paths of one crawl, crawl-data/NAME/…; they name: {said}")
    return names.pop()


class Part:
    """An unfinished download: the bytes so far and, in a file beside them, the version of the content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.note")

    def size(self) -> int:
        """Return the number of bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def note(self) -> dict[str, Any]:
        """Return version and length of the content; both are empty if the download cannot be resumed."""
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
        """Start a download of this content, without bytes."""
        self.forget()
        if version:
            self._note.write_text(json.dumps({"version": version, "total": total}))


def fetch(store: Store, path: str, part: Part, beat: Beat) -> None:
    """Download a file to `part`; resume after its bytes if the content on the server is still the same.

    Raises MissingError and ServerError as the store does. The count of tries starts again whenever bytes have
    arrived.
    """
    store.retry.attempt(f"{store.base}/{path}", partial(_resume, store, path, part, beat))


def _resume(store: Store, path: str, part: Part, beat: Beat) -> None:
    note, size = part.note(), part.size()
    if not note["version"] or size > note["total"]:
        part.forget()
        note, size = {"version": "", "total": 0}, 0
    elif size == note["total"]:
        return
    received = 0
    try:
        with store.open(path, size, note["version"]) as body:
            if body.start and body.version not in ("", note["version"]):
                part.forget()
                raise PassingError("the file has changed on the server")
            if not body.start:
                part.begin(body.version, body.total)
            with part.path.open("ab") as sink:
                for piece in body.pieces:
                    sink.write(piece)
                    received += len(piece)
                    beat((body.start + received) / body.total if body.total else 0.0)
            if body.total and body.start + received != body.total:
                raise PassingError(f"{body.start + received:,} of {body.total:,} bytes arrived")
    except PassingError as error:
        raise PassingError(str(error), error.after_s, progress=received > 0) from None


def check(path: Path) -> tuple[int, str]:
    """Return the number of members of a gzip file, which is its number of records, and its SHA-256.

    Raises DamageError if the file is not complete.
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
    """Check a download; if it is damaged, remove it and raise ServerError."""
    try:
        return check(part.path)
    except DamageError as damage:
        part.forget()
        raise ServerError(
            f"{store.base}/{path}: arrived completely, but is damaged ({damage}); run the same command again "
            f"to fetch it again, or remove it from the list"
        ) from None
