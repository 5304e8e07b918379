"""The guard against private networks: only public IP addresses, or allowed ones, are connected to."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from corpus.crawl.config import Network
from corpus.errors import ConfigError
from corpus.web.ip import Address, destination, is_public

CACHE_S = 300.0
"""How long a DNS result, positive or negative, is cached."""

_CACHE_SIZE = 20_000
_LOOKUPS = 32  # concurrent: getaddrinfo blocks a thread, for half a minute if the name server is down

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


class Refused(OSError):  # noqa: N818  (an outcome; an OSError because resolvers may raise only that)
    """An IP address in a network that the crawl must not reach."""


class Unresolved(OSError):  # noqa: N818
    """A name without an IP address. `passing` is whether a later try may find one."""

    def __init__(self, detail: str, *, passing: bool) -> None:
        super().__init__(detail)
        self.passing = passing


def literal(host: str) -> Address | None:
    """Return the IP address of a host in any form that a resolver accepts (127.1, 0x7f.1, 2130706433, [::1]),
    None for a name.

    A host whose last label is a number is not a name (https://url.spec.whatwg.org/, "ends in a number"): if
    it is not an address either, Unresolved is raised.
    """
    bare = host.strip("[]").rstrip(".")
    try:
        if ":" in bare:
            return IPv6Address(bare)
        if _NUMBER.fullmatch(bare.rpartition(".")[2]):
            return IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        raise Unresolved(f"{host!r} is neither a name nor an address", passing=False) from None
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    """The DNS result of a name, and until when (seconds of the monotonic clock) it is cached."""

    until: float
    addresses: tuple[str, ...] = ()
    error: Unresolved | None = None


class Guard(AbstractResolver):
    """Resolves names for aiohttp and refuses addresses outside the public network and `settings.allow`.

    Of a name's addresses only the permitted ones are used; Refused is raised if none is left. aiohttp
    connects to the returned addresses themselves, so a name cannot change between the check and the
    connection. As aiohttp's `socket_factory`, `open` checks every address again, because aiohttp does not
    call its resolver for hosts that are addresses. `settings.resolve` replaces DNS, but not the check.
    """

    def __init__(self, settings: Network, timeout_s: float = 10.0) -> None:
        self._allow = [ip_network(net) for net in settings.allow]
        self._instead = {
            name.lower().rstrip("."): _instead(name, value) for name, value in settings.resolve.items()
        }
        self._timeout_s = timeout_s
        self._known: dict[str, _Known] = {}
        self._pool = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="resolve")

    def permits(self, address: Address) -> bool:
        """Return whether an address may be connected to."""
        real = destination(address)
        return is_public(address) or any(address in net or real in net for net in self._allow)

    def check(self, host: str) -> None:
        """Raise Refused if a host is an address that is not permitted; names are checked by `resolve`."""
        address = literal(host)
        if address is not None and not self.permits(address):
            raise Refused(_refusal(host, [str(address)]))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a host's permitted addresses; raises Unresolved, Refused."""
        name = host.lower().rstrip(".")
        other = self._instead.get(f"{name}:{port}") or self._instead.get(name)
        address = None if other else literal(name)
        if other:
            found, port = [other[0]], other[1]
        elif address is not None:
            found = [str(address)]
        else:
            found = list(await self._lookup(name))
        permitted = [text for text in found if self.permits(ip_address(text))]
        if not permitted:
            raise Refused(_refusal(host, found))
        return [_result(host, text, port) for text in permitted if _fits(text, family)]

    def open(self, info: Any) -> socket.socket:
        """Return a socket for one address in getaddrinfo's form; raises Refused."""
        family, kind, protocol, _, target = info
        self.check(str(target[0]))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Stop waiting for lookups."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _lookup(self, name: str) -> tuple[str, ...]:
        now = time.monotonic()
        known = self._known.get(name)
        if known is None or known.until < now:
            try:
                known = _Known(now + CACHE_S, addresses=await self._ask(name))
            except Unresolved as error:
                known = _Known(now + (0.0 if error.passing else CACHE_S), error=error)
            self._known.pop(name, None)
            self._known[name] = known
            if len(self._known) > _CACHE_SIZE:
                del self._known[next(iter(self._known))]
        if known.error is not None:
            raise Unresolved(str(known.error), passing=known.error.passing)
        return known.addresses

    async def _ask(self, name: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await loop.run_in_executor(self._pool, _getaddrinfo, name)
        except TimeoutError:
            raise Unresolved(f"no answer for {name} in {self._timeout_s:g} s", passing=True) from None
        except socket.gaierror as error:
            lasting = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
            raise Unresolved(f"{name}: {error.strerror}", passing=not lasting) from None
        except (OSError, ValueError) as error:  # a label that is too long or empty
            raise Unresolved(f"{name}: {error}", passing=False) from None
        return tuple(dict.fromkeys(found))


def _getaddrinfo(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]).partition("%")[0] for *_, address in found]


def _instead(name: str, value: str) -> tuple[str, int]:
    address, _, port = value.rpartition(":")
    try:
        # `literal` raises for a host like 1.2.3.4.5, which is an error in the key as well
        is_name = literal(name.rpartition(":")[0] or name) is None
        target = ip_address(address.strip("[]"))
        number = int(port)
    except (OSError, ValueError):
        is_name, number = False, 0
    if not is_name or not 0 < number < 65536:
        raise ConfigError(
            f"network.resolve.{name} = {value!r}: expected host or host:port → address:port, "
            "such as example.org → 127.0.0.1:8080"
        )
    return str(target), number


def _refusal(host: str, addresses: list[str]) -> str:
    return f"{host} is {', '.join(addresses)}: not a public address, and not in network.allow"


def _fits(address: str, family: int) -> bool:
    return family == socket.AF_UNSPEC or (":" in address) == (family == socket.AF_INET6)


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
