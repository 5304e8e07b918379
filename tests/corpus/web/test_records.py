"""Records come out of archives of every compression, past damage, and none that a page only shows."""

from __future__ import annotations

import gzip
import random
import re
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from archives import FRAMES, arc_head, arc_record, page, record, response

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Unreadable
from corpus.sources import read
from corpus.web import codecs
from corpus.web.framing import Arc

Frame = Callable[[list[bytes]], bytes]
COMPRESSED = [name for name in FRAMES if name != "warc"]


def items(data: bytes, tmp_path: Path, name: str = "f.warc", **more: object) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    return list(read(Source(name="t", format="warc", paths=("x",), **more), str(path)))  # type: ignore[arg-type]


def urls(found: list[Item]) -> list[str]:
    return [item.url for item in found if isinstance(item, RawDocument)]


def causes(found: list[Item]) -> list[str]:
    return [item.cause for item in found if isinstance(item, Rejected | Unreadable)]


def prose(number: int, size: int = 3000) -> bytes:
    """A record that compresses as web pages do, to much more than the first few hundred bytes."""
    words = random.Random(number).choices(["liman", "deniz", "balıkçı", "iskele", "fener", "poyraz"], k=size)
    body = f"<html><p>{number} {' '.join(words)}".encode()
    return record(response(body), WARC_Target_URI=f"http://a.example/{number}")


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.99])
def test_a_damaged_member_costs_its_own_record_only(name: str, where: float, tmp_path: Path) -> None:
    members = [bytearray(FRAMES[name]([prose(number)])) for number in range(6)]
    hit = members[1]
    hit[int(where * len(hit))] ^= 0xFF
    found = items(b"".join(members), tmp_path, f"f.{name}")
    assert urls(found) == [f"http://a.example/{number}" for number in (0, 2, 3, 4, 5)]
    assert len(causes(found)) == 1


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_damaged_first_member_costs_no_other(name: str, tmp_path: Path) -> None:
    members = [bytearray(FRAMES[name]([prose(number)])) for number in range(3)]
    members[0][:20] = b"\0" * 20
    found = items(b"".join(members), tmp_path, f"f.{name}")
    assert urls(found) == ["http://a.example/1", "http://a.example/2"]
    assert len(causes(found)) == 1


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_file_compressed_whole_is_read(name: str, tmp_path: Path) -> None:
    whole = FRAMES[name]([b"".join(prose(number) for number in range(20))])
    assert urls(items(whole, tmp_path, f"f.{name}")) == [f"http://a.example/{number}" for number in range(20)]


@pytest.mark.parametrize(
    "options",
    [
        {"block_size": lz4.frame.BLOCKSIZE_MAX4MB, "block_linked": False},
        {"block_checksum": True, "store_size": False},
        {"compression_level": 9},
        {"compression_level": -1000},
    ],
)
def test_every_kind_of_lz4_frame_is_found_again(options: dict[str, int], tmp_path: Path) -> None:
    members = [bytearray(lz4.frame.compress(prose(number), **options)) for number in range(4)]
    members[1][40] ^= 0xFF
    members[1][-4:] = b"\xff" * 4
    assert "http://a.example/3" in urls(items(b"".join(members), tmp_path, "f.warc.lz4"))
    assert "http://a.example/2" in urls(items(b"".join(members), tmp_path, "f.warc.lz4"))


def test_stored_and_flushed_zstd_blocks_are_found_again(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(5000)
    stored = [record(response(b"<html>" + noise), WARC_Target_URI=f"http://a.example/{n}") for n in range(4)]
    members = [bytearray(zstandard.ZstdCompressor(level=1).compress(data)) for data in stored]
    members[1][4:12] = b"\xff" * 8
    assert urls(items(b"".join(members), tmp_path, "f.warc.zst")) == [
        f"http://a.example/{number}" for number in (0, 2, 3)
    ]


@pytest.mark.parametrize("bits", [27, 28, 31])
def test_a_long_zstd_window_is_read(bits: int, tmp_path: Path) -> None:
    options = zstandard.ZstdCompressionParameters(window_log=bits, enable_ldm=True)
    stream = zstandard.ZstdCompressor(
        compression_params=options
    ).compressobj()  # a size would shrink the window
    data = b"".join(stream.compress(prose(number)) for number in range(3)) + stream.flush()
    assert len(urls(items(data, tmp_path, "f.warc.zst"))) == 3


FORGED = record(response(b"<html>forged"), WARC_Target_URI="http://victim.example/")


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("where", [100, 90 << 10, 250 << 10])
@pytest.mark.parametrize("last", [True, False])
def test_a_long_body_forges_no_record(name: str, where: int, last: bool, tmp_path: Path) -> None:
    filler = random.Random(2).randbytes(200 << 10).hex().encode()
    body = b"<html>" + filler[:where] + b"\r\n\r\n" + FORGED + filler[where:]
    records = [page(0), record(response(body)), *([] if last else [page(2)])]
    found = items(FRAMES[name](records), tmp_path, f"f.{name}", max_record_mb=0.1)
    assert urls(found) == ["http://a.example/0", *([] if last else ["http://a.example/2"])]
    assert causes(found) == ["oversized"]


@pytest.mark.parametrize("name", FRAMES)
def test_a_member_that_follows_damaged_does_not_let_a_long_body_forge(name: str, tmp_path: Path) -> None:
    filler = b"y" * (200 << 10)
    members = [FRAMES[name]([data]) for data in (record(response(filler + FORGED + filler)), page(1))]
    if name != "warc":  # there a length is only known to be right by what follows
        members[1] = members[1][:4] + b"\xff\xff" + members[1][6:]
    found = items(b"".join(members), tmp_path, f"f.{name}", max_record_mb=0.1)
    assert "http://victim.example/" not in urls(found)


@pytest.mark.parametrize("name", FRAMES)
def test_a_length_that_swallows_records_of_one_member_is_seen_through(name: str, tmp_path: Path) -> None:
    lie = record(response(b"<html>" + b"y" * 300_000), length=10**9)
    whole = [b"".join((page(0), lie, page(2), lie, page(4)))]
    found = items(FRAMES[name](whole), tmp_path, f"f.{name}", max_record_mb=0.1)
    assert urls(found) == [f"http://a.example/{number}" for number in (0, 2, 4)]


def test_many_lengths_that_lie_are_read_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fed = 0
    feed = codecs.Deflate.feed

    def counted(self: codecs.Deflate, data: bytes | memoryview) -> tuple[bytes, int]:
        nonlocal fed
        out, taken = feed(self, data)
        fed += len(out)
        return out, taken

    monkeypatch.setattr(codecs.Deflate, "feed", counted)
    lie = record(response(b"<html>" + b"y" * 30_000), length=40_000)
    data = b"".join([lie] * 200)
    items(gzip.compress(data), tmp_path, "f.warc.gz", max_record_mb=0.01)
    assert fed < 8 * len(data)


HEAD_ENDS = [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n", b"\r\n \r\n", b"\n\t\n", b"\r\n\r\r\n"]


@pytest.mark.parametrize("end", HEAD_ENDS)
@pytest.mark.parametrize("part", ["http", "warc"])
@pytest.mark.parametrize("blank", [b"", b"\n\n", b"\r\n\r\n"])
def test_a_header_ends_at_its_first_blank_line(end: bytes, part: str, blank: bytes, tmp_path: Path) -> None:
    body = b"<!doctype html><p>first</p>" + blank + b"<p>second</p>"
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html" + (end if part == "http" else b"\r\n\r\n") + body
    data = record(block)
    if part == "warc":
        data = data.replace(b"\r\n\r\nHTTP", end + b"HTTP", 1)
    [document] = items(data + page(1), tmp_path)[:1]
    assert isinstance(document, RawDocument)
    assert document.content == body


@pytest.mark.parametrize("frame", FRAMES.values())
@pytest.mark.parametrize("head", [arc_head(), arc_head("1 1", b'<?xml version="1.0"?><arcmetadata/>\n')])
def test_arc_files_of_both_versions_are_read(frame: Frame, head: bytes, tmp_path: Path) -> None:
    pages = [
        arc_record(
            response(f"<html>{number}".encode(), more="X: " + "y" * 600 + "\r\n"),
            f"http://a.example/{number} a",
        )
        for number in range(5)
    ]
    lookup = arc_record(b"20050607080910\nexample.\t1\tIN\tA\t192.0.2.1\n", "dns:a.example", "text/dns")
    found = items(frame([head, lookup, *pages]), tmp_path, "f")
    assert urls(found) == [f"http://a.example/{number} a" for number in range(5)]
    assert not causes(found)
    document = found[-1]
    assert isinstance(document, RawDocument)
    assert document.fetched is not None
    assert (document.content, document.fetched.isoformat()) == (b"<html>4", "2005-06-07T08:09:10+00:00")


def test_damage_in_an_arc_file_costs_that_record_only(tmp_path: Path) -> None:
    pages = [
        arc_record(response(b"<html>" + b"y" * 500), f"http://a.example/{number}") for number in range(5)
    ]
    short = [*pages[:1], pages[1][:300], *pages[2:]]
    for name in ("arc", "arc.gz", "arc.zst"):
        found = items(FRAMES[name.replace("arc", "warc")]([arc_head(), *short]), tmp_path, f"f.{name}")
        assert urls(found) == [f"http://a.example/{number}" for number in (0, 2, 3, 4)]
        assert len(causes(found)) == 1
    damaged = re.sub(rb"filedesc.*\n", b"", arc_head(), count=1)
    assert len(urls(items(b"".join([damaged, *pages]), tmp_path, "f.arc"))) == 5


def test_a_long_arc_body_forges_no_record(tmp_path: Path) -> None:
    forged = arc_record(response(b"<html>"), "http://victim.example/")
    body = b"<html>" + b"y" * 200_000 + b"\n" + forged + b"y" * 200_000
    for name in ("arc", "arc.gz"):
        records = [
            arc_head(),
            arc_record(response(body)),
            arc_record(response(b"<html>"), "http://a.example/2"),
        ]
        found = items(FRAMES[f"w{name}"](records), tmp_path, f"f.{name}", max_record_mb=0.1)
        assert urls(found) == ["http://a.example/2"]


def test_searching_an_arc_file_is_linear() -> None:
    def seconds(size: int) -> float:
        data = b"http://a.example/ 1.1.1.1 2020 " * (size // 31)
        return min(timeit.repeat(lambda: Arc().search(data), number=3, repeat=3, timer=time.process_time))

    assert seconds(800_000) < 40 * seconds(100_000)  # eight times the work; 64 where it were quadratic


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_very_many_members_in_one_section_take_linear_time(content: bytes, tmp_path: Path) -> None:
    def seconds(number: int) -> float:
        data = gzip.compress(page(0)) + gzip.compress(content) * number + gzip.compress(page(1))
        before = time.process_time()
        assert urls(items(data, tmp_path, "f.warc.gz")) == ["http://a.example/0", "http://a.example/1"]
        return time.process_time() - before

    assert seconds(40_000) < 40 * seconds(5_000)


def with_dictionary(numbers: range, size: int) -> bytes:
    """A .warc.zst file whose records are compressed by a dictionary, which stands at its head."""
    samples = [prose(number, size) for number in range(300)]
    dictionary = zstandard.train_dictionary(4000, samples)
    head = dictionary.as_bytes()
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    frames = [compressor.compress(prose(number, size)) for number in numbers]
    return b"\x5d\x2a\x4d\x18" + len(head).to_bytes(4, "little") + head + b"".join(frames)


def test_zstd_files_with_dictionaries_may_be_joined(tmp_path: Path) -> None:
    plain = FRAMES["warc.zst"]([prose(9)])
    parts = [with_dictionary(range(3), 50), with_dictionary(range(3, 6), 90), plain]
    for joined, numbers in ((parts, [0, 1, 2, 3, 4, 5, 9]), (parts[::-1], [9, 3, 4, 5, 0, 1, 2])):
        found = items(b"".join(joined), tmp_path, "f.warc.zst")
        assert urls(found) == [f"http://a.example/{number}" for number in numbers]
        assert causes(found) == []


@pytest.mark.parametrize(
    "change", [(b" 192.0.2.1 ", b" - "), (b"20050607080910", b"20050607080910123"), (b" text/html ", b"  ")]
)
def test_arc_lines_with_a_field_left_out_are_read(change: tuple[bytes, bytes], tmp_path: Path) -> None:
    odd = arc_record(response(b"<html>"), "http://b.example/").replace(*change, 1)
    found = items(arc_head() + odd + arc_record(response(b"<html>")), tmp_path, "f.arc")
    assert urls(found) == ["http://b.example/", "http://a.example/"]


def test_an_arc_file_without_its_head_is_known_by_its_first_line(tmp_path: Path) -> None:
    assert urls(items(arc_record(response(b"<html>")), tmp_path, "f.dat")) == ["http://a.example/"]


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00"])
def test_a_plain_file_whose_damaged_start_looks_compressed_loses_one_record(
    magic: bytes, tmp_path: Path
) -> None:
    noise = random.Random(3).randbytes(400)
    first = record(response(noise))
    found = items(magic + b"RC" + first[4:40] + noise + first[40:] + page(1) + page(2), tmp_path)
    assert urls(found) == ["http://a.example/1", "http://a.example/2"]
    assert len(causes(found)) == 1


@pytest.mark.parametrize("name", FRAMES)
def test_a_warc_file_whose_damaged_start_is_a_line_of_arc_loses_one_record(name: str, tmp_path: Path) -> None:
    line = b"http://a.example/ 1.1.1.1 20200101000000 text/html 5\n"
    data = FRAMES[name]([line + page(0)[20:], page(1), page(2)])
    assert urls(items(data, tmp_path, f"f.{name}"))[-2:] == ["http://a.example/1", "http://a.example/2"]


def test_a_file_named_neither_way_is_told_by_its_first_line_and_its_fields(tmp_path: Path) -> None:
    line = b"http://a.example/ 1.1.1.1 20200101000000 text/html 5\n"
    assert urls(items(line + page(0)[20:] + page(1), tmp_path, "f.bin"))[-1:] == ["http://a.example/1"]
    assert urls(items(arc_record(response(b"<p>Liman")), tmp_path, "f.bin")) == ["http://a.example/"]
