"""robots.txt is read as RFC 9309 says, and what no one can read allows what it should."""

from __future__ import annotations

import random
import re
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from protego import Protego

from corpus.crawl.rules.robots import LIMIT, Pattern, UrlPath, decide, parse
from corpus.web.url import normal_form

CASES = tomllib.loads((Path(__file__).parent / "robots_cases.toml").read_text(encoding="utf-8"))["case"]


def expectations() -> list[object]:
    """Return (robots.txt, product token, URL, whether it may be fetched) of every case."""
    found: list[object] = []
    for number, case in enumerate(CASES):
        body = case["robots"].encode("latin-1" if case.get("octets") else "utf-8")
        for outcome in ("allowed", "disallowed", "superseded"):
            for agent, url in case.get(outcome, ()):
                name = f"{number} {case['from']}: {agent} {url}"
                # the superseded ones are all of pages that the draft kept closed
                found.append(pytest.param(body, agent, url, outcome != "disallowed", id=name))
    return found


@pytest.mark.parametrize(("body", "agent", "url", "may"), expectations())
def test_a_case_of_the_standard_comes_out_right(body: bytes, agent: str, url: str, may: bool) -> None:
    assert parse(body).allows(url, agent) is may


def test_no_case_was_lost() -> None:
    spec = [case for case in CASES if case["from"].startswith("spec-test")]
    pairs = {kind: sum(len(case.get(kind, ())) for case in spec) for kind in ("allowed", "disallowed")}
    assert sum(pairs.values()) + sum(len(case.get("superseded", ())) for case in spec) == 146
    assert sum(len(case.get("superseded", ())) for case in CASES) == 3


# ------------------------------------------------------------------------------------------------ status

NOTHING = b"User-agent: *\nDisallow: /"
CLOSED = b"User-agent: *\nDisallow: /a"


@pytest.mark.parametrize("status", [200, 203, 206])
def test_a_success_is_read(status: int) -> None:
    robots = decide(status, CLOSED)
    assert not robots.allows("https://a.example/a", "derlem")
    assert robots.allows("https://a.example/b", "derlem")


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 451, 499])
def test_where_there_is_none_all_is_allowed(status: int) -> None:
    assert decide(status, NOTHING).allows("https://a.example/a", "derlem")


@pytest.mark.parametrize("status", [None, 429, 500, 502, 503, 599, 100, 999])
def test_where_the_site_cannot_be_asked_nothing_is_allowed(status: int | None) -> None:
    robots = decide(status, b"User-agent: *\nAllow: /")
    assert not robots.allows("https://a.example/", "derlem")
    assert not robots.allows("https://a.example/a?b=c", "Googlebot")
    assert robots.allows("https://a.example/robots.txt", "derlem")


# ------------------------------------------------------------------------------------------------ reading


def test_at_least_500_kib_are_read_and_not_endlessly_more() -> None:
    filler = b"# " + b"x" * 97 + b"\n"
    before = b"User-agent: *\n" + filler * 5100 + b"Disallow: /a\n"
    assert LIMIT - 4096 < len(before) < LIMIT
    robots = parse(before + filler * 100 + b"Disallow: /b\n")
    assert not robots.allows("https://a.example/a", "derlem")
    assert robots.allows("https://a.example/b", "derlem")


def test_a_page_of_html_in_its_place_disallows_nothing() -> None:
    body = b"<!DOCTYPE html>\r\n<html><head><title>Not found: /</title></head><body>Disallow nothing</body>"
    assert parse(body).allows("https://a.example/a", "derlem")


def test_a_letter_that_ends_in_the_octet_of_a_blank_is_whole() -> None:
    robots = parse("User-agent: *\nDisallow: /à\nDisallow /Å\n".encode())
    assert not robots.allows(str(normal_form("https://a.example/à")), "derlem")
    assert robots.allows(str(normal_form("https://a.example/é")), "derlem")
    assert not robots.allows(str(normal_form("https://a.example/Å")), "derlem")


def test_rules_in_an_old_charset_match_its_octets() -> None:
    robots = parse("User-agent: *\nDisallow: /şehir\n".encode("cp1254"))
    assert not robots.allows("https://a.example/%FEehir", "derlem")


def test_utf_16_is_read_by_its_mark() -> None:
    assert not parse("User-agent: *\nDisallow: /ş\n".encode("utf-16")).allows("https://a.example/%C5%9F", "x")


@pytest.mark.parametrize(
    "line", ["User-agent: derlem/2.0", "user-agent:DERLEM bot", "useragent: derlem", "User Agent: Derlem"]
)
def test_a_product_token_is_found_in_any_dress(line: str) -> None:
    robots = parse(f"{line}\nDisallow: /\n\nUser-agent: *\nAllow: /".encode())
    assert not robots.allows("https://a.example/", "derlem")
    assert robots.allows("https://a.example/", "derle")
    assert robots.allows("https://a.example/", "derlem-images")


def test_a_group_for_a_name_that_is_no_token_is_for_nobody() -> None:
    robots = parse(b"User-agent: 360Spider\nUser-agent:\nDisallow: /")
    assert robots.allows("https://a.example/", "derlem")
    assert robots.allows("https://a.example/", "")


@pytest.mark.parametrize(
    "rule", ["dissallow: /a", "disalow: /a", "Disallow /a", "DISALLOW:/a", "disallow :  /a"]
)
def test_slips_are_borne(rule: str) -> None:
    assert not parse(f"User-agent: *\n{rule}".encode()).allows("https://a.example/a", "derlem")


@pytest.mark.parametrize("rule", ["we disallow /a", "disallow", "disallow:", "disallow a", "disallow: a"])
def test_what_names_no_path_disallows_nothing(rule: str) -> None:
    assert parse(f"User-agent: *\n{rule}".encode()).allows("https://a.example/a", "derlem")


def test_a_query_belongs_to_the_path_and_a_fragment_does_not() -> None:
    robots = parse(b"User-agent: *\nDisallow: /a?b\nDisallow: /*c$")
    assert not robots.allows("https://a.example/a?b=1", "derlem")
    assert robots.allows("https://a.example/a#?b", "derlem")
    assert not robots.allows("https://a.example/x?y=c#z", "derlem")


@pytest.mark.parametrize(
    ("pattern", "matched", "free"),
    [
        ("/*%", ["/yasak%20sayfa", "/a/b%C3%BC", "/a%"], ["/yasak", "/"]),
        ("/arsiv%2", ["/arsiv%2F2024", "/arsiv%20x", "/arsiv%2"], ["/arsiv%3F", "/arsiv/2", "/arsiv"]),
        ("/a%c", ["/a%C3%BC", "/a%c3%bc"], ["/a%D0%B1", "/ac"]),
        ("/a%*x", ["/a%20x", "/a%C3%BCyx"], ["/ax", "/a%20"]),
        ("/*?q=%", ["/ara?q=%C3%BC"], ["/ara?q=u", "/%C3%BC"]),
        ("/a%$", ["/a%", "/a%25"], ["/a%20", "/a"]),
        ("/a%zz", ["/a%zz", "/a%25zz"], ["/a"]),
        ("/a%20", ["/a%20b", "/a b"], ["/a%2", "/a%2F"]),
    ],
)
def test_the_beginning_of_an_escape_in_a_pattern_matches_escapes(
    pattern: str, matched: list[str], free: list[str]
) -> None:
    rules = parse(f"User-agent: *\nDisallow: {pattern}\n".encode())
    assert [path for path in matched if rules.allows(f"https://a.test{path}", "derlem")] == []
    assert [path for path in free if not rules.allows(f"https://a.test{path}", "derlem")] == []


def test_a_sitemap_may_be_named_relative_to_the_site() -> None:
    body = b"Sitemap: /harita.xml\nSitemap: site/a.xml\nSitemap: //b.test/c.xml\nSitemap: https://a.test/d.xml\nSitemap:\n"
    assert parse(body, "https://a.test/").sitemaps == (
        *("https://a.test/harita.xml", "https://a.test/site/a.xml"),
        *("https://b.test/c.xml", "https://a.test/d.xml"),
    )


def test_a_wildcard_reaches_over_a_query_with_slashes() -> None:
    robots = parse(b"User-agent: *\nDisallow: /*/print\nDisallow: /git?u=http")
    assert not robots.allows("https://a.example/x?y=/print", "derlem")
    assert not robots.allows("https://a.example/git?u=http%3A%2F%2Fb.example", "derlem")


_ASKED = "User-agent: *\nCrawl-delay: "


@pytest.mark.parametrize(
    ("lines", "agent", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 10", "derlem", 10.0),
        ("User-agent: *\nCrawl-delay: 0.5", "derlem", 0.5),
        ("User-agent: *\nCrawl-delay: 5 # s", "derlem", 5.0),
        ("User-agent: *\nCrawl-delay: 10s", "derlem", 10.0),
        ("User-agent: *\nCrawl-delay: 2\nDisallow: /a\nCrawl-delay: 7", "derlem", 7.0),
        ("User-agent: *\nCrawl-delay: 7\nDisallow: /a\nCrawl-delay: 2", "derlem", 7.0),
        ("User-agent: *\nCrawl-delay: 10\n\nUser-agent: derlem\nDisallow: /a", "derlem", None),
        ("User-agent: a\nDisallow: /x\nUser-agent: derlem\nCrawl-delay: 3", "derlem", 3.0),
        *(
            (f"User-agent: *\nCrawl-delay: {text}", "derlem", 0.5)
            for text in (".5", "+.5", "0,5", "5e-1", " .5 s")
        ),
        *(
            (f"User-agent: *\nCrawl-delay: {text}", "derlem", 10.0)
            for text in ("10.", "+10", "1e1", "10.0E0")
        ),
        *(
            (f"User-agent: *\nCrawl-delay: {text}", "derlem", None)
            for text in (".", "+", ",", "e1", "-.5", "inf")
        ),
        ("User-agent: *\nCrawl-delay: soon", "derlem", None),
        ("User-agent: *\nCrawl-delay: -1", "derlem", None),
        ("User-agent: *\nCrawl-delay: 1e400", "derlem", 1.0),
        ("User-agent: *\nCrawl-delay: nan", "derlem", None),
        ("Crawl-delay: 10", "derlem", None),
        ("", "derlem", None),
    ],
)
def test_a_crawl_delay_is_for_those_that_are_named(lines: str, agent: str, delay: float | None) -> None:
    assert parse(lines.encode()).crawl_delay(agent) == delay


def test_sitemaps_stand_anywhere_and_are_given_once() -> None:
    body = """Sitemap: https://a.example/1.xml
    User-agent: x
    Disallow: /
    sitemap:https://b.example/şehir.xml
    SITEMAP : https://a.example/1.xml
    Sitemap: /relative.xml
    Sitemap: ftp://a.example/2.xml
    """
    assert parse(body.encode()).sitemaps == ("https://a.example/1.xml", "https://b.example/%C5%9Fehir.xml")


@given(st.binary(max_size=400), st.text(max_size=30))
def test_anything_is_read_and_asked(body: bytes, text: str) -> None:
    for robots in (parse(body), parse(b"User-agent: *\nDisallow: " + body), decide(200, body)):
        assert robots.allows(text, text) in (True, False)
        assert robots.crawl_delay(text) is None or robots.crawl_delay(text) >= 0  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------ matching

PATTERNS = st.text("ab/*$%2", max_size=8)


@given(st.text("ab*$", max_size=7), st.text("ab$", max_size=7))
@example("*a*a", "a")
@example("a*a$", "a")
@example("$a", "$a")
def test_a_pattern_matches_as_its_regular_expression(pattern: str, path: str) -> None:
    ends = pattern.endswith("$")
    literal = [re.escape(piece) for piece in pattern.removesuffix("$").split("*")]
    expected = re.match("/" + ".*".join(literal) + (r"\Z" if ends else ""), "/" + path) is not None
    assert Pattern("/" + pattern).matches(UrlPath("/" + path)) is expected


def test_the_sign_of_the_end_counts_in_the_length_of_a_rule() -> None:
    robots = parse(b"User-agent: *\nAllow: /a\nDisallow: /a$")
    assert not robots.allows("https://a.example/a", "derlem")
    assert robots.allows("https://a.example/ab", "derlem")


def test_a_disallowed_index_page_does_not_close_its_folder() -> None:
    robots = parse(b"User-agent: *\nDisallow: /a/index.html")
    assert robots.allows("https://a.example/a/", "derlem")
    assert not robots.allows("https://a.example/a/index.html", "derlem")


@given(PATTERNS, st.text("ab/%2", max_size=8))
def test_where_two_rules_are_equal_the_allowing_one_counts(pattern: str, path: str) -> None:
    for first, second in (("Allow", "Disallow"), ("Disallow", "Allow")):
        robots = parse(f"User-agent: *\n{first}: /{pattern}\n{second}: /{pattern}".encode())
        assert robots.allows("https://a.example/" + path, "derlem")


@given(st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), PATTERNS), max_size=5), st.randoms())
def test_the_order_of_rules_means_nothing(rules: list[tuple[str, str]], chance: random.Random) -> None:
    shuffled = chance.sample(rules, len(rules))
    one, other = (
        parse(("User-agent: *\n" + "\n".join(f"{kind}: /{path}" for kind, path in some)).encode())
        for some in (rules, shuffled)
    )
    for path in ("/", "/a", "/ab/a", "/b/b/", "/a$", "/%2a"):
        assert one.allows(path, "derlem") == other.allows(path, "derlem")


def test_a_hostile_pattern_takes_no_time() -> None:
    pattern = Pattern("/" + "*a" * 5000 + "b$")
    assert not pattern.matches(UrlPath("/" + "a" * 20_000))
    assert Pattern("/" + "*" * 5000).matches(UrlPath("/" + "a" * 20_000))


# ------------------------------------------------------------------------------------------------ the web

TopSites = dict[str, bytes]


@pytest.fixture(scope="module")
def top_sites(shared_data: Callable[[str], Path]) -> TopSites:
    """Return the robots.txt of 2,136 much visited sites by host."""
    with tarfile.open(shared_data("robots/protego-top-sites/robots.tar.gz")) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        return {Path(file.name).name: archive.extractfile(file).read() for file in files}  # type: ignore[union-attr]


def test_every_file_of_the_web_is_read(top_sites: TopSites) -> None:
    read = {host: parse(body) for host, body in top_sites.items()}
    assert len(read) == 2136
    closed = [host for host, robots in read.items() if not robots.allows("https://a.example/", "derlem")]
    assert 20 < len(closed) < 100
    assert 200 < sum(robots.crawl_delay("derlem") is not None for robots in read.values()) < 300
    assert 5000 < sum(len(robots.sitemaps) for robots in read.values()) < 5200


def as_protego_reads(body: bytes) -> str:
    """Take away what Protego reads otherwise than the standard: byte order marks, and the end of a group."""
    text = body[:LIMIT].decode(
        "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", "replace"
    )
    return re.sub(r"(?im)^\s*crawl.?delay.*$", "", text)


def test_protego_finds_the_same_on_the_web(top_sites: TopSites) -> None:
    chance = random.Random(1)
    checks, different = 0, []
    for host, body in top_sites.items():
        robots, text = parse(body), as_protego_reads(body)
        protego = Protego.parse(text)
        # it puts a slash before a rule that is a whole URL; such a rule has no path for the standard
        rules = re.findall(r"(?im)^\s*(?:dis)?allow:[ \t]*([/*][^\s#]*)", text)
        named = [
            rule.replace("*", "x").removesuffix("$") for rule in chance.sample(rules, min(4, len(rules)))
        ]
        for path in ["/", "/a/b?c=d", *named, *(f"{path}/x" for path in named)]:
            url = normal_form("https://a.example/" + path.removeprefix("/"))
            for agent in ("derlem", "Googlebot"):
                checks += 1
                if url and robots.allows(url, agent) != protego.can_fetch(url, agent):
                    different.append((host, agent, url))
    assert checks > 30_000
    assert different == []
