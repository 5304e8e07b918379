"""A capture's record: checked, then copied unchanged into another WARC file."""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass
from datetime import datetime

from corpus.web.headers import header_end, parse_fields, target
from corpus.web.http import unchunk
from corpus.web.warc import date, digest_of, fields_block, record

_LIMIT = 1 << 28  # decompressed; Common Crawl cuts bodies at a few MiB, so more is a bomb
_NAMESPACE = uuid.UUID("6c1c8f0e-0f3e-5a52-9d0f-3c1c5d0b7f11")  # of our warcinfo records, chosen at random


@dataclass(frozen=True, slots=True)
class Hit:
    """A capture in the index: `length` bytes from `offset` of `file` are its gzip member."""

    url: str
    file: str
    offset: int
    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record is not copied: a stable cause, and what was found."""

    cause: str
    detail: str


def fault(member: bytes, hit: Hit) -> Fault | None:
    """Return the fault of the bytes that should be a capture's record, or None.

    Causes: truncated (fewer bytes than in the index, or an unfinished member), bad-gzip-member, bad-length
    (more than one member, or a wrong Content-Length), not-warc, not-response, other-url, and digest (SHA-1 of
    the body, which Common Crawl stores without transfer and content encoding).
    """
    if len(member) < hit.length:
        return Fault("truncated", f"the file ends after {len(member)} of its {hit.length} bytes")
    inflater = zlib.decompressobj(31)
    try:
        record = inflater.decompress(member, _LIMIT)
    except zlib.error as error:
        return Fault("bad-gzip-member", str(error))
    if not inflater.eof:
        found = "decompresses to more than the limit" if inflater.unconsumed_tail else "has no end"
        return Fault("truncated", f"the gzip member of {hit.length} bytes {found}")
    if inflater.unused_data:
        over = len(inflater.unused_data)
        return Fault("bad-length", f"the gzip member ends {over} bytes before the index says")
    return _record_fault(record, hit)


def _record_fault(record: bytes, hit: Hit) -> Fault | None:
    end, start = header_end(record)
    if end < 0 or not record.startswith(b"WARC/"):
        return Fault("not-warc", f"expected a record that starts with 'WARC/', found {record[:40]!r}")
    fields = parse_fields(record[:end])
    if (kind := fields.get("warc-type", "").lower()) != "response":
        return Fault("not-response", f"WARC-Type is {kind!r}")
    if (url := target(fields)) != hit.url:
        return Fault("other-url", f"the record is of {url[:500]!r}")
    length = fields.get("content-length", "")
    if length != str(len(record) - start - 4) or not record.endswith(b"\r\n\r\n"):
        return Fault(
            "bad-length", f"Content-Length is {length[:40]!r}, there are {len(record) - start} bytes"
        )
    if not hit.digest:
        return None
    block = record[start:-4]
    _, after = header_end(block)
    body = block[after:] if after >= 0 else block
    found = digest(body)
    # CC-MAIN-2018-34 has one CRLF too many before each body, which its digests ignore.
    others = (body.removeprefix(b"\r\n"), unchunk(body), unchunk(body.removeprefix(b"\r\n")))
    if hit.digest != found and hit.digest not in map(digest, others):
        return Fault("digest", f"the body has SHA-1 {found}, the index says {hit.digest}")
    return None


def digest(body: bytes) -> str:
    """Return a body's SHA-1 in the index's form, base 32."""
    return digest_of(body).removeprefix("sha1:")


def warcinfo(filename: str, fingerprint: str, crawl: str, moment: datetime) -> bytes:
    """Return the gzip member of a WARC file's first record; equal arguments give equal bytes.

    `moment`, in UTC, is the time of the latest capture: the time of copying would differ from run to run.
    """
    lines = [
        ("software", "derlem"),
        ("format", "WARC File Format 1.0"),
        ("conformsTo", "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/"),
        ("isPartOf", crawl),
        ("description", f"response records of {crawl}, copied unchanged from Common Crawl's WARC files"),
    ]
    fields = [("WARC-Date", date(moment)), ("WARC-Filename", filename)]
    id_ = f"<urn:uuid:{uuid.uuid5(_NAMESPACE, fingerprint)}>"
    block = fields_block(lines)
    return record("warcinfo", id_, fields, "application/warc-fields", block, version="1.0")
