"""Compressed archives in pieces: every piece that is proven is right, and wrong ones are not proven."""

from __future__ import annotations

import gzip
import itertools
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from archives import (
    arc_head,
    arc_record,
    by_record,
    bzip2_streams,
    lz4_frames,
    page,
    plain,
    record,
    response,
    xz_streams,
    zstd_frames,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import sources
from corpus.config import Source
from corpus.items import CutError, Item, Piece, Rejected
from corpus.sources.pieces import cut

WARC = Source(name="s", format="warc", paths=("x",))


def whole(path: Path, given_: Source = WARC) -> list[Item]:
    return list(sources.read(given_, str(path)))


def in_pieces(path: Path, pieces: tuple[Piece, ...], given_: Source = WARC) -> list[Item] | None:
    """Return the items of all pieces; None where one of them is not proven."""
    try:
        return [item for piece in pieces for item in sources.read(given_, str(path), piece)]
    except CutError:
        return None


def pages(number: int) -> list[bytes]:
    draw = random.Random(number)
    return [page(n, draw.randrange(2000)) for n in range(number)]


@pytest.mark.parametrize("pack", [by_record, zstd_frames])
@pytest.mark.parametrize("size", [300, 2000, 10_000])
def test_members_are_each_in_one_piece(tmp_path: Path, pack: Any, size: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(pack(pages(200)))
    pieces = cut(WARC, str(path), size)
    assert len(pieces) > 2
    assert sum(piece.bytes for piece in pieces) == path.stat().st_size
    assert in_pieces(path, pieces) == whole(path)
    assert len(whole(path)) == 200


def test_wet_files_and_arc_files_are_cut_too(tmp_path: Path) -> None:
    wet = Source(name="s", format="wet", paths=("x",))
    texts = [record(f"metin {n}".encode() * 20, "conversion") for n in range(100)]
    (tmp_path / "wet").write_bytes(by_record(texts))
    pieces = cut(wet, str(tmp_path / "wet"), 1000)
    assert len(pieces) > 5
    assert in_pieces(tmp_path / "wet", pieces, wet) == whole(tmp_path / "wet", wet)
    head = arc_head()
    arcs = [head, *(arc_record(response(b"<html>%d" % n), f"http://a.example/{n}") for n in range(100))]
    (tmp_path / "x.arc.gz").write_bytes(by_record(arcs))
    pieces = cut(WARC, str(tmp_path / "x.arc.gz"), 1000)
    assert len(pieces) > 5
    assert in_pieces(tmp_path / "x.arc.gz", pieces) == whole(tmp_path / "x.arc.gz")


@pytest.mark.parametrize(
    "pack",
    [
        plain,
        lz4_frames,
        bzip2_streams,
        xz_streams,
        lambda records: gzip.compress(b"".join(records)),
        lambda records: b"",
    ],
    ids=["plain", "lz4", "bzip2", "xz", "one member", "empty"],
)
def test_what_has_no_members_of_records_is_read_whole(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "x").write_bytes(pack(pages(300)))
    assert cut(WARC, str(tmp_path / "x"), 500) == ()


def stored(data: bytes) -> bytes:
    """Return a gzip member that holds its content as it is."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def test_an_archive_inside_of_a_page_is_never_taken_for_the_file_s_own_records(tmp_path: Path) -> None:
    """Its members stand in the outer one byte by byte, and a cut falls among them."""
    evil = [record(response(b"<html>forged"), WARC_Target_URI="http://bank.example/") for _ in range(50)]
    inner = by_record(evil)
    outer = [*map(gzip.compress, pages(5)), stored(record(response(inner))), *map(gzip.compress, pages(5))]
    path = tmp_path / "x"
    path.write_bytes(b"".join(outer))
    tried = 0
    for size in range(100, 3000, 37):
        pieces = cut(WARC, str(path), size)
        found = in_pieces(path, pieces) if pieces else None
        tried += bool(pieces) and found is None
        assert found is None or found == whole(path)
    assert tried > 10  # cuts among the forged members were made, and found out


def test_records_of_several_members_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    parts = []
    for each in pages(100):
        parts += [gzip.compress(each[: len(each) // 2]), gzip.compress(each[len(each) // 2 :])]
    path.write_bytes(b"".join(parts))
    pieces = cut(WARC, str(path), 700)
    assert len(pieces) > 5
    assert in_pieces(path, pieces) == whole(path)


@given(
    at=st.lists(st.integers(0, 30_000), max_size=3),
    value=st.integers(0, 255),
    lost=st.integers(0, 300),
    size=st.integers(200, 5000),
    frames=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_a_damaged_archive_in_pieces_is_the_whole_or_not_proven(
    at: list[int], value: int, lost: int, size: int, frames: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.warc.gz"
    data = bytearray((zstd_frames if frames else by_record)(pages(60)))
    for place in at:
        data[place % len(data)] = value
    path.write_bytes(data[: len(data) - lost])
    pieces = cut(WARC, str(path), size)
    found = in_pieces(path, pieces)
    assert not pieces or found is None or found == whole(path)


def large_pages(seed: int) -> list[bytes]:
    """Records of up to 60 KB that hardly compress, so that a member is decoded in several steps."""
    draw = random.Random(seed)
    bodies = [b"<html>" + draw.randbytes(int(10 ** draw.uniform(1, 4.8))) for _ in range(12)]
    return [
        record(response(body), WARC_Target_URI=f"http://a.example/{number}")
        for number, body in enumerate(bodies)
    ]


@given(
    seed=st.integers(0, 1000),
    hits=st.dictionaries(st.integers(1, 11), st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4),
    cuts=st.sets(st.integers(1, 11), min_size=1, max_size=6),
    pack=st.sampled_from([gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_every_field_of_damaged_records_is_the_same_wherever_reading_began(
    seed: int,
    hits: dict[int, tuple[float, int]],
    cuts: set[int],
    pack: Callable[[bytes], bytes],
    tmp_path: Path,
) -> None:
    members = [bytearray(pack(each)) for each in large_pages(seed)]
    for number, (where, change) in hits.items():
        members[number][int(where * (len(members[number]) - 1))] ^= change
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(members))
    ends = [sum(map(len, members[:number])) for number in sorted(cuts - hits.keys())]
    ends.append(path.stat().st_size)
    pieces = tuple(
        Piece(start, end, 0, end - start) for start, end in itertools.pairwise([0, *ends]) if end > start
    )
    assert in_pieces(path, pieces) == whole(path)


@pytest.mark.parametrize("size", [40, 3000, 40_000])
def test_a_damaged_record_tells_its_address_where_its_header_is_intact(size: int, tmp_path: Path) -> None:
    draw = random.Random(size)
    members = [
        bytearray(gzip.compress(record(response(b"<html>" + draw.randbytes(size)), WARC_Target_URI=url)))
        for url in ("http://a.example/0", "http://a.example/1", "http://a.example/2")
    ]
    members[1][-5] ^= 1  # of the checksum
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"".join(members))
    rejected = [item for item in whole(path) if isinstance(item, Rejected)]
    assert [(item.url, item.offset, item.cause) for item in rejected] == [
        ("http://a.example/1", len(members[0]), "bad-gzip-member")
    ]


def test_padding_and_line_ends_between_members_belong_to_no_piece(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\r\n".join(map(gzip.compress, pages(50))) + b"\0" * 700)
    pieces = cut(WARC, str(path), 700)
    assert len(pieces) > 3
    assert in_pieces(path, pieces) == whole(path)


@pytest.mark.parametrize("pack", [by_record, zstd_frames])
def test_damage_within_a_piece_and_a_lost_end_leave_the_cuts_right(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "x.warc.gz"
    data = bytearray(pack(pages(200)))
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data[:-100])
    pieces = cut(WARC, str(path), 5000)
    assert len(pieces) > 3
    items = whole(path)
    assert sum(isinstance(item, Rejected) for item in items) >= 2
    assert in_pieces(path, pieces) == items


def test_a_dictionary_that_joined_files_bring_along_is_noticed(tmp_path: Path) -> None:
    """From it on all frames need it, which a piece after it would not know."""
    records = pages(100)
    dictionary = zstandard.train_dictionary(4000, [*records] * 10)
    packer = zstandard.ZstdCompressor(dict_data=dictionary)
    content = dictionary.as_bytes()
    skippable = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    path = tmp_path / "x.warc.zst"
    path.write_bytes(zstd_frames(records) + skippable + b"".join(map(packer.compress, records)))
    assert len(whole(path)) == 200
    found = in_pieces(path, cut(WARC, str(path), 8000))
    assert found is None or found == whole(path)
    start = tmp_path / "y.warc.zst"
    start.write_bytes(skippable + b"".join(map(packer.compress, records)))
    assert cut(WARC, str(start), 3000) == ()
