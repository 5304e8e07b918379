"""The dedupe stage: removals are told apart and explained, and a percolating threshold stops it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus import dataset, files
from corpus.config import Config, parse
from corpus.counts import Counts
from corpus.dedup.signature import signature
from corpus.errors import StageError
from corpus.schema import DOCUMENTS, PERMUTATIONS, SIGNATURES
from corpus.teller import SILENT
from corpus.text.view import view
from pipelines import dedupe, handover, losses, proving, stage
from pipelines.options import Runner
from pipelines.stage import Context

RANDOM = np.random.default_rng(5)
WORDS = np.array(["".join(letters) for letters in product("abcdefghij", repeat=4)])


def config(folder: Path, **settings: Any) -> Config:
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    return parse({"output": str(folder), "source": [source], "dedupe": settings}, "test")


def texts(number: int, words: int = 200) -> list[str]:
    return [" ".join(row) for row in RANDOM.choice(WORDS, (number, words))]


def changed(text: str, words: int) -> str:
    """Return a text with other words at its end."""
    kept = text.split()
    return " ".join([*kept[: len(kept) - words], *RANDOM.choice(WORDS, words)])


def rows(texts: list[str]) -> list[dict[str, Any]]:
    """Return documents whose exact hashes and URLs differ; earlier ones are preferred."""
    found = []
    for n, text in enumerate(texts):
        seen = view(text)
        signed = signature(seen.folded, seen.word_starts, seen.word_ends)
        row = {"id": f"{n:032x}", "text": text, "exact": n.to_bytes(16, "big"), "url": n + 1, "source": "a"}
        row |= {"bytes": 100_000 - n, "words": 100, "language": "tur_Latn", "signature": signed.tolist()}
        found.append(row)
    return found


def write_parts(folder: Path, *parts: list[dict[str, Any]], names: str = "f") -> None:
    """Write a filter stage whose parts are the documents, and their signatures."""
    home, units = str(folder / "filter"), []
    for number, documents in enumerate(parts):
        name, written = f"{names}{number}", []
        for kind in (SIGNATURES, DOCUMENTS):
            with dataset.create(home, f"{kind.name}-{name}.arrow", kind, name, compression=None) as slot:
                for at in range(0, len(documents), 100):
                    some = documents[at : at + 100]
                    if kind is DOCUMENTS:
                        some = [row | {"url": row.get("address", "")} for row in some]
                    slot.arrow.write(pa.RecordBatch.from_pylist(some, schema=kind.schema()))
            assert slot.file is not None
            written.append(slot.file)
        counts = Counts(seen=len(documents), kept=len(documents))
        units.append(
            dataset.Unit(name=name, fingerprint=name, inputs=(), files=tuple(written), counts=counts)
        )
    dataset.save(home, dataset.Manifest(stage="filter", version=1, settings={}, units=tuple(units)))


def run(settings: Config) -> dataset.Manifest:
    return stage.run(dedupe.plan(Context(settings)), Runner(), SILENT)


def removed(folder: Path, manifest: dataset.Manifest) -> dict[int, dict[str, Any]]:
    (file,) = manifest.files("removed")
    return {row["row"]: row for row in dataset.table(str(folder / "dedupe"), file.path).to_pylist()}


def test_exact_url_and_near_copies_are_told_apart_and_explained(tmp_path: Path) -> None:
    some = texts(8)
    some[1], some[3], some[5] = some[0], changed(some[2], 15), changed(some[4], 10)
    documents = rows(some)
    documents[1]["exact"] = documents[0]["exact"]
    documents[3]["url"] = documents[2]["url"]
    documents[7]["url"] = documents[6]["url"]  # with another text: no copy
    write_parts(tmp_path, documents)
    manifest = run(config(tmp_path))
    found = removed(tmp_path, manifest)
    assert {row: (r["kind"], r["survivor_row"]) for row, r in found.items()} == {
        1: ("exact", 0),
        3: ("url", 2),
        5: ("near", 4),
    }
    assert found[5]["survivor"] == documents[4]["id"]
    for row, same in ((5, 186), (3, 181)):  # shingles, of 196
        assert found[row]["jaccard"] == pytest.approx(same / (2 * 196 - same))
    assert manifest.counts().dropped == {"dedupe.exact": 1, "dedupe.url": 1, "dedupe.near": 1}
    assert manifest.counts().kept == 5
    (file,) = manifest.files("survivors")
    sizes = dataset.table(str(tmp_path / "dedupe"), file.path).to_pylist()
    assert [(row["row"], row["copies"]) for row in sizes] == [(0, 2), (2, 2), (4, 2)]


def test_what_signatures_propose_and_texts_refute_stays(tmp_path: Path) -> None:
    """Of three documents with one signature, the first is no copy of the others, which are copies."""
    first, second = texts(2)
    documents = rows([first, second, changed(second, 5)])
    for row in documents:
        row |= {"signature": documents[0]["signature"], "url": 7}
    write_parts(tmp_path, documents)
    manifest = run(config(tmp_path))
    assert {row: r["survivor_row"] for row, r in removed(tmp_path, manifest).items()} == {2: 1}
    assert manifest.facts["pairs_refuted"] == 2
    assert manifest.facts["documents_not_settled"] == 0


def test_copies_are_found_whose_estimate_is_below_the_threshold(tmp_path: Path) -> None:
    (text,) = texts(1)
    documents = rows([text, changed(text, 10)])
    documents[1]["signature"] = [
        value ^ (place >= PERMUTATIONS - 30) for place, value in enumerate(documents[0]["signature"])
    ]
    write_parts(tmp_path, documents)
    assert 82 / PERMUTATIONS < 0.75
    assert run(config(tmp_path)).counts().dropped == {"dedupe.near": 1}


def test_shingles_that_are_sent_and_partitions_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = texts(30)
    for row in range(0, 60, 2):
        some.append(changed(some[row % 30], 20 + row % 24))  # some are above the threshold, some below
    documents, lists = rows(some), []
    for name in ("mapped", "sent"):
        write_parts(tmp_path / name, documents[:17], documents[17:18], [], documents[18:])
        if name == "sent":
            monkeypatch.setattr(handover, "is_sent", lambda folder, runner: True)
            monkeypatch.setattr(handover, "ROWS_A_RUN", 10)
            monkeypatch.setattr(proving, "PAIRS_A_PARTITION", 3)
            monkeypatch.setattr(proving, "_TEXTS", 7)
        manifest = run(config(tmp_path / name, threshold=0.72))
        found = [
            row
            for file in manifest.files("removed")
            for row in dataset.table(str(tmp_path / name / "dedupe"), file.path).to_pylist()
        ]
        assert all(row["jaccard"] >= 0.72 for row in found)
        lists.append((found, manifest.facts["pairs_refuted"]))
    assert lists[0] == lists[1]
    assert len(lists[0][0]) > 5
    assert lists[0][1]


def test_copies_in_the_preferred_source_are_compared_with_each_other(tmp_path: Path) -> None:
    """Not only with a longer copy of another source, which goes."""
    (text,) = texts(1)
    documents = rows([text, changed(text, 4), changed(text, 6)])
    documents[0]["source"] = "b"
    write_parts(tmp_path, documents)
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
    manifest = run(parse({"output": str(tmp_path), "source": source}, "test"))
    assert {row: found["survivor_row"] for row, found in removed(tmp_path, manifest).items()} == {0: 1, 2: 1}


def without_common_band(signature: list[int]) -> list[int]:
    """Return a signature like another in seven of the eight places of each band."""
    return [value ^ 1 if place % 8 == 0 else value for place, value in enumerate(signature)]


def test_urls_are_left_alone_where_the_configuration_says_so(tmp_path: Path) -> None:
    (text,) = texts(1)
    documents = rows([text, changed(text, 5)])
    documents[1]["url"] = documents[0]["url"]
    documents[1]["signature"] = without_common_band(documents[0]["signature"])
    write_parts(tmp_path, documents)
    assert run(config(tmp_path)).counts().dropped == {"dedupe.url": 1}
    assert run(config(tmp_path, urls=False)).counts().dropped == {}


def test_components_found_in_rounds_are_those_found_in_memory(tmp_path: Path) -> None:
    documents = rows(np.repeat(texts(30), 4).tolist())
    for name in ("memory", "rounds"):
        write_parts(tmp_path / name, documents)
    one = run(config(tmp_path / "memory"))
    other = run(config(tmp_path / "rounds", max_links_in_memory=0))
    assert one.counts() == other.counts()
    assert one.counts().kept == 30
    by_memory, by_rounds = removed(tmp_path / "memory", one), removed(tmp_path / "rounds", other)
    assert by_memory == by_rounds


def test_a_cluster_with_an_implausible_share_stops_the_stage(tmp_path: Path) -> None:
    drawn = texts(10_000, words=8)
    drawn[:600] = [drawn[0]] * 600
    write_parts(tmp_path, rows(drawn))
    with pytest.raises(StageError, match=r"one cluster holds 600 of 10,000 documents; .* allows 5\.0%"):
        run(config(tmp_path))
    assert files.read_json(str(tmp_path / "dedupe"), dataset.MANIFEST) is None
    assert run(config(tmp_path, max_cluster_share=0.1)).counts().dropped == {"dedupe.near": 599}


def test_no_documents_are_no_error(tmp_path: Path) -> None:
    write_parts(tmp_path, [])
    assert run(config(tmp_path)).counts() == Counts()


def test_each_sources_loss_is_told_and_too_large_a_one_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "MANY", 10)
    first, second = texts(10), texts(4)
    documents = rows([*first, *first[:8], *second, second[0]])
    for row in documents[10:]:
        row["source"] = "b"
    write_parts(tmp_path, documents[:5], documents[5:])
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
    allowed = parse({"output": str(tmp_path), "source": source}, "test")
    manifest = run(allowed)
    assert manifest.facts["sources"] == [
        {"source": "a", "documents": 10, "removed": 0, "removed_for": {}}
        | {"bytes": 999_955, "bytes_removed": 0, "bytes_removed_for": {}},
        {"source": "b", "documents": 13, "removed": 9, "removed_for": {"a": 8, "b": 1}}
        | {"bytes": 1_299_792, "bytes_removed": 899_870, "bytes_removed_for": {"a": 799_892, "b": 99_978}},
    ]
    remarks = manifest.facts["remarks"]
    assert isinstance(remarks, list)
    assert "source b lost 9 of 13 documents and 69.2% of its text, most of it to a" in remarks
    strict = parse({"output": str(tmp_path), "source": source, "dedupe": {"max_source_loss": 0.6}}, "test")
    with pytest.raises(StageError, match=r"source b lost 9 of 13 .*dedupe\.max_source_loss allows 60\.0%"):
        run(strict)
