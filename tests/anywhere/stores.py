"""Stores on this machine, each behind a proxy: S3 by moto, Google Cloud Storage by fake-gcs-server."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anywhere import environments, proxy
from anywhere.proxy import Proxy

BUCKET = "derlem"
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Store:
    """A running store: the protocol of its URLs, its proxy, and the variables that lead clients there."""

    protocol: str
    proxy: Proxy
    variables: dict[str, str] = field(default_factory=dict)

    def url(self, *names: str) -> str:
        """Return the URL of a folder or object in the store's bucket."""
        return "/".join((f"{self.protocol}://{BUCKET}", *names))


@contextmanager
def s3(logs: Path) -> Iterator[Store]:
    """Run an S3 store."""
    python, port = environments.servers(), free_port()
    command = [str(python.parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, logs / "s3.log", port), _proxied(port) as through:
        url = f"http://127.0.0.1:{through.port}"
        _ask("PUT", f"{url}/{BUCKET}", b"")
        yield Store(
            "s3",
            through,
            {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": url,
            },
        )


@contextmanager
def gs(logs: Path) -> Iterator[Store]:
    """Run a Google Cloud Storage."""
    site, port = environments.servers().parents[1], free_port()
    (program,) = site.rglob("fake-gcs-server-linux-amd64")
    program.chmod(0o755)
    with _proxied(port) as through:
        url = f"http://127.0.0.1:{through.port}"
        command = [
            str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
            "-public-host", f"127.0.0.1:{through.port}", "-external-url", url,
        ]  # fmt: skip
        with _running(command, logs / "gs.log", port):
            _ask("POST", f"{url}/storage/v1/b?project=p", f'{{"name":"{BUCKET}"}}'.encode())
            yield Store("gs", through, {"STORAGE_EMULATOR_HOST": url})


@contextmanager
def _proxied(port: int) -> Iterator[Proxy]:
    through, server = proxy.start(port)
    try:
        yield through
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    """Run a server until the block ends; it is waited for."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": ""})
    try:
        wait_until(lambda: is_open(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()[-500:]
        yield
    finally:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + _WAIT_S
    while not is_so():
        assert time.monotonic() < until, "it does not answer"
        time.sleep(0.1)


def is_open(port: int) -> bool:
    """Return whether somebody listens at a port."""
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _ask(method: str, url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
        answer.read()
