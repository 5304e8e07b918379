"""The cache holds what was verified, in bounds, for any number of processes; reads are tried again."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import xxhash

from corpus import files
from corpus.errors import DatasetError
from trainer import cache as module
from trainer.cache import ATTEMPTS, Cache, ClosedError, fetch, map_file, user_folder

ROOT = Path(__file__).parents[2]


def content(number: int, length: int = 1000) -> tuple[str, bytes]:
    """Make bytes and their checksum."""
    data = bytes([number % 256]) * length
    return xxhash.xxh3_64_hexdigest(data), data


def put(cache: Cache, *numbers: int) -> None:
    for number in numbers:
        cache.put(*content(number))


def held(folder: Path) -> set[int]:
    return {path.read_bytes()[0] for path in folder.iterdir()}


def test_what_was_put_is_found_by_any_process_under_its_content(tmp_path: Path) -> None:
    checksum, data = content(7)
    assert Cache(tmp_path, 1 << 20).open(checksum, 1000) is None
    assert Cache(tmp_path, 1 << 20).put(checksum, data).to_pybytes() == data
    found = Cache(tmp_path, 1 << 20).open(checksum, 1000)
    assert found is not None
    assert found.to_pybytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [f"{checksum}-1000"]


def test_a_file_of_another_length_than_its_name_says_is_none(tmp_path: Path) -> None:
    checksum, data = content(7)
    (tmp_path / f"{checksum}-1000").write_bytes(data[:-1])
    cache = Cache(tmp_path, 1 << 20)
    assert cache.open(checksum, 1000) is None
    cache.put(checksum, data)
    assert cache.open(checksum, 1000) is not None


def test_a_map_outlives_its_file_and_holds_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    path.write_bytes(b"kal" * 5000)
    before = len(os.listdir("/proc/self/fd"))
    part = map_file(path).slice(3, 6)
    assert len(os.listdir("/proc/self/fd")) == before
    path.unlink()
    assert part.to_pybytes() == b"kalkal"
    assert str(path) in Path("/proc/self/maps").read_text()
    del part
    assert str(path) not in Path("/proc/self/maps").read_text()
    with pytest.raises(FileNotFoundError):
        map_file(path)


def test_the_folder_stays_below_its_limit_and_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10_000)
    maps = []
    for number in range(40):
        maps.append(cache.put(*content(number)))
        os.utime(tmp_path / f"{content(number)[0]}-1000", (number, number))
        if number >= 3 and 0 in held(tmp_path):
            assert cache.open(content(0)[0], 1000) is not None  # used all the time
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert held(tmp_path) >= {0, 37, 38, 39}
    assert len(held(tmp_path)) >= 7
    assert [m.to_pybytes()[0] for m in maps] == list(range(40))  # what was thinned out can still be read


def test_two_caches_in_one_folder_stay_below_the_limit_together(tmp_path: Path) -> None:
    pair = Cache(tmp_path, 50_000), Cache(tmp_path, 50_000)
    for number in range(90):
        put(pair[number % 2], number)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 50_000
    assert len(held(tmp_path)) > 40


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from trainer.cache import Cache\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "Cache(sys.argv[1], 10**6).put('0' * 16, b'half')\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert run.returncode == -9
    (left,) = tmp_path.iterdir()
    (tmp_path / "of the user").write_text("mine")
    put(Cache(tmp_path, 1 << 20), 5)
    assert left.exists()  # its process could still be writing
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 700, time.time() - 700))
    put(Cache(tmp_path, 1 << 20), 6)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"of the user", f"{content(5)[0]}-1000", f"{content(6)[0]}-1000"}


def test_a_temporary_file_that_was_swept_away_costs_only_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swept(path: str | Path) -> object:
        buffer = map_file(path)
        Path(path).unlink()
        return buffer

    monkeypatch.setattr(module, "map_file", swept)
    assert Cache(tmp_path, 1 << 20).put(*content(3)).to_pybytes() == content(3)[1]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        DatasetError, match=rf"the cache {tmp_path} cannot take 1000 .* No space left.*data\.cache"
    ):
        put(Cache(tmp_path, 1 << 20), 1)
    assert list(tmp_path.iterdir()) == []


def test_many_threads_and_processes_share_a_folder_that_is_too_small(tmp_path: Path) -> None:
    code = (
        "import sys, threading, xxhash; from trainer.cache import Cache\n"
        "cache = Cache(sys.argv[1], 30_000)\n"
        "def use(seed):\n"
        "    for n in range(100):\n"
        "        data = bytes([(n * seed) % 60]) * 1000\n"
        "        name = xxhash.xxh3_64_hexdigest(data)\n"
        "        found = cache.open(name, 1000) or cache.put(name, data)\n"
        "        assert found.to_pybytes() == data\n"
        "threads = [threading.Thread(target=use, args=(seed,)) for seed in (1, 7, 11)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print('all')\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for run in runs:
        out, errors = run.communicate(timeout=60)
        assert (out, errors) == (b"all\n", b"")
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert path.name == f"{xxhash.xxh3_64_hexdigest(data)}-{len(data)}"


def test_the_users_folder_is_in_the_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_folder() == "/somewhere/derlem/batches"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_folder() == "/home/someone/.cache/derlem/batches"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY", 0.001)


def reads(monkeypatch: pytest.MonkeyPatch, *answers: bytes | Exception) -> list[float]:
    """Let reading answer so, the last answer for ever; give the times of the reads."""
    times: list[float] = []

    def read(url: str, offset: int, length: int) -> bytes:
        answer = answers[min(len(times), len(answers) - 1)]
        times.append(time.monotonic())
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(files, "read_range", read)
    return times


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "trouble", [OSError("reset"), TimeoutError(), RuntimeError("of some file system"), b"short", b"x" * 1000]
)
def test_a_read_that_fails_or_brings_other_bytes_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, trouble: bytes | Exception
) -> None:
    checksum, data = content(1)
    times = reads(monkeypatch, trouble, trouble, data)
    assert fetch("gs://a/b", 5, 1000, checksum, threading.Event()) == data
    assert len(times) == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("trouble", "attempts", "message"),
    [
        (OSError("reset"), ATTEMPTS, f"gs://a/b: 1000 bytes from 5 on .* in {ATTEMPTS} .*: OSError: reset"),
        (b"short", ATTEMPTS, "received 5 bytes; does the server support range requests"),
        (b"x" * 1000, ATTEMPTS, "XXH3 is [0-9a-f]{16}, the manifest says"),
        (FileNotFoundError("b"), 1, "gs://a/b: b: the manifest names this file; restore it"),
        (PermissionError("no"), 1, "gs://a/b: no"),
    ],
)
def test_what_cannot_be_read_is_said_in_the_end(
    monkeypatch: pytest.MonkeyPatch, trouble: bytes | Exception, attempts: int, message: str
) -> None:
    times = reads(monkeypatch, trouble)
    with pytest.raises(DatasetError, match=message):
        fetch("gs://a/b", 5, 1000, content(1)[0], threading.Event())
    assert len(times) == attempts


def test_pauses_between_attempts_grow_and_end_at_once_when_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY", 0.02)
    times = reads(monkeypatch, OSError("reset"))
    with pytest.raises(DatasetError):
        fetch("gs://a/b", 5, 1000, content(1)[0], threading.Event())
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for number, pause in enumerate(pauses):
        assert 0.01 * 2**number <= pause
    monkeypatch.setattr(module, "DELAY", 60.0)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(ClosedError):
        fetch("gs://a/b", 5, 1000, content(1)[0], stop)
    assert time.monotonic() - began < 5
