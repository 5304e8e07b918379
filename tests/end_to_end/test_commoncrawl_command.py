"""derlem commoncrawl: killed in the middle it goes on, a build takes its pages, errors are one message."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cc_crawl
import cc_server
import pytest
from support import DERLEM, ROOT, command

from corpus import dataset
from corpus.config import load

FETCHED = f"commoncrawl/{cc_crawl.CRAWL}"


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a crawl of 200 pages."""
    root = tmp_path_factory.mktemp("commoncrawl")
    cc_crawl.write(root, cc_crawl.pages(200), warcs=3, indexes=2, group=25)
    return root


@pytest.fixture
def server(crawled: Path) -> Iterator[cc_server.Server]:
    with cc_server.serve(crawled) as running:
        yield running


def options(server: cc_server.Server, folder: Path, *more: str) -> list[str]:
    """Return the options of the default selection, all of it, in small units and without waiting."""
    keys = ["access.requests_per_s=1000", "access.backoff_s=0.01", "pieces.unit_mb=0.02", "pieces.gap_kb=0"]
    given = ["--base", server.url, "--index-base", server.url, "-o", str(folder), "--limit", "0"]
    return ["commoncrawl", *given, *(part for key in keys for part in ("--set", key)), *more]


def said_by(line: list[str]) -> tuple[int, str]:
    """Run a command; return its status and what it says, in lines that do not break."""
    done = command(*line, check=False, columns=1000)
    return done.returncode, done.stderr


def killed(line: list[str], until: Callable[[], bool]) -> None:
    """Run a command and kill it, workers and all, as soon as something is true."""
    running = subprocess.Popen([*DERLEM, *line], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not until() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running.poll() is None, "it ended before it could be killed"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def quiet(server: cc_server.Server) -> None:
    """Wait until nobody asks any more: a worker outlives its killed driver by half a second."""
    seen = -1
    while seen != len(server.log):
        seen = len(server.log)
        time.sleep(1.0)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files that a run made, without the records and the report, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "units" and path.name != dataset.REPORT
    }


def records(folder: Path) -> list[Path]:
    """Return the records of the units that are finished."""
    return list(folder.glob(f"{FETCHED}/units/{'[0-9a-f]' * 16}.json"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_fetch_goes_on_and_asks_for_nothing_that_it_has(
    server: cc_server.Server, tmp_path: Path, workers: str
) -> None:
    folder, home = tmp_path / "killed", tmp_path / "killed" / FETCHED
    line = options(server, folder, "--workers", workers)
    slowly = [*line, "--set", "access.requests_per_s=100"]
    killed(slowly, lambda: len(records(folder)) >= 2)
    quiet(server)
    before = Counter(request.range for request in server.asked("/segments/"))
    kept = {
        file["path"]: (home / file["path"]).stat().st_mtime_ns
        for record in records(folder)
        for file in json.loads(record.read_text())["unit"]["files"]
    }
    server.log.clear()
    assert "as planned" in command(*line).stderr
    after = Counter(request.range for request in server.asked("/segments/"))
    assert server.asked(".parquet") == server.asked("collinfo") == server.asked("paths.gz") == []
    assert {path: (home / path).stat().st_mtime_ns for path in kept} == kept
    units = dataset.load(str(home)).units
    done = [unit for unit in units if {file.path for file in unit.files} <= set(kept)]
    # Not one request is of a finished unit: every capture is read by itself here.
    assert sum(after.values()) == sum(unit.counts.seen for unit in units if unit not in done)
    # What was asked for twice is of the units that were at work when it was killed.
    largest = max(unit.counts.seen for unit in units)
    assert sum((before & after).values()) <= int(workers) * largest
    said_by(options(server, tmp_path / "whole"))
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_killed_fetch_of_whole_files_goes_on_within_a_file(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "out"
    made, draw = cc_crawl.pages(60), random.Random(1)
    for page in made:
        page.text = draw.randbytes(60_000).hex()
    cc_crawl.write(root, made, warcs=1)
    with cc_server.serve(root) as server:
        server.throttle_s = 0.02
        line = ["commoncrawl", "--base", server.url, "-o", str(folder)]
        line += ["--paths", f"{server.url}/crawl-data/{cc_crawl.CRAWL}/warc.paths.gz"]

        def size() -> int:
            return sum(path.stat().st_size for path in folder.glob("commoncrawl/*/units/*.part"))

        killed(line, lambda: size() > 1_000_000)
        there = size()
        server.throttle_s = 0.0
        server.log.clear()
        command(*line)
        assert [request.range for request in server.asked("/segments/")] == [f"bytes={there}-"]
    (fetched,) = folder.glob("commoncrawl/*/warc/*.gz")
    (source,) = root.glob("crawl-data/**/warc/*.gz")
    assert fetched.read_bytes() == source.read_bytes()


def test_a_build_takes_it_from_there(server: cc_server.Server, tmp_path: Path) -> None:
    status, said = said_by(options(server, tmp_path / "crawl"))
    assert status == 0, said
    assert "warc/*.gz" in said
    assert 'under a [[source]] with format = "warc"; then derlem build' in said
    (tmp_path / "corpus.toml").write_text(
        'output = "corpus"\n[[source]]\nname = "cc"\nformat = "warc"\n'
        'paths = ["crawl/commoncrawl/*/warc/*.gz"]\n'
        '[filter.language]\nkeep = ["*"]\nmin_score = 0.0\nmin_scores = {}\n'
        '[filter]\npresets = {}\ndefault = "none"\n'
    )
    command("build", str(tmp_path / "corpus.toml"), "--until", "filter")
    fetched = dataset.load(str(tmp_path / "crawl" / FETCHED))
    counts = dataset.load(str(tmp_path / "corpus" / "filter")).counts()
    assert counts.seen == counts.kept == fetched.counts().kept > 100
    read = dataset.load(str(tmp_path / "corpus" / "extract")).counts()
    assert read.skipped == {"warcinfo": len(fetched.files("warc"))}


def test_what_was_fetched_is_named_by_its_kind_wherever_it_lies(
    server: cc_server.Server, tmp_path: Path
) -> None:
    warc = next(server.root.glob("crawl-data/**/warc/*.warc.gz"))
    name = str(warc.relative_to(server.root))
    wet = Path(name.replace("/warc/", "/wet/").replace(".warc.gz", ".warc.wet.gz"))
    (tmp_path / "root" / wet).parent.mkdir(parents=True)
    (tmp_path / "root" / wet).write_bytes(warc.read_bytes())
    (tmp_path / "wet.paths").write_text(str(wet))
    with cc_server.serve(tmp_path / "root") as other:
        for output in (f"memory://{tmp_path.name}", str(tmp_path / "crawl")):
            line = ["commoncrawl", "--base", other.url, "--paths", str(tmp_path / "wet.paths"), "-o", output]
            status, said = said_by(line)
            assert status == 0, said
            assert f'{cc_crawl.CRAWL}-files/wet/*.gz\' under a [[source]] with format = "wet"; then' in said
            assert "MB/s" not in said  # how many bytes come is not known before
    assert said_by(options(server, tmp_path / "crawl"))[0] == 0
    assert said_by(["init", str(tmp_path / "corpus.toml"), "--crawl", str(tmp_path / "crawl")])[0] == 0
    sources = load(tmp_path / "corpus.toml").source
    assert [(one.name, one.format, len(one.paths)) for one in sources] == [
        ("pages", "warc", 1),
        ("texts", "wet", 1),
    ]


def test_what_was_fetched_is_checked_and_what_to_do_is_true(server: cc_server.Server, tmp_path: Path) -> None:
    line = options(server, tmp_path / "crawl")
    assert said_by(line)[0] == 0
    status, said = said_by(["verify", str(tmp_path / "crawl")])
    assert (status, said.count("are correct")) == (0, 1)
    victim = next((tmp_path / "crawl" / FETCHED / "warc").iterdir())
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + b"x")
    status, said = said_by(["verify", str(tmp_path / "crawl")])
    assert status == 1
    assert "cannot be rebuilt from other files" in said
    assert "remove them and run the `derlem commoncrawl` command" in said
    victim.unlink()
    assert said_by(line)[0] == 0
    assert victim.read_bytes() == content


def test_a_crawl_that_is_not_there_is_no_source(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        status, said = said_by(["init", str(tmp_path / "corpus.toml"), "--crawl", str(folder)])
        assert status == 2
        assert f"--crawl {folder}: not a crawl" in said
        assert not (tmp_path / "corpus.toml").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--via", "cdx"], "name a host, a domain or a TLD"),
        (["--language", "turkish"], "three letters"),
        (["--set", "access.trys=3"], "did you mean 'tries'"),
        (["--paths", "x", "--tld", "tr"], "--paths takes whole files"),
        (["--contact", "nobody"], "expected a page such as"),
        (["--crawl", "CC-MAIN-2099-01"], "the crawl does not exist"),
        (["--language", "fin"], "no capture matches"),
        (["--", "--no_such_option=1"], "not an option of Beam"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    server: cc_server.Server, tmp_path: Path, more: list[str], said: str
) -> None:
    status, found = said_by(options(server, tmp_path / "out", *more))
    assert status == 2
    assert said in " ".join(found.split())


def test_a_server_that_stays_overloaded_is_one_message_too(server: cc_server.Server, tmp_path: Path) -> None:
    server.always = "503"
    status, found = said_by(options(server, tmp_path / "out", "--set", "access.tries=2"))
    assert status == 1
    assert "503 Service Unavailable (SlowDown); run the same command again later" in " ".join(found.split())


def test_options_say_which_pages(server: cc_server.Server, tmp_path: Path) -> None:
    chosen = ["--language", "eng", "--language", "deu", "--domain", "example.com", "--allow-truncated"]
    status, found = said_by(options(server, tmp_path / "out", *chosen, "--status", "200"))
    assert status == 0, found
    plan = json.loads((tmp_path / f"out/commoncrawl/plans/{cc_crawl.CRAWL}.json").read_text())["selection"]
    assert (plan["languages"], plan["domains"], plan["truncated"]) == (["eng", "deu"], ["example.com"], True)
    table = dataset.table(str(tmp_path / "out/commoncrawl/plans"), f"{cc_crawl.CRAWL}.arrow")
    assert table.num_rows > 3
    assert {languages[:3] for languages in table["languages"].to_pylist()} <= {"eng", "deu"}
    assert all(url.startswith("https://example.com/") for url in table["url"].to_pylist())
