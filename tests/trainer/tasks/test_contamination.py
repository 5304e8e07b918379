"""A question that stands in a run's corpus is found, and the score without it is told beside the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_build import LONG
from untrained import model

from commands.render.tasks import _contaminated
from corpus.errors import NotThereError
from trainer.tasks import contamination
from trainer.tasks.judge import judge
from trainer.tasks.questions import Question, Task

PLANTED = LONG.split(";")[1].split(".")[0].upper()  # "ılık bir akşamdı ve vapurlar iskeleye yanaşıyordu"
ASKED = Task(
    "own",
    (
        Question("a", "", (PLANTED, "Başka bir cümle"), 0),
        Question("a", "", ("Dokuz kuğu dün sabah gölün kıyısına indi", "Yanlış"), 0),
        Question("b", "2 + 2 =", (" 4", " 5"), 0),
        Question("b", "", (PLANTED, "Aynı soru bir kez daha"), 0),
    ),
)


def test_planted_questions_are_found_and_left_out_of_the_score(
    build: Callable[..., str], tmp_path: Path
) -> None:
    trained = replace(model(), folder=tmp_path / "run", corpus=f"{build()}/tokens")
    held = contamination.look(trained.folder, trained.corpus, ASKED)
    assert (held.rows, held.questions, held.too_short) == ({0: 1.0, 3: 1.0}, 4, 1)
    assert 0 < held.contaminated < held.documents
    found = judge(trained, ASKED, held)
    assert found.mean.questions == 4
    assert found.contaminated is not None
    alone = [
        judge(trained, Task("part", tuple(ASKED.questions[n] for n in part))) for part in ((0, 3), (1, 2))
    ]
    assert found.contaminated.on_held == alone[0].mean
    assert found.contaminated.without == alone[1].mean
    told = json.loads(json.dumps(found.as_dict()))["contaminated"]
    assert (told["rows"], told["without"]["questions"]) == ({"0": 1.0, "3": 1.0}, 2)
    assert "holds 2 of 4 questions" in _contaminated(found.contaminated)


def test_the_answer_stays_with_the_run_when_the_texts_are_gone(
    build: Callable[..., str], tmp_path: Path
) -> None:
    corpus = f"{build('filter', 'shards')}/tokens"
    run = tmp_path / "run"
    held = contamination.look(run, corpus, ASKED)
    for stage in ("filter", "shards"):
        (tmp_path / stage / "manifest.json").unlink()
    assert contamination.look(run, corpus, ASKED) == held
    with pytest.raises(NotThereError, match="holds no finished stage"):
        contamination.look(run, corpus, replace(ASKED, name="another"))


def test_a_task_that_is_not_held_has_the_whole_score(build: Callable[..., str], tmp_path: Path) -> None:
    trained = replace(model(), folder=tmp_path / "run", corpus=build())
    clean = Task("clean", ASKED.questions[2:3])
    held = contamination.look(trained.folder, trained.corpus, clean)
    assert (held.rows, held.contaminated) == ({}, 0)
    found = judge(trained, clean, held)
    assert found.contaminated is not None
    assert (found.contaminated.on_held, found.contaminated.without) == (None, found.mean)
