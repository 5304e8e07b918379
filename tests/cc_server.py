"""A server of a small Common Crawl on loopback, which may misbehave in the ways that servers do."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cc_crawl import CRAWL, surt


@dataclass(frozen=True)
class Request:
    """A request as the server saw it, and the status that it answered with."""

    path: str
    query: str
    range: str | None
    status: int
    agent: str


@dataclass
class Server:
    """A running server: its address, what it was asked, and how it is to misbehave.

    `faults` maps a piece of a path to the names of what goes wrong with its next requests, one each; "*"
    stands for every path. `always` holds the name of what goes wrong with every request.
    """

    root: Path
    url: str = ""
    log: list[Request] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    always: str = ""
    page_lines: int = 40
    throttle_s: float = 0.0  # pause after every 64 KiB of a body
    latency_s: float = 0.0  # pause before every answer
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_work: int = 0
    most_at_work: int = 0

    def fault(self, path: str) -> str:
        """Take the next fault of a path."""
        if self.always:
            return self.always
        with self.lock:
            for piece, names in self.faults.items():
                if names and (piece == "*" or piece in path):
                    return names.pop(0)
        return ""

    def asked(self, piece: str = "") -> list[Request]:
        """Return the requests whose path holds a piece."""
        return [request for request in self.log if piece in request.path]


@contextmanager
def serve(root: Path) -> Iterator[Server]:
    """Serve a crawl's folder on loopback until the block ends."""
    server = Server(root)

    class Handler(_Handler):
        state = server

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: clients are killed in these tests."""

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        state = self.state
        with state.lock:
            state.at_work += 1
            state.most_at_work = max(state.most_at_work, state.at_work)
        try:
            self._answer()
        finally:
            with state.lock:
                state.at_work -= 1

    def _answer(self) -> None:
        time.sleep(self.state.latency_s)
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        fault = self.state.fault(path)
        if fault == "reset":
            self._note(path, parts.query, 0)
            linger = struct.pack("ii", 1, 0)  # so that closing sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        if fault.isdigit() or fault.startswith("503 "):
            status, _, after = fault.partition(" ")
            body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            self._send(path, parts.query, int(status), body, {"Retry-After": after} if after else {})
            return
        if path.endswith("-index"):
            self._send(path, parts.query, *_cdx_answer(self.state, path, parts.query), {})
            return
        file = self.state.root / path
        if ".." in path or not file.is_file():
            self._send(path, parts.query, 404, b"<Error><Code>NoSuchKey</Code></Error>", {})
            return
        self._file(path, parts.query, file, fault)

    def _file(self, path: str, query: str, file: Path, fault: str) -> None:
        size = file.stat().st_size
        etag = f'"{file.stat().st_mtime_ns:x}-{size:x}"'
        asked = self.headers.get("Range")
        if self.headers.get("If-Range") not in (None, etag) or fault == "whole":
            asked = None
        first, last = 0, size - 1
        if asked is not None:
            span = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
            assert span is not None
            if not span[1]:
                first = max(0, size - int(span[2]))
            else:
                first, last = int(span[1]), min(int(span[2] or size), size - 1)
            if first >= size:
                self._send(path, query, 416, b"", {"Content-Range": f"bytes */{size}"})
                return
        if fault == "wrong-range":
            first, last = first + 1, last
        with file.open("rb") as opened:
            opened.seek(first)
            body = opened.read(last - first + 1)
        status = 200 if asked is None else 206
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if asked is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if fault == "flipped":
            body = body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 0xFF]) + body[len(body) // 2 + 1 :]
        self._send(path, query, status, body, headers, len(body) // 2 if fault == "short" else None)

    def _send(
        self,
        path: str,
        query: str,
        status: int,
        body: bytes,
        headers: dict[str, str],
        only: int | None = None,
    ) -> None:
        """Answer; with `only`, break the connection after so many bytes of the body."""
        self._note(path, query, status)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.state.throttle_s:
            for at in range(0, len(body), 1 << 16):
                self.wfile.write(body[at : at + (1 << 16)])
                self.wfile.flush()
                time.sleep(self.state.throttle_s)
            return
        self.wfile.write(body[:only])
        if only is not None:
            self.wfile.flush()
            self.close_connection = True

    def _note(self, path: str, query: str, status: int) -> None:
        agent = self.headers.get("User-Agent", "")
        self.state.log.append(Request(path, query, self.headers.get("Range"), status, agent))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _cdx_answer(state: Server, path: str, query: str) -> tuple[int, bytes]:
    """Answer as pywb's CDX server does, `page_lines` index lines a page, filtered after they are cut."""
    pairs = parse_qsl(query)
    given = dict(pairs)
    if path != f"{CRAWL}-index":
        return 404, b'{"message": "no such index"}'
    lines = json.loads((state.root / "cdx.json").read_text())
    key = surt(f"http://{given['url']}/").partition(")")[0]
    below = (")", ",", ":") if given["matchType"] == "domain" else (")", ":")
    lines = [line for line in lines if line["urlkey"].startswith(tuple(key + mark for mark in below))]
    count = -(-len(lines) // state.page_lines)
    if "showNumPages" in given:
        answer = {"pages": count, "pageSize": 5, "blocks": 5 * count}
        return 200, json.dumps(answer).encode() + b"\n"
    page = int(given.get("page", "0"))
    lines = lines[page * state.page_lines : (page + 1) * state.page_lines]
    for name, value in pairs:
        if name == "filter":
            lines = [line for line in lines if _passes(line, value)]
    if not lines:
        return 404, json.dumps({"message": f"No Captures found for: {given['url']}"}).encode()
    return 200, "".join(json.dumps(line) + "\n" for line in lines).encode()


def _passes(line: dict[str, str], rule: str) -> bool:
    name, _, value = rule.lstrip("=~").partition(":")
    found = line.get(name, "")
    return re.match(value, found) is not None if rule.startswith("~") else found == value
