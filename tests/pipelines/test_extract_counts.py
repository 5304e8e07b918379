"""What extraction counts and writes of a record: what cannot be read, what took too long, odd letters."""

from __future__ import annotations

import json
from pathlib import Path

from corpus import dataset
from corpus.config import Extract, Source
from corpus.counts import Counts
from corpus.extraction import Extracted, Extractor, Overtime
from corpus.items import RawDocument
from corpus.rows import UnitFiles
from corpus.schema import DROPPED, EXTRACTED, REJECTED
from corpus.sources import jsonl
from pipelines.extract import Sinks, settle

PROSE = (
    "Kıyı kasabasında balıkçılar her sabah ağlarını onarır ve denize açılmadan önce havayı uzun izlerler. "
    "Rüzgâr poyrazdan esiyorsa tekneler limanda kalır, çünkü açıkta dalgalar iki metreyi kolayca bulur.\n"
    "Akşamüstü dönen teknelerin çevresinde martılar toplanır ve pazarcılar kasaları iskelede sıraya dizer. "
    "Kasabanın yaşlıları bu düzenin yüz yıldır değişmediğini, motorların sesinin eklendiğini anlatır."
)


ORIGIN = {"source": "kaynak", "file": "girdi"}


def counted(record: Extracted, folder: Path) -> Counts:
    counts = Counts(seen=1)
    with UnitFiles(str(folder), "f" * 16) as files:
        sinks = Sinks(files.open(EXTRACTED), files.open(DROPPED), files.open(REJECTED))
        settle(record, sinks, counts, ORIGIN)
    counts.check("extract")
    return counts


def extracted(raw: RawDocument) -> Extracted:
    (record,) = Extractor(Extract()).extract([raw])
    return record


def test_a_record_that_took_too_long_is_rejected_as_timeout(tmp_path: Path) -> None:
    record = extracted(RawDocument(PROSE, "text", "https://ornek.example/", 0))
    record.failure = Overtime("repair", 31.0, 30.0)
    assert counted(record, tmp_path).rejected == {"timeout": 1}


def test_half_a_surrogate_pair_reaches_no_file(tmp_path: Path) -> None:
    line = json.dumps(
        {"text": PROSE.replace("kasabasında", "kasa\ud800nda"), "url": "http://a.example/\udfff"}
    )
    [item] = jsonl.parse(line.encode(), 0, Source(name="t", format="jsonl", paths=("x",)))
    assert isinstance(item, RawDocument)
    body = PROSE.replace("kasabasında", "&#xD800;").replace("\n", " ")
    page = f"<html><body><article><p>{body}</p></article></body></html>"
    for number, raw in enumerate((item, RawDocument(page, "html", "", 1))):
        folder = tmp_path / str(number)
        counted(extracted(raw), folder)
        (path,) = (folder / "extracted").iterdir()
        (text,) = dataset.table(str(folder), f"extracted/{path.name}")["text"].to_pylist()
        assert "\ufffd" in text
        assert text.encode()
