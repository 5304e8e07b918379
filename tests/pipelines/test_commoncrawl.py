"""The stage that fetches from Common Crawl: every record verbatim and once, whatever happens on the way."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cc_crawl
import cc_server
import fsspec
import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from corpus import dataset, forgotten
from corpus.commoncrawl.config import Access, CommonCrawl, Pieces, Selection
from corpus.errors import ConfigError, StageError
from corpus.teller import SILENT
from corpus.verify import find_faults
from pipelines import commoncrawl, stage
from pipelines.options import Runner

QUIET = SILENT


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a crawl of 200 pages: 3 archives, 2 index files of 4 row groups each."""
    root = tmp_path_factory.mktemp("commoncrawl")
    cc_crawl.write(root, cc_crawl.pages(200), warcs=3, indexes=2, group=25)
    return root


@pytest.fixture
def server(crawled: Path) -> Iterator[cc_server.Server]:
    with cc_server.serve(crawled) as running:
        yield running


def config(
    base: str, unit_mb: float = 0.02, gap_kb: float = 4.0, tries: int = 5, **selection: Any
) -> CommonCrawl:
    """Return settings for small units, without waiting."""
    access = Access(
        base=base,
        index_base=base,
        requests_per_s=1_000.0,
        backoff_s=0.01,
        max_backoff_s=0.05,
        tries=tries,
        idle_s=5.0,
    )
    chosen = Selection.model_validate({"crawl": cc_crawl.CRAWL, "limit": 0, **selection})
    return CommonCrawl(access=access, selection=chosen, pieces=Pieces(unit_mb=unit_mb, gap_kb=gap_kb))


def run(given: CommonCrawl, folder: Path | str, paths: str = "", workers: int = 1) -> dataset.Manifest:
    made = commoncrawl.run(given, str(folder), paths, Runner(workers=workers), QUIET)
    return dataset.load(made.folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files that a run made, without the records and the report, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and stage.UNITS not in path.parts and path.name != dataset.REPORT
    }


def archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("commoncrawl/*/warc/*.warc.gz"))


def members(data: bytes) -> list[bytes]:
    """Cut a gzip file into its members."""
    iterator = ArchiveIterator(io.BytesIO(data))
    places = [(iterator.get_record_offset(), iterator.get_record_length()) for _ in iterator]
    return [data[start : start + length] for start, length in places]


def wanted(root: Path) -> dict[str, bytes]:
    """Return the records that the default selection takes, by URL, as they lie in the crawl's archives."""
    lines = json.loads((root / "cdx.json").read_text())
    fitting = [line for line in lines if line.get("languages", "").split(",")[0] == "tur"]
    cut = {}
    for line in fitting:
        start = int(line["offset"])
        cut[line["url"]] = (root / line["filename"]).read_bytes()[start : start + int(line["length"])]
    return cut


def check(path: Path) -> None:
    """Check an archive as `warcio check` does."""
    checker = Checker(type("Options", (), {"verbose": False, "inputs": [str(path)]}))
    checker.process_all()
    assert checker.exit_value == 0, path


def test_every_wanted_record_is_copied_verbatim_and_once(server: cc_server.Server, tmp_path: Path) -> None:
    manifest = run(config(server.url), tmp_path)
    expected = wanted(server.root)
    assert len(manifest.units) > 3
    copied: list[bytes] = []
    for path in archives(tmp_path):
        check(path)
        first, *records = members(path.read_bytes())
        assert gzip.decompress(first).startswith(b"WARC/1.0\r\nWARC-Type: warcinfo\r\n")
        copied += records
    assert Counter(copied) == Counter(expected.values())
    assert manifest.counts().seen == manifest.counts().kept == len(expected)
    assert find_faults(str(tmp_path / "commoncrawl" / cc_crawl.CRAWL)) == []


def test_a_forgotten_page_is_not_fetched(server: cc_server.Server, tmp_path: Path) -> None:
    expected = wanted(server.root)
    url = sorted(expected)[0]
    request = forgotten.Request(date="2026-11-30", reason="", keys=(forgotten.of_url(url),))
    forgotten.save(str(tmp_path), forgotten.Listed(requests=(request,)))
    manifest = run(config(server.url), tmp_path)
    copied = [record for path in archives(tmp_path) for record in members(path.read_bytes())[1:]]
    assert Counter(copied) == Counter(record for each, record in expected.items() if each != url)
    assert manifest.counts().skipped == {"forgotten": 1}


def test_what_is_written_reads_the_same_in_both_readers(server: cc_server.Server, tmp_path: Path) -> None:
    manifest = run(config(server.url), tmp_path)
    seen = 0
    for path in archives(tmp_path):
        fast = [
            (record.headers["WARC-Record-ID"], record.reader.read())
            for record in FastIterator(path.open("rb"), parse_http=False)
        ]
        slow = [
            (record.rec_headers["WARC-Record-ID"], record.raw_stream.read())
            for record in ArchiveIterator(path.open("rb"), no_record_parse=True)
        ]
        assert fast == slow
        seen += len(fast)
    assert seen == sum(file.rows for file in manifest.files("warc"))


def test_neighbours_are_read_at_once(server: cc_server.Server, tmp_path: Path) -> None:
    run(config(server.url, gap_kb=0.0), tmp_path / "apart")
    apart = len(server.asked("/segments/"))
    server.log.clear()
    run(config(server.url, gap_kb=64.0), tmp_path / "joined")
    assert apart == len(wanted(server.root))
    assert len(server.asked("/segments/")) < apart / 3
    assert [path.read_bytes() for path in archives(tmp_path / "joined")] == [
        path.read_bytes() for path in archives(tmp_path / "apart")
    ]


def test_failures_that_pass_change_nothing(server: cc_server.Server, tmp_path: Path) -> None:
    run(config(server.url), tmp_path / "calm")
    draw = random.Random(1)
    faults = ["403", "429", "500", "503", "503 0", "reset", "short", "whole", "wrong-range", ""]
    server.faults["/segments/"] = draw.choices(faults, k=60)
    server.faults[".parquet"] = draw.choices(faults, k=20)
    server.faults["*"] = ["503", "reset"]
    run(config(server.url, tries=80), tmp_path / "stormy")
    assert server.faults["*"] == server.faults["/segments/"] == []
    calm, stormy = contents(tmp_path / "calm"), contents(tmp_path / "stormy")
    name = f"commoncrawl/plans/{cc_crawl.CRAWL}.json"  # says how much was read
    assert {**calm, name: b""} == {**stormy, name: b""}


def test_a_server_that_stays_overloaded_stops_it_and_the_next_run_goes_on(
    server: cc_server.Server, tmp_path: Path
) -> None:
    given = config(server.url)
    run(given, tmp_path / "whole")
    order = [request.path for request in server.asked("/segments/")]
    server.log.clear()
    server.faults["00002.warc.gz"] = ["503"] * 1000
    with pytest.raises(
        StageError, match=r"commoncrawl stopped at CC-MAIN-2024-22, captures .*SlowDown"
    ) as caught:
        run(given, tmp_path / "halves")
    assert "Fix the cause, then run the same command again" in str(caught.value)
    assert len(server.asked("00002.warc.gz")) < 5 * 10  # nobody hammers
    fetched = {(r.path, r.range) for r in server.asked("/segments/") if r.status == 206}
    server.faults.clear()
    server.log.clear()
    run(given, tmp_path / "halves")
    assert contents(tmp_path / "halves") == contents(tmp_path / "whole")
    assert server.asked(".parquet") == server.asked("paths.gz") == []
    assert 0 < len(fetched) < len(order)


def test_a_refusal_stops_it_at_once_though_others_wait_for_better_times(
    server: cc_server.Server, tmp_path: Path
) -> None:
    given = config(server.url, unit_mb=64.0, gap_kb=0.0)
    commoncrawl.plan(given, str(tmp_path / "commoncrawl"))
    slow = given.access.model_copy(update={"backoff_s": 60.0, "max_backoff_s": 60.0})
    server.latency_s = 0.05  # so that four requests are under way before the first is answered
    server.faults["/segments/"] = ["503", "503", "503", "401"]
    with pytest.raises(StageError, match="the server answers 401"):
        run(given.model_copy(update={"access": slow}), tmp_path)
    assert len(server.asked("/segments/")) == 4  # whoever had waited would have asked again


def test_the_same_bytes_come_of_two_workers(server: cc_server.Server, tmp_path: Path) -> None:
    run(config(server.url), tmp_path / "one")
    run(config(server.url), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_a_copy_anywhere_serves_as_base(server: cc_server.Server, tmp_path: Path, place: str) -> None:
    run(config(server.url), tmp_path / "http")
    base = str(server.root)
    if place == "memory":
        base = f"memory://{uuid.uuid4().hex}"
        fsspec.filesystem("memory").put(str(server.root), base.removeprefix("memory:/"), recursive=True)
    run(config(base), tmp_path / "copy")
    assert archives(tmp_path / "copy")
    assert [path.read_bytes() for path in archives(tmp_path / "copy")] == [
        path.read_bytes() for path in archives(tmp_path / "http")
    ]


def test_the_output_may_be_any_file_system(server: cc_server.Server, tmp_path: Path) -> None:
    manifest = run(config(server.url), f"memory://{tmp_path.name}")
    assert manifest.counts().kept == len(wanted(server.root))
    assert find_faults(f"memory://{tmp_path.name}/commoncrawl/{cc_crawl.CRAWL}") == []


@pytest.fixture
def damaged(crawled: Path, tmp_path: Path) -> Path:
    """Return a copy of the crawl in which a record is damaged, one is another's and a file is cut."""
    root = tmp_path / "damaged"
    shutil.copytree(crawled, root)
    lines = [
        line for line in json.loads((root / "cdx.json").read_text()) if line.get("languages", "")[:3] == "tur"
    ]
    lines.sort(key=lambda line: (line["filename"], int(line["offset"])))
    first, second = lines[0], lines[1]
    path = root / first["filename"]
    data = bytearray(path.read_bytes())
    data[int(first["offset"]) + 40] ^= 0xFF
    start, length = int(second["offset"]), int(second["length"])
    data[start : start + length] = b"\0" * length
    path.write_bytes(data)
    last = root / lines[-1]["filename"]
    last.write_bytes(last.read_bytes()[: int(lines[-1]["offset"]) + 10])
    return root


def test_records_that_are_not_as_the_index_says_are_rejected_with_their_cause(
    damaged: Path, tmp_path: Path
) -> None:
    with cc_server.serve(damaged) as server:
        manifest = run(config(server.url), tmp_path / "out")
    folder = str(tmp_path / "out" / "commoncrawl" / cc_crawl.CRAWL)
    counts = manifest.counts()
    assert counts.rejected == {"bad-gzip-member": 2, "truncated": 1}
    assert counts.seen == counts.kept + 3 == len(wanted(damaged))
    rows = [
        row for file in manifest.files("rejected") for row in dataset.table(folder, file.path).to_pylist()
    ]
    assert sorted(row["cause"] for row in rows) == ["bad-gzip-member", "bad-gzip-member", "truncated"]
    for row in rows:
        assert (damaged / row["file"]).is_file()
        assert row["url"].startswith("https://")
        assert row["source"] == cc_crawl.CRAWL
    assert find_faults(folder) == []
    for path in archives(tmp_path / "out"):
        check(path)


def test_an_archive_that_is_not_there_rejects_its_captures(crawled: Path, tmp_path: Path) -> None:
    shutil.copytree(crawled, tmp_path / "root")
    (gone,) = (tmp_path / "root").glob("crawl-data/**/*-00001.warc.gz")
    gone.unlink()
    with cc_server.serve(tmp_path / "root") as server:
        counts = run(config(server.url, unit_mb=0.02), tmp_path / "out").counts()
        assert len(server.asked("00001.warc.gz")) < 20
    assert counts.rejected["missing"] > 20
    assert counts.seen == counts.kept + counts.rejected["missing"]


def test_a_base_that_is_not_that_of_the_index_is_found_out(crawled: Path, tmp_path: Path) -> None:
    shutil.copytree(crawled, tmp_path / "root")
    for path in (tmp_path / "root").glob("crawl-data/**/warc/*.gz"):
        path.unlink()
    with cc_server.serve(tmp_path / "root") as server:
        given = config(server.url, unit_mb=64.0, languages=())
        with pytest.raises(
            StageError,
            match=r"200 of 200 records .* most for 'missing': check that access.base is the base of",
        ):
            run(given, tmp_path / "out")


def test_another_selection_into_the_same_folder_is_refused(server: cc_server.Server, tmp_path: Path) -> None:
    run(config(server.url, limit=10), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="has another selection"):
        run(config(server.url, limit=20), tmp_path)
    assert contents(tmp_path) == before


def whole_list(root: Path, folder: Path, kinds: list[str]) -> str:
    """Write a list of the crawl's whole files; its WET files are made of the WARC files' bytes."""
    paths = sorted(str(path.relative_to(root)) for path in root.glob("crawl-data/**/warc/*.warc.gz"))
    lines = paths * ("warc" in kinds)
    for path in paths * ("wet" in kinds):
        wet = path.replace("/warc/", "/wet/").replace(".warc.gz", ".warc.wet.gz")
        (root / wet).parent.mkdir(exist_ok=True)
        (root / wet).write_bytes((root / path).read_bytes())
        lines.append(wet)
    (folder / "some.paths").write_text("\n".join(lines))
    return str(folder / "some.paths")


def test_whole_files_are_fetched_and_counted(crawled: Path, tmp_path: Path) -> None:
    shutil.copytree(crawled, tmp_path / "root")
    listed = whole_list(tmp_path / "root", tmp_path, ["warc", "wet"])
    with cc_server.serve(tmp_path / "root") as server:
        server.faults["/segments/"] = ["short", "503"]
        server.faults["/wet/"] = ["reset", "short", "short"]
        manifest = run(config(server.url), tmp_path / "out", listed)
        asked = len(server.log)
        run(config(server.url), tmp_path / "out", listed)
        assert len(server.log) == asked
    folder = tmp_path / "out" / "commoncrawl" / f"{cc_crawl.CRAWL}-files"
    assert find_faults(str(folder)) == []
    assert [len(manifest.files(kind)) for kind in ("warc", "wet")] == [3, 3]
    sources = {path.read_bytes() for path in crawled.glob("crawl-data/**/warc/*.gz")}
    assert {path.read_bytes() for path in folder.glob("*/*.gz")} == sources
    assert manifest.counts().kept == 2 * (3 + 3 * 200)
    assert list((folder / stage.UNITS).glob("*.part*")) == []
    assert all(
        re.fullmatch(r"CC-MAIN-[\w-]+-[0-9a-f]{16}-00000\.warc(\.wet)?\.gz", p.name)
        for p in folder.glob("w*/*")
    )


def test_a_limit_draws_whole_files(server: cc_server.Server, tmp_path: Path) -> None:
    listed = f"{server.url}/crawl-data/{cc_crawl.CRAWL}/warc.paths.gz"
    manifest = run(config(server.url, limit=2), tmp_path / "a", listed)
    other = run(config(server.url, limit=2, seed=3), tmp_path / "b", listed)
    assert len(manifest.units) == len(other.units) == 2
    assert manifest != other


def test_what_was_fetched_is_not_given_up_for_another_list_or_other_pieces(
    server: cc_server.Server, tmp_path: Path
) -> None:
    listed = f"{server.url}/crawl-data/{cc_crawl.CRAWL}/warc.paths.gz"
    run(config(server.url), tmp_path, listed)
    run(config(server.url), tmp_path)
    before = contents(tmp_path)
    (tmp_path / "one").write_text(
        gzip.decompress((server.root / listed[len(server.url) + 1 :]).read_bytes()).decode().split()[0]
    )
    with pytest.raises(ConfigError, match="has 2 finished units that are not part of this run"):
        run(config(server.url), tmp_path, str(tmp_path / "one"))
    with pytest.raises(ConfigError, match="finished units that are not part of this run"):
        run(config(server.url, unit_mb=0.1), tmp_path)
    (tmp_path / "one").unlink()
    assert contents(tmp_path) == before


def test_whole_files_may_go_to_any_file_system(server: cc_server.Server, tmp_path: Path) -> None:
    listed = f"{server.url}/crawl-data/{cc_crawl.CRAWL}/warc.paths.gz"
    run(config(server.url), f"memory://{tmp_path.name}", listed)
    assert find_faults(f"memory://{tmp_path.name}/commoncrawl/{cc_crawl.CRAWL}-files") == []


def test_the_cdx_api_gives_the_same_pages(server: cc_server.Server, tmp_path: Path) -> None:
    run(config(server.url, tlds=("tr",)), tmp_path / "columnar")
    run(config(server.url, tlds=("tr",), via="cdx"), tmp_path / "cdx")
    assert [path.read_bytes() for path in archives(tmp_path / "cdx")] == [
        path.read_bytes() for path in archives(tmp_path / "columnar")
    ]
