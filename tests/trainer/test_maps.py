"""Remote tokens are read by one ranged request a batch, several at once, and once while they are kept."""

from __future__ import annotations

import http.server
import itertools
import re
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xxhash
from token_shards import Batches, write

from corpus import files
from corpus.errors import DatasetError
from trainer import cache as cache_module
from trainer import threads as threads_module
from trainer import tokens
from trainer.cache import ClosedError
from trainer.loader import Batch, Loader
from trainer.order import Order, Phase

WEIGHTS = {"tur_Latn/web": 3.0, "aze_Latn/web": 1.0}
PHASES = [Phase(1, WEIGHTS, 16, 6)]
STEPS = 40
SMALL = 1 / 1024  # GiB


def documents(seed: int, batches: int) -> list[list[list[int]]]:
    random = np.random.default_rng(seed)
    return [
        [random.integers(3, 300, random.integers(1, 40)).tolist() for _ in range(12)] for _ in range(batches)
    ]


SHARDS: dict[str, Batches] = {"tur_Latn/web": documents(1, 14), "aze_Latn/web": documents(3, 3)}


def content(batches: tuple[Batch, ...]) -> list[object]:
    return [(b.tokens.tolist(), b.cu_seqlens.tolist(), b.ends.tolist(), b.targets) for b in batches]


def read(folder: str, cache: Path, first: int = 0, cache_gb: float = 1.0) -> list[list[object]]:
    """Read the steps from `first` on by a loader of their own."""
    opened = tokens.open(folder)
    order = Order(tokens.streams(opened), PHASES, 5)
    with Loader(opened, order, cache=str(cache), cache_gb=cache_gb) as loader:
        return [content(batches) for batches in loader.steps(first, STEPS)]


@pytest.fixture
def local(tmp_path: Path) -> list[list[object]]:
    """The steps as a loader of local files reads them."""
    write(tmp_path / "local", SHARDS)
    return read(str(tmp_path / "local"), tmp_path / "none")


@pytest.fixture
def memory() -> Iterator[str]:
    """The same tokens in a file system that is not local."""
    folder = f"memory://{uuid.uuid4().hex}/tokens"
    write(folder, SHARDS)
    yield folder
    fsspec.filesystem("memory").rm(folder.removeprefix("memory:/").rsplit("/", 1)[0], recursive=True)


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int, int]]:
    """Count the ranged reads."""
    counted: Counter[tuple[str, int, int]] = Counter()
    read_range = files.read_range

    def counting(url: str, offset: int, length: int) -> bytes:
        counted[url, offset, length] += 1
        return read_range(url, offset, length)

    monkeypatch.setattr(files, "read_range", counting)
    return counted


def places(folder: str) -> set[tuple[str, int, int]]:
    opened = tokens.open(folder)
    return {
        (files.join(opened.folder, file.path), file.batches.offset[number], file.batches.length[number])
        for batches in tokens.places(opened)
        for file, number in batches
        if file.batches is not None
    }


def test_a_batch_is_fetched_once_by_one_read_and_then_comes_from_the_cache(
    tmp_path: Path, memory: str, local: list[list[object]], ranges: Counter[tuple[str, int, int]]
) -> None:
    assert read(memory, tmp_path / "cache") == local
    assert ranges == dict.fromkeys(places(memory), 1)
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert len(names) == 17
    assert all(re.fullmatch(r"[0-9a-f]{16}-\d+", name) for name in names)
    ranges.clear()
    assert read(memory, tmp_path / "cache", first=30) == local[30:]
    assert ranges == {}


def test_a_step_needs_no_more_than_its_own_batches(
    tmp_path: Path, memory: str, ranges: Counter[tuple[str, int, int]]
) -> None:
    opened = tokens.open(memory)
    order = Order(tokens.streams(opened), [Phase(1, WEIGHTS, 16, 1)], 5)
    with Loader(opened, order, cache=str(tmp_path)) as loader:
        assert len(list(loader.steps(7, 8))) == 1
    assert 1 <= len(ranges) <= 2


def test_a_cache_smaller_than_the_tokens_warns_and_gives_the_same(
    tmp_path: Path, memory: str, ranges: Counter[tuple[str, int, int]]
) -> None:
    shards = {name: documents(seed, 70) for seed, name in enumerate(SHARDS)}
    write(memory, shards)
    write(tmp_path / "local", shards)
    limit = 64 * max(length for _, _, length in places(memory))
    with pytest.warns(UserWarning, match=r"batches will be fetched repeatedly"):
        found = read(memory, tmp_path / "cache", cache_gb=limit / 2**30)
    assert found == read(str(tmp_path / "local"), tmp_path / "none")
    assert max(ranges.values()) > 1
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= limit


def test_a_cache_smaller_than_what_is_fetched_at_once_is_refused(tmp_path: Path, memory: str) -> None:
    with pytest.raises(
        ValueError, match=r"data\.cache_gb = 9.99e-07 is too little .*: expected 0\.0\d+ or more"
    ):
        read(memory, tmp_path / "cache", cache_gb=1e-6)


def test_a_remote_file_that_is_damaged_never_reaches_the_cache(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "DELAY", 0.001)
    store = fsspec.filesystem("memory")
    (path,) = (p for p in store.find(memory.removeprefix("memory:/")) if "tur_Latn" in p)
    whole = store.cat_file(path)
    store.pipe_file(path, whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    with pytest.raises(DatasetError, match=r"tur_Latn/train-web.*XXH3 is .*, the manifest says"):
        read(memory, tmp_path / "cache")
    for kept in (tmp_path / "cache").iterdir():
        assert xxhash.xxh3_64_hexdigest(kept.read_bytes()) == kept.name.split("-")[0]
    store.rm_file(path)
    with pytest.raises(DatasetError, match=r"the manifest names this file; restore it"):
        read(memory, tmp_path / "cache")


def test_a_batch_that_changed_in_the_cache_is_fetched_again(
    tmp_path: Path, memory: str, local: list[list[object]], ranges: Counter[tuple[str, int, int]]
) -> None:
    assert read(memory, tmp_path / "cache") == local
    ranges.clear()
    kept = sorted((tmp_path / "cache").iterdir())
    for path in kept[:3]:
        changed = bytearray(path.read_bytes())
        changed[-9] ^= 1
        path.write_bytes(changed)
    assert read(memory, tmp_path / "cache") == local
    assert sorted(ranges.values()) == [1, 1, 1]
    for path in (tmp_path / "cache").iterdir():
        assert xxhash.xxh3_64_hexdigest(path.read_bytes()) == path.name.split("-")[0]


def test_after_a_failure_the_batch_is_asked_for_again(
    tmp_path: Path, memory: str, local: list[list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "DELAY", 0.001)
    opened = tokens.open(memory)
    with Loader(opened, Order(tokens.streams(opened), PHASES, 5), cache=str(tmp_path / "cache")) as loader:
        with monkeypatch.context() as broken:
            broken.setattr(files, "read_range", lambda *_: b"")
            with pytest.raises(DatasetError, match="received 0 bytes"):
                next(loader.steps(0, STEPS))
        assert [content(batches) for batches in loader.steps(0, STEPS)] == local


def test_closing_does_not_wait_for_a_network_that_is_silent(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = threading.Event()
    monkeypatch.setattr(files, "read_range", lambda *_: silent.wait(60))
    monkeypatch.setattr(threads_module, "_PATIENCE", 0.2)
    opened = tokens.open(memory)
    loader = Loader(opened, Order(tokens.streams(opened), PHASES, 5), cache=str(tmp_path / "cache"))
    waiting = threads_module.Threads(1, "consumer")
    asked = waiting.submit(lambda: next(loader.steps(0, STEPS)))
    time.sleep(0.2)
    began = time.monotonic()
    loader.close()
    assert time.monotonic() - began < 5
    assert all(t.daemon for t in threading.enumerate() if t.name.startswith(("read-", "fetch-")))
    silent.set()
    assert isinstance(asked.exception(10), CancelledError | ClosedError)
    waiting.close()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves a folder, by ranges where asked; every third range breaks off or is refused the first time."""

    protocol_version = "HTTP/1.1"
    folder: Path
    ranged = True
    asked: Counter[str]
    turns: Iterator[int]
    flying = 0
    most = 0
    lock = threading.Lock()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data, asked = path.read_bytes(), self.headers.get("Range")
        if self.command == "HEAD" or not asked or not self.ranged or path.suffix != ".arrow":
            self._answer(200, data)
            return
        with self.lock:
            cls = type(self)
            cls.flying += 1
            cls.most = max(cls.most, cls.flying)
            self.asked[f"{self.path} {asked}"] += 1
            trouble = next(self.turns) % 6 if self.asked[f"{self.path} {asked}"] == 1 else 1
        time.sleep(0.01)
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        if trouble == 0:
            self.send_error(503)
        elif trouble == 3:
            self._answer(206, data[first : last + 1], cut=100)
        else:
            self._answer(206, data[first : last + 1])
        with self.lock:
            cls.flying -= 1

    def _answer(self, status: int, data: bytes, cut: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes" if self.ranged else "none")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) - cut])
        if cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Suppress the log."""


@pytest.fixture
def server(tmp_path: Path, local: list[list[object]]) -> Iterator[tuple[str, type[Server]]]:
    pytest.importorskip("aiohttp", reason="fsspec reads HTTP by way of aiohttp")

    class Serving(Server):
        folder = tmp_path / "local"

    Serving.asked, Serving.turns = Counter(), itertools.count()
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serving)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", Serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_http_is_read_by_ranges_several_at_once_and_again_where_it_failed(
    tmp_path: Path,
    local: list[list[object]],
    server: tuple[str, type[Server]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache_module, "DELAY", 0.01)
    url, serving = server
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(url, tmp_path / "cache") == local
    assert len(serving.asked) == 17
    assert sorted(set(serving.asked.values())) == [1, 2]
    assert 4 <= serving.most <= 16


def test_a_server_without_ranges_is_named(
    tmp_path: Path, server: tuple[str, type[Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "DELAY", 0.001)
    url, serving = server
    serving.ranged = False
    with pytest.raises(DatasetError, match=rf"{url}/.*\.arrow: .* does the server support range requests"):
        read(url, tmp_path / "cache")
