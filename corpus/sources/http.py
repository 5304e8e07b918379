"""An HTTP response as an archive holds it: its header parsed, its body unchunked and decompressed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import brotli
import zstandard

from corpus.sources.codecs import Deflate, Gzip, Inflater, Zstd
from corpus.sources.compression import PIECE, is_text
from corpus.sources.headers import header_end, parse_fields

Media = Literal["html", "text"]

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_MARKUP = re.compile(
    # The comments without a way back: to try every split of a thousand of them would take for ever.
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?><!--.{0,2000}?-->\s*)*+"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|h1|div|p|br|table|a)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,200})?\r?\n")
_LINE_END = re.compile(rb"\r?\n")


class BodyError(ValueError):
    """A body that cannot be decoded: a stable cause, and what was found."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Response:
    """Status, header fields (lower-case names) and the body as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_response(block: bytes) -> Response | None:
    """Split a response into its parts; None when it does not begin with an HTTP status line."""
    status = _STATUS.match(block)
    if status is None:
        return None
    end, after = header_end(block)
    head, body = (block[:end], block[after:]) if end >= 0 else (block, b"")
    return Response(int(status[1]), parse_fields(head), body)


def media_of(content_type: str) -> Media | Literal["other", "unknown"]:
    """Sort a Content-Type into what this package reads, what it does not, and what says nothing."""
    mime = content_type.split(";")[0].split(",")[0].strip().lower()
    if mime in ("text/html", "application/xhtml+xml"):
        return "html"
    if mime == "text/plain":
        return "text"
    # The three labels for "not known" of https://mimesniff.spec.whatwg.org/#interpreting-the-resource-metadata
    return "unknown" if mime in ("", "unknown/unknown", "application/unknown", "*/*") else "other"


def charset_of(content_type: str) -> str | None:
    """Return the charset parameter of a Content-Type."""
    found = _CHARSET.search(content_type)
    return found[1] if found else None


def is_html(body: bytes) -> bool:
    """Say whether a body begins as HTML does."""
    return _MARKUP.match(body[:4096]) is not None


def decode_body(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """Undo Transfer-Encoding and Content-Encoding, never holding more than `limit` bytes of a result.

    Headers that lie are met often: a body that is not chunked, or readable text that is not compressed, is
    returned as it is. `cut` says that the archive kept only the beginning of the body, so that what decodes
    of it is enough. Raises BodyError: "oversized", or "bad-body-encoding" for a body that is compressed but
    corrupt or incomplete, or compressed in a way that is not known.
    """
    body = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = unchunk(body)
    names = ",".join(response.headers.get(name, "") for name in ("content-encoding", "transfer-encoding"))
    codings = [coding.strip().lower() for coding in names.split(",")]
    for coding in reversed(
        [coding for coding in codings if coding not in ("", "identity", "none", "chunked")]
    ):
        body = _decode(body, coding, limit, cut)
    if len(body) > limit:
        raise BodyError("oversized", f"the body has more than {limit} bytes")
    return body


def unchunk(body: bytes) -> bytes:
    """Join the chunks of a chunked body; what does not follow the chunk format is taken as it stands."""
    parts: list[bytes] = []
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(parts)
        end = _LINE_END.match(body, start + length)
        if not parts and not end and start + length < len(body):
            return body  # its first line only looks like a chunk's size
        parts.append(body[start : start + length])
        at = end.end() if end else start + length
    parts.append(body[at:])
    return b"".join(parts)


def _decode(body: bytes, coding: str, limit: int, cut: bool) -> bytes:
    if not body:
        return body
    openers = _OPENERS.get(coding, ())
    reason = "" if openers else f"Content-Encoding {coding!r} is not known"
    for opener in openers:
        try:
            return _inflate(body, opener, limit, cut)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
            reason = reason or f"Content-Encoding {coding!r}: {error}"
    if _is_readable(body):
        return body
    raise BodyError("bad-body-encoding", reason)


def _is_readable(body: bytes) -> bool:
    """Say whether a body that should be compressed is not: HTML, or text in UTF-8 or mostly of ASCII."""
    if is_html(body):
        return True
    head = body[:1024]
    ascii_share = sum(byte < 0x80 for byte in head) / len(head)
    return is_text(head) and (ascii_share > 0.6 or "\ufffd" not in head[:-3].decode("utf-8", "replace"))


def _inflate(body: bytes, opener: Callable[[], Inflater], limit: int, cut: bool) -> bytes:
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
    if not inflater.eof and not (cut and size):
        raise EOFError("the compressed body ends too early")
    return b"".join(parts)


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
    "deflate": (lambda: Deflate(15), lambda: Deflate(-15)),  # the name means zlib, but it is also sent bare
    "br": (_Brotli,),
    "zstd": (Zstd().open,),
}
_OPENERS["x-gzip"] = _OPENERS["gzip"]
