"""What the readers make of the odd forms in which real writers of WARC and ARC files put their records."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from archives import arc_head, arc_record, counted, kinds, page, record, response

from corpus.config import Source
from corpus.items import Item, RawDocument
from corpus.sources import read

HTML = b"<!doctype html><p>Liman"
PAGE = record(response(HTML))
LOOKUP = b"20080430204825\r\nwww.a.example.\t589\tIN\tA\t192.0.2.1\r\n"
SAMPLE = b"Hi there\n" * 20


def items(data: bytes, tmp_path: Path, name: str = "f.warc") -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    return list(read(Source(name="t", format="warc", paths=("x",)), str(path)))


def fields(*lines: str, block: bytes = b"") -> bytes:
    """Return a record of these header lines, as they stand."""
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + block + b"\r\n\r\n"


def without_type(kind: str, block: bytes, target: str = "http://a.example/") -> bytes:
    return record(block, kind=kind, Content_Type="", WARC_Target_URI=target)


def case(change: str) -> bytes:
    """Return a DNS record whose header is in capitals or in small letters."""
    block = "20080430204825\r\n"
    length = f"Content-Length: {len(block)}"
    head = fields("WARC/1.0", "WARC-Type: response", "WARC-Target-URI: dns:www.a.example",
                  "WARC-Date: 2008-04-30T20:48:25Z", "Content-Type: text/dns", length,
                  block=block.encode())  # fmt: skip
    return head.lower() if change == "lower" else b"WARC" + head[4:].upper()


def flipped(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


BODY = gzip.compress(HTML * 20)
ZIPPED = response(BODY, more="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
FOLDED = fields("WARC/0.17", "WARC-Type: ", " response", "WARC-Target-URI: ", " http://b.example/",
                "WARC-Date: ", " 2008-04-30T20:48:26Z", "Content-Type:", "\tapplication/http",
                "Content-Length: ", f" {len(response(HTML))}", block=response(HTML))  # fmt: skip
TWICE = record(
    b"HTTP/1.1 200 \r\ndate: Fri, 27 Sep 2024 10:47:02 GMT\r\ncontent-type: text/html\r\nx-a: 1\r\nx-a: 2\r\n"
    b"link: <https://a.example/?p=1>; rel=shortlink\r\nlink: <https://a.example/>\r\n\r\n" + HTML
).replace(b"WARC-Date", b"WARC-Protocol: h2\r\nWARC-Protocol: tls/1.3\r\nWARC-Date")
ARC_PAGE = arc_record(response(HTML))
NO_DIGITS = "http://a.example/ 192.0.2.1 201404010000000000 text/html"

WARC = {
    "versions": (b"".join(PAGE.replace(b"/1.0", v) for v in (b"/0.17", b"/0.18", b"/1.1")), "html 3"),
    "capitals": (case("upper") + case("lower"), "dns 2"),
    "values on lines of their own": (FOLDED, "html 1"),
    "fields twice, no reason, small letters": (TWICE, "html 1"),
    "empty digests": (
        record(response(HTML), WARC_Payload_Digest="sha1:    ", WARC_Block_Digest="sha1:"),
        "html 1",
    ),
    "no content types": (
        without_type("warcinfo", b"software: x\r\n")
        + without_type("request", b"GET / HTTP/1.0\r\n\r\n")
        + without_type("response", LOOKUP, "dns:a.example")
        + without_type("metadata", b"via: x\r\n")
        + without_type("resource", b"\x89PNG")
        + without_type("conversion", b"x")
        + without_type("revisit", b""),
        "warcinfo 1 request 1 dns 1 metadata 1 media 1 conversion 1 revisit 1",
    ),
    "a type alone": (
        b"".join(
            fields("WARC/1.0", f"WARC-Type: {kind}")
            for kind in ("request", "response", "resource", "conversion", "continuation", "warcinfo")
        ),
        "!bad-header 6",
    ),
    "no field is valid": (
        fields("WARC/1.0", "WARC-Type: request", "WARC-Target-URI: bad_uri", "WARC-Date: blue monday",
               "Content-Length: very lengthy", "Content-Type: gif\\image", block=b"GET / HTTP/1.0\r\n\r\n")
        + PAGE,
        "!bad-header 1 html 1",
    ),
    "segments": (record(b"x", kind="continuation", WARC_Segment_Number="42") * 2, "continuation 2"),
    "letters in an address that are no UTF-8": (
        PAGE.replace(b"http://a.example/", b"http://a.example/?comName=\xb1d\xa4\xfd\xa7Q") + PAGE,
        "!bad-url 1 html 1",
    ),
    "spaces in an address": (record(response(HTML), WARC_Target_URI="file:///with two spaces"), "html 1"),
    "Wget's brackets and log": (
        record(response(HTML), WARC_Target_URI="<http://a.example/>")
        + record(b"log", kind="resource", WARC_Target_URI="<metadata://gnu.org/software/wget/wget.log>"),
        "html 1 metadata 1",
    ),
    "chunks that are none, packed": (record(ZIPPED), "html 1"),
    "a POST and its answer in JSON": (
        record(response(b"{}", mime="application/json")) + record(b"POST / HTTP/1.1\r\n\r\n", kind="request"),
        "media 1 request 1",
    ),
    "blank lines before and after": (b"\r\n\r\n" + PAGE + b"\r\n" * 5 + PAGE + b"\n", "html 2"),
}  # fmt: skip

ARC = {
    "lengths that are none": (
        arc_head()
        + b"".join(
            f"{NO_DIGITS} {length}\n\n".encode() for length in ("-1", "abc")
        )
        + arc_record(response(HTML)),
        "warcinfo 1 !not-arc 1 html 1",
    ),
    "a first line without one valid field": (
        arc_head().replace(b"filedesc://a.arc 0.0.0.0", b"filedesc://horsy|\\\\hello a.b.c.d") + ARC_PAGE,
        "warcinfo 1 html 1",
    ),
    "no newline at the end": (arc_head() + ARC_PAGE.removesuffix(b"\n"), "warcinfo 1 html 1"),
    "cut at its end": (arc_head() + ARC_PAGE + ARC_PAGE[:-8], "warcinfo 1 html 1 !truncated 1"),
    "spaces in an address, and a port": (
        arc_head() + arc_record(response(HTML), "http://a.example:80/x.cfm?Title=From The Live Web&P=F"),
        "warcinfo 1 html 1",
    ),
    "a lookup": (arc_head() + arc_record(LOOKUP, "dns:a.example", "text/dns"), "warcinfo 1 dns 1"),
}  # fmt: skip

GZIP = {
    "no gzip after its first byte": (flipped(gzip.compress(SAMPLE), 1, 0x7B), "?bad-gzip-member 1"),
    "a method that does not exist": (flipped(gzip.compress(SAMPLE), 2, 4), "?bad-gzip-member 1"),
    "text": (gzip.compress(SAMPLE), "?not-warc 1"),
    "text in several members": (gzip.compress(b"Hi 1\n") + gzip.compress(b"Hi 2\n"), "?not-warc 1"),
    "nothing": (gzip.compress(b""), "?empty 1"),
    "two members, both damaged": (
        flipped(gzip.compress(SAMPLE), 15, 0xFF) + flipped(gzip.compress(SAMPLE), 15, 0xFF),
        "?bad-gzip-member 1",
    ),
    "a name, a comment and zeros behind": (
        b"\x1f\x8b\x08\x18" + gzip.compress(PAGE)[4:10] + b"f.warc\0by hand\0" + gzip.compress(PAGE)[10:]
        + bytes(512),
        "html 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "counts"), WARC.values(), ids=WARC)
def test_an_odd_form_of_a_warc_record_is_read(data: bytes, counts: str, tmp_path: Path) -> None:
    assert kinds(items(data, tmp_path)) == counted(counts)


@pytest.mark.parametrize(("data", "counts"), ARC.values(), ids=ARC)
def test_an_odd_form_of_an_arc_record_is_read(data: bytes, counts: str, tmp_path: Path) -> None:
    assert kinds(items(data, tmp_path, "f.arc")) == counted(counts)


@pytest.mark.parametrize(("data", "counts"), GZIP.values(), ids=GZIP)
def test_an_odd_form_of_a_gzip_file_is_told(data: bytes, counts: str, tmp_path: Path) -> None:
    assert kinds(items(data, tmp_path, "f.warc.gz")) == counted(counts)


def test_the_page_of_an_odd_record_is_its_own(tmp_path: Path) -> None:
    for name in ("values on lines of their own", "fields twice, no reason, small letters"):
        [document] = items(WARC[name][0], tmp_path)
        assert isinstance(document, RawDocument)
        assert document.content == HTML
    [document] = items(WARC["chunks that are none, packed"][0], tmp_path)
    assert isinstance(document, RawDocument)
    assert document.content == HTML * 20


def test_a_record_cut_into_members_at_its_headers_is_one(tmp_path: Path) -> None:
    """As some writers do: the WARC header, the HTTP header and the body are a member each."""
    whole = page(1)
    first = whole.index(b"HTTP/1.1")
    second = whole.index(b"<html>")
    members = (whole[:first], whole[first:second], whole[second:])
    data = b"".join(map(gzip.compress, members)) + gzip.compress(page(2))
    assert [item.url for item in items(data, tmp_path, "f.warc.gz") if isinstance(item, RawDocument)] == [
        "http://a.example/1",
        "http://a.example/2",
    ]
