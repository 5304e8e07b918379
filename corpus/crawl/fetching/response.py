"""A parser of responses: status, header fields and body, as tolerant of errors as browsers are.

RFC 9112 defines correct responses. An invalid line of the header is skipped, an invalid Content-Length counts
as none, equal ones count as one, and a body that ends too early is kept as far as it arrived. After such a
response the connection is not used again: where the response ends is known only from the server, and that was
wrong.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal, NamedTuple

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

FIELDS = 256
"""The number of header fields at which a response is given up."""

CHUNKS = 100_000
"""Chunks after which a body is cut: pages have fewer, and each costs time."""

Truncated = Literal["", "length", "time", "disconnect", "unspecified"]
"""Why a body is not complete, by the values of WARC-Truncated; "" if it is complete."""

_STATUS = re.compile(rb"HTTP/(0\.9|1\.[01]|2(?:\.0)?)[ \t]+(\d{3})(?:[ \t]+(.*))?")
_TOKEN = re.compile(rb"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_HEADER_END = re.compile(rb"\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]+)[ \t]*(?:;.*)?")
_BLANK = b" \t"
_BLANK_COLON = re.compile(rb"[^:]*[ \t]:")  # RFC 9112 forbids the blank before the colon
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK_LINE = 4096  # bytes of the line before a chunk, with its extensions
_ENDLESS = 1 << 60
_BODILESS = frozenset((204, 304))

Field = tuple[bytes, bytes]


class HeaderTooLongError(HttpProcessingError):
    """The header exceeds the limit of bytes or fields."""


class FramingError(HttpProcessingError):
    """The end of the body cannot be determined."""


class Message(NamedTuple):
    """Status and header in the form that aiohttp's client expects from a parser."""

    version: aiohttp.HttpVersion
    code: int
    reason: str
    headers: CIMultiDictProxy[str]
    raw_headers: tuple[Field, ...]
    should_close: bool
    compression: None = None
    upgrade: bool = False
    chunked: bool = False

    def __str__(self) -> str:
        return f"the connection ended within the header of an answer with status {self.code}"


class Body(aiohttp.StreamReader):
    """A body that is being received; after its end `cut` is why it is not complete."""

    cut: Truncated = ""


class ResponseParser:
    """Reads the responses to one request, 1xx and the final one; aiohttp's client feeds it."""

    def __init__(self, protocol: Any, header_limit: int, *, timer: Any, buffer: int) -> None:
        """Take the protocol whose bytes are read; `timer` and `buffer` are aiohttp's for the body."""
        self._protocol = protocol
        self._limit = header_limit
        self._timer, self._buffer = timer, buffer
        self._rest = b""  # of an incomplete header, or of an incomplete line between chunks
        self._header_bytes = 0  # of complete headers
        self._body: Body | None = None
        self._parts: list[bytes] = []  # of the body, not yet fed to it
        self._has_begun = False  # the body
        self._is_done = False
        self._left: int | None = None  # bytes left of the body or chunk; None: up to the connection's end
        self._is_chunked = False
        self._chunk_part: Literal["size", "data", "end", "trailers"] = "size"
        self._chunks = 0
        self.is_lost = False
        """The connection did not end in order."""

    def pause_reading(self) -> None:
        """Required by aiohttp of a parser; this one buffers nothing, so there is nothing to pause."""

    def feed_data(self, data: bytes) -> tuple[list[tuple[Message, Any]], bool, bytes]:
        """Take bytes; return aiohttp's triple: the messages that are now complete, no upgrade, no bytes left.

        Raises HttpProcessingError if the bytes cannot be a response.
        """
        messages: list[tuple[Message, Any]] = []
        at = 0
        while at < len(data) and not self._is_done:
            if self._body is not None:
                at = self._read_body(self._body, data, at)
            else:
                at = self._read_header(data, at, messages)
        self._flush()
        if rest := data[at:].strip():
            self._refuse(rest)
        return messages, False, b""

    def feed_eof(self) -> Message | None:
        """Handle the end of the connection; return a response whose header was incomplete."""
        if self._body is not None and not self._is_done:
            waits = (self._left is not None or self._is_chunked) and self._chunk_part != "trailers"
            self._end("disconnect" if waits or self.is_lost else "")
        elif not self._is_done and _STATUS.match(self._rest) and b"\n" in self._rest:
            return _message(self._rest)[0]
        return None

    def _refuse(self, rest: bytes) -> None:
        """Close a connection if bytes follow the response: they must not be read as the next response."""
        if self._body is not None and not self._is_chunked and not rest.startswith(b"HTTP/"):
            self._body.cut = self._body.cut or "unspecified"  # its Content-Length was too small
        self._protocol.force_close()
        if self._protocol.transport is not None:
            self._protocol.transport.close()

    # ------------------------------------------------------------ header

    def _read_header(self, data: bytes, at: int, messages: list[tuple[Message, Any]]) -> int:
        """Read the header or a part of it from byte `at`; return the position after it."""
        before = len(self._rest)
        piece = data[at : at + self._limit + 1]
        if not before:  # blank lines may precede a response
            stripped = piece.lstrip(b"\r\n")
            at += len(piece) - len(stripped)
            self._header_bytes += len(piece) - len(stripped)
            piece = stripped
        self._rest += piece
        end = _HEADER_END.search(self._rest, max(0, before - 2))
        if self._header_bytes + (end.end() if end else len(self._rest)) > self._limit:
            raise HeaderTooLongError(message=f"the header has more than {self._limit} bytes")
        if end is None:
            if not b"HTTP/".startswith(self._rest[:5]):
                raise FramingError(message=f"expected 'HTTP/', found {self._rest[:40]!r}")
            return at + len(piece)
        header, self._rest = self._rest[: end.start() + 1], b""
        self._header_bytes += end.end()
        messages.append(self._begin(*_message(header)))
        return at + end.end() - before

    def _begin(self, message: Message, is_sound: bool) -> tuple[Message, Any]:
        """Return the message of a header and its body, which follows."""
        if 100 <= message.code < 200 and message.code != 101:
            return message, aiohttp.EMPTY_PAYLOAD
        self._is_chunked, self._left = _framing(message)
        lengths = len(_listed(message, "content-length"))
        is_clear = is_sound and lengths == (0 if self._is_chunked else 1)
        if message.code not in _BODILESS or not is_sound:
            message = message._replace(should_close=message.should_close or not is_clear)
        if message.code == 101 or (self._left == 0 and not self._is_chunked):
            self._is_done = True
            return message, aiohttp.EMPTY_PAYLOAD
        loop = asyncio.get_running_loop()
        self._body = Body(self._protocol, self._buffer, timer=self._timer, loop=loop)
        return message, self._body

    # ------------------------------------------------------------ body

    def _read_body(self, body: Body, data: bytes, at: int) -> int:
        """Read a part of the body from byte `at`; return the position after it."""
        if self._is_chunked and self._chunk_part != "data":
            return self._read_line(body, data, at)
        end = len(data) if self._left is None else min(at + self._left, len(data))
        self._parts.append(data[at:end])
        self._has_begun = True
        if self._left is not None:
            self._left -= end - at
            if not self._left and self._is_chunked:
                self._chunk_part = "end"
            elif not self._left:
                if data[end:].strip():
                    self._protocol.force_close()  # before the connection is released
                self._end("")
        return end

    def _read_line(self, body: Body, data: bytes, at: int) -> int:
        """Read the line before a chunk, the line end after it, or a trailer; return the position after it."""
        end = data.find(b"\n", at)
        line = self._rest + (data[at:] if end < 0 else data[at:end])
        if len(line) > (self._limit if self._chunk_part == "trailers" else _CHUNK_LINE):
            self._break_off(body, "a line between chunks does not end")
        elif self._chunk_part == "end" and line not in (b"", b"\r"):
            # the bytes after a chunk are not a line end: its size was wrong
            self._break_off(body, "a chunk is longer than its size")
        elif end < 0:
            self._rest = line
            return len(data)
        else:
            self._rest = b""
            self._take_line(body, line.rstrip(b"\r"))
        return len(data) if end < 0 else end + 1

    def _take_line(self, body: Body, line: bytes) -> None:
        if self._chunk_part == "end":
            self._chunk_part = "size"
        elif self._chunk_part == "trailers":
            self._limit -= len(line) + 1
            if not line:
                self._end("")
        else:
            size = _CHUNK.fullmatch(line)
            self._chunks += 1
            if size is None:
                self._break_off(body, f"expected the size of a chunk, found {line[:40]!r}")
            elif self._chunks > CHUNKS:
                self._break_off(body, f"the body has more than {CHUNKS:,} chunks")
            else:
                digits = size[1].lstrip(b"0")
                self._left = _ENDLESS if len(digits) > 15 else int(digits or b"0", 16)
                self._chunk_part = "data" if self._left else "trailers"

    def _break_off(self, body: Body, fault: str) -> None:
        """End a body whose chunks are malformed: it is cut, or it is a failure if no bytes came before."""
        self._protocol.force_close()
        if self._has_begun:
            self._end("" if self._chunk_part == "trailers" else "unspecified")
        else:
            self._is_done = True
            body.set_exception(FramingError(message=fault))

    def _flush(self) -> None:
        if self._parts and self._body is not None:
            self._body.feed_data(b"".join(self._parts))
            self._parts.clear()

    def _end(self, cut: Truncated) -> None:
        self._is_done = True
        if self._body is not None:
            self._flush()
            self._body.cut = cut
            self._body.feed_eof()


def _message(header: bytes) -> tuple[Message, bool]:
    """Return status and fields, and whether every line was valid."""
    first, _, rest = _FOLD.sub(b" ", header).partition(b"\n")  # obsolete folded lines
    status = _STATUS.fullmatch(first.rstrip(b"\r"))
    if status is None:
        raise FramingError(message=f"expected a status line such as 'HTTP/1.1 200 OK', found {first[:80]!r}")
    fields, is_sound = _fields(rest)
    major, _, minor = status[1].partition(b".")
    version = aiohttp.HttpVersion(int(major), int(minor or b"0"))
    headers = CIMultiDict((name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in fields)
    said = {word.strip().lower() for value in headers.getall("connection", ()) for word in value.split(",")}
    closes = "close" in said or (version <= aiohttp.HttpVersion10 and "keep-alive" not in said)
    reason = (status[3] or b"").strip().decode("utf-8", "surrogateescape")
    proxy = CIMultiDictProxy(headers)
    return Message(version, int(status[2]), reason, proxy, tuple(fields), closes), is_sound


def _fields(header: bytes) -> tuple[list[Field], bool]:
    """Return the valid fields of a header, and whether all lines were valid."""
    lines = [text for line in header.split(b"\n") if (text := line.rstrip(b"\r"))]
    read = [_field(line) for line in lines]
    fields = [field for field in read if field is not None]
    if len(lines) >= FIELDS:
        raise HeaderTooLongError(message=f"the header has {FIELDS} fields or more")
    return fields, len(fields) == len(lines) and not any(_BLANK_COLON.match(line) for line in lines)


def _field(line: bytes) -> Field | None:
    name, colon, value = line.partition(b":")
    name = name.rstrip(_BLANK)
    if not colon or not _TOKEN.fullmatch(name) or b"\r" in value or b"\0" in value:
        return None
    return name, value.strip(_BLANK)


def _framing(message: Message) -> tuple[bool, int | None]:
    """Return whether the body is chunked, else its length; None if it ends with the connection.

    By RFC 9112, section 6.3. Raises FramingError for contradictory lengths.
    """
    if message.code in _BODILESS:
        return False, 0
    codings = _listed(message, "transfer-encoding")
    if codings and codings[-1].lower() == "chunked":
        return True, None
    if any(coding.lower() != "identity" for coding in codings):
        return False, None
    lengths = {length.lstrip("0") or "0" for length in _listed(message, "content-length")}
    if len(lengths) > 1:
        said = ", ".join(sorted(lengths))[:80]
        raise FramingError(code=message.code, message=f"contradictory values of Content-Length: {said}")
    for length in lengths:
        if length.isascii() and length.isdigit():
            return False, _ENDLESS if len(length) > 18 else int(length)
    return False, None


def _listed(message: Message, name: str) -> list[str]:
    """Return the members of a list field, whether it was sent once or several times."""
    values = message.headers.getall(name, ())
    return [word.strip() for value in values for word in value.split(",") if word.strip()]
