"""Records of forgotten pages blanked in the archives of a crawl, each replaced by one of the same length.

So every other record stays where `fetches` and corpora know it. A placeholder is a record of type metadata,
which extraction skips. Archives are replaced whole; where a kill came before the manifest had the new
checksum, the next run finds the placeholders and writes it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from corpus import dataset, files
from corpus.crawl.state import catalogue
from corpus.errors import DatasetError
from corpus.forgotten import Forgotten
from corpus.items import Rejected, Unreadable
from corpus.web.records import read_records

MEDIA = "application/x-derlem-forgotten"
_HEAD = (
    "WARC/1.1\r\nWARC-Type: metadata\r\n"
    "WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-000000000000>\r\n"
    f"WARC-Date: 1970-01-01T00:00:00Z\r\nContent-Type: {MEDIA}\r\n"
)
_GZIP = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"  # deflate, with an extra field, no time
_EXTRA = 65_535  # bytes that an extra field can have
_STORED = 65_535  # bytes of a block that is stored as it is


def blank(folder: str, gone: Forgotten) -> int:
    """Blank the records of forgotten pages in all archives of a crawl's folder; return how many."""
    number = 0
    for home in catalogue.stages(folder):
        manifest = dataset.load(home)
        checksums: dict[str, str] = {}
        for file in (file for unit in manifest.units for file in unit.files if file.kind in dataset.ARCHIVES):
            found, is_marked = _find(files.join(home, file.path), gone)
            if found:
                _replace(home, file.path, found)
            if (found or is_marked) and (sha256 := files.sha256(files.join(home, file.path))) != file.sha256:
                checksums[file.path] = sha256
            number += len(found)
        if checksums:
            _save(home, manifest, checksums)
    return number


def _find(url: str, gone: Forgotten) -> tuple[list[tuple[int, int]], bool]:
    """Return offset and length of each record of a forgotten page, and whether some were blanked before."""
    starts: list[tuple[int, bool]] = []
    is_marked = False
    with files.open_bytes(url) as file:
        for item in read_records(file, url, keep=0):
            if isinstance(item, Unreadable):
                return [], False
            if isinstance(item, Rejected):
                starts.append((item.offset, False))
                continue
            starts.append((item.offset, gone.has_url(item.url)))
            is_marked |= item.headers.get("content-type") == MEDIA
    ends = [offset for offset, _ in starts[1:]] + [files.size("", url) or 0]
    return [
        (offset, end - offset) for (offset, is_gone), end in zip(starts, ends, strict=True) if is_gone
    ], is_marked


def _replace(home: str, path: str, found: list[tuple[int, int]]) -> None:
    """Write an archive again with placeholders for some of its members."""
    at = 0
    with files.open_bytes(files.join(home, path)) as source, files.create(home, path) as pending:
        for offset, length in [*found, (files.size(home, path) or 0, 0)]:
            while at < offset:
                piece = source.read(min(1 << 20, offset - at))
                pending.sink.write(piece)
                at += len(piece)
            if length:
                pending.sink.write(placeholder(length))
                at += length
                source.seek(at)


def placeholder(length: int) -> bytes:
    """Return a gzip member of a given length that holds a record without content but zeros.

    DatasetError where it is too short for one, which no record of a page is.
    """
    bare = _member(0, length, is_stored=False)
    if bare is not None:
        return bare
    for zeros in range(length - 400 - 5 * (length // _STORED + 1), 0, -1):  # the first fits
        if (member := _member(zeros, length, is_stored=True)) is not None:
            return member
    raise DatasetError(f"a record of {length} bytes cannot be blanked in its place; is it one of a page?")


def _member(zeros: int, length: int, is_stored: bool) -> bytes | None:
    """Return a member of a length with some zeros as content, filled by an extra field; None if none can."""
    record = f"{_HEAD}Content-Length: {zeros}\r\n\r\n".encode() + bytes(zeros) + b"\r\n\r\n"
    deflate = zlib.compressobj(0 if is_stored else 9, zlib.DEFLATED, -15)
    body = deflate.compress(record) + deflate.flush()
    extra = length - len(_GZIP) - 2 - len(body) - 8
    if not 0 <= extra <= _EXTRA:
        return None
    check = struct.pack("<II", zlib.crc32(record), len(record) & 0xFFFFFFFF)
    return _GZIP + struct.pack("<H", extra) + bytes(extra) + body + check


def _save(home: str, manifest: dataset.Manifest, checksums: dict[str, str]) -> None:
    """Write the new checksums into the records of the units, then into the manifest."""
    units = []
    for unit in manifest.units:
        made = tuple(
            file.model_copy(update={"sha256": checksums.get(file.path, file.sha256)}) for file in unit.files
        )
        units.append(unit.model_copy(update={"files": made}))
        if made != unit.files:
            record: dict[str, Any] | None = files.read_json(home, f"units/{unit.fingerprint}.json")
            if record is not None:
                record["unit"] = units[-1].model_dump(mode="json")
                files.write_json(home, f"units/{unit.fingerprint}.json", record)
    dataset.save(home, manifest.model_copy(update={"units": tuple(units)}))
