"""The settings of a fetch from Common Crawl: selection of captures, access to servers, sizes of pieces."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from corpus.places import usable
from corpus.settings import Section, WrongValueError
from corpus.web.agent import Agent

MIB = 1 << 20
KIB = 1 << 10
_DAY = 86_400


class Selection(Section):
    """Which captures of one crawl are taken; if several places are named, a page must be in one of them."""

    crawl: str = Field("", description="such as CC-MAIN-2024-22; '' for the newest")
    languages: tuple[str, ...] = Field(("tur",), description="ISO 639-3 codes, by CLD2; () for all")
    secondary: bool = Field(False, description="a language also counts if it is not the page's first")
    tlds: tuple[str, ...] = Field((), description="hosts in these top-level domains")
    domains: tuple[str, ...] = Field((), description="these domains and their subdomains")
    hosts: tuple[str, ...] = Field((), description="these hosts, without subdomains")
    statuses: tuple[Annotated[int, Field(ge=100, le=999)], ...] = Field(
        (200,), min_length=1, description="HTTP status"
    )
    mimes: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml"),
        min_length=1,
        description="media types that Common Crawl detected, whatever the server declared",
    )
    truncated: bool = Field(False, description="include truncated pages (since 2013 at 1 MiB)")
    limit: int = Field(10_000, ge=0, description="number of captures, drawn by `seed`; 0 for all")
    spread: int = Field(
        16,
        ge=1,
        description="pieces of the index (row groups, or pages of the CDX API) over which a limit is spread: "
        "more give a better mixture and take longer to read; each is sorted by URL",
    )
    seed: int = Field(1, ge=0, description="which pieces are drawn, and which captures of each")
    via: Literal["columnar", "cdx"] = Field("columnar", description="which of the two indexes is used")

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
            raise WrongValueError(
                self, "via", "it needs a place: name a host, a domain or a TLD, or use the columnar index"
            )
        return self


def _host(value: str) -> str:
    """Return a name as the index has it: lower case, IDNA; raise ValueError if it is not a host name."""
    name = value.strip().strip(".").lower()
    try:
        written = name.encode("idna").decode()
    except UnicodeError:
        written = ""
    if not written or any(char in written for char in "/:@?#*, "):
        raise ValueError(f"{value!r}: expected a name such as example.com.tr, without scheme or path")
    return written


class Access(Section):
    """Where Common Crawl is read, by whom, and at what rate.

    The numbers follow Common Crawl's requests (https://status.commoncrawl.org/ and its blog of November
    2023): at most about ten requests a second, and at least ten seconds of pause after a 503.
    """

    base: str = Field("https://data.commoncrawl.org", description="its files: a URL, or a local copy's path")
    index_base: str = Field("https://index.commoncrawl.org", description="its list of crawls, its CDX API")
    agent: Agent = Field(default_factory=Agent, description="the User-Agent; a contact is not required here")
    connections: int = Field(4, ge=1, le=64, description="concurrent requests of each worker")
    requests_per_s: float = Field(
        10.0, gt=0, le=1000, description="requests that each worker starts per second"
    )
    tries: int = Field(8, ge=1, le=1000, description="consecutive tries of one request")
    backoff_s: float = Field(
        10.0, gt=0, le=_DAY, description="pause after the first failure; doubles, jittered"
    )
    max_backoff_s: float = Field(
        300.0, gt=0, le=_DAY, description="the longest such pause; stop if Retry-After is longer"
    )
    connect_s: float = Field(20.0, gt=0, le=_DAY, description="to open a connection")
    idle_s: float = Field(60.0, gt=0, le=_DAY, description="between two pieces of a response")

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
        """The User-Agent field: name, version and the contact, if any."""
        header = self.agent.header
        return header if self.agent.contact else header.partition(" ")[0]


class Pieces(Section):
    """The sizes in which captures are read and written."""

    unit_mb: float = Field(
        64.0, gt=0, le=1 << 20, description="size of the records of one unit, which writes one WARC file"
    )
    gap_kb: float = Field(
        64.0, ge=0, le=1 << 30, description="records of a file with a gap of at most this are read at once"
    )
    read_mb: float = Field(8.0, gt=0, le=1 << 20, description="the largest such read")

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
    """All settings; every key has a default."""

    selection: Selection = Field(default_factory=Selection)
    access: Access = Field(default_factory=Access)
    pieces: Pieces = Field(default_factory=Pieces)
