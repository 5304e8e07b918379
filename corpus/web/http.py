"""An archived HTTP response: its header is parsed, its body is unchunked and decompressed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin

import brotli
import zstandard

from corpus.errors import Signal
from corpus.web.codecs import Deflate, Gzip, Inflater, Zstd
from corpus.web.compression import PIECE, is_text
from corpus.web.headers import header_end, parse_fields

Media = Literal["html", "text"]

_STATUS = re.compile(rb"\s{0,8}(?:HTTP(?:/\d(?:\.\d)?)?|ICY)[ \t]+(\d{3})", re.IGNORECASE)
_QUOTES = " \t\"'"
# A media type and what may follow it; anything else is malformed.
_TYPE = re.compile(r"([a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+*-]+|\*/\*)[\s\"']*(?:[;,]|$|charset\b)")
# The types that mean "unknown" in https://mimesniff.spec.whatwg.org/#interpreting-the-resource-metadata
_NOT_KNOWN = frozenset(("unknown/unknown", "application/unknown", "*/*"))
_CHARSET = re.compile(r"""charset\s*[=:]\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_MARKUP = re.compile(
    # Comments are possessive: backtracking over a thousand of them would not end in practice.
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?><!--.{0,2000}?-->\s*)*+"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|link|base|iframe|h[1-6]|div|p|br|table|a|b|i"
    rb"|article|main|section|header|footer|nav|form|ul|ol|dl|span|font|center|img|strong|em|pre|blockquote)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_CHUNK_SIZE = re.compile(rb"[ \t]*(0{0,8}[0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,200})?\r?\n")
_REFRESH = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?)\s*[;,]?\s*url\s*=\s*(\S.*)", re.IGNORECASE)
_AT_ONCE_S = 10
_LINE_END = re.compile(rb"\r?\n")


class BodyError(Signal, ValueError):
    """A body that cannot be decoded: a stable cause, and what was found."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Response:
    """Status, header fields (lower-case names) and the body as sent."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body: `is_cut` if it ends too early, `is_unended` if its compressed stream does."""

    content: bytes
    is_cut: bool
    is_unended: bool


def parse_response(block: bytes) -> Response | None:
    """Split a response into its parts; None if it does not start with an HTTP status line.

    Interim responses (100 Continue, 103 Early Hints) before the final one are skipped.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    at = status.start(1)
    while True:
        end, after = header_end(block, at)
        head, body = (block[at:end], block[after:]) if end >= 0 else (block[at:], b"")
        final = _STATUS.match(block, after) if status[1].startswith(b"1") and end >= 0 else None
        if final is None:
            return Response(int(status[1]), parse_fields(head), body)
        status, at = final, final.start(1)


def media_of(content_type: str) -> Media | Literal["other", "unknown"]:
    """Return the media type of a Content-Type: "other" for types that derlem does not read, "unknown" if the
    body must decide.

    A value that starts like an HTML type is HTML, whatever follows: servers omit the semicolon or write a
    colon.
    """
    written = content_type.strip(_QUOTES).lower()
    if written.startswith(("text/htm", "application/xhtml")):
        return "html"
    found = _TYPE.match(written)
    if found is None or found[1] in _NOT_KNOWN:
        return "unknown"
    return "text" if found[1] == "text/plain" else "other"


def page_media(content_type: str, body: bytes, identified: str = "") -> Media | None:
    """Return the media type of a body, None if it is neither HTML nor text.

    HTML is often declared as plain text or without a type. `identified` is the type that the archive detected
    (WARC-Identified-Payload-Type).
    """
    declared = media_of(content_type)
    found = media_of(identified) if identified else "unknown"
    if "html" in (declared, found):
        return "html"
    if declared == "other":
        return None
    if is_html(body):
        return "html"
    return "text" if declared == "text" or found == "text" else None


def charset_of(content_type: str) -> str | None:
    """Return the charset parameter of a Content-Type."""
    found = _CHARSET.search(content_type)
    return found[1] if found else None


def is_html(body: bytes) -> bool:
    """Return whether a body starts like HTML."""
    return _MARKUP.match(body[:4096]) is not None


def redirect_of(headers: Mapping[str, str], url: str) -> str:
    """Return the target of an immediate Refresh header; "" if it has none, or only reloads the page."""
    found = _REFRESH.match(headers.get("refresh", ""))
    if found is None or float(found[1]) > _AT_ONCE_S:
        return ""
    leads = urljoin(url, found[2].strip(_QUOTES))
    return "" if leads.partition("#")[0] == url.partition("#")[0] else leads


def decode_body(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """Return the content that `read_body` finds; unless `cut`, raise BodyError if it is compressed and
    unended."""
    body = read_body(response, limit)
    if body.is_unended and not cut:
        raise BodyError("bad-body-encoding", "the compressed body ends too early")
    return body.content


def read_body(response: Response, limit: int) -> Body:
    """Undo Transfer-Encoding and Content-Encoding; each decoded result is limited to `limit` bytes.

    Wrong headers are common: a body that is not chunked, or readable text that is not compressed, is returned
    unchanged, and a body that starts with the magic number of another compression is decoded with that one.
    Of a truncated body the existing part is returned. Raises BodyError: "oversized", or "bad-body-encoding"
    for a compressed body that is corrupt or of an unknown encoding.
    """
    fields, body = response.headers, response.body
    chunked = "chunked" in fields.get("transfer-encoding", "").lower()
    is_cut = False
    if chunked:
        body, ended = _joined(body)
        is_cut = not ended
    names = ",".join(fields.get(name, "") for name in ("content-encoding", "transfer-encoding"))
    codings = [coding.partition(";")[0].strip(_QUOTES).lower() for coding in names.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity", "none", "chunked")]
    if not codings and (coding := _coding_seen(body)):
        codings = [coding]
    is_unended = False
    for coding in reversed(codings):
        body, ended = _decode(body, coding, limit)
        is_unended = is_unended or not ended
    if len(body) > limit:
        raise BodyError("oversized", f"the body has more than {limit} bytes")
    announced = fields.get("content-length", "")
    if not chunked and not codings and announced.isdecimal() and len(announced) < 19:
        is_cut = int(announced) > len(response.body)
    return Body(body, is_cut or is_unended, is_unended)


def unchunk(body: bytes) -> bytes:
    """Return the joined chunks of a chunked body; bytes outside the chunk format are kept unchanged."""
    return _joined(body)[0]


def _joined(body: bytes) -> tuple[bytes, bool]:
    """Return the joined chunks of a body, and whether it is complete."""
    parts: list[bytes] = []
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(parts), True
        end = _LINE_END.match(body, start + length)
        if not parts and not end and start + length < len(body):
            return body, True  # not chunked: its first line only looks like a chunk's size
        parts.append(body[start : start + length])
        at = end.end() if end else start + length
    whole = not parts  # not chunked
    parts.append(body[at:])
    return b"".join(parts), whole


def _decode(body: bytes, coding: str, limit: int) -> tuple[bytes, bool]:
    """Return a decoded body, and whether its compressed stream is complete."""
    if not body:
        return body, True
    openers = _OPENERS.get(coding, ())
    if (seen := _coding_seen(body)) and seen != coding:
        openers = (*openers, *_OPENERS[seen])
    reason = "" if openers else f"Content-Encoding {coding!r} is not known"
    for opener in openers:
        try:
            content, ended = _inflate(body, opener, limit)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
            reason = reason or f"Content-Encoding {coding!r}: {error}"
            continue
        if not ended and _is_readable(body):  # text can start with the bytes of a magic number
            break
        return content, ended
    if _is_readable(body):
        return body, True
    raise BodyError("bad-body-encoding", reason)


def _coding_seen(body: bytes) -> str:
    """Return the encoding whose magic number a body starts with, whatever its headers say, or ""."""
    return next((coding for coding, magic in _MAGIC.items() if body.startswith(magic)), "")


def _is_readable(body: bytes) -> bool:
    """Return whether a body that should be compressed is readable: HTML, or text in UTF-8 or mostly ASCII."""
    if is_html(body):
        return True
    head = body[:1024]
    ascii_share = sum(byte < 0x80 for byte in head) / len(head)
    return is_text(head) and (ascii_share > 0.6 or "\ufffd" not in head[:-3].decode("utf-8", "replace"))


def _inflate(body: bytes, opener: Callable[[], Inflater], limit: int) -> tuple[bytes, bool]:
    rest = memoryview(body)
    inflater = opener()
    parts: list[bytes] = []
    size = 0
    while not inflater.eof:
        out, taken = inflater.feed(rest[:PIECE])
        rest = rest[taken:]
        parts.append(out)
        size += len(out)
        if size > limit:
            raise BodyError("oversized", f"the body inflates to more than {limit} bytes")
        if inflater.eof and rest[:3] == Gzip.magic and opener is _OPENERS["gzip"][0]:
            inflater = opener()  # a body of several members
        elif not out and not rest:
            break
    if not inflater.eof and not size:
        raise EOFError("the compressed body ends too early")
    return b"".join(parts), inflater.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        out: bytes = self._stream.process(data, output_buffer_limit=PIECE)
        return out, len(data)


_OPENERS: dict[str, tuple[Callable[[], Inflater], ...]] = {
    "gzip": (Gzip().open,),
    "deflate": (lambda: Deflate(15), lambda: Deflate(-15)),  # means zlib, but raw deflate is sent, too
    "br": (_Brotli,),
    "zstd": (Zstd().open,),
}
_OPENERS["x-gzip"] = _OPENERS["gzip"]
_MAGIC = {"gzip": Gzip.magic, "zstd": Zstd.magic, "deflate": b"\x78\x9c"}
