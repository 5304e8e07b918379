"""EPUB books: chapters in the order of the spine, bounded, with what the book states of itself."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Unreadable, Work
from corpus.sources import read

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:opf="http://www.idpf.org/2007/opf">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Köy &amp; Deniz</dc:title>
<dc:creator id="a">A. Ç.</dc:creator><dc:creator opf:role="trl">Çeviren</dc:creator>
<dc:creator id="b">Çizen</dc:creator><meta refines="#b" property="role">ill</meta>
<dc:rights>CC BY 4.0</dc:rights></metadata>
<manifest><item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="2" href="b%C3%B6l%20iki.xhtml" media-type="application/xhtml+xml"/>
<item id="1" href="../bir.xhtml" media-type="application/xhtml+xml"/>
<item id="3" href="not.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="a.png" media-type="image/png"/></manifest>
<spine><itemref idref="n"/><itemref idref="1"/><itemref idref="p"/><itemref idref="2"/>
<itemref idref="3" linear="no"/></spine></package>"""
LOCKED = """<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>
<e:EncryptionMethod Algorithm="{}"/><e:CipherData><e:CipherReference URI="bir.xhtml"/></e:CipherData>
</e:EncryptedData></encryption>"""
BOOK = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/a.opf": PACKAGE,
    "OEBPS/nav.xhtml": "<p>İçindekiler</p>",
    "OEBPS/böl iki.xhtml": "<html><body><p>İki</p><ul><li>madde</li></ul></body></html>",
    "OEBPS/not.xhtml": "<p>Dipnot</p>",
    "bir.xhtml": "<html><body><h1>Bir</h1><p>Su  &ccedil;ay<br/>un</p></body></html>",
}


def item(folder: Path, parts: dict[str, str]) -> Item:
    path = folder / "a.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    [found] = read(Source(name="b", format="epub", paths=("a",), max_record_mb=1), str(path))
    return found


def test_a_book_is_one_document_in_the_order_of_its_spine(tmp_path: Path) -> None:
    work = Work("Köy & Deniz", ("A. Ç.",), "CC BY 4.0")
    assert item(tmp_path, BOOK) == RawDocument("Bir\nSu çay\nun\nİki\n• madde", "text", "", 0, work=work)


def test_a_font_that_only_this_book_can_use_locks_nothing(tmp_path: Path) -> None:
    parts = {"META-INF/encryption.xml": LOCKED.format("http://www.idpf.org/2008/embedding")}
    assert isinstance(item(tmp_path, BOOK | parts), RawDocument)


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        ({"bir.xhtml": "<p>" + "a" * (1 << 21)}, "oversized"),
        ({"bir.xhtml": "", "OEBPS/böl iki.xhtml": ""}, "no-text"),
        ({"META-INF/container.xml": "<container/>"}, "bad-epub"),
        ({"META-INF/container.xml": ""}, "bad-epub"),
        (
            {"META-INF/encryption.xml": LOCKED.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc")},
            "encrypted",
        ),
        ({"OEBPS/a.opf": PACKAGE.replace("../bir", "../yok")}, "bad-epub"),
    ],
)
def test_a_book_that_cannot_be_read_has_a_cause(tmp_path: Path, parts: dict[str, str], cause: str) -> None:
    found = item(tmp_path, BOOK | parts)
    assert isinstance(found, Rejected)
    assert found.cause == cause


def test_what_is_no_book_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    path.write_bytes(b"PK\x03\x04")
    [found] = read(Source(name="b", format="epub", paths=("a",)), str(path))
    assert isinstance(found, Unreadable)
