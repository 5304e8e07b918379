"""A build's summary pages as files that open from disk, and its documents as one Parquet table."""

from __future__ import annotations

from pathlib import Path

import duckdb

from corpus.errors import DatasetError
from corpus.view import pages, server
from corpus.view.pages import Viewer
from corpus.view.questions import Questions


def pages_to(questions: Questions, folder: Path) -> list[Path]:
    """Write the pages that ask nothing, linked with each other, and return their paths."""
    viewer = Viewer(questions, static=True)
    written = {
        "index.html": pages.funnel_page(viewer).encode(),
        "hosts.html": pages.groups_page(viewer, "host").encode(),
        "sources.html": pages.groups_page(viewer, "source").encode(),
        "languages.html": pages.groups_page(viewer, "language").encode(),
        "tokens.html": pages.tokens_page(viewer).encode(),
        "style.css": server.asset("style.css"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in written.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise DatasetError(f"{folder}: the pages cannot be written: {error.strerror}") from None
    return [folder / name for name in written]


def table_to(questions: Questions, path: Path) -> int:
    """Write what the index knows of every text as Parquet, and return how many rows there are."""
    target = str(path).replace("'", "''")
    try:
        questions.ask(
            f"COPY (SELECT * FROM texts ORDER BY n) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
    except (duckdb.Error, OSError) as error:
        raise DatasetError(f"{path}: the table cannot be written: {error}") from None
    return questions.texts.count
