"""One catalogue says what a crawl's folder holds, to those who check it and to those who read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus import dataset, files
from corpus.crawl.state import catalogue, layout
from corpus.crawl.state.catalogue import Source


def finished(home: str, kind: str, name: str, content: bytes = b"x" * 9) -> None:
    """Write a stage of one unit with one file."""
    files.write_bytes(home, f"{kind}/{name}", content)
    digest = files.sha256(files.join(home, f"{kind}/{name}"))
    file = dataset.File(kind=kind, path=f"{kind}/{name}", rows=1, bytes=len(content), sha256=digest)
    unit = dataset.Unit(name="u", fingerprint="f" * 16, inputs=(), files=(file,), counts=dataset.Counts())
    dataset.save(home, dataset.Manifest(stage="crawl", version=1, settings={}, units=(unit,)))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a folder into which all three kinds of fetches went."""
    home = str(tmp_path / "crawl")
    files.write_json(home, layout.START, {})
    finished(layout.round_folder(home, 1), "warc", "a.warc.gz")
    finished(layout.round_folder(home, 2), "warc", "b.warc.gz")
    finished(f"{home}/commoncrawl/CC-1", "warc", "c.warc.gz")
    finished(f"{home}/commoncrawl/CC-1-files", "wet", "d.warc.wet.gz")
    files.write_json(f"{home}/commoncrawl/plans", "CC-1.json", {})
    return home


def test_all_that_was_fetched_is_checked(folder: str) -> None:
    assert catalogue.stages(folder) == [
        *(f"{folder}/rounds/0001", f"{folder}/rounds/0002"),
        *(f"{folder}/commoncrawl/CC-1", f"{folder}/commoncrawl/CC-1-files"),
    ]


def test_all_that_was_fetched_can_be_a_source_by_its_format(folder: str, tmp_path: Path) -> None:
    found = catalogue.sources(folder, tmp_path)
    assert found == [
        Source(
            "warc",
            (f"{folder}/rounds/*/warc/*.warc.gz", f"{folder}/commoncrawl/CC-1/warc/*.warc.gz"),
        ),
        Source("wet", (f"{folder}/commoncrawl/CC-1-files/wet/*.warc.wet.gz",)),
    ]
    matched = {
        Path(path).name
        for source in found
        for glob in source.paths
        for path in files.filesystem(glob)[0].glob(glob)
    }
    assert matched == {"a.warc.gz", "b.warc.gz", "c.warc.gz", "d.warc.wet.gz"}


def test_paths_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json("crawl", layout.START, {})
    assert catalogue.sources("crawl", Path("sub")) == [Source("warc", ("../crawl/rounds/*/warc/*.warc.gz",))]


def test_what_is_no_crawl_has_nothing(tmp_path: Path) -> None:
    assert catalogue.sources(str(tmp_path / "absent"), tmp_path) == []
    assert catalogue.sources(str(tmp_path), tmp_path) == []
    assert catalogue.stages(str(tmp_path)) == []


def test_on_another_file_system_too(tmp_path: Path) -> None:
    home = f"memory://{tmp_path.name}"
    finished(f"{home}/commoncrawl/CC-1-files", "wet", "d.warc.wet.gz")
    assert catalogue.stages(home) == [f"{home}/commoncrawl/CC-1-files"]
    assert catalogue.sources(home, tmp_path) == [
        Source("wet", (f"{home}/commoncrawl/CC-1-files/wet/*.warc.wet.gz",))
    ]


@pytest.mark.parametrize("content", [None, b"", b"x" * 8, b"x" * 10])
def test_a_round_is_finished_while_its_files_are_there_in_their_sizes(
    folder: str, content: bytes | None
) -> None:
    assert (layout.rounds(folder), layout.finished_rounds(folder), layout.gap(folder, 1)) == (2, 2, "")
    path = Path(layout.round_folder(folder, 1)) / "warc" / "a.warc.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert (layout.rounds(folder), layout.finished_rounds(folder)) == (2, 0)
    assert layout.finished_rounds(folder, 1) == 2
    assert layout.gap(folder, 1).startswith(str(path))
    assert ("is gone" in layout.gap(folder, 1)) == (content is None)
