"""A corpus on an object store has the bytes of a local one, and takes few requests, faults or not."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

from anywhere import chaos
from anywhere.conftest import Cloud
from anywhere.proxy import Faults, Request
from anywhere.same import contents, on_store
from anywhere.stores import Store
from support import FILES

from corpus import chain
from pipelines import inputs

WORKER, DRIVER = 8, 2
"""Requests a unit, removals apart."""
STAGE, BUILD = 20, 12
"""Requests of the driver a stage, and before the first stage, however many units."""
INSIDE = {"furniture": 2 * FILES + 2, "dedupe": 8 * (FILES + 16), "shard": 8 * FILES}
"""Requests of work on units that hold many: furniture's 2 a unit of extract, whose counts it reads, dedupe's
8 a part and a band, shard's 8 a part of its group."""

_CLAIM = re.compile(r"/(\w+)/units/stage\.json$")
_RECORD = re.compile(r"/(\w+)/units/[0-9a-f]{16}\.json$")
_LISTING = re.compile(r"(list-type=2|/o\?)")


def config_named(local: Path, folder: Path, name: str) -> Path:
    """Copy the local corpus' inputs and configuration, without what was built, to a folder of that name."""
    shutil.copytree(local.parent, folder / name, ignore=shutil.ignore_patterns("corpus"))
    return folder / name / local.name


def named(request: Request) -> str:
    """Return the name of the object that a request is about, as far as it tells."""
    if "/upload/" in request.path:
        return request.body.partition(b'"name": "')[2].partition(b'"')[0].decode()
    return unquote(request.path.partition("?")[0])


def is_write(request: Request) -> bool:
    return request.method in ("PUT", "POST")


def is_removal(request: Request) -> bool:
    return request.method == "DELETE" or request.path.endswith("?delete") or "/batch/" in request.path


def by_stage(requests: list[Request]) -> dict[str, Counter[str]]:
    """Count the requests of each stage's work and of the driver, of a build in one process.

    They come in this order: the driver plans a stage and claims its folder, the units are done, each with
    its record last, then the driver reads the records.
    """
    requests = [each for each in requests if ".running" not in named(each) and not is_removal(each)]
    writes = [named(request) if is_write(request) else "" for request in requests]
    claims = {found[1]: place for place, name in enumerate(writes) if (found := _CLAIM.search(name))}
    records = {found[1]: place for place, name in enumerate(writes) if (found := _RECORD.search(name))}
    counts, begins = dict[str, Counter[str]](), 0
    for stage in chain.STAGES:
        claim, last = claims[stage.folder], records[stage.folder]
        ends = next(at for at in range(last, len(writes)) if writes[at].endswith("/manifest.json"))
        counts[stage.name] = Counter(
            units=sum(_RECORD.search(name) is not None for name in writes[claim:ends]),
            work=last - claim,
            driver=ends + 1 - begins - (last - claim),
        )
        begins = ends + 1
    return counts


def is_listing(request: Request) -> bool:
    """Return whether a request lists a folder; one that asks for one name looks for an object."""
    is_one = re.search(r"(maxResults|max-keys)=1\b", request.path) is not None
    return request.method == "GET" and _LISTING.search(request.path) is not None and not is_one


def test_a_build_on_a_store_has_the_local_bytes_and_takes_few_requests(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    config = config_named(local, tmp_path, "out-budget")
    time.sleep(inputs._SETTLED_NS / 1e9)  # files younger than that are hashed again, and noted again
    store.proxy.clear()
    cloud.build(config, store)
    first = list(store.proxy.requests)
    assert on_store(cloud, store, "out-budget", tmp_path / "fetched") == contents(local.parent / "corpus")
    found = by_stage(first)
    # A tokenizer is trained from the shards before their tokens are planned.
    more = {"extract": BUILD, "tokenize": found["tokenize"]["units"]}
    over = {
        name: dict(counts)
        for name, counts in found.items()
        if counts["work"] > INSIDE.get(name, WORKER * counts["units"])
        or counts["driver"] > DRIVER * counts["units"] + STAGE + more.get(name, 0)
    }
    assert over == {}, found
    assert not [request.path for request in first if re.fullmatch(r"(/storage/v1/b)?/derlem/?", request.path)]

    store.proxy.clear()
    cloud.build(config, store)
    again = list(store.proxy.requests)
    # One more where the build lasts for a beat of its lock.
    assert len([each for each in again if is_listing(each)]) <= 2 * len(chain.names()) + 1
    writes = [named(each) for each in again if is_write(each)]
    assert all(".running" in name for name in writes), writes
    assert len(again) <= 12 * len(chain.names()) + 4


def test_what_reads_a_corpus_reads_it_on_a_store(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    cloud.build(config_named(local, tmp_path, "out-read"), store)
    url, here = store.url("out-read"), local.parent / "corpus"
    for words in (["inspect"], ["show", "--dropped", "gopher"], ["clusters"], ["verify"]):
        store.proxy.clear()
        said, expected = (
            cloud.derlem(words[0], place, *words[1:], store=store).replace(str(place), "PLACE")
            for place in (url, here)
        )
        assert said.split() == expected.split()
    read = Counter[str]()  # by verify: each byte once
    for request in store.proxy.requests:
        is_of_object = "/storage/v1/" in request.path and "alt=media" not in request.path  # not of its bytes
        if request.method == "GET" and not _LISTING.search(request.path) and not is_of_object:
            read[named(request).rpartition("out-read/")[2]] += request.got
    stages = [chain.find(name).folder for name in chain.names()]
    files = [path for stage in stages for path in (here / stage).rglob("*") if "units" not in path.parts]
    sizes = {str(path.relative_to(here)): path.stat().st_size for path in files if path.is_file()}
    assert read == {name: size for name, size in sizes.items() if not name.endswith("report.json")}
    run, plan = tmp_path / "run", ["--preset", "tiny", "--set", "data.tokens=20_000"]
    said = cloud.derlem("train", url, "--output", run, *plan, store=store)
    assert "bits per byte" in said
    scores = [
        cloud.derlem("evaluate", run, place, store=store).replace(str(place), "") for place in (url, here)
    ]
    assert scores[0].split() == scores[1].split()
    cloud.derlem("export", run, tmp_path / "model", store=store)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size > 100_000


def test_what_goes_wrong_on_a_store_changes_nothing(
    cloud: Cloud, local: Path, store: Store, tmp_path: Path
) -> None:
    """Spoiled requests and rights that end; an outage and a killed driver; each unit twice, odd clocks."""
    name, proxy = "out-wrong", store.proxy
    config = config_named(local, tmp_path, name)

    def refuse(request: Request) -> int:
        return 403 if is_write(request) and "filter/measured" in named(request) else 0

    proxy.clear(Faults(unavailable=0.03, reset=0.02, stalled=0.01, stall_s=1.0, refuse=refuse))
    said = cloud.build(config, store, status=1)
    assert "filter stopped at" in said
    assert "orbidden" in said or "denied" in said
    assert proxy.spoiled > 5

    def has_arrived(part: str) -> bool:
        return any(is_write(request) and part in named(request) for request in proxy.requests)

    proxy.clear()
    process = cloud.start_build(config, store, before=chaos.clock(5))
    assert chaos.wait_for(process, lambda: has_arrived("filter/signatures"))
    proxy.faults.down = True  # for longer than s3fs' own patience
    time.sleep(4)
    proxy.faults.down = False
    assert chaos.wait_for(process, lambda: has_arrived(f"{name}/shards/"))
    process.kill()
    process.communicate()

    proxy.clear()
    process = cloud.start_build(config, store, before=chaos.TWICE + chaos.clock(-5))
    assert f"{FILES} units, {FILES} done before" in cloud.finished(process, 0)
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
import os, socket, sys, threading, time
from corpus import errors, files, stores
from pipelines import lock
lock._BEAT_S, lock._PATIENCE_S = 0.5, 2.0
fs, target = files.filesystem(files.join(sys.argv[1], lock.LOCK))
won, lost = [], []
def at_once(do):
    threads = [threading.Thread(target=do, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
at_once(lambda number: won.append(stores.create_new(fs, target, b"{}")))
def take(number):
    try:
        with lock.alone(sys.argv[1]):
            won.append(number)
            until = time.monotonic() + 100
            while len(lost) < 7 and time.monotonic() < until: time.sleep(0.1)
    except errors.StageError:
        lost.append(number)
files.write_json(sys.argv[1], lock.LOCK, {"host": socket.gethostname(), "process": 1 << 30})
at_once(take)
print(won[:8].count(True), len(won) - 8, len(lost), files.names(sys.argv[1]))
"""


def test_of_drivers_that_come_together_the_store_lets_one_through(cloud: Cloud, store: Store) -> None:
    """Where nobody holds the output, and where one that is dead does."""
    store.proxy.clear()
    assert cloud.run(_FIRST, store.url("first"), store=store).split() == ["1", "1", "7", "set()"]
