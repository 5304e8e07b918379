"""A web on loopback for tests of the crawler: many hosts by name on one port, free to misbehave, all logged.

In a test: `with Web({"a.test": {"/": page("<p>Merhaba")}}) as web:`, then `web.resolve` leads there and
`web.log` says who asked what. As a process: `python tests/web.py --port 0 --log FILE --sites MODULE:FUNCTION`
prints its port and serves what FUNCTION() gives, until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import itertools
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

Reply = bytes | Callable[["Exchange"], Awaitable[None]]
Site = Mapping[str, Reply] | Callable[["Exchange"], Reply]
"""What a host serves: replies by path, or what chooses one. A reply is an answer's bytes or what sends it."""

ALLOW = ("127.0.0.0/8",)
"""The network that a crawl of such a web must be allowed."""

_HEAD = 1 << 16


def page(body: bytes | str = b"", status: str = "200 OK", **fields: str | None) -> bytes:
    """Give an answer with a true Content-Length; `content_type=...` sets Content-Type, None leaves it out."""
    content = body.encode() if isinstance(body, str) else body
    lines = {"content_type": "text/html; charset=utf-8", "content_length": str(len(content)), **fields}
    head = [
        f"{name.replace('_', '-').title()}: {value}" for name, value in lines.items() if value is not None
    ]
    return "\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode() + content


def redirect(location: str, status: str = "302 Found") -> bytes:
    """Return an answer that leads elsewhere."""
    return page(status=status, location=location)


@dataclass(slots=True)
class Entry:
    """A line of the log: a request, and what came of it. Times are seconds of the machine's clock."""

    begun: float
    host: str
    path: str
    connection: int
    fields: dict[str, str]
    sent: int = 0  # bytes, headers included
    whole: bool = False  # the reply was sent to its end
    ended: float = 0.0


@dataclass(slots=True)
class Exchange:
    """A request at the server: what was asked, and the means to answer it well or badly."""

    host: str
    path: str  # with the query
    raw: bytes
    fields: dict[str, str]
    connection: int
    entry: Entry
    closing: bool = False  # end the connection after this reply
    _writer: asyncio.StreamWriter = field(repr=False, kw_only=True)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()
        self.entry.sent += len(data)

    async def trickle(self, data: bytes, pause_s: float, piece: int = 1) -> None:
        """Send bytes in small pieces with pauses."""
        for start in range(0, len(data), piece):
            await self.send(data[start : start + piece])
            await asyncio.sleep(pause_s)

    async def flood(self, data: bytes) -> None:
        """Send the same bytes until the other side has enough."""
        while True:
            await self.send(data)
            await asyncio.sleep(0)

    def reset(self) -> None:
        """End the connection by RST instead of FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Web:
    """The server, in a thread of its own while the context lasts."""

    def __init__(
        self,
        sites: Mapping[str, Site],
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        log: Path | None = None,
    ) -> None:
        self.port = port
        self.log: list[Entry] = []
        self.raw: list[bytes] = []  # every request's header as it came
        self._sites = sites
        self._tls = tls
        self._path = log
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready.set)), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the test server did not start"
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def resolve(self) -> dict[str, str]:
        """Return what leads a crawl's `network.resolve` here, for every host."""
        return dict.fromkeys(self._sites, f"127.0.0.1:{self.port}")

    def paths(self, host: str | None = None) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [entry.path for entry in self.log if host in (None, entry.host)]

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until the context ends."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        output = (
            self._path.open("a", encoding="utf-8", buffering=1) if self._path else contextlib.nullcontext()
        )
        with output as self._output:
            server = await asyncio.start_server(
                self._converse, "127.0.0.1", self.port, ssl=self._tls, limit=_HEAD, backlog=1024
            )
            self.port = server.sockets[0].getsockname()[1]
            ready()
            await self._stop.wait()
            server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        try:
            while await self._reply(reader, writer, number):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Answer one request; say whether another may come."""
        raw = await reader.readuntil(b"\r\n\r\n")
        begun = time.time()
        first, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        host, path = fields.get("host", "").partition(":")[0], first.split(" ")[1]
        entry = Entry(begun, host, path, number, fields)
        self.log.append(entry)
        self.raw.append(raw)
        exchange = Exchange(host, path, raw, fields, number, entry, _writer=writer)
        try:
            reply = self._choose(exchange)
            if isinstance(reply, bytes):
                await exchange.send(reply)
            else:
                await reply(exchange)
            entry.whole = True
        finally:
            entry.ended = time.time()
            if self._output:
                self._output.write(json.dumps(asdict(entry)) + "\n")
        return not exchange.closing and fields.get("connection", "").lower() != "close"

    def _choose(self, exchange: Exchange) -> Reply:
        site = self._sites.get(exchange.host)
        if site is None:
            return page(status="421 Misdirected Request")
        if callable(site):
            return site(exchange)
        path = exchange.path
        return site.get(path) or site.get(path.partition("?")[0]) or page("yok", status="404 Not Found")


def read_log(path: Path) -> list[Entry]:
    """Read the log of a server that ran as a process of its own."""
    return [Entry(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def village(hosts: int = 5, pages: int = 20, size: int = 2_000, branches: int = 2) -> dict[str, Site]:
    """Return well-behaved hosts www0.test, www1.test ...: each a tree of pages, its first naming the next."""

    def site(number: int) -> Site:
        def reply(exchange: Exchange) -> Reply:
            if exchange.path == "/robots.txt":
                return page("User-agent: *\nDisallow: /gizli/\n", content_type="text/plain")
            at = int("0" + exchange.path.strip("/")) if exchange.path.strip("/").isdigit() else 0
            if at >= pages or (exchange.path != "/" and not at):
                return page("yok", status="404 Not Found")
            first = branches * at + 1
            links = [f"/{child}" for child in range(first, min(first + branches, pages))]
            links += ["/gizli/1", f"http://www{(number + 1) % hosts}.test/"] if at == 0 else []
            text = f"{number}. köyün {at}. sayfası. Burada yazılanlar başka bir yerde yazmaz. "
            body = "".join(f'<p><a href="{link}">sayfa</a>' for link in links) + "<p>" + text
            return page(f"<!doctype html><html lang=tr><title>{at}</title>{body}".ljust(size, "."))

        return reply

    return {f"www{number}.test": site(number) for number in range(hosts)}


def main() -> None:
    """Serve as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument(
        "--sites", default="web:village", help="MODULE:FUNCTION, which gives the sites by host"
    )
    chosen = parser.parse_args()
    module, _, name = chosen.sites.partition(":")
    web = Web(getattr(importlib.import_module(module), name)(), port=chosen.port, log=chosen.log)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(web.serve(lambda: print(web.port, flush=True)))


if __name__ == "__main__":
    main()
