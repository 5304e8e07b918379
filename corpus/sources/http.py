"""An HTTP response as an archive holds it: its header parsed, its body unchunked and decompressed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import brotli
import zstandard

from corpus.sources.records import header_end, parse_fields

Media = Literal["html", "text"]

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,2000}?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|h1|div|p|br|table|a)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,200})?\r?\n")
_STEP = 1 << 16


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
    """Whether a body begins as HTML does."""
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
        length = int(size[1], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(body[size.end() : size.end() + length])
        at = size.end() + length
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
    parts.append(body[at:])
    return b"".join(parts)


def _decode(body: bytes, coding: str, limit: int, cut: bool) -> bytes:
    if not body:
        return body
    decoders = _DECODERS.get(coding, ())
    reason = f"Content-Encoding {coding!r} is not known" if not decoders else ""
    for decoder in decoders:
        try:
            return decoder(body, limit, cut)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
            reason = reason or f"Content-Encoding {coding!r}: {error}"
    if _is_text(body):
        return body
    raise BodyError("bad-body-encoding", reason)


def _is_text(body: bytes) -> bool:
    return re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", body[:1024]) is None


def _collect(step: Callable[[], bytes], limit: int) -> bytes:
    """Join what `step` returns until it returns nothing."""
    parts: list[bytes] = []
    size = 0
    while out := step():
        parts.append(out)
        size += len(out)
        if size > limit:
            raise BodyError("oversized", f"the body inflates to more than {limit} bytes")
    return b"".join(parts)


def _zlib_decoder(wbits: int) -> Callable[[bytes, int, bool], bytes]:
    def decode(body: bytes, limit: int, cut: bool) -> bytes:
        stream = zlib.decompressobj(wbits)
        rest = body

        def step() -> bytes:
            nonlocal stream, rest
            if stream.eof and wbits == 31 and stream.unused_data.startswith(b"\x1f\x8b"):
                rest = stream.unused_data  # a body of several gzip members
                stream = zlib.decompressobj(wbits)
            out = stream.decompress(rest, _STEP)
            rest = stream.unconsumed_tail
            return out

        content = _collect(step, limit)
        if not stream.eof and not (cut and content):
            raise EOFError("the compressed body ends too early")
        return content

    return decode


def _decode_brotli(body: bytes, limit: int, cut: bool) -> bytes:
    stream = brotli.Decompressor()
    rest = body

    def step() -> bytes:
        nonlocal rest
        out: bytes = stream.process(rest, output_buffer_limit=_STEP)
        rest = b""
        return out

    content = _collect(step, limit)
    if not stream.is_finished() and not (cut and content):
        raise EOFError("the compressed body ends too early")
    return content


def _decode_zstd(body: bytes, limit: int, cut: bool) -> bytes:
    stream = zstandard.ZstdDecompressor().stream_reader(body)
    return _collect(lambda: stream.read(_STEP), limit)


_DECODERS: dict[str, tuple[Callable[[bytes, int, bool], bytes], ...]] = {
    "gzip": (_zlib_decoder(31),),
    "x-gzip": (_zlib_decoder(31),),
    "deflate": (_zlib_decoder(15), _zlib_decoder(-15)),  # the name means zlib, but servers also send it bare
    "br": (_decode_brotli,),
    "zstd": (_decode_zstd,),
}
