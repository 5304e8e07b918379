"""How to recognize the records of an archive: by WARC's header lines, or by ARC's single line."""

from __future__ import annotations

import re
from typing import Protocol

from corpus.web.headers import header_end, parse_fields


class Framing(Protocol):
    """A syntax of records; `reach` is the number of bytes needed to recognize the start of one."""

    name: str
    expected: str
    reach: int

    def begins(self, data: bytes | bytearray, at: int = 0) -> bool:
        """Return whether a record starts at position `at`."""

    def may_begin(self, head: bytes) -> bool:
        """Return whether bytes, however few, could be the first bytes of a record."""

    def search(self, data: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
        """Return where the first record starts, or -1 if there is none."""

    def header_end(self, data: bytes | bytearray) -> tuple[int, int]:
        """Return where the header lines end and where the block starts, or (-1, -1)."""

    def fields(self, raw: bytes) -> dict[str, str]:
        """Parse a header into WARC fields."""


_VERSION = re.compile(rb"WARC/\d+\.\d+", re.IGNORECASE)
_RECORD = re.compile(rb"WARC/\d\.\d+\r?\n(?=[A-Za-z][A-Za-z-]* *:)", re.IGNORECASE)


class Warc:
    """ISO 28500."""

    name = "WARC"
    expected = "a record that starts with 'WARC/'"
    reach = 64

    def begins(self, data: bytes | bytearray, at: int = 0) -> bool:
        return _VERSION.match(data, at) is not None

    def may_begin(self, head: bytes) -> bool:
        return self.begins(head.lstrip(b"\r\n"))

    def search(self, data: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
        found = _RECORD.search(data, start, len(data) if end is None else end)
        return found.start() if found else -1

    def header_end(self, data: bytes | bytearray) -> tuple[int, int]:
        return header_end(data)

    def fields(self, raw: bytes) -> dict[str, str]:
        return parse_fields(raw)


# URL, IP address, date, media type and length; version 2 of the format has five more fields before the last.
_SCHEMES = rb"(?:https?|ftp|dns|whois|filedesc|metadata|gopher|news|nntp|urn)"
_REST = rb" ([0-9A-Fa-f.:]{3,45}|-) (\d{8,17}) (\S{0,200})(?: \S{1,300}){0,5} (\d{1,18})\r?\n"
_LONGEST_URL = 3000
_LINE = re.compile(rb"(" + _SCHEMES + rb":[^\x00-\x1f\x7f]{0,%d})" % _LONGEST_URL + _REST, re.IGNORECASE)
_LINE_START = re.compile(_SCHEMES + rb":\S", re.IGNORECASE)
_TAIL = re.compile(_REST)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_URL_START = re.compile(rb"(?:(?<=\n)" + _SCHEMES + rb"|https?):", re.IGNORECASE)


class Arc:
    """The predecessor of WARC, https://archive.org/web/researcher/ArcFileFormat.php, versions 1.0 and 1.1.

    Its records are read as WARC records: HTTP responses become responses, the file's description becomes a
    warcinfo, records of other protocols become resources.
    """

    name = "ARC"
    expected = "a line with URL, IP address, date, type and length"
    reach = 8192

    def begins(self, data: bytes | bytearray, at: int = 0) -> bool:
        return _LINE.match(data, at) is not None

    def may_begin(self, head: bytes) -> bool:
        return _LINE_START.match(head.lstrip(b"\r\n")) is not None

    def search(self, data: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
        # Search for the line's end, which few other lines have; a search for its start would try each "http:"
        # of a page.
        stop = len(data) if end is None else end
        at = start - 1
        while tail := _TAIL.search(data, at + 1, stop):
            at = tail.start()  # what looks like the end of one line may contain a whole other line
            reach = max(start, at - _LONGEST_URL)
            line = max((found.end() for found in _CONTROL.finditer(data, reach, at)), default=reach)
            if found := _URL_START.search(data, line, at):
                return found.start()
        return -1

    def header_end(self, data: bytes | bytearray) -> tuple[int, int]:
        end = data.find(b"\n")
        return (end, end + 1) if end >= 0 else (-1, -1)

    def fields(self, raw: bytes) -> dict[str, str]:
        line = _LINE.fullmatch(raw.rstrip(b"\r") + b"\n")
        if line is None:
            return {}
        url, _, date, media, length = (part.decode("utf-8", "replace") for part in line.groups())
        scheme = url.partition(":")[0].lower()
        web = scheme in ("http", "https")
        kind = "warcinfo" if scheme == "filedesc" else "response" if web else "resource"
        return {
            "warc-type": kind,
            "warc-target-uri": url,
            "warc-date": date,
            "content-type": "application/http" if web else media,
            "content-length": length,
        }


def detect_framing(head: bytes, path: str) -> Framing:
    """Return WARC or ARC, decided by a file's first bytes, then by its name, then by its first line.

    An ARC file may lack its first record, but a WARC file may start with a damaged record that contains any
    line.
    """
    named = re.search(r"\.(warc|arc)(\.\w+)*$", path)
    if Warc().may_begin(head):
        return Warc()
    if head.startswith(b"filedesc:"):
        return Arc()
    if named is not None:
        return Arc() if named[1] == "arc" else Warc()
    return Arc() if Arc().begins(head.lstrip(b"\r\n")) and b"\nWARC-" not in head else Warc()
