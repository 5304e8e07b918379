"""A proxy between derlem and a store on this machine: counts requests, and spoils some by a seeded draw."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "host"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: method, path with its query, bytes of its body and of the answer, status."""

    method: str
    path: str
    sent: int
    got: int
    status: int
    body: bytes = b""


@dataclass(slots=True)
class Faults:
    """How often what goes wrong, as shares of all requests; `refuse(request)` gives a status, 0 for none."""

    unavailable: float = 0.0
    reset: float = 0.0
    stalled: float = 0.0
    stall_s: float = 2.0
    refuse: Callable[[Request], int] = lambda request: 0
    down: bool = False


@dataclass(slots=True)
class Proxy:
    """A running proxy; `requests` are those since `clear`, `spoiled` counts what went wrong."""

    port: int
    requests: list[Request] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    spoiled: int = 0

    def clear(self, faults: Faults | None = None) -> None:
        """Forget the requests so far, and let go wrong what `faults` says from now on."""
        self.requests.clear()
        self.faults = faults or Faults()
        self.spoiled = 0


def start(upstream: int, seed: int = 0) -> tuple[Proxy, ThreadingHTTPServer]:
    """Start a proxy before a server on a port of this machine."""
    draw = random.Random(seed)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def answer(self) -> None:
            body = self._body()
            faults = proxy.faults
            with lock:
                chance, inside = draw.random(), draw.random()
            path = self.path
            if faults.down:
                return self._reset(b"")
            if status := faults.refuse(Request(self.command, path, len(body), 0, 0, body[:4096])):
                return self._say(status, b"", body)
            if chance < faults.unavailable:
                proxy.spoiled += 1
                return self._say(503, b"", body)
            chance -= faults.unavailable
            is_reset = chance < faults.reset
            if is_reset and inside < 0.5:
                proxy.spoiled += 1
                return self._reset(b"")
            if not is_reset and chance - faults.reset < faults.stalled:
                proxy.spoiled += 1
                time.sleep(faults.stall_s)
            upward = HTTPConnection("127.0.0.1", upstream, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                headers["Host"] = self.headers.get("Host", "")
                upward.request(self.command, path, body, headers)
                found = upward.getresponse()
                content = found.read()
            except (OSError, HTTPException):
                return self._say(502, b"", body)
            finally:
                upward.close()
            if is_reset:
                proxy.spoiled += 1
                self._start(found.status, found.getheaders(), len(content))
                return self._reset(content[: len(content) // 2])
            self._start(found.status, found.getheaders(), len(content))
            with lock:
                proxy.requests.append(
                    Request(self.command, path, len(body), len(content), found.status, body[:4096])
                )
            if self.command != "HEAD":
                self.wfile.write(content)
            return None

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = answer  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                pieces = []
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _start(self, status: int, headers: list[tuple[str, str]], length: int) -> None:
            self.send_response_only(status)
            declared = next((v for n, v in headers if n.lower() == "content-length"), str(length))
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", declared if self.command == "HEAD" else str(length))
            self.end_headers()

        def _say(self, status: int, content: bytes, body: bytes) -> None:
            with lock:
                proxy.requests.append(Request(self.command, self.path, len(body), 0, status, body[:4096]))
            self._start(status, [], len(content))

        def _reset(self, content: bytes) -> None:
            """Send some of the body and break the connection off, without the usual end."""
            self.wfile.write(content)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def finish(self) -> None:
            with suppress(OSError, ValueError):  # the connection was broken off
                super().finish()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients break off, too."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy = Proxy(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return proxy, server
