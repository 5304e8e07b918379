"""Paragraphs that many documents have are cut but for the first places, whatever does the work."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import Config, parse
from corpus.dedup.paragraphs import PARAGRAPH
from corpus.dedup.spans import LOST, without
from corpus.errors import StageError
from pipelines import handover, losses, paragraphs
from tests.pipelines.test_dedupe import rows, write_parts
from tests.pipelines.test_substrings import found_by_every_way, run, table

RANDOM = np.random.default_rng(12)
WORDS = np.array(["".join(letters) for letters in product("abçdefgğhı", repeat=4)])


def words(number: int) -> str:
    return " ".join(RANDOM.choice(WORDS, number))


def config(folder: Path, **settings: Any) -> Config:
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
    values = {"paragraphs": {"most": 3, **settings}}
    return parse({"output": str(folder), "source": source, "dedupe": values}, "test")


def planted(number: int) -> tuple[list[str], list[str]]:
    """Return texts of six lines, two of them of some that many share, and those lines."""
    lines = [words(40) for _ in range(5)]
    texts = []
    for n in range(number):
        own = [words(25) for _ in range(4)]
        texts.append(
            "\n".join([own[0], lines[n % 5], own[1], lines[(n + 2) % 5].replace(" ", "  "), *own[2:]])
        )
    return texts, lines


def left(text: str, mine: list[dict[str, Any]]) -> str:
    return without(text.encode(), *([span[name] for span in mine] for name in ("start", "end"))).decode()


PLACES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(1, 12)), max_size=12)


@given(PLACES, PLACES)
def test_a_paragraph_of_which_an_older_corpus_lost_a_byte_is_none_of_its_own(
    found: list[tuple[int, int, int]], lost: list[tuple[int, int, int]]
) -> None:
    rows = np.array([(n, 0, d << 32, s, s + size) for n, (d, s, size) in enumerate(found)], PARAGRAPH)
    gone = np.array([(d << 32, s, s + size) for d, s, size in lost], LOST)
    stays = [
        n
        for n, (d, s, size) in enumerate(found)
        if not any(d == other and s < b + long and b < s + size for other, b, long in lost)
    ]
    assert paragraphs._not_lost(rows, gone)["hash"].tolist() == stays


def test_a_paragraph_stays_in_the_preferred_documents(tmp_path: Path) -> None:
    texts, lines = planted(20)
    write_parts(tmp_path, rows(texts[:9]), rows(texts)[9:])
    manifest = run(config(tmp_path))
    spans = table(tmp_path, manifest, "spans")
    assert {span["kind"] for span in spans} == {"paragraphs"}
    assert manifest.counts().dropped == {}
    kept: Counter[str] = Counter()
    for number, text in enumerate(texts):
        rest = left(text, [span for span in spans if int(span["id"], 16) == number])
        held = {line for line in lines if line in " ".join(rest.split())}
        kept.update(held)
        assert number < 9 or not held
        assert len(rest.split("\n")) == 6 - sum(int(span["id"], 16) == number for span in spans)
    assert set(kept.values()) == {3}
    assert all(int(span["kept"], 16) < 5 for span in spans)
    assert manifest.facts["spans"] == len(spans)
    along = {row["most"]: row["bytes"] for row in manifest.facts["paragraph_bytes"]}  # type: ignore[attr-defined]
    assert along[1] > along[2] > along[5] > along[10] == 0


def test_a_document_of_which_too_little_is_left_is_dropped_for_the_one_that_keeps_most(
    tmp_path: Path,
) -> None:
    first, second = words(60), words(50)
    documents = rows([f"{first}\n{words(50)}", f"{second}\n{words(50)}", f"{second}\n{first}\nson söz"])
    write_parts(tmp_path, documents)
    manifest = run(config(tmp_path, most=1))
    (gone,) = table(tmp_path, manifest, "removed")
    assert (gone["kind"], gone["row"], gone["survivor_row"], gone["jaccard"]) == ("paragraphs", 2, 0, None)
    assert manifest.counts().dropped == {"dedupe.paragraphs": 1}
    kept = run(config(tmp_path, most=1, least_bytes=5))
    assert [span["row"] for span in table(tmp_path, kept, "spans")] == [2, 2]


def test_pages_of_a_host_are_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = words(40)
    documents = [
        row | {"address": f"https://{'abcd'[n // 3]}.example/{n}"}
        for n, row in enumerate(rows([f"{words(60)}\n{line}" for _ in range(12)]))
    ]
    write_parts(tmp_path, documents)
    of_hosts = run(config(tmp_path, count="hosts"))
    assert [span["row"] for span in table(tmp_path, of_hosts, "spans")] == [9, 10, 11]
    of_documents = run(config(tmp_path))
    assert [span["row"] for span in table(tmp_path, of_documents, "spans")] == [*range(3, 12)]


def test_with_passages_nothing_is_lost_everywhere(tmp_path: Path) -> None:
    """What the one way keeps at a place, the other way may cut there: then a better place has it."""
    lines = [words(120) for _ in range(6)]
    texts = []
    for _ in range(30):
        some = RANDOM.permutation(6)[:3]
        texts.append("\n".join([words(30), *(lines[n] for n in some), words(30), lines[some[0]][40:560]]))
    write_parts(tmp_path, rows(texts))
    settings = config(tmp_path)
    both = settings.dedupe.model_copy(
        update={"substrings": settings.dedupe.substrings.model_copy(update={"length": 100})}
    )
    manifest = run(settings.model_copy(update={"dedupe": both}))
    spans, removed = (table(tmp_path, manifest, kind) for kind in ("spans", "removed"))
    gone = {row["row"] for row in removed}
    rest = " ".join(
        left(text, [span for span in spans if span["row"] == n])
        for n, text in enumerate(texts)
        if n not in gone
    )
    assert {span["kind"] for span in spans} >= {"substrings"}
    assert all(words in rest for words in (line[60:200] for line in lines))


def test_workers_sent_rows_and_partitions_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, _ = planted(60)
    small = [(paragraphs, "PARAGRAPHS_A_PARTITION", 50), (handover, "HELD", 1_000)]
    found = found_by_every_way(tmp_path, monkeypatch, config, rows([*texts, *texts[:5]]), small)
    assert len(found[0][0]) >= 60
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("family", ["substrings", "paragraphs"])
def test_a_source_that_loses_too_much_of_its_text_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr(losses, "MANY", 10)
    shared = [words(200) for _ in range(12)]
    texts = [f"{line}\n{words(100)}" for line in (*shared, *shared)]
    documents = rows(texts)
    for row in documents:
        row |= {"bytes": len(row["text"].encode()), "source": "a" if int(row["id"], 16) < 12 else "b"}
    write_parts(tmp_path, documents)
    given = {"substrings": {"length": 500}, "paragraphs": {"most": 1}}[family]

    def settings(share: float) -> Config:
        source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
        values = {family: given, "max_source_loss": share}
        return parse({"output": str(tmp_path), "source": source, "dedupe": values}, "test")

    manifest = run(settings(0.8))
    a, b = manifest.facts["sources"]  # type: ignore[misc]
    assert (a["removed"], a["bytes_removed"], b["removed"]) == (0, 0, 0)
    assert b["bytes_removed_for"] == {"a": b["bytes_removed"]}
    assert 0.6 < b["bytes_removed"] / b["bytes"] < 0.7
    assert any("source b lost 0 of 12 documents and 6" in each for each in manifest.facts["remarks"])  # type: ignore[attr-defined]
    with pytest.raises(
        StageError, match=r"source b lost .*most of it to a; dedupe\.max_source_loss allows 60\.0%"
    ):
        run(settings(0.6))
