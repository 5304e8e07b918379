"""Header lines of WARC records and HTTP messages: where they end and which fields they have."""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"\r?\n[ \t\r]*\n")
_FOLD = re.compile(r"\r?\n[ \t]+")


def header_end(data: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Return where header lines end and where the blank line after them ends, from `start` on, or (-1, -1).

    A line of only spaces, tabs and carriage returns is blank, however the line before it ends.
    """
    found = _BLANK_LINE.search(data, start)
    return found.span() if found else (-1, -1)


def parse_fields(raw: bytes) -> dict[str, str]:
    """Parse header lines after a first line: lower-case names, lines unfolded, the last value of each name.

    Repeated encodings are joined by commas, because each was applied. Lines without a colon are skipped.
    """
    text = raw.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    fields: dict[str, str] = {}
    for line in text.split("\n")[1:]:
        key, colon, value = line.partition(":")
        if not colon:
            continue
        name = key.strip().lower()
        if name in fields and name in ("content-encoding", "transfer-encoding"):
            value = f"{fields[name]},{value}"
        fields[name] = value.strip(" \t\r")  # other blanks of Unicode are damage
    return fields


def target(headers: dict[str, str]) -> str:
    """Return the target URL of a record's headers, without the angle brackets that old wget versions
    write."""
    return headers.get("warc-target-uri", "").strip("<> \t")
