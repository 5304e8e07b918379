"""Lines that a host repeats are removed before the filters, and a crawl of other hosts changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import dataset
from corpus.config import parse
from corpus.errors import NotThereError
from corpus.inspect.furniture import Repeated, furniture
from corpus.teller import SILENT
from pipelines import build
from pipelines.options import Runner

FIRST = "Köy haberleri için tıklayınız"
WORDS = [
    "bahçe",
    "deniz",
    "yağmur",
    "kuyu",
    "toprak",
    "sepet",
    "domates",
    "çocuk",
    "ağaç",
    "çay",
    "kitap",
    "raf",
]
WORDS += ["masal", "okul"]
TEXT = """Bahçede ekilen domatesler bu yıl erken olgunlaştı ve komşular sepetlerini doldurup eve götürdü.
Yağmur geç geldiği için kuyudan su çekmek gerekti, ama toprak yine de bol ürün verdi.
Akşamları çocuklar ağaçların altında oynarken büyükler çay içip eski günlerden söz ediyordu.
Köyün okulu da yeni bir kitaplık kazandı; raflarda masallar, atlaslar ve bilim dergileri duruyor.
Öğretmen her hafta bir kitabı sınıfta okuyor, sonra herkes en sevdiği bölümü anlatıyor."""


def text(number: int) -> str:
    """Return a text of its own whose lines no other has."""
    picked = [
        WORDS[(number * 3 + n) % len(WORDS)] + WORDS[(number * 5 + 2 * n) % len(WORDS)] for n in range(90)
    ]
    return "\n".join(
        f"{' '.join(picked[at : at + 9])} {WORDS[number % 14]}{at} sözüdür." for at in range(0, 90, 9)
    )


def write(folder: Path, name: str, host: str, numbers: range, first: str) -> dict[str, object]:
    rows = [{"url": f"https://{host}/{n}" if host else "", "text": f"{first}\n{text(n)}"} for n in numbers]
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return {"name": name, "format": "jsonl", "paths": [f"{name}.jsonl"]}


def run(folder: Path, *sources: dict[str, object]) -> str:
    settings = {"language": {"keep": ["*"], "min_score": 0.0, "min_scores": {}}}
    config = parse({"output": str(folder / "out"), "source": list(sources), "filter": settings}, "test")
    return build.run(config, folder, Runner(), SILENT, "filter")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    folder = tmp_path_factory.mktemp("furniture")
    kept = {"name": "kept", "format": "jsonl", "paths": ["kept.jsonl"]}  # a build that keeps nothing fails
    (folder / "kept.jsonl").write_text(json.dumps({"text": TEXT}), encoding="utf-8")
    sources: list[dict[str, object]] = [
        kept,
        write(folder, "a", "a.example", range(6), FIRST),
        write(folder, "b", "a.example", range(6, 12), FIRST),
        write(folder, "plain", "", range(20, 24), FIRST),
    ]
    run(folder, *sources)
    return folder, sources


def texts(folder: Path, unit: dataset.Unit) -> list[str]:
    home = str(folder / "out" / "filter")
    return [
        row["text"]
        for file in unit.files
        if file.kind in ("documents", "dropped")
        for row in dataset.table(home, file.path).to_pylist()
    ]


def test_lines_of_two_units_are_counted_together(built: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = built
    manifest = dataset.load(str(folder / "out" / "filter"))
    for unit in manifest.units[1:]:
        found = texts(folder, unit)
        assert found
        assert all((FIRST in each) == (unit.name == "plain.jsonl") for each in found)
    assert manifest.counts().noted["furniture"] == {"lines removed": 12}
    assert furniture(str(folder / "out"), "a.example") == [Repeated(FIRST, 12, 12, 1)]
    with pytest.raises(NotThereError, match=r"hosts with such lines: a\.example"):
        furniture(str(folder / "out"), "b.example")


def test_texts_without_a_host_leave_no_counts(built: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = built
    units = {unit.name: unit for unit in dataset.load(str(folder / "out" / "extract")).units}
    assert "lines" in {file.kind for file in units["a.jsonl"].files}
    assert "lines" not in {file.kind for file in units["plain.jsonl"].files}


def test_a_crawl_of_another_host_does_no_unit_again(built: tuple[Path, list[dict[str, object]]]) -> None:
    folder, sources = built
    before = {unit.fingerprint for unit in dataset.load(str(folder / "out" / "filter")).units}
    run(folder, *sources, write(folder, "c", "c.example", range(30, 42), "Başka bir site, başka sözler"))
    after = {unit.fingerprint for unit in dataset.load(str(folder / "out" / "filter")).units}
    assert before < after
    assert [each.line for each in furniture(str(folder / "out"), "c.example")] == [
        "Başka bir site, başka sözler"
    ]
