"""What the JSON-lines reader makes of lines, good and bad, plain and compressed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import lz4.frame
import polars
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Unreadable
from corpus.sources import read


def items(data: bytes, tmp_path: Path, name: str = "f.jsonl", **more: object) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    fields = {"name": "t", "format": "jsonl", "paths": ("x",), **more}
    return list(read(Source(**fields), str(path)))  # type: ignore[arg-type]


ROWS = [
    {"text": f"satır {row}", "url": f"http://a.example/{row}", "date": "2024-05-01"} for row in range(200)
]
DATA = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("f.jsonl", bytes),
        ("f.jsonl.gz", gzip.compress),
        ("f.jsonl.gz", lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:])),
        ("f.jsonl.zst", zstandard.compress),
        ("f.jsonl.zst", lambda data: zstandard.compress(data[:99]) + zstandard.compress(data[99:])),
        ("unpacked-on-the-way.jsonl.gz", bytes),
    ],
)
def test_rows_come_in_order_from_every_packing(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    found = items(pack(DATA), tmp_path, name)
    date = datetime(2024, 5, 1, tzinfo=UTC)
    assert found == [
        RawDocument(str(row["text"]), "text", str(row["url"]), number, date)
        for number, row in enumerate(ROWS)
    ]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"{", "bad-json"),
        (b"[" * 100_000, "bad-json"),
        (b'{"text": "\xff"}', "bad-utf8"),
        (b'["text"]', "not-an-object"),
        (b'{"body": "x"}', "missing-text"),
        (b'{"text": null}', "null-text"),
        (b'{"text": ["x"]}', "text-not-string"),
        (json.dumps({"text": "x" * 2000}).encode(), "oversized"),
    ],
)
def test_a_line_that_is_no_document_is_rejected_and_reading_goes_on(
    line: bytes, cause: str, tmp_path: Path
) -> None:
    limit = 1000 / (1 << 20) if cause == "oversized" else 1.0
    first, second = items(line + b'\n\n{"text": "iyi"}', tmp_path, max_record_mb=limit)
    assert isinstance(first, Rejected)
    assert (first.offset, first.cause) == (0, cause)
    assert second == RawDocument("iyi", "text", "", 2)


def test_columns_are_named_by_the_configuration(tmp_path: Path) -> None:
    line = b'{"govde": "x", "adres": "http://b.example/", "zaman": 1714564800, "url": "no"}'
    names = {"text_column": "govde", "url_column": "adres", "date_column": "zaman"}
    assert items(line, tmp_path, **names) == [
        RawDocument("x", "text", "http://b.example/", 0, datetime(2024, 5, 1, 12, tzinfo=UTC))
    ]


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    [item] = items(b'{"text": "a\\ud800b \\ud83d\\ude00"}', tmp_path)
    assert isinstance(item, RawDocument)
    assert item.content == "a\ufffdb \U0001f600"


def test_a_byte_order_mark_and_windows_line_ends_are_no_content(tmp_path: Path) -> None:
    assert items(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n', tmp_path) == [
        RawDocument("a", "text", "", 0),
        RawDocument("b", "text", "", 1),
    ]


@pytest.mark.parametrize(
    ("name", "pack", "cause"),
    [("f.gz", gzip.compress, "bad-gzip-member"), ("f.zst", zstandard.compress, "bad-zstd-frame")],
)
def test_a_damaged_file_gives_its_good_rows_and_one_rejection(
    name: str, pack: Callable[[bytes], bytes], cause: str, tmp_path: Path
) -> None:
    good = pack(DATA)
    cut = items(good + pack(DATA)[:-10], tmp_path, name)
    assert [item.cause for item in cut if isinstance(item, Rejected)] == ["truncated"]
    assert [item.offset for item in cut] == list(range(len(cut)))
    junk = items(good + b"junk", tmp_path, name)
    assert [item.cause for item in junk if isinstance(item, Rejected)] == [cause]
    assert len(junk) == len(ROWS) + 1


@pytest.mark.parametrize("name", ["f.jsonl.gz", "f.jsonl.zst"])
def test_a_compressed_file_with_a_damaged_beginning_is_unreadable(name: str, tmp_path: Path) -> None:
    kind = "gzip-member" if name.endswith("gz") else "zstd-frame"
    [item] = items(b"\0\1\2" + gzip.compress(DATA), tmp_path, name)
    assert isinstance(item, Unreadable)
    assert item.cause == f"bad-{kind}"


def test_zeros_behind_a_member_are_padding(tmp_path: Path) -> None:
    padded = gzip.compress(DATA) + bytes(700) + gzip.compress(DATA) + bytes(10)
    found = items(padded, tmp_path, "f.gz")
    assert len(found) == 2 * len(ROWS)
    assert all(isinstance(item, RawDocument) for item in found)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200)
    | st.lists(st.sampled_from([b'{"text":"a"}', b"\n", b"{", b"\x1f\x8b\x08"])).map(b"".join)
)
def test_no_bytes_make_the_reader_raise(data: bytes, tmp_path: Path) -> None:
    for name in ("f.jsonl", "f.gz", "f.zst"):
        items(data, tmp_path, name)


def test_what_other_programs_write_is_read_to_the_end(tmp_path: Path) -> None:
    rows = [
        {"text": f'{n}. \u2028 \x85 \\ " çay 😀', "url": f"http://a.example/{n}", "date": None, "n": n / 3}
        for n in range(3000)
    ]
    polars.DataFrame(rows).write_ndjson(tmp_path / "polars.jsonl")
    table = duckdb.read_json(str(tmp_path / "polars.jsonl"), format="newline_delimited")
    for ending in ("gz", "zst"):
        table.query("t", f"copy t to '{tmp_path}/duckdb.jsonl.{ending}' (format json)")
    for name in ("polars.jsonl", "duckdb.jsonl.gz", "duckdb.jsonl.zst"):
        found = list(read(Source(name="t", format="jsonl", paths=("x",)), str(tmp_path / name)))
        assert [(item.content, item.url) for item in found if isinstance(item, RawDocument)] == [
            (row["text"], row["url"]) for row in rows
        ]
        assert len(found) == len(rows)


def test_every_part_of_a_joined_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    part = b'\xef\xbb\xbf{"text": "bir"}\n{"text": "iki"}\n'
    found = items(part + part, tmp_path)
    assert [item.content for item in found if isinstance(item, RawDocument)] == ["bir", "iki"] * 2
    assert items(part + b"\xef\xbb\xbf", tmp_path)[2:] == []


@pytest.mark.parametrize(("name", "pack"), [("f.jsonl.bz2", bz2.compress), ("f.jsonl.xz", lzma.compress)])
def test_bzip2_and_xz_are_read(name: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    found = items(pack(DATA) + pack(DATA), tmp_path, name)
    assert len(found) == 2 * len(ROWS)
    assert all(isinstance(item, RawDocument) for item in found)
    [*read_before, last] = items(pack(DATA * 50)[:-30], tmp_path, name)
    assert all(isinstance(item, RawDocument) for item in read_before)
    assert isinstance(last, Rejected | Unreadable)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, lz4.frame.compress])
def test_bombs_of_every_compression_are_read_in_pieces(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = pack(b" " * (64 << 20) + b"\n" + DATA)
    tracemalloc.start()
    found = items(data, tmp_path, max_record_mb=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found[0], Rejected)
    assert found[0].cause == "oversized"
    assert len(found) == 1 + len(ROWS)
    assert peak < 16 << 20


@pytest.mark.parametrize(
    "between", ["", " ", "\ufeff", ",", "\r", "\0", "\x1e", ",\n", "\0\n", "\n\ufeff\ufeff"]
)
def test_documents_are_read_whatever_joined_their_files(between: str, tmp_path: Path) -> None:
    objects = [json.dumps({"text": text}) for text in ("bir", "iki", "üç")]
    found = items((between.join(objects) + between).encode(), tmp_path)
    assert [item.content for item in found if isinstance(item, RawDocument)] == ["bir", "iki", "üç"]
    assert len(found) == 3


def test_what_follows_a_document_on_its_line_is_rejected_once(tmp_path: Path) -> None:
    for rest in (b"cut", b'{"text": "y', b" 1 2 3 4", b"[1][2]"):
        first, second = items(b'{"text": "x"}' + rest, tmp_path)
        assert isinstance(first, RawDocument)
        assert isinstance(second, Rejected)


def test_an_odd_value_costs_no_document(tmp_path: Path) -> None:
    number = b'{"text": "a", "date": ' + b"9" * 5000 + b"}\n"
    found = items(number + b'{"text": "a\tb\0c"}\n', tmp_path)
    assert found == [RawDocument("a", "text", "", 0), RawDocument("a\tb\0c", "text", "", 1)]
