"""The address guard: what a name leads to is checked, and nothing else is connected to."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from web import ALLOW, Web, page

from corpus.crawl.config import Crawl, Network
from corpus.crawl.fetching import network
from corpus.crawl.fetching.fetch import Answer, Failure, Fetcher
from corpus.crawl.fetching.network import Guard, Refused, Unresolved, literal
from corpus.errors import ConfigError
from corpus.web.agent import Agent
from corpus.web.ip import is_public

AGENT = Agent(contact="https://example.org/tarama")

PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "127.0.0.1", "127.255.255.254", "169.254.1.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "100::1"),
    *("2001::1", "2001:db8::1", "3fff::1", "4000::1", "5f00::1", "64:ff9b:1::1", "::127.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"),
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the machine's resolver by a table of names; `asked` counts what it was asked."""
    names: dict[str, Any] = {"asked": []}

    def lookup(name: str, port: object, *_: object, **__: object) -> list[Any]:
        names["asked"].append(name)
        found = names.get(name, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(found, Exception):
            raise found
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))
            for address in found
        ]

    monkeypatch.setattr(network.socket, "getaddrinfo", lookup)
    return names


def resolve(
    host: str, port: int = 80, *, allow: tuple[str, ...] = (), **override: str
) -> list[tuple[str, int]]:
    """Resolve a host by a guard of its own; `override` names hosts with _ for a dot."""
    settings = Network(allow=allow, resolve={name.replace("_", "."): to for name, to in override.items()})

    async def inside() -> list[tuple[str, int]]:
        guard = Guard(settings)
        try:
            return [(found["host"], found["port"]) for found in await guard.resolve(host, port)]
        finally:
            await guard.close()

    return asyncio.run(inside())


def fetch(url: str, settings: Network) -> Answer | Failure:
    """Fetch a URL in a network."""

    async def inside() -> Answer | Failure:
        async with Fetcher(Crawl(agent=AGENT, network=settings)) as fetcher:
            return await fetcher.get(url)

    return asyncio.run(inside())


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_no_public_host_has_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(Refused, match=r"network\.allow"):
        Guard(Network()).check(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    assert is_public(ip_address(address))
    Guard(Network()).check(address)


@given(st.integers(0, 2**32 - 1))
@example(int(IPv4Address("192.0.0.9")))  # anycast: global by the registry, but no host of a web site
@example(int(IPv4Address("192.88.99.1")))
def test_nothing_is_public_that_python_calls_private(number: int) -> None:
    address = IPv4Address(number)
    assert not (is_public(address) and (address.is_private or address.is_multicast or address.is_reserved))
    mapped = IPv6Address(f"::ffff:{address}")
    assert is_public(mapped) == is_public(address)
    assert is_public(IPv6Address(int(IPv6Address("64:ff9b::")) | number)) == is_public(address)
    assert is_public(IPv6Address(int(IPv6Address("2002::")) | number << 80)) == is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *(
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
        ),
        *(("0x7F000001", "127.0.0.1"), ("127.0.0.1.", "127.0.0.1"), ("017700000001", "127.0.0.1")),
        *(("[::1]", "::1"), ("::ffff:127.0.0.1", "::ffff:7f00:1"), ("0", "0.0.0.0"), ("[0:0::1]", "::1")),
        *(("169.254.169.254.", "169.254.169.254"), ("0xA9FEA9FE", "169.254.169.254")),
    ],
)
def test_an_address_in_any_form_is_read_as_a_resolver_would(host: str, address: str) -> None:
    assert literal(host) == ip_address(address)
    with pytest.raises(Refused):
        Guard(Network()).check(host)


@pytest.mark.parametrize(
    "host", ["example.org", "1.example", "0x7f.example", "a.b-1", "127.0.0.1.nip.io", "xn--1"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    "host", ["1.2.3.4.5", "256.0.0.1", "example.1", "a.0x", "[::1::2]", "09.1.1.1", "1..2"]
)
def test_what_ends_in_a_number_and_is_no_address_is_not_looked_up(host: str, dns: dict[str, Any]) -> None:
    with pytest.raises(Unresolved) as caught:
        resolve(host)
    assert not caught.value.passing
    assert dns["asked"] == []


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.1",
            "127.0.0.1.",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ),
        *(
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "0",
            "[::]",
            "[fe80::1%251]",
        ),
    ],
)
def test_a_url_with_a_private_address_is_never_connected_to(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(Guard, "open", forbidden)
    result = fetch(f"http://{host}:9/", Network())
    assert isinstance(result, Failure)
    assert (result.kind, result.passing) == ("network.refused", False)


def test_a_name_that_leads_to_private_addresses_is_refused(dns: dict[str, Any]) -> None:
    dns["sinsi.test"] = ["127.0.0.1", "::1", "::ffff:10.0.0.1"]
    result = fetch("http://sinsi.test/", Network())
    assert isinstance(result, Failure)
    assert (result.kind, result.passing) == ("network.refused", False)
    assert "127.0.0.1, ::1" in result.detail


def test_of_a_names_addresses_only_the_permitted_are_used(dns: dict[str, Any]) -> None:
    dns["karma.test"] = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "8.8.8.8"]
    assert resolve("karma.test", 443) == [("8.8.8.8", 443), ("2606:4700::1111", 443)]


def test_an_allowed_network_is_reached_by_name_and_by_address(dns: dict[str, Any]) -> None:
    with Web({"ev.test": {"/": page("ev")}, "127.0.0.1": {"/": page("adres")}}) as web:
        dns["ev.test"] = ["10.0.0.1", "127.0.0.1"]
        by_name = fetch(f"http://ev.test:{web.port}/", Network(allow=ALLOW))
        by_address = fetch(f"http://127.0.0.1:{web.port}/", Network(allow=ALLOW))
    assert isinstance(by_name, Answer)
    assert isinstance(by_address, Answer)
    assert (by_name.body, by_name.address) == (b"ev", "127.0.0.1")
    assert by_address.body == b"adres"


def test_to_allow_one_network_allows_no_other() -> None:
    guard = Guard(Network(allow=("127.0.0.0/8", "fd00::/8")))
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd12::1"):
        guard.check(address)
    for address in ("10.0.0.1", "::1", "169.254.169.254", "fe80::1"):
        with pytest.raises(Refused):
            guard.check(address)


def test_the_connection_goes_where_the_check_looked(dns: dict[str, Any]) -> None:
    """A name server that answers differently the second time is not asked a second time."""
    with Web({"oynak.test": {"/": page("bir")}}) as web:

        class Turning(list[str]):
            def __iter__(self) -> Iterator[str]:
                answers = ["127.0.0.1"] if len(dns["asked"]) == 1 else ["10.0.0.1"]
                return iter(answers)

        dns["oynak.test"] = Turning()
        result = fetch(f"http://oynak.test:{web.port}/", Network(allow=ALLOW))
    assert isinstance(result, Answer)
    assert dns["asked"] == ["oynak.test"]


def test_every_socket_is_checked_on_whatever_way_its_address_came() -> None:
    guard = Guard(Network())
    for target in (("127.0.0.1", 80), ("2130706433", 80), ("127.1", 80)):
        with pytest.raises(Refused):
            guard.open((socket.AF_INET, socket.SOCK_STREAM, 6, "", target))
    guard.open((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))).close()


def test_an_address_that_slipped_by_the_resolver_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Guard, host: str, port: int, family: int = socket.AF_INET) -> list[Any]:
        return [
            {"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 6, "flags": 0}
        ]

    monkeypatch.setattr(Guard, "resolve", careless)
    with Web({"sinsi.test": {"/": page()}}) as web:
        result = fetch(f"http://sinsi.test:{web.port}/", Network())
    assert isinstance(result, Failure)
    assert (result.kind, web.log) == ("network.refused", [])


def test_an_override_replaces_dns_but_not_the_check(dns: dict[str, Any]) -> None:
    assert resolve("a.test", 80, allow=ALLOW, a_test="127.0.0.1:8080") == [("127.0.0.1", 8080)]
    assert resolve("A.test.", 443, allow=ALLOW, a_test="127.0.0.1:8080") == [("127.0.0.1", 8080)]
    with pytest.raises(Refused):
        resolve("a.test", 80, a_test="127.0.0.1:8080")
    assert dns["asked"] == []


def test_an_override_of_a_port_comes_before_that_of_its_host() -> None:
    override = {"a.test": "127.0.0.1:1", "a.test:443": "127.0.0.1:2"}
    assert resolve("a.test", 80, allow=ALLOW, **override) == [("127.0.0.1", 1)]
    assert resolve("a.test", 443, allow=ALLOW, **override) == [("127.0.0.1", 2)]
    assert resolve("a.test", 443, allow=("::1/128",), a_test="[::1]:8080") == [("::1", 8080)]


@pytest.mark.parametrize(
    "value", ["127.0.0.1", "localhost:80", "127.0.0.1:0", "127.0.0.1:99999", ":80", "", "[::1]"]
)
def test_an_override_that_is_none_is_an_error_of_the_configuration(value: str) -> None:
    with pytest.raises(ValueError, match="address:port"):
        Network(resolve={"a.test": value})


def test_an_address_cannot_be_overridden() -> None:
    with pytest.raises(ConfigError):
        Guard(Network(resolve={"10.0.0.1": "127.0.0.1:80"}))


def test_an_answer_of_dns_is_believed_for_a_while_but_not_a_failure_of_it(dns: dict[str, Any]) -> None:
    dns["a.test"] = ["8.8.8.8"]
    dns["ara.test"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def inside() -> None:
        guard = Guard(Network())
        for host in ("a.test", "A.TEST.", "yok.test", "yok.test", "ara.test", "ara.test"):
            with suppress(Unresolved):
                await guard.resolve(host, 80)
        await guard.close()

    asyncio.run(inside())
    assert dns["asked"] == ["a.test", "yok.test", "ara.test", "ara.test"]


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), True),
        (UnicodeError("label empty or too long"), False),
    ],
)
def test_a_name_without_an_address_is_a_failure(error: Exception, passing: bool, dns: dict[str, Any]) -> None:
    dns["yok.test"] = error
    result = fetch("http://yok.test/", Network())
    assert isinstance(result, Failure)
    assert (result.kind, result.passing) == ("dns", passing)


def test_a_name_server_that_is_silent_does_not_hold_the_crawl(
    monkeypatch: pytest.MonkeyPatch, dns: dict[str, Any]
) -> None:
    release = threading.Event()
    monkeypatch.setattr(network, "_getaddrinfo", lambda name: release.wait(5))

    async def inside() -> None:
        guard = Guard(Network(), timeout_s=0.1)
        with pytest.raises(Unresolved) as caught:
            await guard.resolve("yok.test", 80)
        assert caught.value.passing
        await guard.close()

    try:
        asyncio.run(inside())
    finally:
        release.set()
