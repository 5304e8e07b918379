"""The connections of a fetcher: who is at the other end, how many wait idle, how long a header may be."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import LineTooLong

IDLE_CONNECTIONS = 256
"""Connections that are kept while nothing is asked over them; beyond, those idle for longest are closed."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: its IP address; TLS protocol and cipher where there are."""

    address: str = ""
    tls: tuple[str, str] | None = None


NOBODY = Peer()
PEER: ContextVar[Peer] = ContextVar("peer", default=NOBODY)
"""The other end of the connection that the current task has got last; to be reset before a request."""


class Connector(aiohttp.TCPConnector):
    """Notes who is at the other end, keeps few idle connections, and limits the header as a whole.

    Idle ones end by themselves in 15 s, but by then thousands of hosts may have been asked for one page.
    """

    def __init__(self, header_limit: int, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Handler, self._loop, header_limit)

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
    """Gives up an answer when `limit` bytes came and its header is still not whole, 1xx answers included.

    aiohttp limits the lines of each answer, but not how many 1xx answers come before the one that counts.
    """

    def __init__(self, loop: Any, limit: int) -> None:
        super().__init__(loop)
        self._limit = limit
        self._header_bytes = 0
        self._begun = False

    def set_response_params(self, **options: Any) -> None:
        self._header_bytes, self._begun = 0, False
        super().set_response_params(**options)

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._begun = self._begun or not 100 <= data[0].code < 200
        super().feed_data(data, size)

    def set_exception(self, *error: Any) -> None:
        super().set_exception(*error)
        # Who waits for more of a body is not told by aiohttp that a chunk's frame is wrong.
        if self._payload is not None and not self._payload.is_eof() and self._payload.exception() is None:
            self._payload.set_exception(error[0])

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._begun:
            self._header_bytes += len(data)
            if self._header_bytes > self._limit and self.transport is not None:
                self.transport.close()
                self.set_exception(LineTooLong(b"the header", self._limit))
