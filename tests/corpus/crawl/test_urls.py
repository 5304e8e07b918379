"""An address has one form, whatever a page writes; traps are seen; Turkish pages come first."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.crawl.urls import (
    DEEPEST,
    LONGEST,
    PARAMETERS,
    domain_of,
    host_of,
    key,
    normalise,
    priority,
    trap,
)

BASE = "https://www.kitaplik.example/bolum/sayfa.html?x=1"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("/a", "https://www.kitaplik.example/a"),
        ("a", "https://www.kitaplik.example/bolum/a"),
        ("../a/./b/../c", "https://www.kitaplik.example/a/c"),
        ("../../../a", "https://www.kitaplik.example/a"),
        ("?sayfa=2", "https://www.kitaplik.example/bolum/sayfa.html?sayfa=2"),
        ("#not", "https://www.kitaplik.example/bolum/sayfa.html?x=1"),
        ("", "https://www.kitaplik.example/bolum/sayfa.html?x=1"),
        ("//baska.example/a", "https://baska.example/a"),
        ("  /a\n", "https://www.kitaplik.example/a"),
        ("/a\n/b\t", "https://www.kitaplik.example/a/b"),
        ("\\a\\b", "https://www.kitaplik.example/a/b"),
        ("HTTP://Kitaplik.EXAMPLE", "http://kitaplik.example/"),
        ("http://kitaplik.example:80/", "http://kitaplik.example/"),
        ("https://kitaplik.example:443/", "https://kitaplik.example/"),
        ("https://kitaplik.example:80/", "https://kitaplik.example:80/"),
        ("https://kitaplik.example./a", "https://kitaplik.example/a"),
        ("https://kitaplik.example.:8080/a", "https://kitaplik.example:8080/a"),
        ("https://ali:parola@kitaplik.example/a", "https://kitaplik.example/a"),
        ("https://şehir.com.tr/çarşı", "https://xn--ehir-45a.com.tr/%C3%A7ar%C5%9F%C4%B1"),
        ("https://ISPARTA.com.tr/", "https://isparta.com.tr/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("/%7eali/%c5%9fehir", "https://www.kitaplik.example/~ali/%C5%9Fehir"),
        ("/a%2fb", "https://www.kitaplik.example/a%2Fb"),
        ("/%100", "https://www.kitaplik.example/%100"),
        ("/yüzde%", "https://www.kitaplik.example/y%C3%BCzde%25"),
        ("/a b", "https://www.kitaplik.example/a%20b"),
        ("/a?", "https://www.kitaplik.example/a"),
        ("/a?b=2&a=1", "https://www.kitaplik.example/a?b=2&a=1"),
        ("/a?utm_source=x&id=7&fbclid=1", "https://www.kitaplik.example/a?id=7"),
        ("/a?utm_source=x", "https://www.kitaplik.example/a"),
        ("/a?sid=42", "https://www.kitaplik.example/a?sid=42"),
        ("/a?sid=0123456789abcdef0123", "https://www.kitaplik.example/a"),
        ("/a;jsessionid=1A2B?id=7", "https://www.kitaplik.example/a?id=7"),
    ],
)
def test_a_link_has_one_address(link: str, address: str) -> None:
    assert normalise(link, BASE) == address


@pytest.mark.parametrize(
    "link",
    [
        "javascript:void(0)",
        "mailto:a@b.example",
        "tel:+90",
        "data:text/html,a",
        "ftp://a.example/",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://[::1",
        "http://a..example/",
        "http://./",
        "http://a.example:99999/",
        "/\ud800",
        "/" + "a" * (4 * LONGEST),
    ],
)
def test_what_is_no_web_address_is_none(link: str) -> None:
    assert normalise(link, BASE) is None


def test_without_a_base_a_relative_link_is_none() -> None:
    assert normalise("/a") is None
    assert normalise("/a", "not an address") is None


def test_a_query_is_encoded_as_browsers_do_on_a_page_of_that_charset() -> None:
    assert normalise("/ara?q=ışık", BASE) == "https://www.kitaplik.example/ara?q=%C4%B1%C5%9F%C4%B1k"
    assert normalise("/ara?q=ışık", BASE, "cp1254") == "https://www.kitaplik.example/ara?q=%FD%FE%FDk"
    assert normalise("/ışık", BASE, "cp1254") == normalise("/ışık", BASE)
    assert normalise("/ara?q=ı", BASE, "cp1252") == "https://www.kitaplik.example/ara?q=%26%23305%3B"
    assert normalise("/ara?q=ı", BASE, "nonsense") == normalise("/ara?q=ı", BASE)


@given(st.text(max_size=60), st.sampled_from(["", BASE, "x"]))
@example("//%", "")
def test_anything_gives_an_address_that_stays_or_none(text: str, base: str) -> None:
    address = normalise(text, base)
    if address is not None:
        assert address.isascii()
        assert normalise(address) == address
        assert address.startswith(host_of(address) + "/")
        assert domain_of(address)
        assert priority(address, text, "tur") > -10
        trap(address)


@given(st.text("abz/.?&=#%25;:@[]\\ıŞ_", max_size=40))
def test_an_address_stays(tail: str) -> None:
    for begin in ("http://a.example", "http://", ""):
        address = normalise(begin + tail, BASE)
        assert address is None or normalise(address, BASE) == address


@given(st.binary(max_size=300))
def test_bytes_read_as_any_text_never_raise(data: bytes) -> None:
    for text in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape")):
        normalise(text, BASE)
        normalise("http://" + text)
        normalise("?" + text, BASE, "cp1254")


def test_the_host_is_the_origin() -> None:
    assert host_of("https://a.kitaplik.example/b?c=/d") == "https://a.kitaplik.example"
    assert host_of("http://a.example:8080/") == "http://a.example:8080"


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.itu.edu.tr", "itu.edu.tr"),
        ("https://www.itu.edu.tr", "itu.edu.tr"),
        ("https://www.itu.edu.tr:8443/a?b=//c", "itu.edu.tr"),
        ("a.b.kadikoy.bel.tr", "kadikoy.bel.tr"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("ali.github.io", "ali.github.io"),
        ("a.ali.github.io", "ali.github.io"),
        ("edu.tr", "edu.tr"),
        ("localhost", "localhost"),
        ("http://127.0.0.1:8080/", "127.0.0.1"),
        ("http://[::1]:8080/", "[::1]"),
    ],
)
def test_a_domain_is_what_is_registered(host: str, domain: str) -> None:
    assert domain_of(host) == domain


def test_a_key_is_64_bits_and_differs() -> None:
    keys = {key(f"https://kitaplik.example/{i}") for i in range(1000)}
    assert len(keys) == 1000
    assert all(0 <= k < 1 << 64 for k in keys)


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


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("https://a.com.tr/x", ""), ("https://a.example/x", "")),
        (("https://a.example/x", "tr"), ("https://a.com.tr/x", "")),
        (("https://a.example/x", "tr-TR"), ("https://a.example/x", "")),
        (("https://a.example/x", ""), ("https://a.example/x", "en")),
        (("https://a.example/tr/x", ""), ("https://a.example/xy/x", "")),
        (("https://a.example/xy/x", ""), ("https://a.example/en/x", "")),
        (("https://a.example/x?lang=tr", ""), ("https://a.example/x?lang=en", "")),
        (("https://tr.a.example/x", ""), ("https://en.a.example/x", "")),
        (("https://a.example/%C5%9Fehir", ""), ("https://a.example/sehir", "")),
        (("https://a.example/", ""), ("https://a.example/x/y", "")),
        (("https://a.example/x", ""), ("https://a.example/x?id=1", "")),
    ],
)
def test_turkish_and_shallow_pages_come_first(first: tuple[str, str], then: tuple[str, str]) -> None:
    assert priority(*first, "tur") > priority(*then, "tur")


def test_another_language_has_its_own_marks() -> None:
    assert priority("https://a.de/x", "", "deu") > priority("https://a.com.tr/x", "", "deu")
    assert priority("https://a.example/kk/x", "kk", "kaz") > priority("https://a.example/tr/x", "tr", "kaz")
    assert priority("https://a.kz/", "", "kaz") > priority("https://a.example/", "", "kaz")


def test_without_a_language_only_the_shape_counts() -> None:
    assert priority("https://a.com.tr/x", "tr", "") == priority("https://a.example/x", "en", "")


def test_what_a_default_page_is_in_is_not_known() -> None:
    assert priority("https://a.example/x", "x-default", "tur") == priority("https://a.example/x", "", "tur")


@pytest.mark.parametrize("fragment", ["#!", "#!/sayfa/1", "#/sayfa/1", "#", "#orada", "#!a#/b"])
def test_no_fragment_makes_another_address_since_no_server_sees_it(fragment: str) -> None:
    assert normalise(f"https://a.test/x?y=1{fragment}") == "https://a.test/x?y=1"
    assert normalise(fragment, "https://a.test/x?y=1") == "https://a.test/x?y=1"
