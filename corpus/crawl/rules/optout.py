"""Opt-outs of a site: robots directives in headers and meta elements, and TDMRep."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from corpus.crawl.config import OPT_OUTS
from corpus.crawl.rules.robots import Pattern, UrlPath, octets

# By Google's documentation of robots meta tags, with DeviantArt's two directives about AI training.
_MEANS = {name: (name,) for name in OPT_OUTS if name != "tdm"} | {"none": ("noindex", "nofollow")}
# Directives with a value after a colon; any other name before a colon is that of a crawler.
_VALUED = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
_SEPARATOR = re.compile(r"[,;]")
_NAMED = re.compile(r"\s*([A-Za-z*_][\w.*/-]*)\s*:(.*)", re.DOTALL)
_PLACES = ("file", "header", "meta")  # in TDMRep's order: a later place overrides earlier ones
_RULES = 10_000


def directives(values: Iterable[str], agent: str) -> frozenset[str]:
    """Return the opt-outs in the values of X-Robots-Tag fields or of meta elements.

    `none` means noindex and nofollow. In `otherbot: noindex, noai` the directives after the name, up to the
    next name, are for that crawler only; `agent` is this crawler's product token. Case is ignored.
    """
    meant: set[str] = set()
    for value in values:
        is_ours = True
        for part in _SEPARATOR.split(value.lower()):
            named = _NAMED.match(part)
            if named and named[1] not in _VALUED:
                is_ours = named[1] in (agent.lower(), "robots", "*")
                part = named[2]
            if is_ours:
                meant.update(name for word in part.split() for name in _MEANS.get(word, ()))
    return frozenset(meant)


def reservation(value: object) -> bool | None:
    """Return the meaning of a tdm-reservation: 1 reserves, 0 does not, any other value is ignored
    (TDMRep)."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    return {"1": True, "0": False}.get(text)


def reservations(values: Iterable[str]) -> bool | None:
    """Return the meaning of tdm-reservation fields; if they differ, the reservation counts."""
    said = [reservation(part) for value in values for part in value.split(",")]
    return True if True in said else False if False in said else None


def found(header: Iterable[str], meta: Iterable[str], tdm: Mapping[str, bool | None]) -> dict[str, str]:
    """Return each opt-out and where it was found: {"noai": "header", "tdm": "meta"}.

    `tdm` has the reservations by place: file, header, meta. The last of them that is not None counts (TDMRep,
    "processing priority").
    """
    where = dict.fromkeys(meta, "meta") | dict.fromkeys(header, "header")
    said = [(place, tdm[place]) for place in _PLACES if tdm.get(place) is not None]
    if said and said[-1][1]:
        where["tdm"] = said[-1][0]
    return where


class Tdm:
    """A site's /.well-known/tdmrep.json: the W3C Community Group's TDM Reservation Protocol, 10 May 2024."""

    def __init__(self, rules: Iterable[tuple[str, bool | None]] = ()) -> None:
        self._rules = [(Pattern(location), reserved) for location, reserved in rules]

    @classmethod
    def parse(cls, body: bytes) -> Tdm:
        """Read the file; bytes that are not a tdmrep.json have no rules, and nothing is raised."""
        try:
            read = json.loads(body)
        except (ValueError, RecursionError):
            return cls()
        entries = read if isinstance(read, list) else [read]  # some sites omit the brackets
        return cls(
            (octets(entry["location"]), reservation(entry.get("tdm-reservation")))
            for entry in entries[:_RULES]
            if isinstance(entry, dict) and isinstance(entry.get("location"), str)
        )

    def reserved(self, path: str) -> bool | None:
        """Return whether mining is reserved for a path with its query; None if no rule matches.

        Locations match like paths of robots.txt; the first match counts.
        """
        ready = UrlPath(path)
        return next((reserved for pattern, reserved in self._rules if pattern.matches(ready)), None)
