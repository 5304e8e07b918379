"""WARC files: what every reader finds in them, and that a kill loses nothing that was vouched for."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import brotli
import pytest
from cdxj_indexer.main import CDXJIndexer
from fastwarc.warc import ArchiveIterator as FastIterator
from fastwarc.warc import WarcRecordType, is_warc_11
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio
from web import ALLOW, Exchange, Web, page

from corpus.config import Source
from corpus.crawl.config import Crawl, Limits, Network
from corpus.crawl.fetching.fetch import Answer, Fetcher
from corpus.crawl.state import archive as module
from corpus.crawl.state.archive import Archive, ArchiveError, Earlier, Place
from corpus.items import RawDocument
from corpus.sources.warc import read
from corpus.web.agent import Agent
from corpus.web.warc import digest_of

CRAWL = Crawl(agent=Agent(contact="https://example.org/tarama"))
HTML = "<!doctype html><title>Köy</title><p>Merhaba, burası köyün sayfası.".encode() * 20


def answer(body: bytes = HTML, **fields: Any) -> Answer:
    """Make an answer; `sent` are its header's lines."""
    sent = fields.pop(
        "sent", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    )
    made = Answer(
        url="https://a.test/sayfa?s=1",
        status=200,
        reason="OK",
        version="1.1",
        raw_headers=tuple((name.encode(), value.encode("latin-1")) for name, value in sent),
        headers={name.lower(): value for name, value in sent},
        body=body,
        content=body,
        digest=digest_of(body),
        truncated="",
        request=b"GET /sayfa?s=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: derlem\r\n\r\n",
        address="192.0.2.7",
        tls=("tls/1.3", "TLS_AES_256_GCM_SHA384"),
        started=datetime(2026, 11, 21, 9, 30, 15, 654321, tzinfo=UTC),
        seconds=0.25,
    )
    return replace(made, **fields)


def limited(size: int) -> Crawl:
    """Return a crawl whose WARC files end at a size in bytes."""
    return CRAWL.model_copy(update={"limits": Limits(warc_mb=size / (1 << 20))})


def written(folder: Path, *added: Any) -> Path:
    """Write answers, each alone or with its arguments, into one file."""
    archive = Archive(folder, "koy", CRAWL)
    for item in added:
        archive.add(*item) if isinstance(item, tuple) else archive.add(item)
    ((name, _),) = archive.close()
    return folder / name


def records(path: Path) -> list[tuple[str, dict[str, str], bytes]]:
    """Read a file by warcio: each record's type, fields and block."""
    found = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, no_record_parse=True):
            fields = dict(record.rec_headers.headers)
            found.append((record.rec_type, fields, record.raw_stream.read()))
    return found


def of_kind(path: Path, kind: str) -> tuple[dict[str, str], bytes]:
    """Return fields and block of the one record of a kind."""
    ((_, fields, block),) = [record for record in records(path) if record[0] == kind]
    return fields, block


def members(data: bytes) -> list[bytes]:
    """Unpack a file's gzip members."""
    found = []
    while data:
        inflater = zlib.decompressobj(31)
        found.append(inflater.decompress(data))
        assert inflater.eof
        data = inflater.unused_data
    return found


def wire(body: bytes, *fields: str) -> Callable[[Exchange], Any]:
    """Send a body in chunks of odd sizes."""

    async def reply(exchange: Exchange) -> None:
        lines = ["HTTP/1.1 200 Tamam", *fields, "Transfer-Encoding: chunked", "", ""]
        await exchange.send("\r\n".join(lines).encode())
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await exchange.send(b"0\r\n\r\n")

    return reply


# What stands in a file


def test_a_file_begins_with_who_wrote_it_and_names_nothing_of_the_machine(tmp_path: Path) -> None:
    fields, block = of_kind(written(tmp_path, answer()), "warcinfo")
    assert fields["WARC-Filename"] == "koy-00000.warc.gz"
    about = dict(line.split(": ", 1) for line in block.decode().splitlines())
    assert about["software"].startswith("derlem/")
    assert about["http-header-user-agent"] == CRAWL.agent.header
    assert about["operator"] == "https://example.org/tarama"
    assert "RFC 9309" in about["robots"]
    assert about["format"] == "WARC File Format 1.1"
    everything = b"".join(members((tmp_path / "koy-00000.warc.gz").read_bytes()))
    assert str(tmp_path).encode() not in everything
    assert os.uname().nodename.encode() not in everything


def test_an_answer_is_a_request_a_response_and_metadata_that_name_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, (answer(), {"via": "https://a.test/", "outlinks": 17}))
    kinds = [kind for kind, _, _ in records(path)]
    assert kinds == ["warcinfo", "request", "response", "metadata"]
    request, response, metadata = (of_kind(path, kind)[0] for kind in kinds[1:])
    assert request["WARC-Concurrent-To"] == response["WARC-Record-ID"]
    assert response["WARC-Concurrent-To"] == request["WARC-Record-ID"]
    assert metadata["WARC-Concurrent-To"] == response["WARC-Record-ID"]
    for fields in (request, response, metadata):
        assert fields["WARC-Target-URI"] == "https://a.test/sayfa?s=1"
        assert fields["WARC-Date"] == "2026-11-21T09:30:15Z"
        assert fields["WARC-Record-ID"].startswith("<urn:uuid:")
    assert response["WARC-IP-Address"] == "192.0.2.7"
    assert response["WARC-Payload-Digest"] == digest_of(HTML)
    assert response["WARC-Cipher-Suite"] == "TLS_AES_256_GCM_SHA384"
    assert of_kind(path, "request")[1] == answer().request
    assert of_kind(path, "metadata")[1] == b"fetchTimeMs: 250\r\nvia: https://a.test/\r\noutlinks: 17\r\n"


def test_both_protocols_are_named(tmp_path: Path) -> None:
    raw = members(written(tmp_path, answer()).read_bytes())[2]
    assert b"WARC-Protocol: http/1.1\r\nWARC-Protocol: tls/1.3\r\n" in raw
    raw = members(written(tmp_path, answer(tls=None)).read_bytes())[2]
    assert raw.count(b"WARC-Protocol") == 1
    assert b"WARC-Cipher-Suite" not in raw


def test_every_record_is_a_gzip_member_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, answer(), answer(b"iki"))
    unpacked = members(path.read_bytes())
    assert len(unpacked) == 7
    assert all(data.startswith(b"WARC/1.1\r\n") and data.endswith(b"\r\n\r\n") for data in unpacked)
    assert gzip.decompress(path.read_bytes()) == b"".join(unpacked)


def test_the_header_is_kept_in_its_order_and_writing(tmp_path: Path) -> None:
    sent = [
        ("SERVER", "nginx"),
        ("content-length", "3"),
        ("X-Ad", "köy"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b"),
    ]
    _, block = of_kind(written(tmp_path, answer(b"bir", sent=sent, reason="Tamam")), "response")
    lines = ["HTTP/1.1 200 Tamam", *(f"{name}: {value}" for name, value in sent), "", "bir"]
    assert block == "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([("Transfer-Encoding", "chunked")], ["X-Crawl-Transfer-Encoding: chunked", "Content-Length: 3"]),
        ([("Content-Length", "99"), ("A", "b")], ["X-Crawl-Content-Length: 99", "A: b", "Content-Length: 3"]),
        ([("Content-Length", "3"), ("A", "b")], ["Content-Length: 3", "A: b"]),
        ([("Content-Encoding", "gzip")], ["Content-Encoding: gzip", "Content-Length: 3"]),
        ([], ["Content-Length: 3"]),
    ],
)
def test_what_is_no_longer_true_of_the_body_goes_by_another_name(
    tmp_path: Path, sent: list[tuple[str, str]], kept: list[str]
) -> None:
    _, block = of_kind(written(tmp_path, answer(b"bir", sent=sent)), "response")
    assert block.decode().split("\r\n")[1:] == [*kept, "", "bir"]


def test_a_cut_body_says_so(tmp_path: Path) -> None:
    fields, block = of_kind(written(tmp_path, answer(HTML[:100], truncated="length")), "response")
    assert fields["WARC-Truncated"] == "length"
    assert block.endswith(b"\r\n\r\n" + HTML[:100])


def test_no_server_can_write_lines_of_its_own(tmp_path: Path) -> None:
    bad = "x\r\nWARC-Type: response\r\n\r\nHTTP/1.1 200"
    path = written(tmp_path, (answer(b"bir", sent=[("X", bad)], reason=bad), {"via": bad}))
    _, block = of_kind(path, "response")
    assert block.count(b"\r\n\r\n") == 1
    assert of_kind(path, "metadata")[1].count(b"\r\n") == 2


# Nothing new


def test_what_has_not_changed_is_a_revisit_without_a_body(tmp_path: Path) -> None:
    earlier = Earlier(digest_of(HTML), datetime(2026, 10, 1, 12, tzinfo=UTC))
    unmodified = answer(b"", status=304, reason="Not Modified", sent=[("ETag", '"1"')])
    fields, block = of_kind(written(tmp_path, (unmodified, None, earlier)), "revisit")
    assert fields["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
    assert fields["WARC-Refers-To-Target-URI"] == "https://a.test/sayfa?s=1"
    assert fields["WARC-Refers-To-Date"] == "2026-10-01T12:00:00Z"
    assert fields["WARC-Payload-Digest"] == digest_of(HTML)
    assert block == b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'


def test_the_same_body_again_is_a_revisit_without_it(tmp_path: Path) -> None:
    fields, block = of_kind(written(tmp_path, (answer(), None, Earlier(digest_of(HTML)))), "revisit")
    assert fields["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
    assert fields["WARC-Payload-Digest"] == digest_of(HTML)
    assert "WARC-Refers-To-Date" not in fields
    assert block.startswith(b"HTTP/1.1 200 OK\r\n")
    assert block.endswith(b"\r\n\r\n")


def test_of_an_earlier_answer_only_what_is_known_is_said(tmp_path: Path) -> None:
    unmodified = answer(b"", status=304)
    path = written(tmp_path, (unmodified, None, Earlier("")), unmodified)
    for kind, fields, _ in records(path):
        assert "WARC-Payload-Digest" not in fields
        assert ("WARC-Refers-To-Target-URI" in fields) == (kind == "revisit")
        assert "WARC-Refers-To-Date" not in fields


def test_another_body_than_before_is_a_response(tmp_path: Path) -> None:
    path = written(tmp_path, (answer(), None, Earlier(digest_of(b"eski"))), (answer(b""), None, Earlier("")))
    assert [kind for kind, _, _ in records(path)].count("response") == 2


# Every reader reads the same


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Answer], dict[str, Place]]:
    """Fetch and archive answers of many kinds; give the file, and by path the answers and their places."""
    site = {
        "/duz": page(HTML),
        "/gzip": page(gzip.compress(HTML), content_encoding="gzip"),
        "/brotli": page(brotli.compress(HTML), content_encoding="br"),
        "/parca": wire(HTML, "Content-Type: text/html"),
        "/parca-gzip": wire(gzip.compress(HTML), "Content-Type: text/html", "Content-Encoding: gzip"),
        "/uzun": page(b"<!doctype html>" + b"x" * 90_000),
        "/bos": page(b""),
        "/yok": page("yok", status="404 Not Found"),
        "/yon": page(status="301 Moved", location="/duz"),
        "/kirik": b"HTTP/1.1 200 \xff\xfe\r\nX-C: \xff\r\nContent-Length: 2\r\n\r\n\r\n",
        "/ayni": page(HTML),
        "/degismedi": page(status="304 Not Modified", content_length=None, etag='"1"'),
        "/resim": page(bytes(range(256)), content_type="image/png"),
    }
    folder = tmp_path_factory.mktemp("warc")
    answers: dict[str, Answer] = {}
    places: dict[str, Place] = {}

    async def crawl(web: Web) -> None:
        limits = Limits(body_mb=0.0625)
        settings = Crawl(agent=CRAWL.agent, limits=limits, network=Network(allow=ALLOW, resolve=web.resolve))
        archive = Archive(folder, "koy", settings)
        async with Fetcher(settings) as fetcher:
            for path in site:
                got = await fetcher.get(f"http://a.test{path}")
                if isinstance(got, Answer):
                    earlier = Earlier(digest_of(HTML)) if path in ("/ayni", "/degismedi") else None
                    answers[path], places[path] = got, archive.add(got, {"outlinks": 0}, earlier)
        archive.close()

    with Web({"a.test": site}) as web:
        asyncio.run(crawl(web))
    assert set(answers) == set(site)
    return folder / "koy-00000.warc.gz", answers, places


Crawled = tuple[Path, dict[str, Answer], dict[str, Place]]


def test_warcio_finds_every_digest_right(crawled: Crawled, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        warcio(["check", "-v", str(crawled[0])])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "fail" not in printed
    assert printed.count("digest pass") == sum(kind != "revisit" for kind, _, _ in records(crawled[0]))


def test_warcio_and_fastwarc_and_we_read_the_same(crawled: Crawled) -> None:
    path, answers, places = crawled
    with path.open("rb") as file:
        by_warcio = {}
        for record in (reader := ArchiveIterator(file)):
            if record.rec_type in ("response", "revisit"):
                url, head = record.rec_headers.get_header("WARC-Target-URI"), record.http_headers
                body = record.raw_stream.read()
                by_warcio[url] = (reader.get_record_offset(), int(head.get_statuscode()), body)
    by_fastwarc = {}
    with path.open("rb") as file:
        for record in FastIterator(file, parse_http=False, func_filter=is_warc_11):
            assert record.verify_block_digest()
            if record.record_type in (WarcRecordType.response, WarcRecordType.revisit):
                record.parse_http()
                assert record.record_type == WarcRecordType.revisit or record.verify_payload_digest()
                url, status = record.headers["WARC-Target-URI"], record.http_headers.status_code
                by_fastwarc[url] = (record.stream_pos, status, record.reader.read())
    expected = {
        answer.url: (places[at].offset, answer.status, b"" if at in ("/ayni", "/degismedi") else answer.body)
        for at, answer in answers.items()
    }
    assert by_warcio == expected
    assert by_fastwarc == expected


def test_our_own_reader_takes_the_pages_as_they_were_served(crawled: Crawled) -> None:
    path, _, places = crawled
    items = list(read(Source(name="k", format="warc", paths=(str(path),)), str(path)))
    pages = {item.url: item for item in items if isinstance(item, RawDocument)}
    assert {url.removeprefix("http://a.test") for url in pages} >= {
        "/duz",
        "/gzip",
        "/parca",
        "/parca-gzip",
        "/uzun",
    }
    for at in ("/duz", "/gzip", "/parca", "/parca-gzip"):
        found = pages[f"http://a.test{at}"]
        assert found.content == HTML
        assert found.offset == places[at].offset
    assert len(pages["http://a.test/uzun"].content) == 1 << 16
    assert not [item for item in items if type(item).__name__ == "Rejected"]


def test_an_index_leads_to_each_answer(crawled: Crawled) -> None:
    path, answers, places = crawled
    output = io.StringIO()
    CDXJIndexer(output, [str(path)], records="response,revisit").process_all()
    lines = [json.loads(line.split(" ", 2)[2]) for line in output.getvalue().splitlines()]
    found = {line["url"]: line for line in lines}
    assert len(lines) == len(answers)
    for at, answer in answers.items():
        line, place = found[answer.url], places[at]
        assert (int(line["offset"]), int(line["length"])) == (place.offset, place.length)
        assert line["filename"] == place.file
        if at != "/degismedi":
            assert line["digest"] == answer.digest
            assert line["status"] == str(answer.status)
    assert found["http://a.test/ayni"]["mime"] == "warc/revisit"


def test_a_place_is_the_record_alone(crawled: Crawled) -> None:
    path, answers, places = crawled
    data = path.read_bytes()
    for at, place in places.items():
        (record,) = members(data[place.offset : place.offset + place.length])
        assert f"WARC-Target-URI: {answers[at].url}\r\n".encode() in record
    assert max(place.end for place in places.values()) == len(data)


# Files that are full


def test_a_file_that_is_full_is_followed_by_another(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "koy", limited(8_000))
    places = [archive.add(answer(os.urandom(2000))) for _ in range(10)]
    closed = archive.close()
    names = [name for name, _ in closed]
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"koy-{number:05d}.warc.gz" for number in range(len(names))]
    assert len(names) > 3
    assert [places[0].segment, places[-1].segment] == [0, len(names) - 1]
    for name, count in closed:
        found = records(tmp_path / name)
        assert len(found) == count
        assert found[0][0] == "warcinfo"
        assert found[0][1]["WARC-Filename"] == name
        assert (tmp_path / name).stat().st_size <= 8_000
    assert sum(count for _, count in closed) == len(names) + 3 * 10


def test_an_answer_that_is_longer_than_a_file_has_one_to_itself(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "koy", limited(1_000))
    segments = [archive.add(answer(os.urandom(5000))).segment for _ in range(3)]
    archive.close()
    assert segments == [0, 1, 2]


# After a kill


def test_it_goes_on_behind_the_last_answer_that_is_vouched_for(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "koy", limited(8_000))
    places = [archive.add(answer(os.urandom(2000))) for _ in range(6)]
    vouched = places[2]
    before = (tmp_path / vouched.file).read_bytes()[: vouched.end]
    with (tmp_path / vouched.file).open("ab") as file:
        file.write(b"\x1f\x8b half a record")
    assert places[-1].segment > vouched.segment
    archive = Archive.reopen(tmp_path, "koy", limited(8_000), vouched.segment, vouched.end)
    assert (tmp_path / vouched.file).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {place.file for place in places[:3]}
    more = [archive.add(answer(os.urandom(2000))) for _ in range(4)]
    closed = archive.close()
    assert sum(count for _, count in closed) == len(closed) + 3 * 7
    assert [len(records(tmp_path / name)) for name, _ in closed] == [count for _, count in closed]
    assert len({(place.file, place.offset) for place in [*places[:3], *more]}) == 7


def test_without_anything_vouched_for_it_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "koy-00000.warc.gz").write_bytes(b"half")
    (tmp_path / "koy-00001.warc.gz").write_bytes(b"half")
    (tmp_path / "baska-00000.warc.gz").write_bytes(b"another's")
    archive = Archive.reopen(tmp_path, "koy", CRAWL, 0, 0)
    archive.add(answer())
    assert archive.close() == [("koy-00000.warc.gz", 4)]
    assert {path.name for path in tmp_path.iterdir()} == {"koy-00000.warc.gz", "baska-00000.warc.gz"}


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 10**6))
def test_a_file_shorter_than_vouched_for_says_how_much_is_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("kisa")
    archive = Archive(folder, "koy", CRAWL)
    ends = [archive.add(answer(bytes([number]) * 50)).end for number in range(4)]
    archive.close()
    path = folder / "koy-00000.warc.gz"
    data = path.read_bytes()
    starts = [0]
    for member in range(13):
        starts.append(starts[-1] + len(data[starts[member] :]) - len(_rest(data[starts[member] :])))
    size = cut % ends[-1]
    os.truncate(path, size)
    with pytest.raises(ArchiveError, match="all records after them are lost") as caught:
        Archive.reopen(folder, "koy", CRAWL, 0, ends[-1])
    assert caught.value.whole == max(start for start in starts if start <= size)
    if caught.value.whole:
        again = Archive.reopen(folder, "koy", CRAWL, 0, caught.value.whole)
        again.add(answer())
        ((_, count),) = again.close()
        assert len(records(path)) == count


def _rest(data: bytes) -> bytes:
    inflater = zlib.decompressobj(31)
    inflater.decompress(data)
    return inflater.unused_data


def test_an_end_inside_a_record_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "koy", CRAWL)
    first, second = archive.add(answer()), archive.add(answer())
    archive.close()
    with pytest.raises(ArchiveError) as caught:
        Archive.reopen(tmp_path, "koy", CRAWL, 0, second.end - 5)
    assert first.end <= caught.value.whole < second.end - 5


@pytest.mark.parametrize("damage", [b"", b"zeros", b"flip"])
def test_an_earlier_file_that_is_not_whole_is_refused(tmp_path: Path, damage: bytes) -> None:
    archive = Archive(tmp_path, "koy", limited(4_000))
    places = [archive.add(answer(os.urandom(2000))) for _ in range(3)]
    archive.close()
    path = tmp_path / places[0].file
    data = bytearray(path.read_bytes())
    if damage == b"zeros":
        data[-500:] = bytes(500)
    elif damage == b"flip":
        data[-30] ^= 1
    else:
        del data[-20:]
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=places[0].file):
        Archive.reopen(tmp_path, "koy", limited(4_000), places[-1].segment, places[-1].end)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    for segment in (0, 1):
        with pytest.raises(ArchiveError, match="koy-00000") as caught:
            Archive.reopen(tmp_path, "koy", CRAWL, segment, 500)
        assert caught.value.whole == 0


def test_an_answer_that_does_not_fit_on_the_disk_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path, "koy", CRAWL)
    archive.add(answer())
    real = os.write

    def full(file: int, data: Any) -> int:
        if len(data) > 100:
            return real(file, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        archive.add(answer(b"iki"))
    monkeypatch.setattr(module.os, "write", real)
    place = archive.add(answer(b"son"))
    assert archive.close() == [("koy-00000.warc.gz", 7)]
    assert len(records(tmp_path / place.file)) == 7
    assert (tmp_path / place.file).stat().st_size == place.end


def test_what_was_added_is_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "koy", CRAWL)
    place = archive.add(answer())
    assert (tmp_path / place.file).stat().st_size == place.end
    assert len(records(tmp_path / place.file)) == 4
    archive.close()
