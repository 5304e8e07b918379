"""What the WARC reader makes of records, good and bad, in every framing."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import brotli
import pytest
import zstandard
from archives import by_record, page, record, response, zstd_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Skipped, Unreadable
from corpus.sources import read
from corpus.web.records import read_records
from corpus.web.section import Record


def source(**more: object) -> Source:
    return Source(**{"name": "t", "format": "warc", "paths": ("x",), **more})  # type: ignore[arg-type]


def items(data: bytes, tmp_path: Path, name: str = "f.warc", **more: object) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    return list(read(source(**more), str(path)))


def urls(found: list[Item]) -> list[str]:
    return [item.url for item in found if isinstance(item, RawDocument)]


def causes(found: list[Item]) -> list[tuple[int, str]]:
    return [(item.offset, item.cause) for item in found if isinstance(item, Rejected)]


def test_a_response_becomes_its_decoded_page(tmp_path: Path) -> None:
    [document] = items(record(response(b"<html>\xfd\xfe\xf0")), tmp_path)
    assert document == RawDocument(
        b"<html>\xfd\xfe\xf0",
        "html",
        "http://a.example/",
        0,
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        "windows-1254",
    )


def test_a_resource_record_is_its_own_body(tmp_path: Path) -> None:
    [document] = items(record(b"d\xc3\xbcz", kind="resource", Content_Type="text/plain"), tmp_path)
    assert isinstance(document, RawDocument)
    assert (document.content, document.media, document.charset) == (b"d\xc3\xbcz", "text", None)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (record(b"", kind="warcinfo"), "warcinfo"),
        (record(b"GET / HTTP/1.1\r\n\r\n", kind="request"), "request"),
        (record(b"", kind="revisit"), "revisit"),
        (record(b"", kind="metadata"), "metadata"),
        (record(b"text", kind="conversion"), "conversion"),
        (record(b"rest", kind="continuation"), "continuation"),
        (record(b"", kind="novelty"), "other"),
        (record(b"a.example. IN A", WARC_Target_URI="dns:a.example", Content_Type="text/dns"), "dns"),
        (record(b"log", kind="resource", WARC_Target_URI="metadata://gnu.org/wget.log"), "metadata"),
        (record(b"log", kind="resource", WARC_Target_URI="urn:pageinfo:http://a.example"), "metadata"),
        (record(b"log", kind="resource", WARC_Target_URI="dns:a.example"), "dns"),
        (record(response(b"gone", "404 Not Found")), "status"),
        (record(response(b"", "301 Moved")), "status"),
        (record(response(b"<p>", more="Refresh: 0; url=/elsewhere\r\n")), "redirect"),
        (record(response(b"<p>", more="Refresh: 3;URL='http://b.example/'\r\n")), "redirect"),
        (record(response(b"\x89PNG", mime="image/png")), "media"),
        (record(response(b"no markup here", mime="")), "media"),
    ],
)
def test_what_is_no_document_is_skipped_by_kind(data: bytes, kind: str, tmp_path: Path) -> None:
    assert items(data, tmp_path) == [Skipped(0, kind)]


DAMAGED = {
    b"http://a.exam\x07ple/": "the control character U+0007",
    b"http://a.example/a\rb": "the control character U+000D",
    b"http://a.example/\xc2\x85": "the control character U+0085",
    b"http://a.example/\xfc": "bytes that are not UTF-8",
    b"jttp://a.example/": "no scheme of pages, such as https, but 'jttp'",
    b"a.example/": "no scheme of pages, such as https, but 'a.example/'",
    b"http://a.exam%pl/": "no valid host and port",
    b"http://a.example:8o/": "no valid host and port",
    b"http:///": "no valid host and port",
}


@pytest.mark.parametrize(("address", "why"), DAMAGED.items())
@pytest.mark.parametrize("kind", ["response", "resource"])
def test_a_page_with_a_damaged_address_is_rejected(
    kind: str, address: bytes, why: str, tmp_path: Path
) -> None:
    block = response(b"<p>x") if kind == "response" else b"<p>x"
    more = {} if kind == "response" else {"Content_Type": "text/html"}
    data = record(block, kind=kind, **more).replace(b"http://a.example/", address)
    found = address.decode("utf-8", "replace")
    assert items(data, tmp_path) == [
        Rejected(0, "bad-url", f"expected a page's address, found {found!r}: {why}")
    ]


@pytest.mark.parametrize(
    "address",
    ["http://a.example/?s=%u0131", "http://a.example/100%", "http://çay.example/ğ", "ftp://a.example/x"],
)
def test_an_address_that_browsers_follow_is_kept(address: str, tmp_path: Path) -> None:
    assert urls(items(record(response(b"<p>x"), WARC_Target_URI=address), tmp_path)) == [address]


def test_a_page_without_content_type_is_known_by_its_beginning(tmp_path: Path) -> None:
    [document] = items(record(response(b"\n <!DOCTYPE HTML><p>x", mime="")), tmp_path)
    assert isinstance(document, RawDocument)
    assert (document.media, document.charset) == ("html", None)


@pytest.mark.parametrize(
    "value", ["300; url=/elsewhere", "0", "5; url=http://a.example/", "0; url=#top", "x"]
)
def test_a_page_that_refreshes_itself_or_later_is_a_page(value: str, tmp_path: Path) -> None:
    assert len(urls(items(record(response(b"<p>", more=f"Refresh: {value}\r\n")), tmp_path))) == 1


BODY = b"<html><p>" + "Liman bugün sakin. ".encode() * 20


@pytest.mark.parametrize(
    ("head", "sent", "truncated"),
    [
        ("Content-Length: 5", BODY, ""),
        ("Content-Length: 99999", BODY, "body"),
        (f"Content-Length: {len(BODY)}\r\nContent-Length: {len(BODY)}", BODY, ""),
        ("Content-Length: 12, 12", BODY, ""),
        ("Content-Length: much", BODY, ""),
        ("this line has no colon", BODY, ""),
        (": no name\r\nX\x00Y: \xff", BODY, ""),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(BODY), BODY), "body"),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), ""),
        ("Transfer-Encoding: chunked", b"%x\r\n%s" % (len(BODY) + 50, BODY), "body"),
        ("Transfer-Encoding: chunked", BODY, ""),
    ],
)
def test_an_answer_that_lies_about_its_length_keeps_its_body(
    head: str, sent: bytes, truncated: str, tmp_path: Path
) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + head.encode("latin-1") + b"\r\n\r\n" + sent
    [document] = items(record(block), tmp_path)
    assert isinstance(document, RawDocument)
    assert (document.content, document.truncated) == (BODY, truncated)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_body_cut_short_gives_its_beginning_marked(coding: str, tmp_path: Path) -> None:
    page = b"<html>" + random.Random(1).randbytes(300_000).hex().encode()
    packed = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }
    whole = packed[coding](page)
    cut = response(whole[: len(whole) * 2 // 3], more=f"Content-Encoding: {coding}\r\n")
    [document] = items(record(cut), tmp_path)
    assert isinstance(document, RawDocument)
    assert isinstance(document.content, bytes)
    assert len(document.content) > 100_000
    assert page.startswith(document.content)
    assert document.truncated == "body"


@pytest.mark.parametrize(
    ("mime", "identified", "body", "media"),
    [
        ("text/html charset=utf-8", "", b"x", "html"),
        ("'text/html'", "", b"x", "html"),
        ("text/html: charset=utf-8", "", b"x", "html"),
        ("text/htm", "", b"x", "html"),
        ("application/xhtml", "", b"x", "html"),
        ("text/plain", "", b"<!doctype html><p>x", "html"),
        ("text/plain", "", b"x < y", "text"),
        ("text/plain", "text/html", b"x", "html"),
        ("html", "", b"<html>x", "html"),
        ("html", "", b"x", None),
        ("utf-8", "", b"<!DOCTYPE html>x", "html"),
        ("application/octet-stream", "text/html", b"x", "html"),
        ("application/octet-stream", "", b"<html>", None),
        ("image/png", "application/xhtml+xml", b"<html>", "html"),
        ("", "text/plain", b"x", "text"),
        ("", "text/html", b"x", "html"),
        ("application/pdf", "application/pdf", b"<html>", None),
    ],
)
def test_the_media_is_decided_by_type_body_and_what_the_archive_identified(
    mime: str, identified: str, body: bytes, media: str | None, tmp_path: Path
) -> None:
    data = record(response(body, mime=mime), WARC_Identified_Payload_Type=identified)
    [item] = items(data, tmp_path)
    assert (item.media if isinstance(item, RawDocument) else None) == media


def test_xhtml_and_capitals_and_folded_headers_are_understood(tmp_path: Path) -> None:
    block = b'HTTP/1.1 200 OK\r\nCONTENT-TYPE:\r\n\tApplication/XHTML+xml;\r\n Charset="UTF-8"\r\n\r\n<html/>'
    [document] = items(record(block).replace(b"WARC-Type", b"warc-TYPE"), tmp_path)
    assert isinstance(document, RawDocument)
    assert (document.media, document.charset) == ("html", "UTF-8")


def test_angle_brackets_around_a_target_are_removed(tmp_path: Path) -> None:
    assert urls(items(record(response(b"<p>"), WARC_Target_URI="<http://b.example/>"), tmp_path)) == [
        "http://b.example/"
    ]


def in_pieces(records: list[bytes]) -> bytes:
    """Members cut without regard to records."""
    whole = b"".join(records)
    return b"".join(gzip.compress(whole[at : at + 100]) for at in range(0, len(whole), 100))


@pytest.mark.parametrize(
    "frame", [b"".join, by_record, zstd_frames, in_pieces, lambda records: gzip.compress(b"".join(records))]
)
def test_every_framing_gives_the_same_documents_at_offsets_that_differ(frame: object, tmp_path: Path) -> None:
    found = items(frame([page(number) for number in range(50)]), tmp_path)  # type: ignore[operator]
    assert urls(found) == [f"http://a.example/{number}" for number in range(50)]
    assert len({item.offset for item in found}) == 50


@pytest.mark.parametrize("compressed", [True, False])
def test_offsets_are_where_the_records_start_in_the_file(compressed: bool, tmp_path: Path) -> None:
    parts = [gzip.compress(page(number)) if compressed else page(number) for number in range(5)]
    starts = [sum(map(len, parts[:number])) for number in range(5)]
    assert [item.offset for item in items(b"".join(parts), tmp_path)] == starts


def test_a_zstd_file_with_its_own_dictionary_is_read(tmp_path: Path) -> None:
    records = [page(number) for number in range(40)]
    trained = zstandard.train_dictionary(2000, records * 20)
    head = zstandard.compress(trained.as_bytes())
    compressor = zstandard.ZstdCompressor(dict_data=trained)
    data = struct.pack("<II", 0x184D2A5D, len(head)) + head + b"".join(map(compressor.compress, records))
    assert len(urls(items(data, tmp_path, "f.warc.zst"))) == 40


def test_damage_inside_one_member_costs_that_record_only(tmp_path: Path) -> None:
    members = [bytearray(gzip.compress(page(number))) for number in range(5)]
    members[2][len(members[2]) // 2] ^= 0xFF
    found = items(b"".join(members), tmp_path)
    assert urls(found) == [f"http://a.example/{number}" for number in (0, 1, 3, 4)]
    assert causes(found) == [(len(members[0]) + len(members[1]), "bad-gzip-member")]


def test_a_wrong_checksum_rejects_the_record(tmp_path: Path) -> None:
    members = [bytearray(gzip.compress(page(number))) for number in range(3)]
    members[1][-6] ^= 1
    found = items(b"".join(members), tmp_path)
    assert urls(found) == ["http://a.example/0", "http://a.example/2"]
    assert causes(found) == [(len(members[0]), "bad-gzip-member")]


def test_a_record_cut_before_an_intact_member_is_truncated(tmp_path: Path) -> None:
    short = gzip.compress(page(1)[:150])
    found = items(gzip.compress(page(0)) + short + gzip.compress(page(2)), tmp_path)
    assert urls(found) == ["http://a.example/0", "http://a.example/2"]
    assert [cause for _, cause in causes(found)] == ["truncated"]


def test_a_file_cut_short_keeps_what_came_before(tmp_path: Path) -> None:
    members = [gzip.compress(page(number)) for number in range(3)]
    found = items(b"".join(members)[:-20], tmp_path)
    assert urls(found) == ["http://a.example/0", "http://a.example/1"]
    assert causes(found) == [(len(members[0]) + len(members[1]), "truncated")]


@pytest.mark.parametrize("length", [10, 130, 10**9])
def test_a_wrong_content_length_in_a_plain_file_costs_that_record_only(length: int, tmp_path: Path) -> None:
    bad = record(response(b"<html>bad"), length=length)
    found = items(page(0) + bad + page(2) + page(3), tmp_path)
    assert urls(found) == [f"http://a.example/{number}" for number in (0, 2, 3)]
    assert [offset for offset, _ in causes(found)] == [len(page(0))]


@pytest.mark.parametrize("cut", [30, 150, 250])
def test_a_record_cut_in_a_plain_file_does_not_swallow_the_next(cut: int, tmp_path: Path) -> None:
    found = items(page(0) + page(1)[:cut] + page(2), tmp_path)
    assert urls(found) == ["http://a.example/0", "http://a.example/2"]
    assert [offset for offset, _ in causes(found)] == [len(page(0))]


@pytest.mark.parametrize("value", ["", "-5", "x", "9" * 30])
def test_a_header_without_a_usable_length_is_bad(value: str, tmp_path: Path) -> None:
    found = items(record(b"body", Content_Length=value) + page(1), tmp_path)
    assert causes(found) == [(0, "bad-header")]
    assert urls(found) == ["http://a.example/1"]


def test_bytes_between_records_are_rejected_once(tmp_path: Path) -> None:
    found = items(page(0) + b"strange\r\nbytes\r\n" + page(1), tmp_path)
    assert causes(found) == [(len(page(0)), "not-warc")]
    assert len(urls(found)) == 2
    found = items(page(0) + b"strange\r\n" + page(1) + b"more\r\n" + page(2), tmp_path)
    assert [cause for _, cause in causes(found)] == ["not-warc", "not-warc"]
    assert len(urls(found)) == 3


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty"),
        (gzip.compress(b""), "empty"),
        (b"filedesc://x.arc 0.0.0.0\n", "not-arc"),
        (by_record([b"one", b"two"]), "not-warc"),
        (b"PAR1" + bytes(1000), "not-warc"),
        (gzip.compress(page(0))[:9], "truncated"),
        (b"\x1f\x8b\x08" + bytes(range(256)), "bad-gzip-member"),
    ],
)
def test_a_file_without_records_is_unreadable(data: bytes, cause: str, tmp_path: Path) -> None:
    [unreadable] = items(data, tmp_path)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.cause == cause


def test_a_body_over_the_limit_is_rejected_and_the_next_record_read(tmp_path: Path) -> None:
    data = page(0) + record(response(b"<html>" + b"y" * 300_000)) + page(2)
    found = items(data, tmp_path, max_record_mb=0.1)
    assert causes(found) == [(len(page(0)), "oversized")]
    assert urls(found) == ["http://a.example/0", "http://a.example/2"]


def test_the_limit_is_that_of_the_body_without_its_headers(tmp_path: Path) -> None:
    body = b"<html>".ljust(100 << 10, b"y")
    [document] = items(
        record(response(body, more="X-Long: " + "z" * 1000 + "\r\n")), tmp_path, max_record_mb=100 / 1024
    )
    assert isinstance(document, RawDocument)
    assert document.content == body


def test_a_length_beyond_the_limit_that_lies_does_not_swallow_the_next_record(tmp_path: Path) -> None:
    bad = record(response(b"<html>" + b"y" * 300_000), length=10**12)
    found = items(page(0) + bad + page(2), tmp_path, max_record_mb=0.1)
    assert [offset for offset, _ in causes(found)] == [len(page(0))]
    assert urls(found) == ["http://a.example/0", "http://a.example/2"]


def test_a_page_about_warc_files_does_not_begin_a_record(tmp_path: Path) -> None:
    about = b"<html>" + b"y" * 300_000 + b"\r\nWARC/1.0\r\nis the first line of a record\r\n"
    found = items(record(response(about)) + page(2), tmp_path, max_record_mb=0.1)
    assert causes(found) == [(0, "oversized")]
    assert urls(found) == ["http://a.example/2"]


def test_a_header_without_end_is_given_up(tmp_path: Path) -> None:
    found = items(b"WARC/1.0\r\n" + b"a: b\r\n" * 100_000 + page(1), tmp_path)
    assert causes(found) == [(0, "bad-header")]
    assert urls(found) == ["http://a.example/1"]


def test_an_oversized_image_is_skipped_like_any_image(tmp_path: Path) -> None:
    data = record(response(b"y" * 300_000, mime="image/png"))
    assert items(data, tmp_path, max_record_mb=0.1) == [Skipped(0, "media")]


def test_bombs_are_never_inflated_past_the_limit(tmp_path: Path) -> None:
    zeros = b"<html>" + b"\0" * (64 << 20)
    in_body = record(response(gzip.compress(zeros), more="Content-Encoding: gzip\r\n"))
    path = tmp_path / "f.warc.gz"
    path.write_bytes(b"".join(map(gzip.compress, (in_body, record(response(zeros)), page(2)))))
    del zeros, in_body
    tracemalloc.start()
    found = list(read(source(max_record_mb=1.0), str(path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [cause for _, cause in causes(found)] == ["oversized", "oversized"]
    assert urls(found) == ["http://a.example/2"]
    assert peak < 8 << 20


def test_a_record_that_the_crawler_cut_is_kept(tmp_path: Path) -> None:
    whole = gzip.compress(b"<html>" + bytes(range(32, 127)) * 50)
    cut = response(whole[: len(whole) // 2], more="Content-Encoding: gzip\r\n")
    [kept] = items(record(cut, WARC_Truncated="length"), tmp_path)
    assert isinstance(kept, RawDocument)
    assert kept.content
    assert kept.truncated == "length"
    [also] = items(record(cut), tmp_path)
    assert isinstance(also, RawDocument)
    assert (also.content, also.truncated) == (kept.content, "body")


def test_memory_does_not_grow_with_the_file() -> None:
    class Endless(io.RawIOBase):
        """Twenty megabytes of records, made while they are read."""

        def __init__(self) -> None:
            self.left = 20_000
            self.pieces = self.make()
            self.rest = b""

        def make(self) -> Iterator[bytes]:
            member = b"".join(page(number, 1000) for number in range(100))
            while self.left:
                self.left -= 100
                yield member

        def read(self, size: int = -1) -> bytes:
            self.rest = self.rest or next(self.pieces, b"")
            out, self.rest = self.rest[:size], self.rest[size:]
            return out

    tracemalloc.start()
    count = sum(isinstance(item, Record) for item in read_records(Endless(), "x", 1 << 20))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 4 << 20


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(source(), str(tmp_path / "absent.warc.gz")))


RECORDS = [page(number, 30 * number) for number in range(6)]
MEMBERS = [gzip.compress(data) for data in RECORDS]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hit=st.integers(0, 5), where=st.floats(0, 1, exclude_max=True), how=st.integers(1, 255), cut=st.booleans()
)
def test_no_damage_to_a_member_costs_another(
    hit: int, where: float, how: int, cut: bool, tmp_path: Path
) -> None:
    members = [bytearray(member) for member in MEMBERS]
    at = int(where * len(members[hit]))
    if cut:
        del members[hit][at : at + how]
    else:
        members[hit][at] ^= how
    found = items(b"".join(members), tmp_path, "f.warc.gz")
    others = [f"http://a.example/{number}" for number in range(6) if number != hit]
    assert [url for url in urls(found) if url in others] == others
    bodies = {item.content for item in found if isinstance(item, RawDocument)}
    assert bodies <= {
        item.content for item in items(b"".join(MEMBERS), tmp_path) if isinstance(item, RawDocument)
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6)), max_size=8), gz=st.booleans())
def test_nothing_in_a_file_makes_the_reader_raise(
    cuts: list[tuple[int, bytes]], gz: bool, tmp_path: Path
) -> None:
    data = bytearray(b"".join(MEMBERS if gz else RECORDS))
    for at, change in cuts:
        at %= len(data)
        data[at : at + 5] = change
    found = items(bytes(data), tmp_path, "f.warc.gz")
    offsets = [item.offset for item in found if not isinstance(item, Unreadable)]
    assert offsets == sorted(offsets)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_an_unreadable_file(data: bytes, tmp_path: Path) -> None:
    [item] = items(data, tmp_path, "f.warc.gz")
    assert isinstance(item, Unreadable)
