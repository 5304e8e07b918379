"""Pages about single records: those that were rejected, and those that a training step reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus import dataset
from corpus.inspect.texts import Texts
from corpus.view.pages import Viewer
from corpus.view.questions import PAGE

_COLUMNS = ["file", "offset", "cause", "detail", "url"]


def rejected_page(viewer: Viewer, cause: str, start: int) -> str:
    """Return a page of the records that could not be read, of one cause ("" for all), from `start` on."""
    build = viewer.questions.texts.build
    causes: dict[str, int] = {}
    for stage in build.stages():
        for name, number in stage.manifest.counts().rejected.items():
            causes[name] = causes.get(name, 0) + number
    found: list[dict[str, Any]] = []
    seen = 0
    for batch in build.batches("rejected", _COLUMNS) if causes else ():
        rows = [row for row in batch.to_pylist() if cause in ("", row["cause"])]
        found += rows[max(0, start - seen) :]
        seen += len(rows)
        if len(found) > PAGE:
            break
    return viewer.render(
        "rejected.html",
        "rejected",
        causes=sorted(causes.items(), key=lambda item: -item[1]),
        cause=cause,
        rows=found[:PAGE],
        next=start + PAGE if len(found) > PAGE else None,
    )


def step_page(viewer: Viewer, step: int) -> str:
    """Return what a step of the training run reads, row by row, each document with a link to its page."""
    assert viewer.steps is not None
    try:
        rows, wrong = viewer.steps(step), ""
    except ValueError as error:
        rows, wrong = [], str(error)
    ids = {passage["id"] for row in rows for passage in row["passages"]}
    numbers = numbers_of(viewer.questions.texts, ids)
    return viewer.render("steps.html", "steps", step=step, rows=rows, numbers=numbers, wrong=wrong)


def numbers_of(texts: Texts, ids: set[str]) -> dict[str, int]:
    """Return the numbers of kept texts by their ids; reads the ids of all."""
    found: dict[str, int] = {}
    for home in texts.files:
        documents, measured = home.of_unit("documents"), home.of_unit("measured")
        if documents is None or measured is None or not ids:
            continue
        held = dataset.table(texts.filter.folder, documents.path, ["id"])["id"].to_pylist()
        inside = [row for row, id in enumerate(held) if id in ids]
        if inside:
            rules = dataset.table(texts.filter.folder, measured.path, ["rule"])["rule"]
            kept = np.flatnonzero(np.array(rules.to_pylist(), dtype=object) == "")
            found |= {held[row]: home.first + int(kept[row]) for row in inside}
    return found
