"""The priority of a URL: by signs of its language, its depth and its query."""

from __future__ import annotations

import re

from corpus.crawl.urls.traps import DEEPEST
from corpus.language import web_tag
from corpus.web.url import origin_of

# Country domains whose name differs from the language's code.
_NATIONAL = """
    kk=kz ky=kg tk=tm tt=ru en=uk sv=se da=dk cs=cz el=gr uk=ua ja=jp ko=kr zh=cn fa=ir he=il hi=in et=ee
    sl=si sq=al ka=ge hy=am be=by
"""
_COUNTRY = dict(pair.split("=") for pair in _NATIONAL.split())
# ş ğ ı Ş Ğ İ, which only Turkish and a few related languages use.
_LETTERS = {"tr": re.compile(r"%C5%9[EF]|%C4%9[EF]|%C4%B[01]")}
_MARK = re.compile(
    r"//([a-z]{2})\.[^/.]+\.|//[^/]+/([a-z]{2})(?:[-_][A-Za-z]{2})?(?=[/?]|$)"
    r"|[?&](?:lang|language|hl|locale|lng|dil)=([a-z]{2})(?![a-z])"
)
# Codes that mean another language; other two-letter marks, such as tv, go or id, may mean anything.
_OTHERS = "en de fr es ru ar fa nl pl pt zh ja ko uk az ku el bg ro hu cs sv fi da he tr"
_KNOWN = frozenset(_OTHERS.split())


def priority(url: str, hint: str, language: str) -> float:
    """Return the priority of a URL in normal form, higher is earlier, from about -6 to 4.

    Pages that seem to be in `language` (ISO 639-3; "" for none) come first: by `hint`, the language tag that
    a link gives for its target; by a mark in the URL (/tr/, tr.example.org, ?lang=tr); by the country's
    domain; by letters that only this language uses. Then come URLs near the root and without a query.
    """
    path, _, query = url.partition("?")
    score = -0.1 * min(path.count("/") - 3, DEEPEST) - (0.5 if query else 0.0)
    if not language:
        return score
    tag = web_tag(language)
    stated = hint.partition("-")[0].partition("_")[0].lower()
    if stated and stated != "x":  # x-default does not name a language
        score += 2.0 if stated in (tag, language) else -2.0
    if mark := _MARK.search(url):
        found = mark[1] or mark[2] or mark[3]
        score += 1.0 if found == tag else -1.0 if found in _KNOWN else 0.0
    if origin_of(url).partition("://")[2].partition(":")[0].endswith("." + _COUNTRY.get(tag, tag)):
        score += 0.5
    if (letters := _LETTERS.get(tag)) and letters.search(url):
        score += 0.5
    return score
