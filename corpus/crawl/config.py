"""What a crawl may be told: who asks, how politely, how far, how much, and in which network."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator

from corpus.errors import ConfigError
from corpus.settings import Section, overlay, parse, read
from corpus.web.agent import Agent

OptOut = Literal["noindex", "noai", "noimageai", "nofollow", "tdm"]
OPT_OUTS: tuple[OptOut, ...] = get_args(OptOut)
"""Wishes of a site that a crawl can honour: robots directives by name, and a TDM reservation."""

_DAY = 86_400


class Politeness(Section):
    """How gently. Between the end of an answer and the next request to the same host there is a pause."""

    delay_s: float = Field(3.0, ge=0, le=_DAY, description="the shortest pause")
    factor: float = Field(
        5.0, ge=0, le=1_000, description="the pause is this many times the last answer's time ..."
    )
    max_delay_s: float = Field(
        30.0, ge=0, le=_DAY, description="... but no longer than this (Heritrix: 5, 3 s, 30 s)"
    )
    max_crawl_delay_s: float = Field(
        300.0, ge=0, le=_DAY, description="a robots.txt Crawl-delay is kept up to this"
    )
    address_requests: int = Field(
        8, ge=1, description="requests at once to one IP address, whatever its names"
    )
    retries: int = Field(3, ge=0, le=100, description="further tries of a page whose failure may pass")
    backoff_s: float = Field(
        30.0, ge=0, le=_DAY, description="the pause after 429, 503 or silence; doubles, jittered"
    )
    max_backoff_s: float = Field(3600.0, ge=0, le=_DAY, description="the longest such pause; Retry-After too")
    robots_hours: float = Field(24.0, gt=0, le=24, description="how long a robots.txt counts (RFC 9309: 24)")
    honour: tuple[OptOut, ...] = Field(OPT_OUTS, description="opt-outs that are obeyed; all are recorded")


class Scope(Section):
    """How far: which of the links that are found belong to the crawl."""

    within: Literal["host", "domain", "tld", "any"] = Field(
        "host", description="the seeds' hosts, their registered domains, the names under `tlds`, or anything"
    )
    tlds: tuple[str, ...] = Field((), description="for within = 'tld', such as ['tr']")
    allow: tuple[str, ...] = Field((), description="regular expressions; where given, a URL must match one")
    deny: tuple[str, ...] = Field((), description="regular expressions; a URL must match none")
    depth: int = Field(16, ge=0, le=10_000, description="links from a seed")
    language: str = Field("tur", description="pages that seem to be in it come first; '' for none")
    sitemaps: bool = Field(True, description="read the sitemaps that robots.txt names, and /sitemap.xml")

    @field_validator("language")
    @classmethod
    def _code(cls, value: str) -> str:
        if value and not re.fullmatch("[a-z]{2,3}", value):
            raise ValueError("expected an ISO 639-3 code such as tur, or '' for none")
        return value

    @field_validator("allow", "deny")
    @classmethod
    def _compiles(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return values


class Limits(Section):
    """How much."""

    pages: int = Field(10_000, ge=1, description="pages of the whole crawl")
    host_pages: int = Field(1_000, ge=1, description="pages of one host")
    host_round_pages: int = Field(100, ge=1, description="pages of one host in one round")
    buckets: int = Field(0, ge=0, description="units of a round; 0: one a worker, 1,000 addresses each")
    rounds: int = Field(100, ge=1, description="rounds; links found in one are followed in the next")
    round_minutes: float = Field(
        60.0, gt=0, le=10_080, description="when a round ends for hosts that are still waiting"
    )
    hosts_at_once: int = Field(1_000, ge=1, description="hosts that one worker talks to or waits for")
    requests_at_once: int = Field(128, ge=1, description="requests of one worker that are under way together")
    body_mb: float = Field(8.0, gt=0, le=1e6, description="longest body, as sent and unpacked")
    header_kb: float = Field(64.0, gt=0, le=1e6, description="longest header")
    redirects: int = Field(5, ge=0, le=100, description="redirects in a row")
    connect_s: float = Field(10.0, gt=0, le=_DAY, description="until there is a connection, TLS included")
    idle_s: float = Field(20.0, gt=0, le=_DAY, description="between two pieces of an answer")
    total_s: float = Field(120.0, gt=0, le=_DAY, description="for one answer, whatever comes")
    sitemap_urls: int = Field(50_000, ge=0, description="addresses taken from the sitemaps of one host")
    warc_mb: float = Field(1024.0, gt=0, le=1e6, description="a WARC file ends at this size")


class Network(Section):
    """In which network: by default only public addresses."""

    allow: tuple[str, ...] = Field((), description="networks that may be fetched though private: 127.0.0.0/8")
    resolve: dict[str, str] = Field(
        default_factory=dict,
        description="'host' or 'host:port' → 'address:port', instead of asking DNS (as curl's --connect-to)",
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
            ipaddress.ip_network(value)  # its ValueError says what is wrong
        return values


class Crawl(Section):
    """A crawl's configuration; every key has a default but the contact."""

    agent: Agent = Field(default_factory=Agent)
    politeness: Politeness = Field(default_factory=Politeness)
    scope: Scope = Field(default_factory=Scope)
    limits: Limits = Field(default_factory=Limits)
    network: Network = Field(default_factory=Network)


def load(path: Path | None, overrides: tuple[str, ...] = ()) -> Crawl:
    """Read a crawl's TOML file (None: the defaults) under overrides; ConfigError says what is wrong."""
    try:
        data = read(path, overrides) if path is not None else overlay({}, overrides)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; `derlem crawl --settings` prints one to start from"
        ) from None
    return parse(Crawl, data, str(path or "crawl"))
