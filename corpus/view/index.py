"""The index of a build: a DuckDB file with a row for each text, made once and kept in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import xxhash

from corpus.errors import DatasetError
from corpus.inspect.texts import Texts

VERSION = 3
"""Raised when the columns of the index change."""
MEMORY = "512MB"
_ROWS = 1 << 18  # of an insertion: small units are joined


def path(texts: Texts) -> Path:
    """Return where the index of a build is kept; its name says which state of the build it was made from."""
    key = xxhash.xxh3_128()
    key.update(f"{VERSION} {duckdb.__version__} {texts.build.root}".encode())
    for stage in texts.build.stages():
        for unit in stage.manifest.units:
            for made in unit.files:
                key.update(made.sha256.encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "derlem" / "view" / f"{key.hexdigest()}.duckdb"


def open_index(
    texts: Texts, progress: Callable[[int], None] = lambda done: None
) -> duckdb.DuckDBPyConnection:
    """Return a connection whose table `texts` has a row for each text, in the order of their numbers.

    Columns: n (the number) and those of `Texts.facts`. The file is made where there is none for this state of
    the build; `progress` is told how many texts were read. Raises DatasetError where it cannot be written.
    """
    file = path(texts)
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _make(texts, file, progress)
        except (OSError, duckdb.Error) as error:
            raise DatasetError(
                f"{file}: the index of {texts.build.root} could not be written ({error}); expected a folder "
                f"with room for about 30 bytes a document: set XDG_CACHE_HOME to one"
            ) from error
    connection = _connect()
    connection.execute(f"ATTACH '{str(file).replace(chr(39), chr(39) * 2)}' AS kept (READ_ONLY)")
    connection.execute("CREATE VIEW texts AS SELECT * FROM kept.texts")
    return connection


def _connect(file: str = ":memory:") -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(file)
    # Nothing is fetched from anywhere, and no question takes more memory than this.
    connection.execute(f"SET memory_limit='{MEMORY}'; SET autoinstall_known_extensions=false")
    return connection


def _make(texts: Texts, file: Path, progress: Callable[[int], None]) -> None:
    """Write the index under another name, then give it its own: it is there whole or not at all."""
    started = file.with_suffix(f".{os.getpid()}")
    started.unlink(missing_ok=True)
    try:
        with _connect(str(started)) as connection:
            connection.execute(
                "CREATE TABLE texts (n UINTEGER, rule VARCHAR, source VARCHAR, language VARCHAR, "
                "host VARCHAR, words UINTEGER, bytes UINTEGER, score FLOAT, fetched TIMESTAMP, "
                "copies UINTEGER, register VARCHAR, page_kind VARCHAR)"
            )
            waiting: list[pa.Table] = []
            done = 0
            for table in texts.facts():
                waiting.append(table)
                if sum(each.num_rows for each in waiting) >= _ROWS:
                    done = _insert(connection, waiting, done)
                    progress(done)
            _insert(connection, waiting, done)
        os.replace(started, file)
    finally:
        started.unlink(missing_ok=True)


def _insert(connection: duckdb.DuckDBPyConnection, waiting: list[pa.Table], done: int) -> int:
    """Insert the waiting rows, numbered from `done` on, and return how many there then are."""
    if not waiting:
        return done
    table = pa.concat_tables(waiting)
    waiting.clear()
    end = done + int(table.num_rows)
    table = table.add_column(0, "n", pa.array(range(done, end), pa.uint32()))
    connection.register("facts", table)
    connection.execute("INSERT INTO texts SELECT * FROM facts")
    connection.unregister("facts")
    return end
