"""What the plain-text reader makes of files and lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Unreadable
from corpus.sources import read
from corpus.sources.inputs import lines


def items(data: bytes, tmp_path: Path, unit: str, name: str = "f.txt", limit: float = 1.0) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    source = Source(name="t", format="text", paths=("x",), text_unit=unit, max_record_mb=limit)  # type: ignore[arg-type]
    return list(read(source, str(path)))


@pytest.mark.parametrize(
    ("name", "pack"), [("f.txt", bytes), ("f.gz", gzip.compress), ("f.zst", zstandard.compress)]
)
def test_a_file_is_one_document_of_undecoded_bytes(name: str, pack: object, tmp_path: Path) -> None:
    data = b"I\xfe\xfdk\n\n\x80"
    assert items(pack(data), tmp_path, "file", name) == [RawDocument(data, "text", "", 0)]  # type: ignore[operator]


def test_each_line_that_is_not_blank_is_a_document_at_its_byte(tmp_path: Path) -> None:
    found = items(b"bir\r\n\n  \niki\nuc", tmp_path, "line")
    assert found == [
        RawDocument(b"bir", "text", "", 0),
        RawDocument(b"iki", "text", "", 9),
        RawDocument(b"uc", "text", "", 13),
    ]


def test_too_long_a_line_or_file_is_rejected(tmp_path: Path) -> None:
    data = b"x" * 100_000 + b"\nkisa"
    limit = 1000 / (1 << 20)
    found = items(data, tmp_path, "line", limit=limit)
    assert [(item.offset, item.cause) for item in found if isinstance(item, Rejected)] == [(0, "oversized")]
    assert found[1] == RawDocument(b"kisa", "text", "", 100_001)
    [rejected] = items(data, tmp_path, "file", limit=limit)
    assert isinstance(rejected, Rejected)
    assert rejected.cause == "oversized"


@pytest.mark.parametrize("unit", ["file", "line"])
def test_a_file_cut_short_says_so(unit: str, tmp_path: Path) -> None:
    rejected = items(gzip.compress(b"bir\niki\n")[:-3], tmp_path, unit, "f.gz")[-1]
    assert isinstance(rejected, Rejected if unit == "line" else Unreadable)
    assert rejected.cause == "truncated"


def test_utf16_lines_are_refused_rather_than_cut_in_half(tmp_path: Path) -> None:
    [rejected] = items("bir\niki".encode("utf-16"), tmp_path, "line")
    assert isinstance(rejected, Unreadable)
    assert rejected.cause == "utf-16"


@given(
    st.binary(max_size=60).map(lambda data: data.replace(b"a", b"\n")), st.integers(1, 9), st.integers(1, 12)
)
def test_lines_do_not_depend_on_where_the_pieces_end(data: bytes, size: int, limit: int) -> None:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    expected = []
    start = 0
    for line in data.split(b"\n"):
        expected.append((start, None if len(line) > limit else line.removesuffix(b"\r")))
        start += len(line) + 1
    if not data or data.endswith(b"\n"):
        expected.pop()
    assert list(lines(pieces, limit)) == expected
