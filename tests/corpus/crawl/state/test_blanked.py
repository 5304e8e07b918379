"""Forgotten pages are blanked in archives, in which every other record keeps its place."""

from __future__ import annotations

import random
from pathlib import Path

import archives
import pytest

from corpus import dataset, files, forgotten
from corpus.counts import Counts
from corpus.crawl.state import layout
from corpus.crawl.state.blanked import blank, placeholder
from corpus.forgotten import Forgotten, Request, of_url
from corpus.verify import verify
from corpus.web.records import read_records
from corpus.web.section import Record

SIZES = [40, 3_000, 200_000]


def crawl(folder: Path) -> Path:
    """Write a finished round whose archive has three pages of different sizes; return the archive."""
    home = Path(layout.round_folder(str(folder), 1))
    noise = random.Random(1)
    records = [
        archives.record(archives.response(noise.randbytes(size)), WARC_Target_URI=f"https://a.example/{n}")
        for n, size in enumerate(SIZES)
    ]
    written = files.write_bytes(str(home), "warc/a.warc.gz", archives.by_record(records))
    file = dataset.File(kind="warc", path=written.path, rows=3, bytes=written.bytes, sha256=written.sha256)
    unit = dataset.Unit(name="a", fingerprint="0" * 16, inputs=(), files=(file,), counts=Counts())
    dataset.save(str(home), dataset.Manifest(stage="crawl", version=1, settings={}, units=(unit,)))
    return home / "warc" / "a.warc.gz"


def read(archive: Path) -> list[tuple[int, str, int]]:
    with archive.open("rb") as file:
        items = list(read_records(file, archive.name, keep=1 << 20))
    assert all(isinstance(item, Record) for item in items)
    return [(item.offset, item.url, item.length) for item in items if isinstance(item, Record)]


def gone(*urls: str) -> Forgotten:
    return forgotten.forgotten([Request(date="", reason="", keys=tuple(map(of_url, urls)))])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_others_stay_in_their_places(tmp_path: Path, number: int) -> None:
    archive = crawl(tmp_path)
    before, size = read(archive), archive.stat().st_size
    assert blank(str(tmp_path), gone(f"http://www.a.example/{number}")) == 1
    after = read(archive)
    assert archive.stat().st_size == size
    assert [item[0] for item in after] == [item[0] for item in before]
    assert [item for at, item in enumerate(after) if at != number] == [
        item for at, item in enumerate(before) if at != number
    ]
    assert after[number][1] == ""
    assert verify(layout.round_folder(str(tmp_path), 1)).faults == []
    assert blank(str(tmp_path), gone(f"https://a.example/{number}")) == 0


def test_killed_before_the_manifest_the_next_run_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("corpus.crawl.state.blanked._save", lambda *rest: None)
        assert blank(str(tmp_path), gone("https://a.example/1")) == 1
    assert verify(layout.round_folder(str(tmp_path), 1)).faults
    assert blank(str(tmp_path), gone("https://a.example/1")) == 0
    assert verify(layout.round_folder(str(tmp_path), 1)).faults == []


@pytest.mark.parametrize("length", [200, 1_000, 65_000, 66_000, 131_072, 300_001])
def test_a_placeholder_has_any_length(length: int) -> None:
    assert len(placeholder(length)) == length
