"""WARC 1.1 files of a crawl: requests and responses, one gzip member per record, cut back after a kill."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, stays_packed
from corpus.errors import Signal
from corpus.web.codecs import Gzip
from corpus.web.compression import DamageError, Window, inflate
from corpus.web.warc import LINE_BREAKS, Fields, date, fields_block, record

_PROFILE = "http://netpreserve.org/warc/1.1/revisit/"
_STANDARD = "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
_MIB = 1 << 20


class ArchiveError(Signal, ValueError):
    """A file has fewer records than expected; its first `whole` bytes are complete records."""

    def __init__(self, message: str, whole: int) -> None:
        super().__init__(message)
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an answer: its response or revisit record, and the end of all its records in that file."""

    file: str
    segment: int
    offset: int
    length: int
    end: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier answer for the same URL: the digest of its body, and when it was fetched, if known."""

    digest: str
    fetched: datetime | None = None


class Archive:
    """An open WARC file, and the full ones: `folder/name-00000.warc.gz`, `-00001`, ...

    When `add` returns, the records survive the end of the process; `flush` writes them to the disk. Raises
    OSError if the disk is full.
    """

    def __init__(self, folder: Path, name: str, settings: Crawl) -> None:
        """Start with the first file; existing files of that name are removed."""
        self._set_up(folder, name, settings)
        self._remove_from(0)
        self._open(0)

    def _set_up(self, folder: Path, name: str, settings: Crawl) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._settings = folder, name, settings
        self._limit = int(settings.limits.warc_mb * _MIB)
        self._full: list[tuple[str, int]] = []

    @classmethod
    def reopen(cls, folder: Path, name: str, settings: Crawl, segment: int, end: int) -> Self:
        """Resume after byte `end` of file number `segment`, known to be complete; 0, 0 starts again.

        Everything after it is removed. Everything before it is read, which takes some seconds per GB. Raises
        ArchiveError if that is shorter or damaged, as after a power failure: then resume at the error's
        `whole`, and count nothing after it as archived.
        """
        if end == 0:
            return cls(folder, name, settings)
        archive = cls.__new__(cls)
        archive._set_up(folder, name, settings)
        for earlier in range(segment):
            path = folder / archive._file_name(earlier)
            archive._full.append((path.name, _check(path, None)))
        path = folder / archive._file_name(segment)
        if path.exists() and path.stat().st_size > end:
            os.truncate(path, end)
        archive._records = _check(path, end)
        archive._segment, archive._end = segment, end
        archive._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        archive._remove_from(segment + 1)
        return archive

    def add(
        self, answer: Answer, facts: Mapping[str, object] | None = None, earlier: Earlier | None = None
    ) -> Place:
        """Write request, response and metadata of an answer; `facts` are fields of the metadata record.

        The response becomes a `revisit` record without the body if the server says that nothing has changed
        (304) or the body equals that of `earlier`.
        """
        when = date(answer.started)
        request_id, id_, metadata_id = _id(), _id(), _id()
        shared = [("WARC-Date", when), ("WARC-Target-URI", answer.url)]
        peer = [("WARC-IP-Address", answer.address)] if answer.address else []
        request = record(
            "request",
            request_id,
            [*shared, *peer, ("WARC-Concurrent-To", id_), *_protocols(answer)],
            "application/http; msgtype=request",
            answer.request,
        )
        header = _http_header(answer)
        kind, fields, block = _response(answer, header, earlier)
        response = record(
            kind,
            id_,
            [*shared, *peer, ("WARC-Concurrent-To", request_id), *fields, *_protocols(answer)],
            "application/http; msgtype=response",
            block,
        )
        lines = {"fetchTimeMs": round(answer.seconds * 1000), **(facts or {})}
        metadata = record(
            "metadata",
            metadata_id,
            [*shared, ("WARC-Concurrent-To", id_)],
            "application/warc-fields",
            fields_block((name, str(value)) for name, value in lines.items()),
        )
        size = len(request) + len(response) + len(metadata)
        if self._records > 1 and self._end + size > self._limit:
            self._rotate()
        offset = self._end + len(request)
        self._write(request + response + metadata, 3)
        return Place(self._file_name(self._segment), self._segment, offset, len(response), self._end)

    def flush(self) -> None:
        """Write everything to the disk."""
        os.fsync(self._file)

    def close(self) -> list[tuple[str, int]]:
        """Flush and close; return the names of all files in order, each with its number of records."""
        self.flush()
        os.close(self._file)
        return [*self._full, (self._file_name(self._segment), self._records)]

    def _file_name(self, segment: int) -> str:
        return f"{self._name}-{segment:05d}.warc.gz"

    def _open(self, segment: int) -> None:
        name = self._file_name(segment)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._file = os.open(self._folder / name, flags, 0o644)
        self._segment, self._end, self._records = segment, 0, 0
        fields = [("WARC-Date", date(datetime.now(UTC))), ("WARC-Filename", name)]
        block = fields_block(_about(self._settings))
        self._write(record("warcinfo", _id(), fields, "application/warc-fields", block), 1)

    def _rotate(self) -> None:
        self._full = self.close()
        self._open(self._segment + 1)

    def _remove_from(self, segment: int) -> None:
        while (path := self._folder / self._file_name(segment)).exists():
            path.unlink()
            segment += 1

    def _write(self, data: bytes, records: int) -> None:
        """Append all bytes of some records or none."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)
        self._records += records


def _check(path: Path, end: int | None) -> int:
    """Return the number of records; raise ArchiveError if they are not complete up to `end` (None: the file's
    end)."""
    records = whole = 0
    size = path.stat().st_size if path.exists() else 0
    if size:
        with path.open("rb") as file:
            window = Window(file)
            try:
                while window.peek(1):
                    for _ in inflate(window, Gzip()):
                        pass
                    records, whole = records + 1, window.offset
            except DamageError:
                pass
    if whole < (size if end is None else end) or not records:
        expected = "whole records to its end" if end is None else f"{end} bytes of whole records"
        raise ArchiveError(
            f"{path}: expected {expected}, found {whole} bytes of them; all records after them are lost",
            whole,
        )
    return records


def _id() -> str:
    return f"<{uuid.uuid4().urn}>"


def _response(answer: Answer, header: bytes, earlier: Earlier | None) -> tuple[str, Fields, bytes]:
    """Return type, further fields and block of the record that holds an answer."""
    unmodified = answer.status == 304
    if not unmodified and (earlier is None or earlier.digest != answer.digest):
        fields = [("WARC-Payload-Digest", answer.digest)]
        if answer.truncated:
            fields.append(("WARC-Truncated", answer.truncated))
        return "response", fields, header + answer.body
    profile = "server-not-modified" if unmodified else "identical-payload-digest"
    fields = [("WARC-Profile", _PROFILE + profile), ("WARC-Refers-To-Target-URI", answer.url)]
    if earlier is not None:
        if earlier.fetched is not None:
            fields.append(("WARC-Refers-To-Date", date(earlier.fetched)))
        if earlier.digest:
            fields.append(("WARC-Payload-Digest", earlier.digest))
    return "revisit", fields, header


def _protocols(answer: Answer) -> Fields:
    """Return the protocols, as https://github.com/iipc/warc-specifications/issues/42 proposes."""
    names = [("WARC-Protocol", f"http/{answer.version}")]
    if answer.tls is not None:
        names += [("WARC-Protocol", answer.tls[0]), ("WARC-Cipher-Suite", answer.tls[1])]
    return names


def _http_header(answer: Answer) -> bytes:
    """Return the header as sent, but corrected for the stored body, which is unchunked and perhaps cut.

    As in Common Crawl, a field that is no longer correct is renamed to X-Crawl-..., and Content-Length is the
    length of what follows. Content-Encoding is kept if the body is stored compressed as sent.
    """
    length = b"%d" % len(answer.body)
    has_length = answer.status in (204, 304)  # these have no body and need no length
    lines = [f"HTTP/{answer.version} {answer.status} {answer.reason}".encode("utf-8", "surrogateescape")]
    for name, value in answer.raw_headers:
        kept = name
        match name.lower():
            case b"transfer-encoding":
                kept = b"X-Crawl-" + name
            case b"content-encoding" if not stays_packed(answer.headers):
                kept = b"X-Crawl-" + name
            case b"content-length" if not has_length and value == length:
                has_length = True
            case b"content-length" if answer.status not in (204, 304):
                kept = b"X-Crawl-" + name
        lines.append(b"%b: %b" % (kept, value))
    if not has_length:
        lines.append(b"Content-Length: %b" % length)
    return b"\r\n".join(LINE_BREAKS.sub(b" ", line) for line in lines) + b"\r\n\r\n"


def _about(settings: Crawl) -> Fields:
    agent = settings.agent
    return [
        ("software", f"derlem/{version('derlem')}"),
        ("format", "WARC File Format 1.1"),
        ("conformsTo", _STANDARD),
        ("http-header-user-agent", agent.header),
        ("operator", agent.contact),
        ("robots", f"RFC 9309 is obeyed, as {agent.name}; opt-outs: {', '.join(settings.politeness.honour)}"),
    ]
