"""Questions are read from packaged sets, TurBLiMP's files and JSON lines; errors name file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from corpus.errors import ConfigError
from trainer.tasks.questions import RATINGS, SURVEYS, TURBLIMP, Question, load, sets


def test_packaged_pairs_have_eight_phenomena_of_six_different_pairs() -> None:
    assert sets() == ["turkish"]
    questions = load("turkish").questions
    groups = {each.group for each in questions}
    assert len(groups) == 8
    assert all(sum(each.group == name for each in questions) == 6 for name in groups)
    assert all(each.options[0] != each.options[1] for each in questions)


def write(folder: Path, name: str, lines: list[str]) -> None:
    with gzip.open(folder / name, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def turblimp(folder: Path, label: str = "Ellipsis_bad") -> Path:
    """A folder of TurBLiMP's form: one pair, two surveys of two sentences, three people."""
    pair = {"phenomenon_file": "ellipsis", "good_sentence": "Geldi.", "bad_sentence": "Geldim."}
    write(folder, TURBLIMP, [json.dumps(pair)])
    head = "v\tphenomenon\ttype"
    write(
        folder, SURVEYS[0], [head, "iyi bir\tEllipsis\tgood", "kötü bir\tEllipsis\tbad", "fazla\tSOV\tgood"]
    )
    write(folder, SURVEYS[1], [head, "kötü iki\tEllipsis\tbad", "iyi iki\tEllipsis\tgood"])
    labels = f"Ellipsis_good\t{label}\tEllipsis_bad\tEllipsis_good"
    write(folder, RATINGS, ["a\tb\tc\td", labels, "7\t2\t\t", "6\t1\t\t", "\t\t3\t5"])
    return folder


def test_turblimp_has_pairs_and_mean_ratings_of_its_surveys(tmp_path: Path) -> None:
    task = load(str(turblimp(tmp_path)))
    assert task.questions == (Question("ellipsis", "", ("Geldi.", "Geldim."), 0),)
    assert {each.text: each.rating for each in task.rated} == {
        "iyi bir": 6.5,
        "kötü bir": 1.5,
        "kötü iki": 3.0,
        "iyi iki": 5.0,
    }


def test_ratings_of_other_sentences_than_the_surveys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column 2 is of Binding_bad, expected Ellipsis_bad"):
        load(str(turblimp(tmp_path, "Binding_bad")))


def test_own_questions_name_the_right_option_or_its_number(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    lines = [
        {"prompt": "2 + 2 =", "options": [" 4", " 5"], "answer": " 4"},
        {"prompt": "2 + 3 =", "options": [" 4", " 5"], "answer": 1, "phenomenon": "sums"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert load(str(path)).questions == (
        Question("all", "2 + 2 =", (" 4", " 5"), 0),
        Question("sums", "2 + 3 =", (" 4", " 5"), 1),
    )


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"good": "a"}', '{"options": ["a", "b"], "answer": 2}', '{"options": ["a"], "answer": 0}'],
)
def test_a_line_that_is_not_a_question_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"good": "a", "bad": "b"}\n' + line)
    with pytest.raises(ConfigError, match=r"own.jsonl, line 2: .*expected JSON with `good` and `bad`"):
        load(str(path))


def test_what_does_not_exist_is_refused_with_what_does() -> None:
    with pytest.raises(ConfigError, match=r"no such file, folder or packaged set \(turkish\)"):
        load("turblimp")
