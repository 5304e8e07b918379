"""Texts of an evaluation set are found although case, marks and suffixes differ, and others are not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from corpus.decontaminate import overlap, references
from corpus.decontaminate.stems import stems_of
from corpus.errors import ConfigError

QUESTION = "Ankara'nın başkent oluşu hangi yılda Türkiye Büyük Millet Meclisi tarafından kabul edilmiştir?"
ROWS = [
    {"question": QUESTION, "answer": "13 Ekim 1923", "choices": ["1920", "1923"]},
    {"question": "Kısa bir soru mu?", "answer": "evet"},
    {"question": " ".join(f"{chr(97 + n % 26)}{chr(97 + n // 26)}sözcük" for n in range(120)), "answer": ""},
]
FILLER = "Bugün hava açık, denizde dalga yok ve balıkçılar erkenden yola çıktılar. " * 20


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> references.References:
    path = tmp_path_factory.mktemp("set") / "set.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS)
    return references.read([str(path)], ["question"])


@pytest.fixture(scope="module")
def index(found: references.References) -> overlap.Index:
    return overlap.build(found.pieces)


def score(text: str, index: overlap.Index) -> float:
    return overlap.best(stems_of(text), index)[0]


def test_long_texts_are_cut_and_short_ones_are_left_out(found: references.References) -> None:
    assert [piece.stems.size for piece in found.pieces] == [12, 60, 60]
    assert (found.texts, found.too_short) == (3, 1)
    assert found.pieces[0].name.startswith("set.jsonl.gz row 0: Ankara'nın başkent")


@pytest.mark.parametrize(
    ("text", "least"),
    [
        (QUESTION, 1.0),
        (QUESTION.replace("i", "İ").replace("ı", "I").upper().replace("?", ""), 1.0),
        (QUESTION.replace("Ankara'nın", "Ankara").replace("kabul edilmiştir", "kabul edilmesine"), 1.0),
        (QUESTION.replace("yılda", "tarihte"), 0.8),
    ],
)
def test_a_question_is_found_in_other_case_and_with_other_suffixes(
    index: overlap.Index, text: str, least: float
) -> None:
    value, number = overlap.best(stems_of(FILLER + text + FILLER), index)
    assert value >= least
    assert number == 0


def test_one_piece_of_a_long_text_is_enough(index: overlap.Index) -> None:
    words = ROWS[2]["question"].split()
    assert score(FILLER + " ".join(words[60:]) + FILLER, index) == 1.0
    assert score(FILLER + " ".join(words[:30]) + FILLER, index) < 0.8


def test_the_same_words_in_another_order_or_far_apart_are_not_found(index: overlap.Index) -> None:
    words = QUESTION.split()
    assert score(FILLER + " ".join(reversed(words)), index) < 0.8
    assert score(" ".join(words[:6]) + FILLER + " ".join(words[6:]), index) < 0.8
    assert score(FILLER, index) == 0.0


def test_a_text_of_five_words_must_be_whole(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"q": "Bal yapan arı durmadan çalışır"}) + "\n")
    index = overlap.build(references.read([str(path)], ["q"]).pieces)
    assert score(FILLER + "bal yapan arı durmadan çalışıyor.", index) == 1.0
    assert score(FILLER + "bal yapan arı durmadan uyur.", index) == 0.0


def test_with_an_answer_a_short_question_counts_only_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n")
    index = overlap.build(references.read([str(path)], ["question"], "answer").pieces)
    assert score(QUESTION + " Cevap: 13 Ekim 1923", index) == 1.0
    assert score(QUESTION + " Cevap: 1920" + FILLER + "13 Ekim 1923", index) == 0.0


def test_n_grams_of_many_references_find_nothing_unless_they_are_all_that_one_has(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    start = "aşağıdaki şiirde sözü edilen kişi"
    rows = [{"q": f"{start} {chr(97 + n % 26)}{chr(97 + n // 26)}dır"} for n in range(100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"q": start}]))
    pieces = references.read([str(path)], ["q"]).pieces
    index = overlap.build(pieces)
    assert np.diff(index.gram_ends, prepend=0).max() == 1
    assert overlap.best(pieces[-1].stems, index) == (1.0, 100)


def test_a_file_without_the_column_or_without_long_texts_is_told(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"soru": "kısa"}) + "\n")
    with pytest.raises(ConfigError, match="no column 'question'; its columns: soru"):
        references.read([str(path)], ["question"])
    with pytest.raises(ConfigError, match="no text of 5 words or more in soru"):
        references.read([str(path)], ["soru"])
