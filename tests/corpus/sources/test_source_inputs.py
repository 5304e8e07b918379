"""How a source's patterns become files, any file system's files open, and moments are read."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import Source
from corpus.errors import ConfigError
from corpus.items import RawDocument
from corpus.sources import read
from corpus.sources.inputs import expand, moment


def source(*paths: str, kind: str = "text") -> Source:
    return Source(name="haber", format=kind, paths=paths)  # type: ignore[arg-type]


def test_patterns_keep_their_order_and_each_ones_matches_are_sorted_without_repeats(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "z[1].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = expand(source("z[1].txt", "*.txt", "**/*.txt", "a.txt"), str(tmp_path))
    assert [Path(path).relative_to(tmp_path).as_posix() for path in found] == [
        "z[1].txt",
        "a.txt",
        "b.txt",
        "deep/c.txt",
    ]


def test_absolute_paths_need_no_base(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert expand(source(str(tmp_path / "a.txt")), "/nowhere") == [str(tmp_path / "a.txt")]


@pytest.mark.parametrize("pattern", ["absent.txt", "*.warc.gz", "folder", "memory://nothing/*.txt"])
def test_a_pattern_without_a_file_names_source_pattern_and_base(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        expand(source(pattern), str(tmp_path))
    for part in ("haber", pattern, str(tmp_path)):
        assert part in str(caught.value)


@pytest.mark.parametrize("folder", ["kap [v1]", "a*b", "what?", "[x]"])
def test_a_relative_glob_is_looked_for_in_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    base = tmp_path / folder
    (base / "deep").mkdir(parents=True)
    (base / "a.txt").write_text("x")
    (base / "deep" / "b.txt").write_text("x")
    assert expand(source("*.txt"), str(base)) == [str(base / "a.txt")]
    assert expand(source("**/*.txt"), str(base)) == [str(base / "a.txt"), str(base / "deep" / "b.txt")]


def test_a_pattern_that_matches_what_is_no_file_says_what(tmp_path: Path) -> None:
    (tmp_path / "one.gz").symlink_to("nowhere")
    (tmp_path / "two.gz").mkdir()
    os.mkfifo(tmp_path / "three.gz")
    for pattern, what in {
        "*.gz": "1 dangling link and 1 folder and 1 pipe and no file",
        "one.gz": "1 dangling link and no file",
        "two.gz": "1 folder and no file",
        "three.gz": "1 pipe and no file",
    }.items():
        with pytest.raises(ConfigError, match=f"matches {what}"):
            expand(source(pattern), str(tmp_path))
    (tmp_path / "four.gz").write_bytes(b"")
    assert expand(source("*.gz"), str(tmp_path)) == [str(tmp_path / "four.gz")]


def test_urls_are_expanded_and_read_by_their_file_system(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    table = pa.table({"text": ["tablo"]})
    with system.open("/sources/b.txt", "wb") as file:
        file.write(b"iki")
    with system.open("/sources/a.txt", "wb") as file:
        file.write(b"bir")
    with system.open("/sources/t.parquet", "wb") as file:
        pq.write_table(table, file)
    with system.open("/sources/t.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    texts = source("memory://sources/*.txt")
    found = expand(texts, str(tmp_path))
    contents = [item.content for path in found for item in read(texts, path) if isinstance(item, RawDocument)]
    assert contents == [b"bir", b"iki"]
    for kind in ("parquet", "arrow"):
        [item] = read(source("x", kind=kind), f"memory://sources/t.{kind}")
        assert item == RawDocument("tablo", "text", "", 0)


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01t12:00:00z",
        " 2024-05-01 12:00:00 ",
        "2024-05-01T15:00:00.000000000+03:00",
        "20240501120000",
        "1714564800",
        1714564800,
        1714564800.0,
        1714564800000,
        1714564800000000,
        1714564800000000000,
        datetime(2024, 5, 1, 12),
        datetime(2024, 5, 1, 15, tzinfo=timezone(timedelta(hours=3))),
    ],
)
def test_a_moment_is_aware_utc_however_it_is_written(value: object) -> None:
    found = moment(value)
    assert found == NOON
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("year", [1974, 2000, 2040])
def test_an_epoch_is_read_in_the_unit_that_gives_our_time(year: int, factor: int) -> None:
    day = datetime(year, 1, 1, tzinfo=UTC)
    assert moment(int(day.timestamp()) * factor) == day


def test_a_day_is_its_midnight() -> None:
    assert moment(date(2024, 5, 1)) == moment("2024-05-01") == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, "", "dün", "04/21/2022", "blue monday", True, [], float("nan"), float("inf"), 10**400]
)
def test_what_is_no_moment_is_none(value: object) -> None:
    assert moment(value) is None


@given(st.none() | st.text(max_size=20) | st.floats() | st.integers() | st.datetimes() | st.dates())
def test_no_value_makes_moment_raise(value: object) -> None:
    found = moment(value)
    assert found is None or found.tzinfo is UTC


def test_naming_the_reader_imports_no_decoder() -> None:
    code = (
        "import sys, corpus.sources; print({'pyarrow', 'zstandard', 'brotli', 'fsspec'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "url", ["zip://a.jsonl", "zip://a.jsonl::file://{here}/no.zip", "zip://*::file://{here}"]
)
def test_a_store_that_cannot_be_listed_is_named(url: str, tmp_path: Path) -> None:
    place = url.format(here=tmp_path)
    with pytest.raises(ConfigError, match=r"source 'haber': paths entry 'zip://.* cannot be listed"):
        expand(source(place), str(tmp_path))
