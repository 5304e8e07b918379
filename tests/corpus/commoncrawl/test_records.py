"""A record is copied only if it is what the index says; whatever is wrong has its name."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cc_server
import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from corpus.commoncrawl.records import Fault, Hit, digest, fault, warcinfo

Capture = tuple[bytes, Hit]


@pytest.fixture
def capture(server: cc_server.Server) -> Capture:
    """Return a capture's bytes and what the index says of it."""
    line = json.loads((server.root / "cdx.json").read_text())[0]
    offset, length = int(line["offset"]), int(line["length"])
    data = (server.root / line["filename"]).read_bytes()[offset : offset + length]
    return data, Hit(line["url"], line["filename"], offset, length, line["digest"])


def changed(capture: Capture, change: Callable[[bytes], bytes]) -> Capture:
    """Change a record and keep all else right."""
    data = gzip.compress(change(gzip.decompress(capture[0])), mtime=0)
    return data, replace(capture[1], length=len(data))


def cause(capture: Capture) -> str:
    found = fault(*capture)
    assert isinstance(found, Fault)
    assert found.detail
    return found.cause


def test_a_record_that_is_as_the_index_says_has_no_fault(capture: Capture) -> None:
    assert fault(*capture) is None
    assert fault(capture[0], replace(capture[1], digest="")) is None
    assert fault(*changed(capture, bytes)) is None


def test_what_is_wrong_is_named(capture: Capture) -> None:
    data, hit = capture
    assert cause((data[:-1], hit)) == "truncated"
    assert cause((data[:-9], replace(hit, length=len(data) - 9))) == "truncated"
    assert cause((data, replace(hit, length=len(data) + 1))) == "truncated"
    assert cause((data + b"\0", replace(hit, length=len(data) + 1))) == "bad-length"
    assert cause((data + data, replace(hit, length=2 * len(data)))) == "bad-length"
    assert cause((b"x" * len(data), hit)) == "bad-gzip-member"
    assert cause((data[:-8] + b"\0" * 8, hit)) == "bad-gzip-member"
    assert cause((data, replace(hit, url=hit.url + "x"))) == "other-url"
    assert cause((data, replace(hit, digest=digest(b"another")))) == "digest"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b"WARC/1.0", b"ARC/1.0", "not-warc"),
        (b"WARC-Type: response", b"WARC-Type: request", "not-response"),
        (b"WARC-Type: response", b"WARC-Type: revisit", "not-response"),
        (b"Content-Length: ", b"Content-Length: 1", "bad-length"),
        (b"Content-Length: ", b"Content-Length: x", "bad-length"),
        (b"Content-Length: ", b"Content-Size: ", "bad-length"),
        (b"<p>", b"<q>", "digest"),
        (b"</html>\r\n\r\n", b"</html>\r\n\r ", "bad-length"),
    ],
)
def test_a_record_of_another_kind_is_named(capture: Capture, old: bytes, new: bytes, named: str) -> None:
    assert cause(changed(capture, lambda record: record.replace(old, new, 1))) == named


def test_a_bomb_is_not_unpacked(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.commoncrawl.records._LIMIT", 100)
    assert cause(capture) == "truncated"


def test_a_chunked_body_may_be_hashed_with_or_without_its_chunks(capture: Capture) -> None:
    chunked = b"3\r\nabc\r\n0\r\n\r\n"
    block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: u:x\r\nContent-Length: {len(block)}\r\n\r\n"
    data, hit = changed(capture, lambda record: head.encode() + block + b"\r\n\r\n")
    for body in (b"abc", chunked):
        assert fault(data, replace(hit, url="u:x", digest=digest(body))) is None
    assert cause((data, replace(hit, url="u:x", digest=digest(b"ab")))) == "digest"


def test_a_capture_that_another_program_wrote_passes_as_it_is() -> None:
    url, stream = "https://an.wikipedia.org/wiki/Escopete", io.BytesIO()
    writer = WARCWriter(stream, gzip=True)
    fields = [("Content-Type", "text/html; charset=UTF-8"), ("X-Crawler-Content-Encoding", "gzip")]
    http = StatusAndHeaders("200 OK", fields, protocol="HTTP/1.1")
    body = io.BytesIO(b"<html><p>Escopete ye un municipio.")
    record = writer.create_warc_record(url, "response", payload=body, http_headers=http)
    writer.write_record(record)
    member = stream.getvalue()
    named = record.rec_headers["WARC-Payload-Digest"].removeprefix("sha1:")
    hit = Hit(url, "w", 1023, len(member), named)
    assert fault(member, hit) is None
    assert cause((member, replace(hit, url=f"{url}_"))) == "other-url"


def test_the_first_record_depends_on_its_arguments_alone_and_reads_everywhere(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 18, 1, 58, 10, tzinfo=UTC)
    made = warcinfo("x.warc.gz", "0123456789abcdef", "CC-MAIN-2024-22", moment)
    assert made == warcinfo("x.warc.gz", "0123456789abcdef", "CC-MAIN-2024-22", moment)
    assert made != warcinfo("x.warc.gz", "1123456789abcdef", "CC-MAIN-2024-22", moment)
    record = next(ArchiveIterator(io.BytesIO(made)))
    assert record.rec_type == "warcinfo"
    assert record.rec_headers["WARC-Date"] == "2024-05-18T01:58:10Z"
    assert b"isPartOf: CC-MAIN-2024-22" in record.content_stream().read()
    other = next(FastIterator(io.BytesIO(made), parse_http=False))
    assert other.headers["WARC-Filename"] == "x.warc.gz"
    assert zlib.decompressobj(31).decompress(made).endswith(b"\r\n\r\n")
    path = tmp_path / "x.warc.gz"
    path.write_bytes(made)
    checker = Checker(type("Options", (), {"verbose": False, "inputs": [str(path)]}))
    checker.process_all()
    assert checker.exit_value == 0


@pytest.mark.parametrize("sent", [b"<p>x", b"4\r\n<p>x\r\n0\r\n\r\n"])
def test_a_crlf_too_many_before_the_body_is_no_fault_of_the_record(sent: bytes, capture: Capture) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n\r\n" + sent
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {capture[1].url}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    data = gzip.compress(head.encode() + block + b"\r\n\r\n")
    hit = replace(capture[1], length=len(data), digest=digest(b"<p>x"))
    assert fault(data, hit) is None
    assert cause((data, replace(hit, digest=digest(b"<p>y")))) == "digest"
