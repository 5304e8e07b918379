"""Documents are found by what is asked, drawn fairly, and read without the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import dataset, files
from corpus.dataset import File
from corpus.errors import DatasetError
from corpus.inspect import rows
from corpus.inspect.documents import documents, search_pattern
from corpus.tokenizer import MODEL
from corpus.tokenizer.train import EOS, fit

Build = Callable[..., str]


def texts(root: str, **options: Any) -> list[str]:
    return [entry.values["text"] for entry in documents(root, **options)]


def ids(root: str, **options: Any) -> list[int]:
    return [int(entry.values["id"], 16) for entry in documents(root, **options)]


def test_the_first_documents_come_from_the_shards_in_order(build: Build) -> None:
    assert ids(build(), limit=3) == [1, 5, 7]


def test_without_shards_they_come_from_the_parts(build: Build) -> None:
    assert ids(build("extract", "filter"), limit=6) == [1, 2, 3, 4, 5, 6]
    assert ids(build(), stage="parts", limit=6) == [1, 2, 3, 4, 5, 6]


def test_a_language_is_found_by_file_in_shards_and_by_row_in_parts(build: Build) -> None:
    root = build()
    assert ids(root, language="aze_Latn") == [4]
    assert ids(root, language="tur_Latn", stage="parts", limit=9) == [1, 2, 3, 5, 6, 7]


def test_an_unknown_language_is_answered_with_those_there_are(build: Build) -> None:
    root = build()
    for options in ({}, {"stage": "parts"}, {"random": 2}):
        with pytest.raises(DatasetError, match=r"'tur'; there are: aze_Latn, deu_Latn, tur_Latn"):
            documents(root, language="tur", **options)
    with pytest.raises(DatasetError, match=r"'deu_Latn'; there are: aze_Latn, tur_Latn"):
        documents(root, language="deu_Latn", rule="gopher")


def test_the_draw_is_the_same_for_a_seed_and_never_repeats_a_row(build: Build) -> None:
    root = build()
    drawn = ids(root, random=4, seed=7)
    assert drawn == ids(root, random=4, seed=7)
    assert len(set(drawn)) == 4
    assert sorted(ids(root, random=99)) == [1, 4, 5, 7, 8]


def test_every_row_is_equally_likely_whatever_its_file(build: Build) -> None:
    root = build()
    drawn = Counter(ids(root, random=1, seed=seed)[0] for seed in range(400))
    assert set(drawn) == {1, 4, 5, 7, 8}
    assert all(50 <= number <= 110 for number in drawn.values())  # 80 expected, σ = 8


def test_a_draw_from_a_language_is_uniform_over_its_rows(build: Build) -> None:
    root = build()
    drawn = Counter(ids(root, random=1, seed=seed, language="tur_Latn")[0] for seed in range(300))
    assert set(drawn) == {1, 5, 7}
    assert all(70 <= number <= 130 for number in drawn.values())  # 100 expected, σ = 8


def test_dropped_documents_are_found_by_the_beginning_of_the_rule(build: Build) -> None:
    found = documents(build(), rule="gopher")
    assert [entry.values["rule"] for entry in found] == ["gopher.min_words", "gopher.mean_word_length"]
    assert (found[0].kind, found[0].values["value"], found[0].values["limit"]) == ("dropped", 2.0, 50.0)
    assert found[0].path == "filter/dropped/0.arrow"


def test_what_dedupe_removed_is_shown_with_its_text_and_its_survivor(build: Build) -> None:
    (entry,) = documents(build(), rule="dedupe.near")
    assert entry.kind == "removed"
    assert entry.values["text"].endswith("Kediler balık bekliyordu.")
    assert int(entry.values["survivor"], 16) == 1
    assert entry.values["jaccard"] == pytest.approx(0.81)
    assert (entry.path, entry.row) == ("filter/documents/1.arrow", 0)


def test_every_rule_together_gives_everything_that_went(build: Build) -> None:
    root = build()
    assert sorted(ids(root, rule="", limit=99)) == [2, 3, 6, 20, 21, 22, 23]
    assert sorted(ids(root, rule="", random=99)) == [2, 3, 6, 20, 21, 22, 23]


def test_removed_documents_can_be_asked_for_by_language_and_words(build: Build) -> None:
    root = build()
    assert ids(root, rule="dedupe", language="tur_Latn") == [3, 6, 2]
    assert ids(root, rule="dedupe", find="kısa BİR") == [2]
    assert ids(root, rule="dedupe", find="kediler", random=1) == [6]


def test_an_unknown_rule_is_answered_with_those_that_dropped_something(build: Build) -> None:
    with pytest.raises(DatasetError, match=r"'gophr'.*c4.no_sentence 1, dedupe.exact 1.*gopher.min_words 1"):
        documents(build(), rule="gophr")


def test_an_id_is_found_wherever_its_document_went(build: Build) -> None:
    root = build()
    for number, kind in ((5, "document"), (6, "removed"), (22, "dropped")):
        (entry,) = documents(root, id=f"{number:032x}")
        assert entry.kind == kind
    with pytest.raises(DatasetError, match=r"no document .* starts with 'beef'"):
        documents(root, id="beef")


def test_the_beginning_of_an_id_is_enough(build: Build) -> None:
    assert ids(build(), id="0" * 31, limit=99) == [1, 5, 7, 4, 8, 3, 6, 2]


def test_without_shards_an_id_names_a_removed_document_once(build: Build) -> None:
    (entry,) = documents(build("extract", "filter", "dedupe"), id=f"{6:032x}")
    assert entry.kind == "removed"


def test_rejected_records_are_shown_with_cause_and_place(build: Build) -> None:
    (entry,) = documents(build(), rejected=True)
    assert (entry.kind, entry.values["cause"], entry.values["offset"]) == ("rejected", "truncated", 77)


@pytest.mark.parametrize(
    "options",
    [{"rejected": True, "language": "tur_Latn"}, {"rejected": True, "rule": "c4"}, {"id": "0", "random": 1}],
)
def test_options_that_exclude_each_other_are_refused(build: Build, options: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="cannot be asked for together"):
        documents(build(), **options)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("istanbul", "İSTANBUL"),
        ("ISPARTA", "ısparta"),
        ("çağ", "ÇAĞ"),
        ("iki kelime", "iki\nkelime"),
        ("1+1", "(1+1)"),
        ("u\u0308st", "ÜST"),
    ],
)
def test_words_are_found_whatever_their_case(build: Build, words: str, text: str) -> None:
    assert pc.match_substring_regex(pa.array([text]), search_pattern(words)).to_pylist() == [True]


def test_words_are_looked_for_in_the_text(build: Build) -> None:
    root = build()
    assert ids(root, find="TOPRAK KOKAR") == [7]
    assert ids(root, find="yok böyle bir şey") == []


def test_stages_that_are_missing_are_named(build: Build) -> None:
    root = build("extract", "filter")
    with pytest.raises(DatasetError, match="no finished stage shards/"):
        documents(root, stage="shards")
    with pytest.raises(DatasetError, match=r"'dedupe'.*there is no dedupe/ stage yet"):
        documents(root, rule="dedupe")
    with pytest.raises(DatasetError, match="no finished stage filter/"):
        documents(f"{build()}/shards", rule="gopher")


def test_a_dedupe_of_another_filter_is_noticed(build: Build) -> None:
    root = build()
    manifest = files.read_json(f"{root}/filter", dataset.MANIFEST)
    first, second = manifest["units"]
    first["fingerprint"], second["fingerprint"] = second["fingerprint"], first["fingerprint"]
    files.write_json(f"{root}/filter", dataset.MANIFEST, manifest)
    with pytest.raises(DatasetError, match="made from an"):
        documents(root, rule="dedupe.exact")


def test_token_shards_are_read_as_text(build: Build) -> None:
    root = build("shards", "tokens")
    from_shards = {entry.values["id"]: entry.values["text"] for entry in documents(root, limit=9)}
    found = documents(root, stage="tokens", limit=9)
    assert {entry.values["id"]: entry.values["text"] for entry in found} == from_shards
    assert found[0].kind == "tokens"
    assert found[0].path.startswith("tokens/tur_Latn/train-web")
    assert "ids" not in found[0].values
    alone = documents(f"{root}/tokens", limit=9)
    assert [entry.values for entry in alone] == [entry.values for entry in found]


def test_ids_and_pieces_of_tokens_come_on_request(build: Build) -> None:
    (entry,) = documents(build("tokens"), id=f"{8:032x}", ids=True)
    values = entry.values
    assert len(values["ids"]) == len(values["pieces"]) == values["tokens"]
    assert "".join(values["pieces"][:-1]).replace("▁", " ") == values["text"] == "Berlin ist eine Stadt."
    assert values["pieces"][-1] == EOS
    assert json.loads(json.dumps(entry.as_dict()))["ids"] == values["ids"]


def test_token_shards_are_chosen_by_language_words_id_and_chance(build: Build) -> None:
    root = build("extract", "filter", "shards", "tokens")
    assert ids(root, stage="tokens", language="aze_Latn") == [4]
    assert ids(root, stage="tokens", find="TOPRAK KOKAR") == [7]
    assert ids(root, stage="tokens", find="TOPRAK KOKAR", language="deu_Latn") == []
    assert sorted(ids(root, stage="tokens", random=99)) == [1, 4, 5, 7, 8]
    assert ids(root, stage="tokens", random=2, seed=3) == ids(root, stage="tokens", random=2, seed=3)
    assert ids(root, stage="tokens", id=f"{7:032x}") == [7]
    with pytest.raises(DatasetError, match=r"starts with 'beef'; looked in tokens/;"):
        documents(root, stage="tokens", id="beef")
    with pytest.raises(DatasetError, match=r"'tur'; there are: aze_Latn, deu_Latn, tur_Latn"):
        documents(root, stage="tokens", language="tur")


def test_tokens_without_their_tokenizer_are_not_read(build: Build) -> None:
    root = build("tokens")
    with pytest.raises(DatasetError, match=r"no finished stage tokens/.*build --until tokenize"):
        documents(build("extract", "filter") + "/filter", stage="tokens")
    (Path(root) / "tokens" / MODEL).write_bytes(fit(["ab cd"], "bpe", 340))
    with pytest.raises(DatasetError, match="is not the model that made these tokens"):
        documents(root, stage="tokens")
    (Path(root) / "tokens" / MODEL).unlink()
    with pytest.raises(DatasetError, match="`derlem tokenize` again, which puts it back"):
        documents(root, stage="tokens")


def test_an_id_is_looked_for_only_in_the_stage_that_is_named(build: Build) -> None:
    root = build()
    assert ids(root, id=f"{5:032x}", stage="parts") == [5]
    with pytest.raises(DatasetError, match="looked in shards/;"):
        documents(root, id=f"{6:032x}", stage="shards")


def test_an_entry_is_json(build: Build) -> None:
    root = build()
    for options in ({}, {"rule": ""}, {"rejected": True}):
        for entry in documents(root, limit=99, **options):
            value = json.loads(json.dumps(entry.as_dict(), ensure_ascii=False))
            assert value["kind"] == entry.kind
            assert value["offset"] == entry.values["offset"]
    assert documents(root, limit=1)[0].as_dict()["fetched"] == "2024-05-01T00:00:00+00:00"


def test_rows_come_in_the_order_asked_for(build: Build) -> None:
    folder = f"{build()}/filter"
    found = rows.take(folder, "documents/0.arrow", [4, 0, 3, 0], ["id"])
    assert [int(value, 16) for value in found.column("id").to_pylist()] == [5, 1, 4, 1]
    with pytest.raises(DatasetError, match="has 5 rows, row 5 was asked for"):
        rows.take(folder, "documents/0.arrow", [5])


def test_files_behind_the_last_row_needed_are_not_opened() -> None:
    def pools() -> Iterator[rows.Pool]:
        yield rows.Pool("", File(kind="", path="a", rows=3, bytes=0, sha256=""))
        raise AssertionError("a second file was opened")

    assert [place.row for place in rows.first(pools(), 3)] == [0, 1, 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 30), st.integers(0, 9))
def test_a_draw_gives_as_many_distinct_rows_as_there_are(sizes: list[int], number: int, seed: int) -> None:
    described = [File(kind="", path=str(n), rows=size, bytes=0, sha256="") for n, size in enumerate(sizes)]
    pools = [rows.Pool("", file) for file in described]
    drawn = [(place.file.path, place.row) for place in rows.draw(pools, number, seed)]
    assert len(set(drawn)) == len(drawn) == min(number, sum(sizes))
    assert all(0 <= row < sizes[int(path)] for path, row in drawn)
