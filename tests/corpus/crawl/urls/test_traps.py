"""URLs that look like one of endlessly many are seen, and usual ones are not."""

from __future__ import annotations

import random
import string

import pytest

from corpus.crawl.urls.traps import DEEPEST, PARAMETERS, trap
from corpus.web.url import LONGEST


def long_path(length: int) -> str:
    letters = random.Random(1).choices(string.ascii_lowercase, k=length)
    return "https://a.example/" + "".join(letters)[: length - len("https://a.example/")]


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("/a/b/c/a/b/c/a/b/c/", "trap.repeating"),
        ("/a/a/a", "trap.repeating"),
        ("/css/js/css/img/css/x/css/y", "trap.repeating"),
        ("/a////b", "trap.repeating"),
        ("/" + "/".join(map(str, range(DEEPEST + 1))), "trap.deep"),
        ("/?" + "&".join(f"p{i}=1" for i in range(PARAMETERS + 1)), "trap.parameters"),
        ("/a?PHPSESSIONID=0a1b2c3d4e5f6a7b", "trap.session"),
        ("/a?s=0a1b2c3d4e5f6a7b0a1b2c3d4e5f6a7b", "trap.session"),
        ("/(S(lit3py55t21z5v55vlm25s55))/a.aspx", "trap.session"),
        ("/a?ASPSESSIONIDQSBRTCAD=KLMNOPABCDEFGH12", "trap.session"),
        ("/takvim/2031/07/", "trap.calendar"),
        ("/takvim?ay=7&yil=2031", "trap.calendar"),
        ("/etkinlik-takvimi/2031-07-01", "trap.calendar"),
        ("/events/calendar.php?month=7", "trap.calendar"),
    ],
)
def test_a_trap_is_seen(tail: str, reason: str) -> None:
    assert trap("https://a.example" + tail) == reason


@pytest.mark.parametrize(
    "tail",
    [
        "/",
        "/a/b/a/b/",
        "/2011/11/11/baslik",
        "/" + "/".join(map(str, range(DEEPEST))),
        "/?" + "&".join(f"p{i}=1" for i in range(PARAMETERS)),
        "/haber/2024/05/yks-sinav-takvimi",
        "/haber/2024/05/fikstur-ve-takvim-aciklandi-2025",
        "/takvim",
        "/a?s=istanbul",
        "/a?s=kitaplik-projesi-sonuclandi",
        "/modules.php?name=News&file=article&sid=123",
        "/sess",
    ],
)
def test_a_usual_page_is_no_trap(tail: str) -> None:
    assert trap("https://a.example" + tail) is None


def test_an_address_may_be_so_long_and_no_longer() -> None:
    assert trap(long_path(LONGEST)) is None
    assert trap(long_path(LONGEST) + "x") == "trap.long"
