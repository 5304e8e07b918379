"""One page is explained: every line, kept or dropped, with its place and its reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import NotThereError
from corpus.inspect.page import explain, read
from corpus.web.warc import record

PROSE = "Kütüphanenin bahçesindeki ağaç bu yıl da çiçek açtı, kokusu bütün sokağa yayıldı ve herkes sevindi. "
PAGE = (
    f"<body><nav><a href=/>Ana sayfa</a> <a href=/b>Haberler</a></nav><article><h1>Ağaç</h1>"
    f"<p>{PROSE * 3}</p><p>{PROSE * 2}</p></article>"
    "<div class='yorumlar'><p>Çok güzel olmuş, elinize sağlık.</p></div></body>"
)
URL = "https://kitaplik.example/agac"


def test_every_line_is_there_with_its_place_and_reasons() -> None:
    found = explain(PAGE)
    lines = found.lines
    assert found.kind.name == "article"
    assert 0.5 < found.kind.score <= 1
    assert [line.text[:9] for line in lines] == ["Ana sayfa", "Ağaç", PROSE[:9], PROSE[:9], "Çok güzel"]
    assert lines[2].path == "article>p"
    assert lines[2].kept
    assert not lines[0].kept
    assert all(line.reasons for line in lines)
    assert all(line.kept <= (line.likely > 0.2) for line in lines)


def test_a_page_is_read_from_a_file_and_from_a_warc(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(PAGE.encode("cp1254"))
    assert read(str(page)) == PAGE
    warc = tmp_path / "crawl.warc.gz"
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + PAGE.encode()
    fields = [("WARC-Target-URI", URL), ("WARC-Date", "2026-01-01T00:00:00Z")]
    warc.write_bytes(record("response", "<urn:uuid:1>", fields, "application/http;msgtype=response", block))
    assert read(str(warc), URL) == PAGE
    with pytest.raises(NotThereError, match=rf"none of its 1 pages has the URL None; it has {URL}"):
        read(str(warc))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match="no such file"):
        read(str(tmp_path / "yok.html"))
