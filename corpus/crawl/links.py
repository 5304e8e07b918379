"""One pass over a page: the links it names, and what it says about its own use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Via = Literal["link", "canonical", "hreflang", "redirect"]


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its normalised address, how it is named, rel=nofollow, and the language it is said to be in."""

    url: str
    via: Via
    nofollow: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Page:
    """What a page names and asks for.

    `directives` are those of its meta elements, by name, as `optout.directives` gives them; `tdm` is its
    tdm-reservation (None where it says nothing); `base` is the address that its links are relative to.
    """

    links: list[Link]
    directives: frozenset[str]
    tdm: bool | None
    base: str


def read(body: bytes, url: str, headers: Mapping[str, str], agent: str) -> Page:
    """Read an HTML body; `headers` (lower-case names) give its charset and Link fields."""
    raise NotImplementedError
