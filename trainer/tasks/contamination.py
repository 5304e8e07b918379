"""Which questions of a task a run's corpus holds, looked for once and kept with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from corpus import files
from corpus.decontaminate import references
from corpus.errors import NotThereError
from corpus.inspect import contamination
from corpus.inspect.build import open_build
from corpus.inspect.contamination import FOUND
from trainer import records
from trainer.tasks.questions import Task
from trainer.tokens import FOLDER

HELD = "held"
"""The folder of a run with what its corpus holds of tasks, a file each."""


class Held(BaseModel):
    """What a corpus holds of a task.

    `rows` has the score of every question that it holds, from `FOUND` on, by the question's number from 0;
    `too_short` questions were not looked for.
    """

    task: str
    corpus: str
    documents: int
    contaminated: int
    questions: int
    too_short: int
    rows: dict[int, float]


def look(folder: Path, corpus: str, task: Task) -> Held:
    """Return what the corpus of the run in `folder` holds of a task; it is read only the first time.

    Raises NotThereError where the corpus has no texts any more and the answer is not kept.
    """
    asked = list(_texts(task))
    root = corpus.removesuffix(f"/{FOLDER}")
    name = f"{HELD}/{files.fingerprint(task.name, asked, FOUND)}.json"
    kept = records.read(folder, name, Held)
    try:
        stamp = _stamp(root)
    except NotThereError:
        if kept is None:
            raise
        return Held.model_validate(kept)
    if kept is not None and kept["corpus"] == stamp:
        return Held.model_validate(kept)
    found = contamination.look(root, references.of(asked))
    rows = {held.row: held.score for held in found.held}
    made = Held(
        task=task.name,
        corpus=stamp,
        documents=found.documents,
        contaminated=found.contaminated,
        questions=found.texts,
        too_short=found.too_short,
        rows=rows,
    )
    files.write_json(str(folder), name, made.model_dump(mode="json"))
    return made


def _texts(task: Task) -> Iterator[tuple[int, str, str, str]]:
    """Yield what to look for: the prompt, with the right option near by, or that option where it is alone."""
    for number, question in enumerate(task.questions):
        right = question.options[question.answer]
        text, reply = (question.prompt, right) if question.prompt else (right, "")
        yield number, task.name, text, reply


def _stamp(root: str) -> str:
    """Return a hash of the files that have the texts of a corpus."""
    build = open_build(root)
    stage = build.last("shard") or build.need_last("documents", "read its texts")
    kinds = ("shard", "documents")
    return files.fingerprint([each.sha256 for kind in kinds for each in stage.manifest.files(kind)])
