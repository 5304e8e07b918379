"""Whole files: fetched to the disk, gone on with where a fetch was cut, begun anew where the file changed."""

from __future__ import annotations

import gzip
from pathlib import Path

import cc_crawl
import cc_server
import pytest

from corpus import files
from corpus.commoncrawl import downloads
from corpus.commoncrawl.config import Access
from corpus.commoncrawl.store import Store, opened
from corpus.errors import ConfigError, ServerError


def beat(share: float) -> None:
    assert 0 <= share <= 1


@pytest.fixture
def path(server: cc_server.Server) -> str:
    """Return the path of an archive."""
    return str(min(server.root.glob("crawl-data/**/warc/*.gz")).relative_to(server.root))


def cut(store: Store, path: str, part: downloads.Part, size: int) -> None:
    """Leave what a killed fetch leaves: the first bytes, and the note of what they belong to."""
    with store.open(path, 0, "") as body:
        part.begin(body.version, body.total)
        data = b"".join(body.pieces)
    part.path.write_bytes(data[:size])


@pytest.mark.parametrize("faults", [[], ["short"], ["reset", "503", "short", "403"], ["short"] * 10])
def test_a_file_comes_whole_whatever_happens_on_the_way(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path, faults: list[str]
) -> None:
    server.faults["warc"] = faults[:]
    part = downloads.Part(tmp_path / "x.part")
    with opened(access, access.base) as store:
        downloads.fetch(store, path, part, beat)
        records, sha256 = downloads.checked(store, path, part)
    assert part.path.read_bytes() == (server.root / path).read_bytes()
    assert records == 1 + 3 * 150
    assert sha256 == files.sha256(str(server.root / path))
    starts = [
        int((request.range or "bytes=0-")[6:-1]) for request in server.asked("warc") if request.status == 206
    ]
    assert starts == sorted(set(starts))  # nothing that had come was asked for again


@pytest.mark.parametrize("base", ["http", "folder"])
def test_a_fetch_that_was_cut_is_gone_on_with(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path, base: str
) -> None:
    part = downloads.Part(tmp_path / "x.part")
    with opened(access, server.url if base == "http" else str(server.root)) as store:
        cut(store, path, part, 1000)
        server.log.clear()
        downloads.fetch(store, path, part, beat)
        assert part.path.read_bytes() == (server.root / path).read_bytes()
        assert base == "folder" or [request.range for request in server.log] == ["bytes=1000-"]
        downloads.fetch(store, path, part, beat)
    assert len(server.log) == (1 if base == "http" else 0)  # what is there is not asked for


def test_a_file_that_has_changed_meanwhile_is_begun_anew(access: Access, tmp_path: Path) -> None:
    root, part = tmp_path / "root", downloads.Part(tmp_path / "x.part")
    root.mkdir()
    (root / "a.warc.gz").write_bytes(gzip.compress(b"old" * 1000))
    with cc_server.serve(root) as server, opened(access, server.url) as store:
        cut(store, "a.warc.gz", part, 20)
        (root / "a.warc.gz").write_bytes(gzip.compress(b"new, and longer" * 1000))
        downloads.fetch(store, "a.warc.gz", part, beat)
        assert part.path.read_bytes() == (root / "a.warc.gz").read_bytes()
        assert [(request.range, request.status) for request in server.log[1:]] == [("bytes=20-", 200)]


def test_a_stream_that_ends_too_early_without_saying_so_is_gone_on_with(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = downloads.Part(tmp_path / "x.part")
    with opened(access, str(server.root)) as store:
        read = store.range
        lengths = iter([700])
        monkeypatch.setattr(store, "range", lambda path, at, size: read(path, at, next(lengths, size)))
        downloads.fetch(store, path, part, beat)
    assert part.path.read_bytes() == (server.root / path).read_bytes()


@pytest.mark.parametrize("damage", ["no note", "longer"])
def test_bytes_of_unknown_origin_are_not_gone_on_with(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path, damage: str
) -> None:
    part = downloads.Part(tmp_path / "x.part")
    with opened(access, access.base) as store:
        if damage == "longer":
            cut(store, path, part, 10)
        part.path.write_bytes(b"x" * (1 << 20))
        downloads.fetch(store, path, part, beat)
    assert part.path.read_bytes() == (server.root / path).read_bytes()


def test_a_file_that_comes_damaged_is_removed_and_said(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path
) -> None:
    server.faults["warc"] = ["flipped"]
    part = downloads.Part(tmp_path / "x.part")
    with opened(access, access.base) as store:
        downloads.fetch(store, path, part, beat)
        with pytest.raises(ServerError, match=r"arrived completely, but is damaged \(bad-gzip-member"):
            downloads.checked(store, path, part)
        assert list(tmp_path.iterdir()) == []
        downloads.fetch(store, path, part, beat)
        assert downloads.checked(store, path, part)[0] == 451


def test_a_server_that_stays_overloaded_is_left_alone(
    server: cc_server.Server, access: Access, path: str, tmp_path: Path
) -> None:
    server.always = "503"
    with opened(access, access.base) as store, pytest.raises(ServerError, match="tried 4 times"):
        downloads.fetch(store, path, downloads.Part(tmp_path / "x.part"), beat)
    assert len(server.log) == 4


@pytest.mark.parametrize("place", ["http", "file", "name"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_list_is_read_from_a_url_or_a_file(
    server: cc_server.Server,
    access: Access,
    tmp_path: Path,
    place: str,
    packed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = f"{server.url}/crawl-data/{cc_crawl.CRAWL}/warc.paths.gz"
    if place != "http":
        data = (server.root / f"crawl-data/{cc_crawl.CRAWL}/warc.paths.gz").read_bytes()
        (tmp_path / "list").write_bytes(data if packed else gzip.decompress(data))
        monkeypatch.chdir(tmp_path)
        where = str(tmp_path / "list") if place == "file" else "list"
    archives = downloads.listed(access, where)
    assert len(archives) == 4
    assert archives[0].kind == "warc"
    assert archives[0].name == "CC-MAIN-20240517233122-20240518023122-00000"
    assert downloads.crawl_of(archives) == cc_crawl.CRAWL


def test_the_kind_of_a_file_is_told_by_its_name() -> None:
    assert downloads._archive("list", "crawl-data/C/segments/1.2/wet/x.warc.wet.gz").kind == "wet"
    assert downloads._archive("list", "crawl-data/C/segments/1.2/warc/x.warc.gz").kind == "warc"


@pytest.mark.parametrize(
    "line",
    [
        "x.warc.wat.gz",
        "../../x.warc.gz",
        "a/../x.warc.gz",
        "https://example.com/x.warc.gz",
        "/x.warc.gz",
        "x.gz",
    ],
)
def test_a_line_that_is_no_such_path_is_named(access: Access, tmp_path: Path, line: str) -> None:
    (tmp_path / "list").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="expected the path of a WARC or WET file"):
        downloads.listed(access, str(tmp_path / "list"))


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "found an empty file"), (b"\x1f\x8b\x08xx", "expected a list of paths")]
)
def test_a_list_that_is_none_is_named(access: Access, tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(ConfigError, match=said):
        downloads.listed(access, str(tmp_path / "list"))
    with pytest.raises(ConfigError, match="not found"):
        downloads.listed(access, str(tmp_path / "other"))


def test_paths_of_several_crawls_are_refused() -> None:
    lines = ["crawl-data/A/x.warc.gz", "crawl-data/B/x.warc.gz"]
    with pytest.raises(ConfigError, match="they name: A, B"):
        downloads.crawl_of([downloads._archive("list", line) for line in lines])
    with pytest.raises(ConfigError, match="they name: none"):
        downloads.crawl_of([downloads._archive("list", "x.warc.gz")])
