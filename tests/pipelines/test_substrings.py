"""Passages that stand twice are removed but for one place, whatever does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from corpus import dataset
from corpus.config import Config, parse
from corpus.dedup.spans import without
from corpus.teller import SILENT
from pipelines import dedupe, handover, shuffle, stage, substrings
from pipelines.options import Runner
from pipelines.stage import Context
from tests.pipelines.test_dedupe import rows, write_parts

RANDOM = np.random.default_rng(11)
WORDS = np.array(["".join(letters) for letters in product("abçdefgğhı", repeat=4)])


def words(number: int) -> str:
    return " ".join(RANDOM.choice(WORDS, number))


def config(folder: Path, **settings: Any) -> Config:
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    values = {"substrings": {"length": 500, **settings}}
    return parse({"output": str(folder), "source": [source], "dedupe": values}, "test")


def run(settings: Config, workers: int = 1) -> dataset.Manifest:
    return stage.run(dedupe.plan(Context(settings, runner=Runner(workers=workers))), Runner(), SILENT)


def table(folder: Path, manifest: dataset.Manifest, kind: str) -> list[dict[str, Any]]:
    files = manifest.files(kind)
    return [row for file in files for row in dataset.table(str(folder / "dedupe"), file.path).to_pylist()]


def found_by_every_way(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Path], Config],
    documents: list[dict[str, Any]],
    small: Iterable[tuple[ModuleType, str, int]],
) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Return spans and removed documents: found here, from sent rows in `small` pieces, and by workers."""
    found = []
    for name in ("here", "sent", "workers"):
        write_parts(folder / name, documents[:17], documents[17:18], [], documents[18:])
        if name == "sent":
            monkeypatch.setattr(handover, "is_sent", lambda folder, runner: True)
            for module, constant, size in [(handover, "ROWS_A_RUN", 10), *small]:
                monkeypatch.setattr(module, constant, size)
        elif name == "workers":
            monkeypatch.undo()
            monkeypatch.setattr(dedupe, "_ROWS_A_WORKER", 20)
        manifest = run(made(folder / name), 2 if name == "workers" else 1)
        found.append((table(folder / name, manifest, "spans"), table(folder / name, manifest, "removed")))
    return found


def planted(number: int) -> tuple[list[str], list[str]]:
    """Return texts, and the passage that each shares with the one before it (the first with the last)."""
    passages = [words(120) for _ in range(number)]
    texts = [
        " ".join([words(150), passages[n - 1], words(60), passages[n], words(150)]) for n in range(number)
    ]
    return texts, passages


def test_every_planted_passage_stays_once(tmp_path: Path) -> None:
    texts, passages = planted(40)
    write_parts(tmp_path, rows(texts[:9]), [], rows(texts)[9:])
    manifest = run(config(tmp_path))
    spans = table(tmp_path, manifest, "spans")
    assert manifest.counts().dropped == {}
    assert manifest.facts["spans"] == len(spans) == 40
    left = []
    for number, text in enumerate(texts):
        mine = [span for span in spans if int(span["id"], 16) == number]
        ends = ([span[name] for span in mine] for name in ("start", "end"))
        left.append(without(text.encode(), *ends).decode())
        # The earlier document is the longer one here, and the preferred one.
        assert all(int(span["kept"], 16) < number for span in mine)
    assert {word for text in left for word in text.split()} <= set(WORDS.tolist())
    for passage in passages:
        assert sum(passage in text for text in left) == 1


def test_a_document_of_which_too_little_is_left_is_dropped_for_the_one_that_keeps_most(
    tmp_path: Path,
) -> None:
    first, second, third = words(300), words(300), words(20)
    middle = first.split()
    documents = rows([second, " ".join([*middle[:250], third]), first])
    # Preferred is the shorter of two that have their text in common; another one keeps the rest.
    documents[2]["text"] = " ".join([*middle[:200], *second.split()[:100], *middle[250:255]])
    documents[2]["signature"] = [value ^ 1 for value in documents[0]["signature"]]
    write_parts(tmp_path, documents)
    manifest = run(config(tmp_path))
    (gone,) = table(tmp_path, manifest, "removed")
    assert (gone["kind"], gone["row"], gone["survivor_row"], gone["jaccard"]) == ("substrings", 2, 1, None)
    assert manifest.counts().dropped == {"dedupe.substrings": 1}
    assert table(tmp_path, manifest, "spans") == []
    kept = run(config(tmp_path, least_bytes=10))
    assert kept.counts().dropped == {}
    assert [span["row"] for span in table(tmp_path, kept, "spans")] == [2]


def test_what_others_were_cut_for_is_not_dropped(tmp_path: Path) -> None:
    """Of the second little is left, which the third was cut for."""
    shared, own = words(400), words(105)
    tail = shared.split()[150:]
    documents = rows([shared, " ".join([*tail, own]), " ".join([own, words(400)])])
    write_parts(tmp_path, documents)
    manifest = run(config(tmp_path, least_bytes=1_000))
    assert manifest.counts().dropped == {}
    assert [(s["row"], int(s["kept"], 16)) for s in table(tmp_path, manifest, "spans")] == [(1, 0), (2, 1)]


def test_nothing_is_cut_unless_it_is_asked_for(tmp_path: Path) -> None:
    texts, _ = planted(3)
    write_parts(tmp_path, rows(texts))
    manifest = run(config(tmp_path, length=0))
    assert "spans" not in manifest.facts
    assert not manifest.files("spans")


def test_workers_sent_passages_and_partitions_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, _ = planted(60)
    small = [
        (substrings, "FINGERPRINTS_A_PARTITION", 200),
        (substrings, "PLACES_A_GROUP", 20),
        (handover, "HELD", 10_000),
        (substrings, "_TEXTS", 7),
    ]
    found = found_by_every_way(tmp_path, monkeypatch, config, rows([*texts, *texts[:5]]), small)
    assert len(found[0][0]) >= 60
    assert found[0] == found[1] == found[2]


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, _ = planted(10)
    write_parts(tmp_path / "whole", rows(texts))
    write_parts(tmp_path / "interrupted", rows(texts))
    whole = run(config(tmp_path / "whole"))
    jobs: list[str] = []
    plain = shuffle.run

    def interrupted(runner: Runner, folder: str, job: str, *more: Any) -> Any:
        if len(jobs) < 100 and job == "dedupe-spans":
            jobs.extend(["stopped"] * 100)
            raise KeyboardInterrupt
        return plain(runner, folder, job, *more)

    monkeypatch.setattr(shuffle, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(config(tmp_path / "interrupted"))
    monkeypatch.setattr(substrings, "_grams", lambda *_: pytest.fail("grams were found already"))
    again = run(config(tmp_path / "interrupted"))
    assert [file.sha256 for file in again.files("spans")] == [file.sha256 for file in whole.files("spans")]
