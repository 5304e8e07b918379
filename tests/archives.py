"""Archives that tests make themselves, in every way to compress them, and what was read of them, counted."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections import Counter
from collections.abc import Callable, Iterable

import lz4.frame
import zstandard

from corpus.items import Item, RawDocument, Skipped, Unreadable


def record(block: bytes, kind: str = "response", length: int | None = None, **headers: str) -> bytes:
    fields = {
        "WARC-Type": kind,
        "WARC-Target-URI": "http://a.example/",
        "WARC-Date": "2024-05-01T12:00:00Z",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block) if length is None else length),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def response(
    body: bytes, status: str = "200 OK", mime: str = "text/html; charset=windows-1254", more: str = ""
) -> bytes:
    content_type = f"Content-Type: {mime}\r\n" if mime else ""
    return f"HTTP/1.1 {status}\r\n{content_type}{more}\r\n".encode() + body


def page(number: int, size: int = 40) -> bytes:
    """A record whose document is told from every other's by its URL and its bytes."""
    body = f"<html>page {number} ".encode() + b"x" * size
    return record(response(body), WARC_Target_URI=f"http://a.example/{number}")


def arc_record(block: bytes, url: str = "http://a.example/", mime: str = "text/html") -> bytes:
    return f"{url} 192.0.2.1 20050607080910 {mime} {len(block)}\n".encode() + block + b"\n"


def arc_head(version: str = "1 0", metadata: bytes = b"") -> bytes:
    """The record that an ARC file begins with; version 1.1 has XML behind its lines."""
    lines = f"{version} InternetArchive\nURL IP-address Archive-date Content-type Archive-length\n".encode()
    return arc_record(lines + metadata, "filedesc://a.arc", "text/plain").replace(b"192.0.2.1", b"0.0.0.0")


def plain(records: list[bytes]) -> bytes:
    return b"".join(records)


def by_record(records: list[bytes]) -> bytes:
    return b"".join(map(gzip.compress, records))


def zstd_frames(records: list[bytes]) -> bytes:
    return b"".join(map(zstandard.ZstdCompressor(write_checksum=True).compress, records))


def lz4_frames(records: list[bytes]) -> bytes:
    return b"".join(lz4.frame.compress(data, content_checksum=True) for data in records)


def bzip2_streams(records: list[bytes]) -> bytes:
    return b"".join(map(bz2.compress, records))


def xz_streams(records: list[bytes]) -> bytes:
    return b"".join(map(lzma.compress, records))


FRAMES: dict[str, Callable[[list[bytes]], bytes]] = {
    "warc": plain,
    "warc.gz": by_record,
    "warc.zst": zstd_frames,
    "warc.lz4": lz4_frames,
    "warc.bz2": bzip2_streams,
    "warc.xz": xz_streams,
}
"""How records become a file, by the end of its name."""


def kinds(found: Iterable[Item]) -> dict[str, int]:
    """Count documents by media, skipped records by kind, `!cause` of rejected ones, `?cause` of files."""
    return Counter(
        item.media
        if isinstance(item, RawDocument)
        else item.kind
        if isinstance(item, Skipped)
        else ("?" if isinstance(item, Unreadable) else "!") + item.cause
        for item in found
    )


def counted(line: str) -> dict[str, int]:
    """Return the counts that a line such as "html 2 !truncated 1" states."""
    words = line.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))
