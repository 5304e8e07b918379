"""Header lines as WARC records and HTTP messages have them: where they end, what they say."""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"\r?\n[ \t\r]*\n")
_FOLD = re.compile(r"\r?\n[ \t]+")


def header_end(data: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Find the blank line after header lines from `start` on: where they and it end, or (-1, -1).

    A line that holds nothing but blanks and carriage returns is blank, whatever ended the line before it.
    """
    found = _BLANK_LINE.search(data, start)
    return found.span() if found else (-1, -1)


def parse_fields(raw: bytes) -> dict[str, str]:
    """Parse header lines behind a first line: lower-case names, the last value of each, lines unfolded.

    The values of repeated encodings are all needed, so they are joined by commas. A line that is no field is
    passed over.
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
        fields[name] = value.strip()
    return fields


def target(headers: dict[str, str]) -> str:
    """Return the target URL of a record's headers, without the angle brackets that wget used to write."""
    return headers.get("warc-target-uri", "").strip("<> \t")
