"""The connections of a fetcher: the peer, the number of idle connections, the parser of responses."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from corpus.crawl.fetching.response import ResponseParser
from corpus.errors import ConfigError

IDLE_CONNECTIONS = 256
"""The most idle connections that are kept; beyond that the longest idle ones are closed."""

PRIVATE = {
    "ClientSession": ("_retry_connection",),
    "TCPConnector": ("_factory", "_conns"),
    "ResponseHandler": ("_parser", "_tail", "set_response_params", "connection_lost", "force_close"),
}
"""The members of aiohttp's classes that the crawler uses but the documented interface does not have."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: its IP address; TLS protocol and cipher, if any."""

    address: str = ""
    tls: tuple[str, str] | None = None


NOBODY = Peer()
PEER: ContextVar[Peer] = ContextVar("peer", default=NOBODY)
"""The peer of the current task's last connection; must be reset before a request."""


class Connector(aiohttp.TCPConnector):
    """A connector that records the peer, limits idle connections, and reads responses with `ResponseParser`.

    aiohttp closes idle connections after 15 s, but in that time thousands of hosts may each have returned one
    page.
    """

    def __init__(self, header_limit: int, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Handler, asyncio.get_running_loop(), header_limit)

    async def connect(self, *arguments: Any, **options: Any) -> Connection:
        connection = await super().connect(*arguments, **options)
        while len(self._conns) > IDLE_CONNECTIONS:
            for protocol, _ in self._conns.pop(next(iter(self._conns))):
                protocol.close()
        if connection.transport is not None:
            PEER.set(_peer(connection.transport))
        return connection


def _peer(transport: Any) -> Peer:
    address = transport.get_extra_info("peername")
    secure = transport.get_extra_info("ssl_object")
    protocol, cipher = (secure.version(), secure.cipher()) if secure is not None else (None, None)
    tls = (protocol.lower().replace("tlsv", "tls/"), cipher[0]) if protocol and cipher else None
    return Peer(str(address[0]) if address else "", tls)


class _Handler(ResponseHandler):
    """Reads responses with `ResponseParser`, which accepts what aiohttp's own parser refuses."""

    def __init__(self, loop: Any, header_limit: int) -> None:
        super().__init__(loop)
        self._header_limit = header_limit

    def set_response_params(self, **options: Any) -> None:
        early, self._tail = self._tail, b""
        super().set_response_params(**options)
        timer, buffer = options.get("timer"), options.get("read_bufsize", 1 << 16)
        self._parser: Any = ResponseParser(self, self._header_limit, timer=timer, buffer=buffer)
        if early:
            self.data_received(early)

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and self._parser is not None:
            self._parser.is_lost = True
        super().connection_lost(exc)


def check_client() -> None:
    """Raise ConfigError if the installed aiohttp lacks something that the crawler relies on."""
    missing = asyncio.run(_missing())
    if missing:
        raise ConfigError(
            f"aiohttp {aiohttp.__version__} has no {', '.join(missing)}, which the crawler relies on: "
            "install the version that pyproject.toml names: pip install 'aiohttp>=3.14,<3.15'"
        )


async def _missing() -> list[str]:
    connector = aiohttp.TCPConnector()
    session = aiohttp.ClientSession(connector=connector)
    parts = (session, connector, ResponseHandler(asyncio.get_running_loop()))
    missing = [
        f"{kind}.{name}"
        for (kind, names), part in zip(PRIVATE.items(), parts, strict=True)
        for name in names
        if not hasattr(part, name)
    ]
    if not missing:  # closing may need what is missing
        await session.close()
    return missing
