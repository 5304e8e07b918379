"""The pieces of a file give together what the whole file gives: items, their order and their offsets."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import sources
from corpus.config import Source
from corpus.errors import ConfigError
from corpus.items import Item, Piece, Rejected, Unreadable
from corpus.sources import blocks
from corpus.sources.pieces import cut


def source(kind: str, **more: Any) -> Source:
    return Source.model_validate({"name": "s", "format": kind, "paths": ("x",), **more})


def whole(given: Source, path: Path) -> list[Item]:
    return list(sources.read(given, str(path)))


def in_pieces(given: Source, path: Path, size: int) -> tuple[list[Item], tuple[Piece, ...]]:
    pieces = cut(given, str(path), size)
    return [item for piece in pieces or [None] for item in sources.read(given, str(path), piece)], pieces


LINES = st.sampled_from(
    [
        b'{"text": "a", "url": "http://a.test/"}',
        '{"text": "\u00e7ok g\u00fczel \U0001f600"}'.encode(),
        b'{"text": "x"} {"text": "y"}',
        b'\xef\xbb\xbf{"text": "after a mark"}',
        b'{"text": "' + b"long " * 300 + b'"}',  # longer than `max_record_mb` below
        b'{"text": "\xff"}',
        b"{broken",
        b"[1, 2]",
        b"",
        b"   ",
        b"\0\0",
        b"\r",
        b"\xe2\x80\xa8",  # an end of line to Unicode, none to JSON
        b"PK\x03\x04 at the start it would be an archive",
        b"\x1f\x8b\x08 and this gzip",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"])
CONTENT = st.tuples(
    st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=30).map(b"".join),
    st.sampled_from([b"", b'{"text": "no end"}', b"\xc3"]),
).map(b"".join)
SIZES = st.integers(1, 2000)
FORMATS = [source("jsonl", max_record_mb=0.001), source("text", text_unit="line", max_record_mb=0.001)]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("given_", FORMATS, ids=["jsonl", "text"])
@given(content=CONTENT, size=SIZES)
@in_one_folder
def test_lines_are_each_in_one_piece(given_: Source, content: bytes, size: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    items, pieces = in_pieces(given_, path, size)
    assert items == whole(given_, path)
    if pieces:
        assert pieces[0].start == 0
        assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
        assert sum(piece.bytes for piece in pieces) == len(content)


@pytest.mark.parametrize("given_", FORMATS, ids=["jsonl", "text"])
def test_lines_of_any_length_are_cut_where_the_next_begins(given_: Source, tmp_path: Path) -> None:
    """Blocks of a mebibyte are read: lines end before, at and after their borders, and one spans three."""
    mib = 1 << 20
    lengths = [mib - 1, mib, mib + 1, 5, 3 * mib + 7, 1, 0, 0, mib]
    path = tmp_path / "x"
    path.write_bytes(b"".join(b" " * length + b"\n" for length in lengths) + b'{"text": "x"}')
    for size in (1000, mib // 2, mib, 2 * mib):
        items, pieces = in_pieces(given_, path, size)
        assert items == whole(given_, path)
        assert len(pieces) > 2


def test_a_piece_is_about_as_large_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b'{"text": "of 20"}  \n' * 10_000)
    _, pieces = in_pieces(source("jsonl"), path, 10_000)
    assert len(pieces) == 20
    assert all(9_900 < piece.bytes < 10_100 for piece in pieces)
    assert [piece.row for piece in pieces] == [500 * number for number in range(20)]


@pytest.mark.parametrize("given_", FORMATS, ids=["jsonl", "text"])
@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b'{"text": "x"}\n' * 1000),
        bz2.compress(b'{"text": "x"}\n' * 1000),
        b"PK\x03\x04" + b"\n" * 1000,
        '{"text": "x"}\n'.encode("utf-16") * 1000,
        b"",
    ],
    ids=["gzip", "bzip2", "zip", "utf-16", "empty"],
)
def test_what_has_no_plain_lines_is_read_whole(given_: Source, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert cut(given_, str(path), 10) == ()


def test_a_text_that_is_one_document_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"line\n" * 1000)
    assert cut(source("text"), str(tmp_path / "x"), 10) == ()


@pytest.mark.parametrize("kind", ["warc", "wet", "arrow", "parquet"])
def test_other_formats_are_read_whole(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"WARC/1.0\r\n" * 1000)
    assert cut(source(kind), str(tmp_path / "x"), 10) == ()


def write_table(path: Path, rows: int, group: int, compression: str = "none") -> None:
    texts = [None if n % 7 == 3 else f"{n} g\u00fcn " * (n % 50) for n in range(rows)]
    table = pa.table({"text": texts, "url": [f"http://a.test/{n}" for n in range(rows)]})
    pq.write_table(
        table,
        path,
        row_group_size=group,
        compression=compression,
        use_dictionary=False,
        write_page_checksum=True,
    )


@given(rows=st.integers(0, 700), group=st.integers(1, 300), size=st.integers(1, 100_000))
@settings(parent=in_one_folder, max_examples=40)
def test_rows_of_a_table_are_each_in_one_piece(rows: int, group: int, size: int, tmp_path: Path) -> None:
    write_table(tmp_path / "x", rows, group, "zstd")
    items, pieces = in_pieces(source("parquet"), tmp_path / "x", size)
    assert items == whole(source("parquet"), tmp_path / "x")
    assert len(items) == rows
    assert [item.offset for item in items if not isinstance(item, Unreadable)] == list(range(rows))
    assert len(pieces) != 1


@given(at=st.lists(st.integers(4, 40_000), min_size=1, max_size=4), value=st.integers(0, 255))
@settings(parent=in_one_folder, max_examples=60)
def test_a_damaged_table_gives_the_same_whole_and_in_pieces(
    at: list[int], value: int, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    write_table(path, 400, 50)
    data = bytearray(path.read_bytes())
    for place in at:
        data[place % len(data)] = value
    path.write_bytes(data)
    items, _ = in_pieces(source("parquet"), path, 1)
    assert items == whole(source("parquet"), path)


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_table(path, 400, 50)
    group = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[group.data_page_offset + group.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data)
    items = whole(source("parquet"), path)
    causes = {item.offset: item.cause for item in items if isinstance(item, Rejected)}
    assert causes.pop(100) == "bad-parquet"
    assert set(causes.values()) == {"null-text"}
    assert len(items) == 351


def write_batches(
    path: Path, lengths: list[int], compression: str | None = None, column: str = "text"
) -> None:
    """Write an Arrow file of batches of some numbers of rows."""
    schema = pa.schema([(column, pa.string()), ("url", pa.string())])
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(path, schema, options=options) as writer:
        for length in lengths:
            rows = [{column: f"{n} g\u00fcn " * (n % 50), "url": f"http://a.test/{n}"} for n in range(length)]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


@given(
    lengths=st.lists(st.integers(0, 300), max_size=8),
    compression=st.sampled_from([None, "zstd", "lz4"]),
    size=st.integers(1, 50_000),
)
@settings(parent=in_one_folder, max_examples=40)
def test_batches_of_arrow_are_each_in_one_piece(
    lengths: list[int], compression: str | None, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    write_batches(path, lengths, compression)
    items, pieces = in_pieces(source("arrow"), path, size)
    assert items == whole(source("arrow"), path)
    assert len(items) == sum(lengths)
    assert len(pieces) != 1
    with path.open("rb") as file:
        assert [block.rows for block in blocks.find(file) or []] == lengths


def test_dictionaries_of_arrow_belong_to_all_pieces(tmp_path: Path) -> None:
    words = pa.array([f"kelime {n % 7}" for n in range(400)]).dictionary_encode()
    table = pa.table({"text": words})
    with pa.ipc.new_file(tmp_path / "x", table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    items, pieces = in_pieces(source("arrow"), tmp_path / "x", 10)
    assert len(pieces) == 8
    assert items == whole(source("arrow"), tmp_path / "x")
    assert len(items) == 400


def test_a_stream_of_arrow_is_read_whole(tmp_path: Path) -> None:
    table = pa.table({"text": ["x"] * 1000})
    with pa.ipc.new_stream(tmp_path / "x", table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    assert cut(source("arrow"), str(tmp_path / "x"), 10) == ()


@given(at=st.lists(st.integers(0, 40_000), min_size=1, max_size=4), value=st.integers(0, 255))
@settings(parent=in_one_folder, max_examples=100)
def test_a_damaged_arrow_file_gives_the_same_whole_and_in_pieces(
    at: list[int], value: int, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    write_batches(path, [50] * 6)
    data = bytearray(path.read_bytes())
    for place in at:
        data[place % len(data)] = value
    path.write_bytes(data)
    given_ = source("arrow")
    try:
        items = whole(given_, path)
    except ConfigError:  # its columns have other names now
        return
    assert in_pieces(given_, path, 1)[0] == items


@given(
    content=st.binary(max_size=2000), size=SIZES, kind=st.sampled_from(["jsonl", "text", "parquet", "arrow"])
)
@in_one_folder
def test_no_content_makes_a_cut_raise(content: bytes, size: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    given_ = source(kind, text_unit="line")
    assert in_pieces(given_, path, size)[0] == whole(given_, path)


def test_a_line_of_json_is_the_row_that_it_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("".join(json.dumps({"text": f"{n}"}) + "\n" * (1 + n % 3) for n in range(500)))
    items, pieces = in_pieces(source("jsonl"), path, 100)
    lines = path.read_text().split("\n")
    assert len(pieces) > 10
    assert all(json.loads(lines[item.offset])["text"] == item.content for item in items)  # type: ignore[union-attr]
