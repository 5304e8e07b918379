"""JSON lines, plain or compressed: one object a line, the text under a configured key."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from corpus import files
from corpus.sources import Item, Items, RawDocument, Rejected, Unreadable
from corpus.sources.compression import DamageError, Window, contents, detect
from corpus.sources.inputs import MIB, foreign, lines, moment

if TYPE_CHECKING:
    from corpus.config import Source

_SURROGATE = re.compile("[\ud800-\udfff]")


def read(source: Source, path: str) -> Items:
    """Yield a document a line; blank lines count as rows but are no records. `offset` is the row, from 0.

    Rejected causes: "oversized" (of the line), "bad-utf8", "bad-json", "not-an-object", "missing-text",
    "null-text", "text-not-string"; and once, at the row where reading had to stop, what `compression.inflate`
    says of a damaged file. A file that is damaged in its first line or begins as no text does is Unreadable.
    Raises OSError where the file system does, never on content.
    """
    limit = int(source.max_record_mb * MIB)
    row = 0
    with files.open_bytes(path) as file:
        window = Window(file)
        try:
            pieces = contents(window, detect(window, path))
            head = next(pieces, b"")
            if strange := foreign(head, by_line=True):
                yield strange
                return
            for _, line in lines(chain([head], pieces), limit):
                if line is None:
                    yield Rejected(row, "oversized", f"the line has more than {limit} bytes")
                elif line.removeprefix(b"\xef\xbb\xbf").strip():
                    yield parse(line, row, source)
                row += 1
        except DamageError as damage:
            if row == 0:
                yield Unreadable(damage.cause, damage.detail)
                return
            yield Rejected(row, damage.cause, f"{damage.detail}; nothing behind it was read")


def parse(line: bytes, row: int, source: Source) -> Item:
    """Turn one line into a document, or say why it is none."""
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Rejected(row, "bad-utf8", f"{error.reason} at byte {error.start} of the line")
    except RecursionError:
        return Rejected(row, "bad-json", "nested too deeply")
    except ValueError as error:
        return Rejected(row, "bad-json", str(error))
    if not isinstance(fields, dict):
        return Rejected(row, "not-an-object", f"expected a JSON object, found {type(fields).__name__}")
    url = _string(fields.get(source.url_column))
    if source.text_column not in fields:
        keys = ", ".join(map(repr, list(fields)[:20]))
        return Rejected(row, "missing-text", f"no key {source.text_column!r} among {keys[:200]}", url)
    text = fields[source.text_column]
    if not isinstance(text, str):
        cause = "null-text" if text is None else "text-not-string"
        return Rejected(row, cause, f"{source.text_column!r} holds {type(text).__name__}", url)
    return RawDocument(_string(text), "text", url, row, moment(fields.get(source.date_column)))


def _string(value: Any) -> str:
    """Return a string that can be encoded: JSON may hold half of a surrogate pair, UTF-8 may not."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()  # ten times faster than the search below, which hardly any text needs
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", value)
    return value
