"""A crawl that is killed at any moment goes on: the server's log and the crawl's files prove it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import web
from support import DERLEM, ROOT, command
from warcio.archiveiterator import ArchiveIterator

from corpus import dataset
from corpus.crawl.state import layout
from corpus.crawl.state.status import status
from corpus.verify import find_faults

HOSTS, PAGES = 4, 16  # as `web.village` is told below; each branch less is a round, with workers, more
DELAY_S = 0.05
KILLS = 2


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A village served by a process of its own: its port and its log."""
    log = tmp_path / "server.jsonl"
    (tmp_path / "sites.py").write_text(
        f"import web\n\ndef village():\n    return web.village({HOSTS}, {PAGES}, branches=4)\n"
    )
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/web.py", "--log", log, "--sites", "sites:village"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'tests'}"},
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline()), log
    finally:
        server.kill()
        server.communicate()


def words(folder: Path, port: int, workers: int) -> list[str]:
    resolve = {f"www{host}.test": f"127.0.0.1:{port}" for host in range(HOSTS)}
    seeds = folder.parent / "seeds.txt"
    seeds.write_text("# the village\n\n" + "".join(f"http://{name}/\n" for name in resolve))
    table = ", ".join(f"{json.dumps(name)} = {json.dumps(to)}" for name, to in resolve.items())
    sets = [
        f"network.resolve={{{table}}}",
        f"politeness.delay_s={DELAY_S}",
        "politeness.factor=0",
        'scope.within="any"',
        "scope.sitemaps=false",
        f"limits.buckets={workers}",
    ]
    overrides = [word for override in sets for word in ("--set", override)]
    who = ["--contact", "crawler@kitaplik.example", "--allow-network", "127.0.0.0/8"]
    return ["crawl", str(seeds), "-o", str(folder), *who, "--workers", str(workers), *overrides]


def requests(log: Path) -> list[web.Entry]:
    return web.read_log(log) if log.exists() else []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crawl_that_is_killed_again_and_again_asks_for_no_page_twice(
    served: tuple[int, Path], tmp_path: Path, workers: int
) -> None:
    port, log = served
    folder = tmp_path / "crawl"
    line = words(folder, port, workers)
    killed: list[float] = []
    for number in range(1, KILLS + 1):
        run = subprocess.Popen([*DERLEM, *line], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        while run.poll() is None and len(requests(log)) < number * 25:
            time.sleep(0.01)
        assert run.poll() is None, run.stderr.read() if run.stderr else ""
        run.send_signal(signal.SIGKILL)
        killed.append(time.time())
        run.communicate()
    assert status(str(folder)).outcomes["kept"] > 20  # it can be read while units are half done
    assert "nothing is left to fetch" in command(*line).stderr

    asked = requests(log)
    everything = {(f"www{host}.test", f"/{at or ''}") for host in range(HOSTS) for at in range(PAGES)}
    rules = {
        (f"www{host}.test", path)
        for host in range(HOSTS)
        for path in ("/robots.txt", "/.well-known/tdmrep.json")
    }
    times = Counter((entry.host, entry.path) for entry in asked)
    assert set(times) == everything | rules
    # A request that a kill cut off between the server's answer and the crawl's journal is sent again: at most
    # the last one of each host before a kill. (A worker outlives its killed driver by half a second.)
    repeated = [at for at, count in times.items() if count > 1]
    assert len(repeated) <= KILLS * HOSTS
    for host, path in repeated:
        mine = sorted((entry for entry in asked if entry.host == host), key=lambda entry: entry.begun)
        first = next(number for number, entry in enumerate(mine) if entry.path == path)
        follower = mine[first + 1]
        assert any(mine[first].begun < kill + 1.0 < follower.begun + 1.0 for kill in killed), (host, path)
    by_host: dict[str, list[web.Entry]] = defaultdict(list)
    for entry in sorted(asked, key=lambda entry: entry.begun):
        by_host[entry.host].append(entry)
    for mine in by_host.values():
        assert all(b.begun - a.begun >= DELAY_S * 0.9 for a, b in pairwise(mine))

    settled, stored = Counter[str](), Counter[str]()
    for number in range(1, layout.finished_rounds(str(folder)) + 1):
        home = layout.round_folder(str(folder), number)
        assert find_faults(home) == []
        for file in dataset.load(home).files("fetches"):
            rows = dataset.table(home, file.path).to_pylist()
            settled.update(row["url"] for row in rows if row["outcome"] == "kept")
        for path in sorted(Path(home).glob("warc/*.warc.gz")):
            stored.update(_responses(path))
    assert settled == stored == {f"http://{host}{path}": 1 for host, path in everything}
    assert not list(folder.glob("rounds/*/units/*.work"))


def _responses(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [
            record.rec_headers.get_header("WARC-Target-URI")
            for record in ArchiveIterator(file, check_digests="raise")
            if record.rec_type == "response" and record.content_stream().read() is not None
        ]


def test_a_crawl_tells_its_state_its_units_and_its_numbers(served: tuple[int, Path], tmp_path: Path) -> None:
    port, _ = served
    log, metrics = tmp_path / "log.jsonl", tmp_path / "derlem.prom"
    command(*words(tmp_path / "crawl", port, 1), "--log", log, "--metrics", metrics)
    said: dict[str, Any] = json.loads(command("status", tmp_path / "crawl", "--json").stdout)
    assert said["outcomes"]["kept"] == HOSTS * PAGES
    assert said["due"] == 0
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["kept"] for line in noted if line["message"] == "unit done") == HOSTS * PAGES
    assert 'derlem_units_done{stage="crawl"} ' in metrics.read_text()
