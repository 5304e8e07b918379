"""URLs that look like members of an endless series: calendars, sessions, paths that repeat themselves."""

from __future__ import annotations

import re

from corpus.web.url import LONGEST

DEEPEST = 20
"""The most path segments of a URL that is followed, as in Heritrix's TooManyPathSegmentsDecideRule."""

PARAMETERS = 8
"""The most query parameters of a URL that is followed."""

_REPEATS = 3  # consecutive repeats of a run of segments; Heritrix's PathologicalPathDecideRule: more than two
_ANYWHERE = 4  # repeats of one segment anywhere: /css/js/css/img/css/js/css

_SESSION = re.compile(
    r"[?&;](?:[a-z_]*sess(?:ion)?(?:_?id)?|aspsessionid[a-z]*|phpsessid|cfid|cftoken|oscsid|zenid|x?sid|s)"
    r"=(?=[^&]*\d)[0-9a-z_-]{16,}|/\((?:[asf]\([0-9a-z]+\))+\)/",
    re.IGNORECASE,
)
# A calendar has a page for every past and future day: its own segment, then a date.
_CALENDAR = re.compile(
    r"/(?:[a-z]+[-_])?(?:calendar|takvimi?|kalender|ajanda)(?:\.\w+)?(?=[/?])"
    r".*?(?:\d{4}[-/.]?\d\d?|[?&](?:year|month|week|day|date|yil|ay|hafta|gun|tarih)=)",
    re.IGNORECASE,
)


def trap(url: str) -> str | None:
    """Return why a normalized URL looks like a member of an endless series; None if it does not.

    The reasons: trap.long, trap.deep, trap.repeating, trap.parameters, trap.session, trap.calendar.
    """
    if len(url) > LONGEST:
        return "trap.long"
    path, _, query = url.partition("?")
    segments = path.split("/")[3:]
    if len(segments) > DEEPEST:
        return "trap.deep"
    if len(segments) - len(set(segments)) >= _REPEATS - 1 and _repeating(segments):
        return "trap.repeating"
    if query.count("&") >= PARAMETERS:
        return "trap.parameters"
    if _SESSION.search(url):
        return "trap.session"
    if _CALENDAR.search(url):
        return "trap.calendar"
    return None


def _repeating(segments: list[str]) -> bool:
    if max(segments.count(segment) for segment in set(segments)) >= _ANYWHERE:
        return True
    longest = len(segments) // _REPEATS
    return any(
        segments[at : at + run] * _REPEATS == segments[at : at + _REPEATS * run]
        for run in range(1, longest + 1)
        for at in range(len(segments) - _REPEATS * run + 1)
    )
