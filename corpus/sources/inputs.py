"""Functions that the readers share: finding input files, lines of limited length, times."""

from __future__ import annotations

import glob
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from corpus import files
from corpus.errors import ConfigError
from corpus.items import Unreadable

if TYPE_CHECKING:
    from corpus.config import Source

MIB = 1 << 20


def expand(source: Source, base: str) -> list[str]:
    """Return a source's files: its patterns in order, the matches of each sorted, every file once.

    Relative paths start from the folder `base`. Raises ConfigError if a pattern matches no file.
    """
    found: dict[str, None] = {}
    for pattern in source.paths:
        others: list[str] = []
        if files.is_local(pattern):
            matches, others = _local_files(files.bare(pattern), base)
        else:
            matches = _files_of_url(pattern, source.name)
        if not matches:
            place = files.located(pattern, base)
            what = f"{_kinds(others)} and no file" if others else "no file"
            raise ConfigError(
                f"source {source.name!r}: paths entry {pattern!r} matches {what} (looked for {place!r}, "
                f"relative paths start from {base!r}); give a file or a glob such as 'folder/*.gz'"
            )
        found.update(dict.fromkeys(sorted(matches)))
    return list(found)


def _local_files(pattern: str, base: str) -> tuple[list[str], list[str]]:
    """Return the files that a pattern matches, and the other matches; `base` is not part of the glob."""
    literal = os.path.join(base, pattern)
    if os.path.lexists(literal):  # a name may contain special characters of a glob
        matches = [literal]
    else:
        matches = [os.path.join(base, match) for match in glob.glob(pattern, root_dir=base, recursive=True)]
    found = [match for match in matches if os.path.isfile(match)]
    return [files.plain(match) for match in found], sorted(set(matches) - set(found))


def _kinds(paths: list[str]) -> str:
    """Return a description of paths that are not files."""
    kinds = Counter(_kind(path) for path in paths)
    return " and ".join(f"{number} {kind}{'s' * (number > 1)}" for kind, number in sorted(kinds.items()))


def _kind(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    if not os.path.exists(path):
        return "dangling link"
    return "pipe" if stat.S_ISFIFO(os.stat(path).st_mode) else "special file"


def _files_of_url(place: str, source: str) -> list[str]:
    try:
        system, inner = files.filesystem(place)
        found = [inner] if system.isfile(inner) else filter(system.isfile, system.glob(inner))
        return [system.unstrip_protocol(name) for name in found]
    except (OSError, ValueError, TypeError, ImportError) as error:  # any error of the store's library
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"source {source!r}: paths entry {place!r} cannot be listed ({first}); check the URL, and that "
            "its store can be reached from here"
        ) from None


_BINARY = {
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF-": "a PDF document",
    b"PAR1": "a Parquet table",
    b"ARROW1": "an Arrow table",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x1f\x9d": "a file of the program compress",
    b"LZIP": "an lzip file",
    b"\x89PNG": "an image",
    b"SQLite format 3\0": "a SQLite database",
}
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


def foreign(head: bytes, by_line: bool) -> Unreadable | None:
    """Return why the first bytes of a file are not text, or (`by_line`) not lines of text, or None."""
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            return Unreadable("not-text", f"it is {what}")
    if head[257:262] == b"ustar":
        return Unreadable("not-text", "it is a tar archive; unpack it first")
    if by_line and head.startswith(_MARKS):
        return Unreadable("utf-16", "UTF-16 text has no lines of bytes; convert it to UTF-8")
    return None


def lines(pieces: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Split a stream into lines: yield the start of each, in bytes, and the line without its end.

    A line of more than `limit` bytes is yielded as None; little more than `limit` bytes are held in memory.
    """
    start = at = held = 0
    parts: list[bytes] = []
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            parts.append(part)
            held += len(part)
            yield start, None if held > limit else _without_return(b"".join(parts))
            at += len(part) + 1
            start, held = at, 0
            parts.clear()
        at += len(rest)
        held += len(rest)
        if held > limit:
            parts.clear()
        elif rest:
            parts.append(rest)
    if held:
        yield start, None if held > limit else _without_return(b"".join(parts))


def _without_return(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line


def moment(value: object) -> datetime | None:
    """Return a time as an aware UTC datetime: ISO 8601, `YYYYMMDDhhmmss`, or an epoch in s, ms, µs or ns.

    Without a zone it is read as UTC; any other value is None.
    """
    try:
        if isinstance(value, str):
            return _written_moment(value.strip())
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _epoch(value)
    except (ValueError, OverflowError, OSError):  # the day or the year does not exist
        return None
    return None


def _written_moment(text: str) -> datetime | None:
    if re.fullmatch(r"[12]\d{13}", text):  # the digits of a crawl index
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    if re.fullmatch(r"\d{9,19}(\.\d+)?", text):
        return _epoch(float(text))
    return moment(datetime.fromisoformat(text.upper()))


def _epoch(value: float) -> datetime:
    # From 1973 on the values of each unit are a thousand times those of the next, so the size shows the unit.
    while 1e11 <= abs(value) < math.inf:
        value /= 1000
    return datetime.fromtimestamp(value, UTC)
