"""What may be said of a fetch from Common Crawl: which captures, from where, how gently, in what pieces."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from corpus.places import usable
from corpus.settings import Section
from corpus.web.agent import Agent

MIB = 1 << 20
KIB = 1 << 10
_DAY = 86_400


class Selection(Section):
    """Which captures of one crawl are taken; of several places named, a page must lie in one."""

    crawl: str = Field("", description="such as CC-MAIN-2024-22; '' takes the newest")
    languages: tuple[str, ...] = Field(("tur",), description="ISO 639-3 codes, as CLD2 found; () takes all")
    secondary: bool = Field(False, description="a language counts also where it is not the page's first")
    tlds: tuple[str, ...] = Field((), description="names below these top-level domains")
    domains: tuple[str, ...] = Field((), description="these names and all below them")
    hosts: tuple[str, ...] = Field((), description="these hosts alone")
    statuses: tuple[Annotated[int, Field(ge=100, le=999)], ...] = Field(
        (200,), min_length=1, description="HTTP status"
    )
    mimes: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml"),
        min_length=1,
        description="media types as Common Crawl detected them, whatever the server said",
    )
    truncated: bool = Field(False, description="pages that were cut (since 2013 at 1 MiB) count too")
    limit: int = Field(10_000, ge=0, description="captures, drawn by `seed`; 0 takes all")
    spread: int = Field(
        16,
        ge=1,
        description="pieces of the index (row groups, or pages of the CDX API) over which a limit is spread: "
        "more are more mixed, and more to read; each is sorted by address",
    )
    seed: int = Field(1, ge=0, description="which pieces are drawn, and which captures of each")
    via: Literal["columnar", "cdx"] = Field("columnar", description="which of the two indexes is asked")

    @field_validator("crawl")
    @classmethod
    def _one_name(cls, value: str) -> str:
        if value and not all(char.isascii() and (char.isalnum() or char in "-_") for char in value):
            raise ValueError("expected the name of a crawl, such as CC-MAIN-2024-22")
        return value

    @field_validator("languages")
    @classmethod
    def _codes(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not (len(value) == 3 and value.isascii() and value.isalpha() and value.islower()):
                raise ValueError(f"{value!r}: expected an ISO 639-3 code of three letters, such as tur")
        return values

    @field_validator("tlds", "domains", "hosts")
    @classmethod
    def _names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_host(value) for value in values)

    @model_validator(mode="after")
    def _cdx_needs_a_place(self) -> Selection:
        if self.via == "cdx" and not (self.tlds or self.domains or self.hosts):
            raise ValueError(
                "the CDX API looks places up: name a host, a domain or a TLD, or go via columnar"
            )
        return self


def _host(value: str) -> str:
    """Write a name as the index does: lower case, IDNA; ValueError for what is none."""
    name = value.strip().strip(".").lower()
    try:
        written = name.encode("idna").decode()
    except UnicodeError:
        written = ""
    if not written or any(char in written for char in "/:@?#*, "):
        raise ValueError(f"{value!r}: expected a name such as example.com.tr, without scheme or path")
    return written


class Access(Section):
    """Where Common Crawl is read, who asks, and how gently.

    The numbers follow what Common Crawl asks for (https://status.commoncrawl.org/ and its blog of November
    2023): at most about ten requests a second, and ten seconds and more of pause after a 503.
    """

    base: str = Field("https://data.commoncrawl.org", description="its files: a URL, or a local copy's path")
    index_base: str = Field("https://index.commoncrawl.org", description="its list of crawls, its CDX API")
    agent: Agent = Field(default_factory=Agent, description="who asks; the contact is not required here")
    connections: int = Field(4, ge=1, le=64, description="requests at once, of each worker")
    requests_per_s: float = Field(
        10.0, gt=0, le=1000, description="requests begun in a second, of each worker"
    )
    tries: int = Field(8, ge=1, le=1000, description="of one request, in a row")
    backoff_s: float = Field(
        10.0, gt=0, le=_DAY, description="pause after the first failure; doubles, jittered"
    )
    max_backoff_s: float = Field(300.0, gt=0, le=_DAY, description="the longest such pause; Retry-After too")
    connect_s: float = Field(20.0, gt=0, le=_DAY, description="until there is a connection")
    idle_s: float = Field(60.0, gt=0, le=_DAY, description="between two pieces of an answer")

    @field_validator("base", "index_base")
    @classmethod
    def _place(cls, value: str) -> str:
        usable(value)
        scheme = urlsplit(value).scheme if "://" in value else "file"
        if not value or (scheme in ("http", "https") and not urlsplit(value).hostname):
            raise ValueError("expected a URL such as https://data.commoncrawl.org, or a folder")
        return value.rstrip("/")

    @property
    def user_agent(self) -> str:
        """Return the User-Agent field: name, version and, where one is given, the contact."""
        header = self.agent.header
        return header if self.agent.contact else header.partition(" ")[0]


class Pieces(Section):
    """In what pieces captures are read and written."""

    unit_mb: float = Field(
        64.0, gt=0, le=1 << 20, description="records of one unit of work, which writes one WARC file"
    )
    gap_kb: float = Field(
        64.0, ge=0, le=1 << 30, description="records of a file with no more between are read at once"
    )
    read_mb: float = Field(8.0, gt=0, le=1 << 20, description="the longest such read")

    @property
    def unit_bytes(self) -> int:
        return max(1, int(self.unit_mb * MIB))

    @property
    def gap(self) -> int:
        return int(self.gap_kb * KIB)

    @property
    def read_bytes(self) -> int:
        return max(1, int(self.read_mb * MIB))


class CommonCrawl(Section):
    """All of it; every key has a default."""

    selection: Selection = Field(default_factory=Selection)
    access: Access = Field(default_factory=Access)
    pieces: Pieces = Field(default_factory=Pieces)
