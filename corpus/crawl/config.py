"""The settings of a crawl: agent, politeness, scope, limits and network."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator

from corpus.errors import ConfigError
from corpus.settings import Section, named, overlay, parse, read
from corpus.web.agent import Agent

OptOut = Literal["noindex", "noai", "noimageai", "nofollow", "tdm"]
OPT_OUTS: tuple[OptOut, ...] = get_args(OptOut)
"""Opt-outs of a site that a crawl can honour: robots directives by name, and a TDM reservation."""

_DAY = 86_400


class Politeness(Section):
    """Pauses between requests to a host, retries, and which opt-outs are honoured."""

    delay_s: float = Field(3.0, ge=0, le=_DAY, description="the shortest pause between requests to a host")
    factor: float = Field(
        5.0, ge=0, le=1_000, description="the pause is this many times the last response's duration ..."
    )
    max_delay_s: float = Field(
        30.0, ge=0, le=_DAY, description="... but at most this (Heritrix: 5, 3 s, 30 s)"
    )
    max_crawl_delay_s: float = Field(
        300.0, ge=0, le=_DAY, description="a robots.txt Crawl-delay is honoured up to this"
    )
    address_requests: int = Field(
        8, ge=1, description="concurrent requests to one IP address, whatever its host names"
    )
    retries: int = Field(3, ge=0, le=100, description="further tries of a page after a temporary failure")
    backoff_s: float = Field(
        30.0, ge=0, le=_DAY, description="the pause after 429, 503 or no response; doubles, jittered"
    )
    max_backoff_s: float = Field(
        3600.0, ge=0, le=_DAY, description="the longest such pause; limits Retry-After"
    )
    robots_hours: float = Field(
        24.0, gt=0, le=24, description="how long a robots.txt is valid (RFC 9309: 24)"
    )
    honour: tuple[OptOut, ...] = Field(OPT_OUTS, description="opt-outs that are honoured; all are recorded")


class Scope(Section):
    """Which links belong to the crawl."""

    within: Literal["host", "domain", "tld", "any"] = Field(
        "host", description="the seeds' hosts, their registered domains, hosts under `tlds`, or any host"
    )
    tlds: tuple[str, ...] = Field((), description="for within = 'tld', such as ['tr']")
    allow: tuple[str, ...] = Field((), description="regular expressions; if any, a URL must match one")
    deny: tuple[str, ...] = Field((), description="regular expressions; a URL must not match any")
    depth: int = Field(16, ge=0, le=10_000, description="the most links from a seed to a page")
    language: str = Field("tur", description="pages that seem to be in it are fetched first; '' for none")
    sitemaps: bool = Field(True, description="read the sitemaps that robots.txt names, and /sitemap.xml")

    @field_validator("language")
    @classmethod
    def _code(cls, value: str) -> str:
        if value and not re.fullmatch("[a-z]{2,3}", value):
            raise ValueError("expected an ISO 639-3 code such as tur, or '' for no preference")
        return value

    @field_validator("allow", "deny")
    @classmethod
    def _compiles(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from None
        return values


class Limits(Section):
    """How much is fetched, and the limits of each request."""

    pages: int = Field(10_000, ge=1, description="pages of the whole crawl")
    host_pages: int = Field(1_000, ge=1, description="pages of one origin")
    host_round_pages: int = Field(100, ge=1, description="pages of one origin in one round")
    buckets: int = Field(0, ge=0, description="units of a round; 0: one per worker, 1,000 URLs or more each")
    rounds: int = Field(100, ge=1, description="rounds; links found in one are followed in the next")
    round_minutes: float = Field(
        60.0, gt=0, le=10_080, description="after this time a round starts no more requests"
    )
    hosts_at_once: int = Field(1_000, ge=1, description="hosts that one worker visits concurrently")
    requests_at_once: int = Field(128, ge=1, description="concurrent requests of one worker")
    body_mb: float = Field(8.0, gt=0, le=1e6, description="longest body, as sent and decompressed")
    header_kb: float = Field(64.0, gt=0, le=1e6, description="longest header")
    redirects: int = Field(5, ge=0, le=100, description="consecutive redirects")
    connect_s: float = Field(10.0, gt=0, le=_DAY, description="time to connect, TLS included")
    idle_s: float = Field(20.0, gt=0, le=_DAY, description="time between two pieces of a response")
    total_s: float = Field(120.0, gt=0, le=_DAY, description="time for a whole response")
    sitemap_urls: int = Field(50_000, ge=0, description="URLs taken from the sitemaps of one origin")
    warc_mb: float = Field(1024.0, gt=0, le=1e6, description="a WARC file ends at this size")


class Network(Section):
    """Which IP addresses may be reached: by default only public ones."""

    allow: tuple[str, ...] = Field((), description="private networks that may be reached: 127.0.0.0/8")
    resolve: dict[str, str] = Field(
        default_factory=dict,
        description="'host' or 'host:port' → 'address:port', instead of DNS (as curl's --connect-to)",
    )

    @field_validator("resolve")
    @classmethod
    def _addresses(cls, values: dict[str, str]) -> dict[str, str]:
        for value in values.values():
            address, _, port = value.rpartition(":")
            try:
                ipaddress.ip_address(address.strip("[]"))
                is_port = 0 < int(port) < 65536
            except ValueError:
                is_port = False
            if not is_port:
                raise ValueError(f"{value!r}: expected address:port, such as 127.0.0.1:8080")
        return values

    @field_validator("allow")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ipaddress.ip_network(value)  # raises a ValueError with the cause
        return values


class Crawl(Section):
    """A crawl's configuration; every key except the contact has a default."""

    agent: Agent = Field(default_factory=Agent)
    politeness: Politeness = Field(default_factory=Politeness)
    scope: Scope = Field(default_factory=Scope)
    limits: Limits = Field(default_factory=Limits)
    network: Network = Field(default_factory=Network)


def load(path: Path | None, overrides: tuple[str, ...] = ()) -> Crawl:
    """Read a crawl's TOML file (None: defaults only) with overrides; raises ConfigError with the key and the
    cause."""
    try:
        data = read(path, overrides) if path is not None else overlay({}, overrides)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; `derlem crawl --settings` prints one to start from"
        ) from None
    return parse(Crawl, data, named(path or "derlem crawl", overrides))
