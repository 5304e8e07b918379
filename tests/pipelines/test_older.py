"""A corpus compared with a finished one: the same documents stay as in a build of both, the older first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus import dataset
from corpus.config import Config, parse
from corpus.errors import DatasetError
from corpus.inspect.audit import audit
from corpus.teller import SILENT
from pipelines import dedupe, handover, proving, stage, substrings
from pipelines.options import Runner
from pipelines.stage import Context
from tests.pipelines.test_dedupe import RANDOM, changed, rows, texts, write_parts

OLDER, NEWER = 60, 40


def config(folder: Path, *against: Path) -> Config:
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in ("old", "new")]
    values = {"max_cluster_share": 1.0, "against": [str(path) for path in against]}
    return parse({"output": str(folder), "source": source, "dedupe": values}, "test")


def run(settings: Config) -> dataset.Manifest:
    return stage.run(dedupe.plan(Context(settings)), Runner(), SILENT)


def removed(folder: Path, manifest: dataset.Manifest) -> dict[str, tuple[str, str]]:
    """Return the ids of removed documents, each with the kind and the kept one."""
    tables = [dataset.table(str(folder / "dedupe"), file.path) for file in manifest.files("removed")]
    return {row["id"]: (row["kind"], row["survivor"]) for table in tables for row in table.to_pylist()}


def documents() -> list[dict[str, Any]]:
    """Return documents of which many are copies of others, the later ones of the newer corpus."""
    drawn, some = texts(40), []
    for n in range(OLDER + NEWER):
        text = drawn[n % 30 if n < OLDER else 20 + n % 20]
        some.append(text if n % 3 else changed(text, int(RANDOM.integers(5, 25))))
    found = rows(some)
    for row, length in zip(found, RANDOM.permutation(len(found)).tolist(), strict=True):
        row |= {"bytes": 1_000 + length, "source": "old" if int(row["id"], 16) < OLDER else "new"}
        if RANDOM.random() < 0.3:
            row["url"] = int(RANDOM.integers(1, 9))
        if RANDOM.random() < 0.3 and row["text"] in drawn:
            row["exact"] = drawn.index(row["text"]).to_bytes(16, "little")
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the numbers of the documents whose texts are read, as they come."""
    found: set[int] = set()
    plain = handover.texts

    def noted(folder: str, docs: NDArray[np.uint64]) -> Iterator[str]:
        found.update(docs.tolist())
        return plain(folder, docs)

    monkeypatch.setattr(handover, "texts", noted)
    return found


@pytest.mark.parametrize("sent", [False, True])
def test_the_same_documents_stay_as_in_a_build_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    every = documents()
    write_parts(tmp_path / "older", every[:25], every[25:OLDER])
    write_parts(tmp_path / "newer", every[OLDER:70], every[70:], names="n")
    write_parts(tmp_path / "both", every[:25], every[25:OLDER], every[OLDER:70], every[70:])
    of_older, of_both = run(config(tmp_path / "older")), run(config(tmp_path / "both"))
    if sent:
        monkeypatch.setattr(handover, "is_sent", lambda folder, runner: True)
        monkeypatch.setattr(handover, "ROWS_A_RUN", 10)
        monkeypatch.setattr(proving, "PAIRS_A_PARTITION", 5)
    of_newer = run(config(tmp_path / "newer", tmp_path / "older"))
    gone, whole = removed(tmp_path / "newer", of_newer), removed(tmp_path / "both", of_both)
    assert removed(tmp_path / "older", of_older).keys() | gone.keys() == whole.keys()
    assert of_newer.counts().seen == NEWER
    assert of_newer.counts().kept == NEWER - len(gone)
    older = [kept for _, kept in gone.values() if int(kept, 16) < OLDER]
    assert of_newer.facts["removed_for_older"] == len(older) > 5
    assert len(gone) > len(older)
    assert audit(str(tmp_path / "newer")).true == audit(str(tmp_path / "newer")).sampled


def test_texts_are_read_of_likely_copies_only(tmp_path: Path, asked: set[int]) -> None:
    some = texts(40)
    write_parts(tmp_path / "older", rows([*some[:30], some[3]]))
    run(config(tmp_path / "older"))
    newer = rows([*some[30:], changed(some[7], 5), some[8]])
    for row in newer:
        row |= {"id": f"{int(row['id'], 16) + 100:032x}", "exact": b"new" + row["exact"][3:], "url": 0}
    write_parts(tmp_path / "newer", newer)
    asked.clear()
    manifest = run(config(tmp_path / "newer", tmp_path / "older"))
    assert removed(tmp_path / "newer", manifest) == {
        f"{110:032x}": ("near", f"{7:032x}"),
        f"{111:032x}": ("near", f"{8:032x}"),
    }
    assert asked == {7, 8, 1 << 32 | 10, 1 << 32 | 11}


def test_older_documents_are_not_compared_with_each_other_again(tmp_path: Path) -> None:
    """A new document is a copy of the second of two whose signatures are alike, and whose texts are not."""
    first, second = texts(2)
    some = rows([first, second, changed(second, 5)])
    for row in some:
        row |= {"signature": some[0]["signature"]}
    write_parts(tmp_path / "older", some[:2])
    assert run(config(tmp_path / "older")).counts().kept == 2
    write_parts(tmp_path / "newer", some[2:])
    found = removed(tmp_path / "newer", run(config(tmp_path / "newer", tmp_path / "older")))
    assert found == {some[2]["id"]: ("near", some[1]["id"])}


def test_a_changed_older_corpus_is_compared_again_and_a_moved_one_is_not(tmp_path: Path) -> None:
    some = rows(texts(12))
    for name, first in (("a", 0), ("b", 0), ("c", 1)):
        write_parts(tmp_path / name, some[first:6])
        run(config(tmp_path / name))
    write_parts(tmp_path / "newer", some[6:])
    names = [
        dedupe.plan(Context(config(tmp_path / "newer", tmp_path / older))).units[0].fingerprint
        for older in ("a", "b", "c")
    ]
    assert names[0] == names[1] != names[2]


def test_an_unfinished_older_corpus_is_an_error(tmp_path: Path) -> None:
    write_parts(tmp_path / "older", rows(texts(3)))
    run(config(tmp_path / "older"))
    write_parts(tmp_path / "older", rows(texts(3)), rows(texts(2)))
    write_parts(tmp_path / "newer", rows(texts(3)))
    with pytest.raises(
        DatasetError, match=r"was not made from the 2 parts in .*; finish the build there first"
    ):
        dedupe.plan(Context(config(tmp_path / "newer", tmp_path / "older")))


CUT = {"substrings": {"length": 300}, "paragraphs": {"most": 2}}


def with_cut(folder: Path, *against: Path, **settings: Any) -> Config:
    made = config(folder, *against)
    given = {key: {**CUT[key], **settings.get(key, {})} for key in CUT}
    return parse({**made.model_dump(mode="json"), "dedupe": {**made.dedupe.model_dump(), **given}}, "test")


def lines(number: int) -> list[str]:
    return texts(number, 50)


def with_passages() -> list[dict[str, Any]]:
    """Return documents that have passages and paragraphs in common, within both corpora and between them."""
    passages, shared = texts(12, 90), lines(6)
    some = []
    for n in range(OLDER + NEWER):
        own = lines(4)
        own[1] += " " + passages[n % 12 if n < OLDER else (n + 5) % 17 % 12]
        own.insert(3, shared[n % 6])
        some.append("\n".join(own))
    found = rows(some)
    for row in found:
        row |= {"source": "old" if int(row["id"], 16) < OLDER else "new"}
    return found


def spans(folder: Path, manifest: dataset.Manifest) -> list[tuple[str, int, int, str, str]]:
    tables = [dataset.table(str(folder / "dedupe"), file.path) for file in manifest.files("spans")]
    found = [row for table in tables for row in table.to_pylist()]
    return sorted((r["id"], r["start"], r["end"], r["kept"], r["kind"]) for r in found)


@pytest.mark.parametrize("way", ["stored", "sent", "of texts"])
def test_the_same_spans_are_cut_as_in_a_build_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    every = with_passages()
    write_parts(tmp_path / "older", every[:25], [], every[25:OLDER])
    write_parts(tmp_path / "newer", every[OLDER:70], every[70:], names="n")
    write_parts(tmp_path / "both", every[:25], [], every[25:OLDER], every[OLDER:70], every[70:])
    # An older corpus that has looked for no passages, or for others, has stored nothing of use.
    other = {"substrings": {"length": 400}, "paragraphs": {"most": 0}} if way == "of texts" else {}
    of_older = run(with_cut(tmp_path / "older", **other))
    of_both = run(with_cut(tmp_path / "both"))
    if way == "sent":
        monkeypatch.setattr(handover, "is_sent", lambda folder, runner: True)
        monkeypatch.setattr(handover, "ROWS_A_RUN", 10)
    if way != "of texts":
        made = substrings._of_texts

        def of_new(docs: NDArray[np.uint64], *more: Any, **named: Any) -> NDArray[np.void]:
            assert docs.min() >= 3 << 32
            return made(docs, *more, **named)

        monkeypatch.setattr(substrings, "_of_texts", of_new)
    of_newer = run(with_cut(tmp_path / "newer", tmp_path / "older"))
    found, whole = spans(tmp_path / "newer", of_newer), spans(tmp_path / "both", of_both)
    if way != "of texts":
        assert sorted(spans(tmp_path / "older", of_older) + found) == whole
    assert found == [row for row in whole if int(row[0], 16) >= OLDER]
    assert {row[4] for row in found} == {"substrings", "paragraphs"}
    assert sum(int(row[3], 16) < OLDER for row in found) > NEWER // 2
    assert removed(tmp_path / "newer", of_newer) == {}


def test_older_texts_are_read_of_what_shares_a_gram_with_new_ones_only(
    tmp_path: Path, asked: set[int]
) -> None:
    some, shared = texts(30), texts(2, 90)
    some[7] += f"\n{shared[0]}"
    some[8] += f"\n{shared[1]}"
    some[9] += f"\n{shared[1]}"  # among older ones alone
    write_parts(tmp_path / "older", rows(some))
    run(with_cut(tmp_path / "older", paragraphs={"most": 0}))
    newer = rows([f"{text}\n{shared[0]}" for text in texts(3)])
    for row in newer:
        row |= {"id": f"{int(row['id'], 16) + 100:032x}", "exact": b"new" + row["exact"][3:], "url": 0}
    write_parts(tmp_path / "newer", newer)
    asked.clear()
    manifest = run(with_cut(tmp_path / "newer", tmp_path / "older", paragraphs={"most": 0}))
    assert [(row[0][-3:], row[3][-1:]) for row in spans(tmp_path / "newer", manifest)] == [
        ("064", "7"), ("065", "7"), ("066", "7"),
    ]  # fmt: skip
    assert {doc for doc in asked if doc < 1 << 32} == {7}


@pytest.mark.parametrize("family", ["substrings", "paragraphs"])
def test_what_an_older_corpus_left_to_one_that_is_not_named_stays(tmp_path: Path, family: str) -> None:
    line, off = (
        texts(1, 90)[0],
        {"paragraphs": {"most": 0}} if family == "substrings" else {"substrings": {"length": 0}},
    )
    off.setdefault("paragraphs", {"most": 1})
    first, second, third = (
        rows([f"{text}\n{line}\n{own}"]) for text, own in zip(texts(3), texts(3), strict=True)
    )
    for number, row in enumerate((first[0], second[0], third[0])):
        row |= {"id": f"{number:032x}", "exact": bytes([number]) * 16, "url": 0}
    for name, row in (("first", first), ("second", second), ("third", third)):
        write_parts(tmp_path / name, row, names=name)
    run(with_cut(tmp_path / "first", **off))
    of_second = run(with_cut(tmp_path / "second", tmp_path / "first", **off))
    assert len(spans(tmp_path / "second", of_second)) == 1
    of_third = run(with_cut(tmp_path / "third", tmp_path / "second", **off))
    assert spans(tmp_path / "third", of_third) == []
    with_both = run(with_cut(tmp_path / "third", tmp_path / "first", tmp_path / "second", **off))
    assert [row[3] for row in spans(tmp_path / "third", with_both)] == [f"{0:032x}"]


def test_an_older_corpus_whose_passages_another_corpus_keeps_now_is_compared_again(tmp_path: Path) -> None:
    line = texts(1, 90)[0]
    names = []
    for first in ("a", "b"):
        made = rows([f"{text}\n{line}" for text in texts(2)])
        for number, row in enumerate(made):
            row |= {"id": f"{number:032x}", "exact": bytes([number]) * 16, "url": 0}
        (tmp_path / first).mkdir()
        write_parts(tmp_path / first / "first", made[:1], names=first)
        run(with_cut(tmp_path / first / "first"))
        write_parts(tmp_path / first / "second", made[1:], names="second")
        run(with_cut(tmp_path / first / "second", tmp_path / first / "first"))
        write_parts(tmp_path / first / "third", made[1:], names="third")
        settings = with_cut(tmp_path / first / "third", tmp_path / first / "second")
        names.append(dedupe.plan(Context(settings)).units[0].inputs[0])
    assert names[0].checksum.split()[1:2] == names[1].checksum.split()[1:2]  # the same bytes are removed
    assert names[0].checksum.split()[2:] != names[1].checksum.split()[2:]  # for other documents


def test_spans_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    write_parts(tmp_path / "older", with_passages()[:40])
    made = run(with_cut(tmp_path / "older"))
    dataset.save(str(tmp_path / "older" / "dedupe"), made.model_copy(update={"version": 7}))
    write_parts(tmp_path / "newer", with_passages()[40:60], names="n")
    with pytest.raises(DatasetError, match=r"version 7 of dedupe .* run the build there again"):
        dedupe.plan(Context(with_cut(tmp_path / "newer", tmp_path / "older")))
