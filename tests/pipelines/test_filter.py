"""The filter stage over a small extract stage made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus import dataset
from corpus.config import Config, parse
from corpus.counts import Counts
from corpus.errors import StageError
from corpus.schema import EXTRACTED
from corpus.teller import SILENT
from corpus.verify import find_faults
from pipelines import filter, stage
from pipelines.options import Runner
from pipelines.stage import Context

PROSE = (
    "Kıyı kasabasında balıkçılar her sabah ağlarını onarır ve denize açılmadan önce havayı uzun izlerler. "
    "Rüzgâr poyrazdan esiyorsa tekneler limanda kalır, çünkü açıkta dalgalar iki metreyi kolayca bulur.\n"
    "Akşamüstü dönen teknelerin çevresinde martılar toplanır ve pazarcılar kasaları iskelede sıraya dizer. "
    "Kasabanın yaşlıları bu düzenin yüz yıldır değişmediğini, motorların sesinin eklendiğini anlatır."
)


def write(folder: Path, texts: list[str]) -> None:
    """Write an extract stage of one unit."""
    home, fingerprint = str(folder / "extract"), "f" * 16
    rows = [
        {
            "text": text,
            "url": f"https://ornek.example/{number}",
            "source": "web",
            "file": "girdi",
            "offset": number,
            "encoding": "utf-8",
            "language": "tur_Latn",
            "language_score": 0.99,
            "bytes": len(text.encode()),
            "truncated": "",
        }
        for number, text in enumerate(texts)
    ]
    with dataset.create(home, "extracted/0.arrow", EXTRACTED, fingerprint) as slot:
        slot.arrow.write(pa.RecordBatch.from_pylist(rows, EXTRACTED.schema(fingerprint)))
    assert slot.file is not None
    counts = Counts(seen=len(rows), kept=len(rows))
    unit = dataset.Unit(name="girdi", fingerprint=fingerprint, inputs=(), files=(slot.file,), counts=counts)
    dataset.save(home, dataset.Manifest(stage="extract", version=1, settings={}, units=(unit,)))
    dataset.save(
        str(folder / "furniture"), dataset.Manifest(stage="furniture", version=1, settings={}, units=())
    )


def run(folder: Path, **settings: Any) -> dataset.Manifest:
    source = {"name": "web", "format": "jsonl", "paths": ["x"]}
    config: Config = parse({"output": str(folder), "source": [source], "filter": settings}, "test")
    return stage.run(filter.plan(Context(config)), Runner(), SILENT)


def test_letters_that_no_encoding_could_read_are_counted(tmp_path: Path) -> None:
    write(tmp_path, [PROSE.replace("kolayca", "kol\ufffdyca"), PROSE])
    counts = run(tmp_path).counts()
    assert counts.kept == 2
    assert counts.noted["text"]["replacement_characters"] == 1


def test_every_text_is_kept_or_dropped_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, [PROSE, "Kısa bir metin."])
    run(tmp_path)
    home = str(tmp_path / "filter")
    assert find_faults(home) == []
    manifest = dataset.load(home)
    (dropped,) = (dataset.table(home, file.path).to_pylist() for file in manifest.files("dropped"))
    assert [(row["rule"], row["value"], row["limit"]) for row in dropped] == [("gopher.min_words", 3.0, 8.0)]
    (kept,) = (dataset.table(home, file.path).to_pylist() for file in manifest.files("documents"))
    assert [row["text"] for row in kept] == [PROSE]
    (measured,) = (dataset.table(home, file.path).to_pylist() for file in manifest.files("measured"))
    assert [row["register"] for row in measured] == ["other", "other"]
    assert (kept[0]["register"], kept[0]["register_score"]) == ("other", measured[0]["register_score"])
    assert measured[1]["register_score"] == 0  # too short to tell


def test_a_build_that_keeps_nothing_stops_and_says_what_took_it_all(tmp_path: Path) -> None:
    write(tmp_path, ["Kısa bir metin.", "Bir daha."])
    with pytest.raises(StageError, match=r"nothing was kept: of 2 documents, 2 dropped by gopher\.min_words"):
        run(tmp_path)
