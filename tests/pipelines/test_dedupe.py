"""The dedupe stage: removals are told apart and explained, and a percolating threshold stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus import dataset, files
from corpus.config import Config, parse
from corpus.counts import Counts
from corpus.errors import StageError
from corpus.schema import PERMUTATIONS, SIGNATURES
from corpus.teller import SILENT
from pipelines import dedupe, stage
from pipelines.options import Runner
from pipelines.stage import Context

RANDOM = np.random.default_rng(5)


def config(folder: Path, **settings: Any) -> Config:
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    return parse({"output": str(folder), "source": [source], "dedupe": settings}, "test")


def rows(signatures: np.ndarray[Any, np.dtype[np.uint32]]) -> list[dict[str, Any]]:
    """Return documents that differ in everything but what the caller makes alike."""
    return [
        {
            "id": f"{n:032x}",
            "exact": n.to_bytes(16, "big"),
            "url": n + 1,
            "source": "a",
            "bytes": 100_000 - n,
            "words": 100,
            "fetched": None,
            "language": "tur_Latn",
            "signature": signature.tolist(),
        }
        for n, signature in enumerate(signatures)
    ]


def write_part(folder: Path, documents: list[dict[str, Any]]) -> None:
    """Write a filter stage of one part whose signatures are the documents."""
    import pyarrow as pa

    parts = str(folder / "filter")
    with dataset.create(parts, "signatures.arrow", SIGNATURES, "f", compression=None) as slot:
        slot.arrow.write(pa.RecordBatch.from_pylist(documents, schema=SIGNATURES.schema()))
    assert slot.file is not None
    counts = Counts(seen=len(documents), kept=len(documents))
    unit = dataset.Unit(name="a", fingerprint="f", inputs=(), files=(slot.file,), counts=counts)
    dataset.save(parts, dataset.Manifest(stage="filter", version=1, settings={}, units=(unit,)))


def run(settings: Config) -> dataset.Manifest:
    return stage.run(dedupe.plan(Context(settings)), Runner(), SILENT)


def removed(folder: Path, manifest: dataset.Manifest) -> dict[int, dict[str, Any]]:
    (file,) = manifest.files("removed")
    return {row["row"]: row for row in dataset.table(str(folder / "dedupe"), file.path).to_pylist()}


def signatures(number: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return RANDOM.integers(0, 2**32, (number, PERMUTATIONS), dtype=np.uint32)


def test_exact_url_and_near_copies_are_told_apart_and_explained(tmp_path: Path) -> None:
    documents = rows(signatures(8))
    documents[1]["exact"] = documents[0]["exact"]
    documents[1]["signature"] = documents[0]["signature"]
    documents[3]["url"] = documents[2]["url"]
    documents[3]["signature"] = [*documents[2]["signature"][:90], *documents[3]["signature"][90:]]
    documents[7]["url"] = documents[6]["url"]  # with another text: no copy
    documents[5]["signature"] = [*documents[4]["signature"][:100], *documents[5]["signature"][100:]]
    write_part(tmp_path, documents)
    manifest = run(config(tmp_path))
    found = removed(tmp_path, manifest)
    assert {row: (r["kind"], r["survivor_row"]) for row, r in found.items()} == {
        1: ("exact", 0),
        3: ("url", 2),
        5: ("near", 4),
    }
    assert found[5]["survivor"] == documents[4]["id"]
    assert found[5]["jaccard"] == pytest.approx(100 / 112)
    assert found[3]["jaccard"] == pytest.approx(90 / 112)
    assert manifest.counts().dropped == {"dedupe.exact": 1, "dedupe.url": 1, "dedupe.near": 1}
    assert manifest.counts().kept == 5
    (file,) = manifest.files("survivors")
    sizes = dataset.table(str(tmp_path / "dedupe"), file.path).to_pylist()
    assert [(row["row"], row["copies"]) for row in sizes] == [(0, 2), (2, 2), (4, 2)]


def without_common_band(signature: list[int]) -> list[int]:
    """Return a signature like another in seven of the eight places of each band."""
    return [value ^ 1 if place % 8 == 0 else value for place, value in enumerate(signature)]


def test_urls_are_left_alone_where_the_configuration_says_so(tmp_path: Path) -> None:
    documents = rows(signatures(2))
    documents[1]["url"] = documents[0]["url"]
    documents[1]["signature"] = without_common_band(documents[0]["signature"])
    write_part(tmp_path, documents)
    assert run(config(tmp_path)).counts().dropped == {"dedupe.url": 1}
    assert run(config(tmp_path, urls=False)).counts().dropped == {}


def test_components_found_in_rounds_are_those_found_in_memory(tmp_path: Path) -> None:
    documents = rows(np.repeat(signatures(30), 4, axis=0))
    for name in ("memory", "rounds"):
        write_part(tmp_path / name, documents)
    one = run(config(tmp_path / "memory"))
    other = run(config(tmp_path / "rounds", max_links_in_memory=0))
    assert one.counts() == other.counts()
    assert one.counts().kept == 30
    by_memory, by_rounds = removed(tmp_path / "memory", one), removed(tmp_path / "rounds", other)
    assert by_memory == by_rounds


def test_a_cluster_with_an_implausible_share_stops_the_stage(tmp_path: Path) -> None:
    drawn = signatures(10_000)
    drawn[:600] = drawn[0]
    write_part(tmp_path, rows(drawn))
    with pytest.raises(StageError, match=r"one cluster holds 600 of 10,000 documents; .* allows 5\.0%"):
        run(config(tmp_path))
    assert files.read_json(str(tmp_path / "dedupe"), dataset.MANIFEST) is None
    assert run(config(tmp_path, max_cluster_share=0.1)).counts().dropped == {"dedupe.near": 599}


def test_no_documents_are_no_error(tmp_path: Path) -> None:
    write_part(tmp_path, [])
    assert run(config(tmp_path)).counts() == Counts()
