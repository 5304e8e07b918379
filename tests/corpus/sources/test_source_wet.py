"""What the WET reader makes of conversion records and of others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Skipped
from corpus.sources import read

DATE = datetime(2024, 5, 18, 1, 58, 10, tzinfo=UTC)


def record(kind: str, block: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/\r\n"
    date = "WARC-Date: 2024-05-18T01:58:10Z\r\n"
    return f"{head}{date}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def items(data: bytes, tmp_path: Path, limit: float = 1.0) -> list[Item]:
    path = tmp_path / "f.wet"
    path.write_bytes(data)
    return list(read(Source(name="t", format="wet", paths=("x",), max_record_mb=limit), str(path)))


def test_a_conversion_record_is_decoded_text(tmp_path: Path) -> None:
    [item] = items(record("conversion", "Işık ve gölge".encode()), tmp_path)
    assert item == RawDocument("Işık ve gölge", "text", "http://a.example/", 0, DATE)


def test_text_that_is_not_utf8_stays_bytes(tmp_path: Path) -> None:
    [item] = items(record("conversion", b"I\xfe\xfdk"), tmp_path)
    assert item == RawDocument(b"I\xfe\xfdk", "text", "http://a.example/", 0, DATE, "utf-8")


def test_other_records_are_skipped_by_type(tmp_path: Path) -> None:
    found = items(record("warcinfo", b"") + record("response", b"HTTP/1.1 200 OK\r\n\r\n"), tmp_path)
    assert [item.kind for item in found if isinstance(item, Skipped)] == ["warcinfo", "response"]


def test_a_text_over_the_limit_is_rejected(tmp_path: Path) -> None:
    long, short = record("conversion", b"x" * 2000), record("conversion", b"y")
    found = items(long + short, tmp_path, limit=1000 / (1 << 20))
    assert [item.cause for item in found if isinstance(item, Rejected)] == ["oversized"]
    assert [item.content for item in found if isinstance(item, RawDocument)] == ["y"]


def test_a_text_with_a_damaged_address_is_rejected(tmp_path: Path) -> None:
    [item] = items(record("conversion", b"x").replace(b"a.example", b"a.ex\x00ample"), tmp_path)
    assert isinstance(item, Rejected)
    assert item.cause == "bad-url"
