"""A corpus on an object store has the bytes of a local one, and takes few requests, faults or not."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
from anywhere.conftest import SETTINGS, Cloud
from anywhere.proxy import Faults, Request
from anywhere.same import contents, on_store
from anywhere.stores import Store
from support import FILES

from corpus import chain

WORKER, DRIVER = 8, 2
"""Requests a unit."""

_UNIT = re.compile(r"out-[a-z]+/(\w+)/.*[0-9a-f]{16}\.(arrow|json)")
_LISTINGS = re.compile(r"(list-type=2|/o\?)")


def config_named(local: Path, folder: Path, name: str) -> Path:
    """Copy the local corpus' inputs and configuration, without what was built, to a folder of that name."""
    shutil.copytree(local.parent, folder / name, ignore=shutil.ignore_patterns("corpus"))
    return folder / name / local.name


def named(request: Request) -> str:
    """Return the name of the object that a request is about, as far as it tells."""
    body = request.body.partition(b'"name": "')[2].partition(b'"')[0].decode()
    return body or unquote(request.path)


def by_stage(requests: list[Request]) -> dict[str, Counter[str]]:
    """Count the requests of workers about their units, and those of the driver about a stage's."""
    found: dict[str, Counter[str]] = {name: Counter() for name in chain.names()}
    folders = {chain.find(name).folder: name for name in chain.names()}
    for request in requests:
        is_read = request.method in ("GET", "HEAD")
        if match := _UNIT.search(named(request)):
            who = "driver" if is_read and "/units/" in named(request) else "worker"
            # A file that is read is the input of the next stage's unit; dedupe and shard are counted apart.
            found[folders[match[1]]][f"{who} {'reads' if is_read else 'writes'}"] += 1
    return found


def is_listing(request: Request) -> bool:
    return request.method == "GET" and _LISTINGS.search(request.path) is not None


def test_a_build_on_a_store_has_the_local_bytes_and_takes_few_requests(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    config = config_named(local, tmp_path, "out-budget")
    store.proxy.clear()
    cloud.build(config, store)
    first = list(store.proxy.requests)
    assert on_store(cloud, store, "out-budget", tmp_path / "fetched") == contents(local.parent / "corpus")
    counts = by_stage(first)
    for name, reads in (("extract", 0), ("filter", counts["extract"]["worker reads"])):
        assert 0 < counts[name]["worker writes"] + reads <= WORKER * FILES, (name, counts)
        assert 0 < counts[name]["driver reads"] <= DRIVER * FILES, (name, counts)
    assert not [request.path for request in first if re.fullmatch(r"(/storage/v1/b)?/derlem/?", request.path)]

    store.proxy.clear()
    cloud.build(config, store)
    again = list(store.proxy.requests)
    assert len([each for each in again if is_listing(each) and "maxResults=1&" not in f"{each.path}&"]) <= (
        2 * len(chain.names()) + 1
    )
    writes = [named(each) for each in again if each.method in ("PUT", "POST")]
    assert all(".running" in name for name in writes), writes
    assert len(again) <= 60


def test_what_reads_a_corpus_reads_it_on_a_store(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    cloud.build(config_named(local, tmp_path, "out-read"), store)
    url, here = store.url("out-read"), local.parent / "corpus"
    for words in (["inspect"], ["verify"], ["show", "--dropped", "gopher"], ["clusters"]):
        said, expected = (
            cloud.derlem(words[0], place, *words[1:], store=store).replace(str(place), "PLACE")
            for place in (url, here)
        )
        assert said.split() == expected.split()
    run, plan = tmp_path / "run", ["--preset", "tiny", "--set", "data.tokens=20_000"]
    said = cloud.derlem("train", url, "--output", run, *plan, store=store)
    assert "bits per byte" in said


def test_faults_of_a_store_change_nothing(cloud: Cloud, local: Path, store: Store, tmp_path: Path) -> None:
    config = config_named(local, tmp_path, "out-faults")
    store.proxy.clear(Faults(unavailable=0.03, reset=0.02, stalled=0.01, stall_s=1.0))
    cloud.build(config, store)
    assert store.proxy.spoiled > 5
    assert on_store(cloud, store, "out-faults", tmp_path / "fetched") == contents(local.parent / "corpus")


def test_a_build_whose_rights_end_stops_with_the_cause_and_is_finished_later(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    config = config_named(local, tmp_path, "out-rights")

    def refuse(request: Request) -> int:
        is_write = request.method in ("PUT", "POST")
        return 403 if is_write and "filter/measured" in named(request) else 0

    store.proxy.clear(Faults(refuse=refuse))
    said = cloud.build(config, store, status=1)
    assert "filter stopped at" in said
    assert "orbidden" in said or "denied" in said
    store.proxy.clear()
    assert f"{FILES} units, {FILES} done before" in cloud.build(config, store)
    assert on_store(cloud, store, "out-rights", tmp_path / "fetched") == contents(local.parent / "corpus")


@pytest.mark.parametrize("at", ["filter/signatures"])
def test_a_killed_build_is_finished_by_the_next(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path, at: str
) -> None:
    """Killed when an object has arrived, and nothing after it has."""
    name = "out-killed"
    config = config_named(local, tmp_path, name)
    arrived: list[str] = []

    def refuse(request: Request) -> int:
        if arrived:
            time.sleep(0.2)
            return 503
        if request.method in ("PUT", "POST") and at in named(request):
            arrived.append(named(request))
        return 0

    store.proxy.clear(Faults(refuse=refuse))
    process = cloud.start("build", config, *SETTINGS, "--set", f'output="{store.url(name)}"', store=store)
    while not arrived and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert arrived
    store.proxy.clear()
    cloud.build(config, store)
    assert on_store(cloud, store, name, tmp_path / "fetched") == contents(local.parent / "corpus")


_LARGE = """
import hashlib, sys
from corpus import files
folder, size = sys.argv[1], 21 << 20
data = hashlib.shake_256(b"large").digest(size)
with files.create(folder, "large") as pending:
    for at in range(0, size, 3_000_000):
        pending.sink.write(data[at : at + 3_000_000])
assert files.sha256(files.join(folder, "large")) == pending.written.sha256 == hashlib.sha256(data).hexdigest()
assert files.size(folder, "large") == size
try:
    with files.create(folder, "half") as pending:
        pending.sink.write(data)
        raise KeyError
except KeyError:
    pass
assert files.size(folder, "half") is None
files.write_bytes(folder, "empty", b"")
assert files.read_bytes(folder, "empty") == b"" and files.sha256(files.join(folder, "empty"))
"""


def test_a_large_object_goes_in_pieces_and_appears_whole_or_not_at_all(cloud: Cloud, store: Store) -> None:
    store.proxy.clear(Faults(unavailable=0.05, reset=0.05))
    cloud.run(_LARGE, store.url("large"), store=store)


_FIRST = """
import sys, threading
from corpus import files, stores
fs, target = files.filesystem(sys.argv[1])
won = []
threads = [threading.Thread(target=lambda n=n: won.append(stores.create_new(fs, target, str(n).encode())))
           for n in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(sorted(won))
"""


def test_of_drivers_that_come_together_the_store_lets_one_through(cloud: Cloud, store: Store) -> None:
    store.proxy.clear()
    assert (
        cloud.run(_FIRST, store.url("first", ".running"), store=store).split()
        == str([False] * 7 + [True]).split()
    )
