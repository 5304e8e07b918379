"""Wishes of a site about the use of its pages: robots directives in headers and meta elements, and TDMRep."""

from __future__ import annotations

from collections.abc import Iterable


class Tdm:
    """A site's /.well-known/tdmrep.json."""

    @classmethod
    def parse(cls, body: bytes) -> Tdm:
        """Read the file; what is no tdmrep.json has no rules."""
        raise NotImplementedError

    def reserved(self, url: str) -> bool | None:
        """Say whether text and data mining is reserved for an address; None where the file says nothing."""
        raise NotImplementedError


def directives(values: Iterable[str], agent: str) -> frozenset[str]:
    """Read X-Robots-Tag field values into directives, in lower case; `none` becomes noindex and nofollow."""
    raise NotImplementedError


def reservation(value: str) -> bool | None:
    """Read a tdm-reservation value: "1" reserves, "0" does not, anything else says nothing."""
    raise NotImplementedError


def found(header: frozenset[str], meta: frozenset[str], tdm: dict[str, bool | None]) -> dict[str, str]:
    """Give each opt-out found (OptOut) and where: {"noai": "header", "tdm": "meta"}."""
    raise NotImplementedError
