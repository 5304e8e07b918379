"""JSON lines, plain or compressed: one object per line, the text under a configured key."""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from corpus import files
from corpus.items import Item, Items, Piece, RawDocument, Rejected, Unreadable
from corpus.sources.inputs import MIB, foreign, lines, moment
from corpus.sources.pieces import are_plain_lines, content_of, line_pieces
from corpus.web.compression import DamageError, Window

if TYPE_CHECKING:
    from corpus.config import Source

# Separators between the objects of a line: blanks, byte order marks of joined files, the comma of a list, the
# NUL of preallocated files and the record separator of RFC 7464.
_BETWEEN = " \t\r\n\ufeff,\0\x1e"
_SURROGATE = re.compile("[\ud800-\udfff]")


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a plain file at line ends."""
    if (length := files.size("", path) or 0) < 2 * size:
        return ()
    with files.open_bytes(path) as file:
        return line_pieces(file, length, size, counts_rows=True) if are_plain_lines(file, path) else ()


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield a document per line; blank lines count as rows but are not records. `offset` is the row, from 0.

    Rejected causes: "oversized" (of the line), "bad-utf8", "bad-json", "not-an-object", "missing-text",
    "null-text", "text-not-string"; and once, at the row where reading had to stop, the cause from
    `compression.inflate` for a damaged file. A file that is damaged in its first line or does not start as
    text is Unreadable. Raises OSError if the file system does, never for content.
    """
    limit = int(source.max_record_mb * MIB)
    row = piece.row if piece is not None else 0
    with files.open_bytes(path) as file:
        window = Window(file)
        try:
            content = content_of(window, path, piece)
            head = next(content, b"")
            if piece is None and (unreadable := foreign(head, by_line=True)):
                yield unreadable
                return
            for _, line in lines(chain([head], content), limit):
                if line is None:
                    yield Rejected(row, "oversized", f"the line has more than {limit} bytes")
                else:
                    yield from parse(line, row, source)
                row += 1
        except DamageError as damage:
            if row == 0:
                yield Unreadable(damage.cause, damage.detail)
                return
            yield Rejected(row, damage.cause, f"{damage.detail}; nothing after it was read")


def parse(line: bytes, row: int, source: Source) -> Items:
    """Yield the documents of one line, or why it has none.

    A line has several if files were joined without a line end between them.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        yield Rejected(row, "bad-utf8", f"{error.reason} at byte {error.start} of the line")
        return
    text = text.rstrip(_BETWEEN)
    at = _after_separators(text, 0)
    while at < len(text):
        try:
            fields, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            yield Rejected(row, "bad-json", "nested too deeply")
            return
        except ValueError as error:
            yield Rejected(row, "bad-json", str(error))
            return
        yield _document(fields, row, source)
        if not isinstance(fields, dict):
            return  # a list of numbers counts as one rejection
        at = _after_separators(text, end)


def _after_separators(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _integer(digits: str) -> int | float:
    """Return a JSON number; Python refuses integers of thousands of digits, which cannot be dates either."""
    return int(digits) if len(digits) < 1000 else math.inf


# Many writers leave tabs and other control characters in strings unescaped.
_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)


def _document(fields: Any, row: int, source: Source) -> Item:
    if not isinstance(fields, dict):
        return Rejected(row, "not-an-object", f"expected a JSON object, found {type(fields).__name__}")
    url = encodable(fields.get(source.url_column))
    if source.text_column not in fields:
        keys = ", ".join(map(repr, list(fields)[:20]))
        return Rejected(row, "missing-text", f"no key {source.text_column!r} among {keys[:200]}", url)
    text = fields[source.text_column]
    if not isinstance(text, str):
        cause = "null-text" if text is None else "text-not-string"
        return Rejected(row, cause, f"{source.text_column!r} holds {type(text).__name__}", url)
    return RawDocument(encodable(text), "text", url, row, moment(fields.get(source.date_column)))


def encodable(value: Any) -> str:
    """Return a string with half surrogate pairs replaced, so that UTF-8 can encode it; "" for other
    values."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()  # ten times faster than the search below, which few texts need
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", value)
    return value
