"""PDF files: their text in reading order, what they state of themselves, and causes for those without."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from pdfs import pdf

from corpus.child import Child, ChildError
from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected, Unreadable, Work
from corpus.sources import pdf as module
from corpus.sources import read

WORDS = "Bahçede ekilen domatesler erken olgunlaştı ve"
SHARED = Path(os.environ.get("DERLEM_SHARED_DATA", "")) / "pdf-tr"


def item(folder: Path, content: bytes, **more: object) -> Item:
    path = folder / "a.pdf"
    path.write_bytes(content)
    [found] = read(
        Source.model_validate({"name": "p", "format": "pdf", "paths": ("a.pdf",), **more}), str(path)
    )
    return found


def test_columns_hyphens_heads_and_ligatures(tmp_path: Path) -> None:
    pages = []
    for number in range(3):
        lines = [(60, 800, f"Köy Dergisi {number}"), (290, 30, str(number))]
        for n in range(8):
            end = "ﬁdan diken ço-" if n == 0 else WORDS[:24]
            lines += [(60, 700 - 14 * n, f"sol {n} {end}"), (320, 700 - 14 * n, f"sağ {n} {WORDS[:26]}")]
        lines[4] = (60, 686, "cuklar da geldi ve sonra")
        pages.append(lines)
    found = item(tmp_path, pdf(pages, Title="Köy İşleri", Author="A. Ç.; B. Ş."))
    assert isinstance(found, RawDocument)
    assert isinstance(found.content, str)
    assert found.work == Work("Köy İşleri", ("A. Ç.", "B. Ş."))
    assert "sol 0 fidan diken çocuklar da geldi" in found.content
    assert "Köy Dergisi" not in found.content
    places = [found.content.index(f"{side} {n}") for side in ("sol", "sağ") for n in (2, 3, 7)]
    assert places == sorted(places)


def test_the_notice_of_rights_is_found(tmp_path: Path) -> None:
    packet = b"<x:xmpmeta><dc:rights><rdf:Alt><rdf:li xml:lang='tr'>CC BY 4.0</rdf:li></rdf:Alt></dc:rights>"
    found = item(tmp_path, pdf([[(60, 700, WORDS)]]) + b"% " + packet)
    assert isinstance(found, RawDocument)
    assert found.work.licence == "CC BY 4.0"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (pdf([[], [(60, 700, "damga")]]), "no_text_layer"),
        (b"%PDF-1.4\nno more of it", "bad-pdf"),
        (pdf([[(60, 700, WORDS)]]) + b"%" * 3000, "oversized"),
    ],
)
def test_a_file_without_text_is_rejected(tmp_path: Path, content: bytes, cause: str) -> None:
    found = item(tmp_path, content, max_record_mb=0.003)
    assert isinstance(found, Rejected)
    assert found.cause == cause


def test_what_is_no_pdf_is_unreadable(tmp_path: Path) -> None:
    assert isinstance(item(tmp_path, b"<html>"), Unreadable)


def test_a_file_that_takes_too_long_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Child, request: bytes, timeout_s: float) -> bytes:
        raise ChildError("timeout", f"{len(request)} bytes, {timeout_s:g} s")

    monkeypatch.setattr(Child, "ask", slow)
    found = item(tmp_path, pdf([[(60, 700, WORDS)]]))
    assert isinstance(found, Rejected)
    assert (found.cause, module._TIMEOUT_S) == ("timeout", 120.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="DERLEM_SHARED_DATA has no pdf-tr")
@pytest.mark.parametrize(
    ("name", "least"), [("asvs4-v2-tablo", 0.999), ("asvs5-kapsam", 0.999), ("asvs5-sozluk", 0.995)]
)
def test_real_files(name: str, least: float) -> None:
    source = Source(name="p", format="pdf", paths=("a",))
    [found] = read(source, str(SHARED / f"{name}.pdf"))
    assert isinstance(found, RawDocument)
    assert isinstance(found.content, str)
    ours, theirs = (
        Counter(re.findall(r"\w+", words.lower()))
        for words in (found.content, (SHARED / f"{name}.txt").read_text(encoding="utf-8"))
    )
    assert 2 * (ours & theirs).total() / (ours.total() + theirs.total()) >= least
