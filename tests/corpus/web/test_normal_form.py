"""A URL has one normal form, whatever a page writes, and its origin and site are read from it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.crawl.urls.priority import priority
from corpus.crawl.urls.traps import trap
from corpus.web.url import LONGEST, key, normal_form, origin_of, site_of

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
    assert normal_form(link, BASE) == address


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
    assert normal_form(link, BASE) is None


def test_without_a_base_a_relative_link_is_none() -> None:
    assert normal_form("/a") is None
    assert normal_form("/a", "not an address") is None


def test_a_query_is_encoded_as_browsers_do_on_a_page_of_that_charset() -> None:
    assert normal_form("/ara?q=ışık", BASE) == "https://www.kitaplik.example/ara?q=%C4%B1%C5%9F%C4%B1k"
    assert normal_form("/ara?q=ışık", BASE, "cp1254") == "https://www.kitaplik.example/ara?q=%FD%FE%FDk"
    assert normal_form("/ışık", BASE, "cp1254") == normal_form("/ışık", BASE)
    assert normal_form("/ara?q=ı", BASE, "cp1252") == "https://www.kitaplik.example/ara?q=%26%23305%3B"
    assert normal_form("/ara?q=ı", BASE, "nonsense") == normal_form("/ara?q=ı", BASE)


@given(st.text(max_size=60), st.sampled_from(["", BASE, "x"]))
@example("//%", "")
def test_anything_gives_an_address_that_stays_or_none(text: str, base: str) -> None:
    address = normal_form(text, base)
    if address is not None:
        assert address.isascii()
        assert normal_form(address) == address
        assert address.startswith(origin_of(address) + "/")
        assert site_of(address)
        assert priority(address, text, "tur") > -10
        trap(address)


@given(st.text("abz/.?&=#%25;:@[]\\ıŞ_", max_size=40))
def test_an_address_stays(tail: str) -> None:
    for begin in ("http://a.example", "http://", ""):
        address = normal_form(begin + tail, BASE)
        assert address is None or normal_form(address, BASE) == address


@given(st.binary(max_size=300))
def test_bytes_read_as_any_text_never_raise(data: bytes) -> None:
    for text in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape")):
        normal_form(text, BASE)
        normal_form("http://" + text)
        normal_form("?" + text, BASE, "cp1254")


def test_the_host_is_the_origin() -> None:
    assert origin_of("https://a.kitaplik.example/b?c=/d") == "https://a.kitaplik.example"
    assert origin_of("http://a.example:8080/") == "http://a.example:8080"


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
    assert site_of(host) == domain


def test_a_key_is_64_bits_and_differs() -> None:
    keys = {key(f"https://kitaplik.example/{i}") for i in range(1000)}
    assert len(keys) == 1000
    assert all(0 <= k < 1 << 64 for k in keys)


@pytest.mark.parametrize("fragment", ["#!", "#!/sayfa/1", "#/sayfa/1", "#", "#orada", "#!a#/b"])
def test_no_fragment_makes_another_address_since_no_server_sees_it(fragment: str) -> None:
    assert normal_form(f"https://a.test/x?y=1{fragment}") == "https://a.test/x?y=1"
    assert normal_form(fragment, "https://a.test/x?y=1") == "https://a.test/x?y=1"
