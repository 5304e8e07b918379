"""Dumps of Wikipedia, in wikitext and in HTML: their articles, and what is skipped or rejected."""

from __future__ import annotations

import bz2
import io
import json
import os
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Skipped, Unreadable, Work
from corpus.sources import read

DATE = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
SHARED = Path(os.environ.get("DERLEM_SHARED_DATA", "")) / "wiki"
HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo>
<base>https://tr.wikipedia.org/wiki/Anasayfa</base><namespaces><namespace key="0"/>
<namespace key="6">Dosya</namespace><namespace key="14">Kategori</namespace></namespaces></siteinfo>"""


def page(title: str, *texts: str, ns: int = 0, more: str = "", model: str = "wikitext") -> str:
    revisions = "".join(
        f"<revision><timestamp>2024-01-02T03:04:05Z</timestamp><model>{model}</model><text>{each}</text></revision>"
        for each in texts
    )
    return f"<page><title>{title}</title><ns>{ns}</ns>{more}{revisions}</page>"


def items(folder: Path, content: bytes) -> list[Item]:
    path = folder / "dump"
    path.write_bytes(content)
    return list(read(Source(name="w", format="wikipedia", paths=("dump",), max_record_mb=0.01), str(path)))


def test_articles_of_an_export(tmp_path: Path) -> None:
    pages = [
        page("Çay bahçesi", "eski", "Çay &lt;!-- x --&gt;[[Dosya:a.jpg]] &amp;amp; ''su''"),
        page("Kullanıcı:A", "x", ns=2),
        page("Su", "", more='<redirect title="Çay"/>'),
        page("Eski", "#YÖNLENDİR [[Çay]]"),
        page("Veri", "{}", model="json"),
        page("Boş", ""),
        page("Büyük", "a" * 20_000),
        page("Son", "metin"),
    ]
    # Two streams, as dumps are published.
    content = bz2.compress((HEAD + "".join(pages[:3])).encode()) + bz2.compress(
        ("".join(pages[3:]) + "</mediawiki>").encode()
    )
    found = items(tmp_path, content)
    assert found[0] == RawDocument(
        "Çay & su",
        "text",
        "https://tr.wikipedia.org/wiki/%C3%87ay_bah%C3%A7esi",
        0,
        DATE,
        work=Work("Çay bahçesi"),
    )
    assert [(type(each), getattr(each, "kind", getattr(each, "cause", ""))) for each in found[1:]] == [
        (Skipped, "namespace"),
        (Skipped, "redirect"),
        (Skipped, "redirect"),
        (Skipped, "model"),
        (Rejected, "null-text"),
        (Rejected, "oversized"),
        (RawDocument, ""),
    ]


def test_a_damaged_export_gives_what_stands_before_the_damage(tmp_path: Path) -> None:
    found = items(tmp_path, (HEAD + page("Su", "akar") + "<page></mediawiki>").encode())
    assert [type(each) for each in found] == [RawDocument, Rejected]
    assert isinstance(found[1], Rejected)
    assert (found[1].offset, found[1].cause) == (1, "bad-xml")


def test_a_page_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    found = items(tmp_path, (HEAD + page("Su", "akar") + "<page><title>" + "a" * (3 << 20)).encode())
    assert isinstance(found[-1], Rejected)
    assert found[-1].cause == "oversized"


@pytest.mark.parametrize("content", [b"", b"<html>", b"<!DOCTYPE m [<!ENTITY a 'b'>]><mediawiki>"])
def test_what_is_no_dump_is_unreadable(tmp_path: Path, content: bytes) -> None:
    [found] = items(tmp_path, content)
    assert isinstance(found, Unreadable)


def article(name: str, html: str | None, ns: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "url": f"https://tr.wikipedia.org/wiki/{name}",
        "date_modified": "2024-01-02T03:04:05Z",
        "namespace": {"identifier": ns},
        "license": [{"name": "CC BY-SA", "url": "https://creativecommons.org/licenses/by-sa/4.0/"}],
        "article_body": {"html": html},
    }


def test_articles_in_html(tmp_path: Path) -> None:
    html = '<p>Su<sup class="mw-ref reference">[1]</sup></p><ol class="references"><li>Kaynak</li></ol>'
    rows = [article("Su", html), article("Kategori:Su", "<p>x", ns=14), article("Yok", None)]
    lines = "\n".join([*map(json.dumps, rows), "[]", ""]).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("a.ndjson", "b.ndjson"):
            member = tarfile.TarInfo(name)
            member.size = len(lines)
            archive.addfile(member, io.BytesIO(lines))
    found = items(tmp_path, packed.getvalue())
    first = found[0]
    assert isinstance(first, RawDocument)
    assert (first.media, first.url, first.fetched) == ("html", "https://tr.wikipedia.org/wiki/Su", DATE)
    assert first.work == Work("Su", (), "https://creativecommons.org/licenses/by-sa/4.0/")
    assert isinstance(first.content, str)
    assert "Su" in first.content
    assert "[1]" not in first.content
    assert "Kaynak" not in first.content
    assert [(type(each), each.offset) for each in found if not isinstance(each, Unreadable)] == [
        (kind, number) for number, kind in enumerate((RawDocument, Skipped, Rejected, Rejected) * 2)
    ]
    assert [type(each) for each in items(tmp_path, lines)] == [RawDocument, Skipped, Rejected, Rejected]


@pytest.mark.skipif(not SHARED.is_dir(), reason="DERLEM_SHARED_DATA has no wiki")
def test_a_real_dump() -> None:
    source = Source(name="w", format="wikipedia", paths=("a",))
    found = list(read(source, str(SHARED / "ltgwiki-tiny.xml.bz2")))
    assert Counter(map(type, found)) == {RawDocument: 7, Skipped: 1}
    assert not any(
        mark in str(each.content) for each in found if isinstance(each, RawDocument) for mark in ("{{", "[[")
    )
