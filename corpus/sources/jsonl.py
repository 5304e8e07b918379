"""JSON lines, plain or compressed: one object a line, the text under a configured key."""

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

# What may stand between the objects of a line: blanks, byte order marks of joined files, the comma of a list,
# the NUL of preallocated files and the record separator of RFC 7464.
_BETWEEN = " \t\r\n\ufeff,\0\x1e"
_SURROGATE = re.compile("[\ud800-\udfff]")


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a plain file at ends of lines."""
    if (length := files.size("", path) or 0) < 2 * size:
        return ()
    with files.open_bytes(path) as file:
        return line_pieces(file, length, size, counts_rows=True) if are_plain_lines(file, path) else ()


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield a document a line; blank lines count as rows but are no records. `offset` is the row, from 0.

    Rejected causes: "oversized" (of the line), "bad-utf8", "bad-json", "not-an-object", "missing-text",
    "null-text", "text-not-string"; and once, at the row where reading had to stop, what `compression.inflate`
    says of a damaged file. A file that is damaged in its first line or begins as no text does is Unreadable.
    Raises OSError where the file system does, never on content.
    """
    limit = int(source.max_record_mb * MIB)
    row = piece.row if piece is not None else 0
    with files.open_bytes(path) as file:
        window = Window(file)
        try:
            content = content_of(window, path, piece)
            head = next(content, b"")
            if piece is None and (strange := foreign(head, by_line=True)):
                yield strange
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
            yield Rejected(row, damage.cause, f"{damage.detail}; nothing behind it was read")


def parse(line: bytes, row: int, source: Source) -> Items:
    """Yield the documents of one line, or why it holds none.

    There are several where files were joined without a line end between them.
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
            return  # a list of numbers is not a rejection each
        at = _after_separators(text, end)


def _after_separators(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _integer(digits: str) -> int | float:
    """Return a number of JSON; Python refuses integers of thousands of digits, which are no date either."""
    return int(digits) if len(digits) < 1000 else math.inf


# Tabs and other control characters stand unescaped in the strings of many writers.
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
    """Return a string that can be encoded, "" for what is none: half a surrogate pair is no UTF-8."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()  # ten times faster than the search below, which hardly any text needs
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", value)
    return value
