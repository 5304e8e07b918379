"""The demo builds from the sample site, and every planted defect meets the fate that its table states."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pack
import pytest
from support import command

from corpus import dataset
from corpus.counts import Counts
from corpus.filters.meanings import TABLES
from corpus.inspect.build import open_build
from corpus.inspect.texts import Texts
from corpus.verify import find_faults
from corpus.view import document

EXAMPLES = Path(__file__).parents[2] / "examples"

KEPT_LANGUAGES = {
    "tr": "tur_Latn",
    "az": "azj_Latn",
    "tk": "tuk_Latn",
    "uz": "uzn_Latn",
    "en": "eng_Latn",
    "de": "deu_Latn",
}
BOILERPLATE = (
    "çerez",
    "Katalogda ara",
    "Üyelik işlemleri",
    "Sıkça sorulan sorular",
    "İlginizi çekebilir",
    "Son güncelleme",
    "Kullanım koşulları",
    "Tüm hakları saklıdır",
    "danışma masasına haber verin",
)

CRAWL = pack.crawl()
PLANTED = {row.name for row in pack.defects()}


@dataclass(frozen=True)
class Demo:
    """What a build made: its folder, and the rows of its files."""

    folder: Path
    counts: Counts
    offsets: dict[str, int]  # a row's name -> the byte at which its record starts
    documents: dict[int, dict[str, Any]]  # offset -> row of a part
    dropped: dict[int, dict[str, Any]]
    rejected: dict[int, dict[str, Any]]
    removed: dict[str, dict[str, Any]]  # id -> row of the removal list
    shards: dict[str, dict[str, Any]]  # id -> row of a shard

    def fate(self, name: str) -> tuple[str, str]:
        """Return what became of a record, and by which rule, cause or kind."""
        at = self.offsets[name]
        if at in self.rejected:
            return "rejected", self.rejected[at]["cause"]
        if at in self.dropped:
            return "dropped", self.dropped[at]["rule"]
        if at not in self.documents:
            return "skipped", ""
        id = self.documents[at]["id"]
        if id in self.removed:
            return "removed", self.removed[id]["kind"]
        return "kept", ""

    def document(self, name: str) -> dict[str, Any]:
        """Return the row of a kept document."""
        return self.documents[self.offsets[name]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, derlem: Callable[..., object]) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "examples").mkdir()
    for name in ("corpus.toml", "quiz.jsonl", "insults.txt"):
        shutil.copy(EXAMPLES / name, folder / "examples")
    pack.write_warc(folder / "demo" / "crawl" / "rounds" / "0001" / "warc" / "kitaplik.warc.gz")
    corpus = folder / "demo" / "corpus"
    derlem("build", folder / "examples" / "corpus.toml", "--set", f"output={corpus}")
    offsets, at = {}, 0
    for item in pack.packed():
        offsets[item.row.name] = at
        at += len(item.member)
    return Demo(
        folder=corpus,
        counts=dataset.load(str(corpus / "extract")).counts(),
        offsets=offsets,
        documents=_rows(corpus / "filter", "documents", "offset"),
        dropped=_rows(corpus / "extract", "dropped", "offset")
        | _rows(corpus / "filter", "dropped", "offset"),
        rejected=_rows(corpus / "extract", "rejected", "offset"),
        removed=_rows(corpus / "dedupe", "removed", "id"),
        shards=_rows(corpus / "shards", "shard", "id"),
    )


def _rows(folder: Path, kind: str, key: str) -> dict[Any, dict[str, Any]]:
    files = dataset.load(str(folder)).files(kind)
    rows = [row for file in files for row in dataset.table(str(folder), file.path).to_pylist()]
    found = {row[key]: row for row in rows}
    assert len(found) == len(rows), f"{key} is not unique in the {kind} files"
    return found


@pytest.mark.parametrize("row", [row for row in CRAWL if row.name in PLANTED], ids=lambda row: row.name)
def test_a_planted_defect_meets_its_fate(demo: Demo, row: Any) -> None:
    fate, by = demo.fate(row.name)
    assert fate == row.fate, by
    if fate in ("dropped", "rejected", "removed"):
        assert by.startswith(row.by)
    if fate == "removed":
        removal = demo.removed[demo.document(row.name)["id"]]
        assert removal["survivor"] == demo.document(row.survivor)["id"]
        assert demo.fate(row.survivor)[0] == "kept"
    if fate == "kept":
        _check_text(demo.document(row.name), row)


def _check_text(document: dict[str, Any], row: Any) -> None:
    text = document["text"]
    if row.whole:
        lost = [found for found in pack.paragraphs(pack.read(row.page)) if found not in text]
        assert lost == []
    assert [part for part in row.holds if part not in text] == []
    assert [part for part in row.lacks if part in text] == []
    assert document["redactions"] == row.redactions
    assert document["language"] == (row.language or document["language"])
    assert document["encoding"] == (row.encoding or document["encoding"])


@pytest.mark.parametrize("row", [row for row in CRAWL if row.name not in PLANTED], ids=lambda row: row.name)
def test_a_page_without_defect_is_kept_whole_or_dropped_for_its_language(demo: Demo, row: Any) -> None:
    fate, by = demo.fate(row.name)
    language = KEPT_LANGUAGES.get(row.page[:2])
    if language is None:
        assert (fate, by) == ("dropped", "language.not_kept")
        return
    assert fate == "kept", by
    assert demo.document(row.name)["language"] == language
    _check_text(demo.document(row.name), row)


def test_no_menu_banner_sidebar_or_footer_is_left_in_a_document(demo: Demo) -> None:
    left = [
        (document["url"], words)
        for document in demo.documents.values()
        for words in BOILERPLATE
        if words.casefold() in document["text"].casefold()
    ]
    assert left == []


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("contamination", "quiz.jsonl row 0: Bir kitabın arka kapağındaki"), ("harm", "budala, ahmak, sersem")],
)
def test_a_removal_is_shown_with_its_reason_and_meaning(demo: Demo, rule: str, reason: str) -> None:
    shown = " ".join(command("show", demo.folder, "--dropped", rule).stdout.split())
    assert f"meaning {TABLES[rule]}" in shown
    assert f"reason {reason}" in shown


def test_a_paragraph_that_another_page_keeps_is_shown(demo: Demo) -> None:
    shown = command("show", demo.folder, "--spans", "--limit", "1").stdout
    page = next(id for id, row in demo.shards.items() if row["url"].endswith("/tr/eksi-mayali-ekmek.html"))
    assert f"kept   in {page}" in shown
    assert "rule   dedupe.paragraphs" in shown
    assert [row["spans_removed"] for row in demo.shards.values() if row["spans_removed"]] == [2]
    texts = Texts(open_build(str(demo.folder)))
    spans = [span for number in range(texts.count) for span in document.read(texts, number).spans]
    cut = [span.text.encode() for span in spans if span.cause == "dedupe.paragraphs"]
    assert (len(cut), sum(map(len, cut))) == (2, 929)


def test_every_kind_of_removal_is_in_the_demo(demo: Demo) -> None:
    rules = {row["rule"].partition(".")[0] for row in demo.dropped.values()}
    assert rules >= {"text", "language", "url", "gopher", "c4", "contamination", "harm"}
    assert {row["kind"] for row in demo.removed.values()} == {"exact", "near", "url"}
    spans = dataset.load(str(demo.folder / "dedupe")).facts["spans_by_kind"]
    assert spans == [{"kind": "paragraphs", "spans": 2, "bytes": 929, "documents": 1}]
    noted = dataset.load(str(demo.folder / "filter")).counts().noted
    assert noted["furniture"]["lines removed"] > 70
    assert sum(noted["redacted"].values()) == 10


def test_records_that_are_no_documents_are_counted_by_kind(demo: Demo) -> None:
    planted = Counter(row.by for row in CRAWL if row.fate == "skipped")
    assert demo.counts.skipped == {**planted, "warcinfo": 1}


def test_every_record_is_accounted_for(demo: Demo) -> None:
    demo.counts.check("the demo")
    assert demo.counts.seen == len([row for row in CRAWL if row.fate != "skipped"])
    dropped = len(demo.dropped) - sum(demo.counts.dropped.values())
    assert demo.counts.kept == len(demo.documents) + dropped
    assert len(demo.shards) == len(demo.documents) - len(demo.removed)
    assert set(demo.shards) | set(demo.removed) == {row["id"] for row in demo.documents.values()}


def test_a_survivor_counts_its_copies(demo: Demo) -> None:
    copies = Counter(row["survivor"] for row in demo.removed.values())
    assert {id: row["copies"] for id, row in demo.shards.items()} == {
        id: 1 + copies[id] for id in demo.shards
    }


def test_the_demo_verifies(demo: Demo) -> None:
    for stage in ("extract", "filter", "dedupe", "shards"):
        assert find_faults(str(demo.folder / stage)) == []
