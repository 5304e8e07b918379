"""What cleaning counts of a document: letters that no encoding could read, records that took too long."""

from __future__ import annotations

from pathlib import Path

from corpus.clean import Cleaner, Document, Overtime
from corpus.config import Clean
from corpus.counts import Counts
from corpus.part import PartWriter
from corpus.sources import RawDocument
from pipelines.clean import _settle

PROSE = (
    "Kıyı kasabasında balıkçılar her sabah ağlarını onarır ve denize açılmadan önce havayı uzun izlerler. "
    "Rüzgâr poyrazdan esiyorsa tekneler limanda kalır, çünkü açıkta dalgalar iki metreyi kolayca bulur.\n"
    "Akşamüstü dönen teknelerin çevresinde martılar toplanır ve pazarcılar kasaları iskelede sıraya dizer. "
    "Kasabanın yaşlıları bu düzenin yüz yıldır değişmediğini, motorların sesinin eklendiğini anlatır."
)


def counted(document: Document, folder: Path) -> Counts:
    counts = Counts(seen=1)
    with PartWriter(str(folder), "f" * 16) as part:
        _settle(document, part, counts, ("kaynak", "girdi"))
    counts.check("clean")
    return counts


def cleaned(text: str) -> Document:
    (document,) = Cleaner(Clean()).clean([RawDocument(text, "text", "https://ornek.example/", 0)])
    return document


def test_letters_that_no_encoding_could_read_are_counted(tmp_path: Path) -> None:
    counts = counted(cleaned(PROSE.replace("kolayca", "kol\ufffdyc\ufffd")), tmp_path)
    assert counts.kept == 1
    assert counts.noted["text"]["replacement_characters"] == 2
    assert "replacement_characters" not in counted(cleaned(PROSE), tmp_path / "2").noted["text"]


def test_a_record_that_took_too_long_is_rejected_as_timeout(tmp_path: Path) -> None:
    document = cleaned(PROSE)
    document.failure = Overtime("repair", 31.0, 30.0)
    assert counted(document, tmp_path).rejected == {"timeout": 1}
