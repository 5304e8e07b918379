"""A crawl against servers on loopback: what the servers saw, and what the files say, are the same story."""

from __future__ import annotations

import fcntl
import gzip
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import web
from rich.console import Console
from warcio.archiveiterator import ArchiveIterator
from web import Exchange, Reply, Site, Web, page, redirect

from commands.terminal import Terminal
from corpus import dataset
from corpus.crawl.config import Crawl
from corpus.crawl.state import layout
from corpus.crawl.state.status import status
from corpus.errors import ConfigError, DatasetError, StageError
from corpus.schema import FETCHES
from corpus.verify import find_faults
from pipelines import crawl
from pipelines.options import Runner

pytestmark = pytest.mark.usefixtures("no_authorities")

CONTACT = "https://kitaplik.example/iletisim"
ROBOTS = "text/plain"


def settings(served: Web, **sections: dict[str, Any]) -> Crawl:
    """Return the settings of a crawl of a web on loopback that does not wait."""
    data: dict[str, dict[str, Any]] = {
        "agent": {"contact": CONTACT},
        "politeness": {"delay_s": 0.0, "factor": 0.0, "backoff_s": 0.01, "retries": 1},
        "scope": {"sitemaps": False},
        "limits": {"connect_s": 2.0, "idle_s": 2.0, "total_s": 5.0},
        "network": {"allow": list(web.ALLOW), "resolve": served.resolve},
    }
    for name, section in sections.items():
        data[name] = {**data[name], **section}
    return Crawl.model_validate(data, strict=False)


def run(folder: Path, loaded: Crawl, *seeds: str, earlier: Path | None = None) -> crawl.Ended:
    console = Terminal(Console(file=StringIO()))
    return crawl.run(str(folder), loaded, seeds, Runner(), console, str(earlier) if earlier else "")


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return everything that the crawl noted [FETCHES]."""
    found = []
    for number in range(1, layout.finished_rounds(str(folder)) + 1):
        home = layout.round_folder(str(folder), number)
        assert find_faults(home) == []
        for file in dataset.load(home).files(FETCHES.name):
            found += dataset.table(home, file.path).to_pylist()
    return found


def pages(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the settled addresses by URL; each is settled once."""
    settled = [row for row in rows(folder) if row["outcome"] not in ("asked", "retry")]
    assert max(Counter(row["url"] for row in settled).values(), default=1) == 1
    return {row["url"]: row for row in settled}


def outcome(row: Mapping[str, Any]) -> str:
    return f"{row['outcome']} {row['cause']}".strip()


def html(*links: str, head: str = "", text: str = "") -> bytes:
    body = "".join(f'<p><a href="{link}">{link}</a>' for link in links)
    return page(f"<!doctype html><html lang=tr><head>{head}</head><body><p>{text}{body}")


def robots(text: str) -> bytes:
    return page(text, content_type=ROBOTS)


OPEN = robots("User-agent: *\nAllow: /\n")


# ---------------------------------------------------------------- the whole way


def test_every_page_of_the_hosts_is_fetched_once_and_nothing_that_is_disallowed(tmp_path: Path) -> None:
    with Web(web.village(hosts=3, pages=8)) as served:
        ended = run(tmp_path, settings(served, scope={"within": "any"}), "http://www0.test/")
    found = pages(tmp_path)
    kept = {url for url, row in found.items() if row["outcome"] == "kept"}
    expected = {f"http://www{host}.test/{at or ''}" for host in range(3) for at in range(8)}
    assert kept == expected
    assert {outcome(row) for url, row in found.items() if "/gizli/" in url} == {"dropped robots.disallow"}
    assert not [entry.path for entry in served.log if "gizli" in entry.path]
    asked = Counter((entry.host, entry.path) for entry in served.log)
    assert max(asked.values()) == 1
    assert len(served.log) == len([row for row in rows(tmp_path) if row["started"] is not None])
    assert ended.why == "nothing is left to fetch"
    assert (ended.pages, ended.waiting) == (24, 0)


def test_a_request_says_who_asks(tmp_path: Path) -> None:
    with Web({"a.test": {"/": html(), "/robots.txt": OPEN}}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    agents = {entry.fields["user-agent"] for entry in served.log}
    assert agents == {f"derlem/0.1.0 (+{CONTACT})"}


def test_without_a_contact_there_is_no_crawl(tmp_path: Path) -> None:
    with Web({"a.test": {"/": html()}}) as served:
        with pytest.raises(ConfigError, match=r"agent\.contact is empty"):
            run(tmp_path, settings(served, agent={"contact": ""}), "http://a.test/")
        assert served.log == []


def test_a_seed_that_is_not_a_url_is_named(tmp_path: Path) -> None:
    with Web({}) as served, pytest.raises(ConfigError, match=r"seed 2: 'ftp://a\.test/'"):
        run(tmp_path, settings(served), "http://a.test/", "ftp://a.test/")


def test_a_crawl_without_seeds_that_was_never_begun_says_what_to_do(tmp_path: Path) -> None:
    with Web({}) as served, pytest.raises(ConfigError, match="no seeds, and no crawl"):
        run(tmp_path, settings(served))


def test_a_finished_crawl_asks_nobody_again(tmp_path: Path) -> None:
    with Web(web.village(hosts=1, pages=4)) as served:
        run(tmp_path, settings(served), "http://www0.test/")
        before = len(served.log)
        assert run(tmp_path, settings(served), "http://www0.test/").why == "nothing is left to fetch"
        assert len(served.log) == before


def test_new_seeds_join_a_crawl(tmp_path: Path) -> None:
    with Web(web.village(hosts=2, pages=2)) as served:
        run(tmp_path, settings(served), "http://www0.test/")
        run(tmp_path, settings(served), "http://www1.test/")
    assert {row["origin"] for row in pages(tmp_path).values()} == {"http://www0.test", "http://www1.test"}
    assert max(Counter((entry.host, entry.path) for entry in served.log).values()) == 1


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("a.test", "https://a.test/"),
        ("a.test/tr", "https://a.test/tr"),
        ("a.test:8080/tr/ # the Turkish half", "https://a.test:8080/tr/"),
        ("http://a.test/x#y", "http://a.test/x"),
    ],
)
def test_a_seed_is_a_url_or_a_host(line: str, url: str) -> None:
    assert crawl._normalized(["# seeds", "", line, line]) == [url]


def test_a_damaged_crawl_json_is_named_and_can_be_removed(tmp_path: Path) -> None:
    with Web(web.village(hosts=1, pages=4)) as served:
        run(tmp_path, settings(served, limits={"rounds": 1}), "http://www0.test/")
        before = len(served.log)
        (tmp_path / layout.START).write_text('{"seeds": [')
        with pytest.raises(DatasetError, match=r"crawl\.json is damaged .* remove it"):
            run(tmp_path, settings(served))
        (tmp_path / layout.START).unlink()
        run(tmp_path, settings(served), "http://www0.test/")
    assert len(pages(tmp_path)) == 4 + 1  # and one that is disallowed
    assert not {entry.path for entry in served.log[before:]} & {"/", "/robots.txt"}


def test_a_plan_that_is_damaged_or_gone_is_named(tmp_path: Path) -> None:
    plans = [tmp_path / layout.FRONTIER / layout.plan_name(number) for number in (1, 2)]
    with Web(web.village(hosts=1, pages=4)) as served:
        run(tmp_path, settings(served, limits={"rounds": 1}), "http://www0.test/")
        plans[1].write_text("{")
        with pytest.raises(DatasetError, match=r"r0002\.json is damaged"):
            run(tmp_path, settings(served))
        with pytest.raises(DatasetError, match=r"r0002\.json is damaged"):
            status(str(tmp_path))
        for plan in plans:
            plan.unlink()
        with pytest.raises(DatasetError, match=r"r0001\.json is gone, .*--again"):
            run(tmp_path, settings(served))


def test_a_manifest_that_is_gone_is_written_anew_and_nothing_is_fetched_again(tmp_path: Path) -> None:
    with Web(web.village(hosts=1, pages=6)) as served:
        run(tmp_path, settings(served), "http://www0.test/")
        before = len(served.log)
        (Path(layout.round_folder(str(tmp_path), 1)) / dataset.MANIFEST).unlink()
        run(tmp_path, settings(served), "http://www0.test/")
    assert len(served.log) == before
    assert len(pages(tmp_path)) == 6 + 1


def test_a_file_that_a_finished_round_has_lost_is_fetched_again_and_nothing_else(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html("/1"), "/1": html("/2"), "/2": html()}
    with Web({"a.test": site, "b.test": {"/robots.txt": OPEN, "/": html()}}) as served:
        loaded = settings(served, limits={"buckets": 2})
        run(tmp_path, loaded, "http://a.test/", "http://b.test/")
        before = pages(tmp_path)
        (archive,) = (tmp_path / "rounds/0002/warc").glob("*.warc.gz")
        content = archive.read_bytes()
        archive.write_bytes(content[:-1])
        served.log.clear()
        said = StringIO()
        console = Terminal(Console(file=said))
        assert crawl.run(str(tmp_path), loaded, [], Runner(), console).why == "nothing is left to fetch"
    assert f"{archive} has {len(content) - 1:,} bytes" in said.getvalue()
    assert "the URLs of its unit are requested again" in said.getvalue()
    assert served.paths() == ["/1"]
    assert {url: row["digest"] for url, row in pages(tmp_path).items()} == {
        url: row["digest"] for url, row in before.items()
    }


def test_a_round_of_another_derlem_that_lost_a_file_loses_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web(web.village(hosts=1, pages=4)) as served:
        run(tmp_path, settings(served), "http://www0.test/")
        (archive,) = (tmp_path / "rounds/0001/warc").glob("*.warc.gz")
        archive.unlink()
        left = sorted(tmp_path.rglob("*.arrow"))
        monkeypatch.setattr(crawl, "VERSION", crawl.VERSION + 1)
        with pytest.raises(DatasetError, match=r"is gone, and another derlem wrote it: restore it"):
            run(tmp_path, settings(served))
    assert sorted(tmp_path.rglob("*.arrow")) == left


def test_the_pages_of_a_crawl_that_lost_a_file_are_not_asked_for_by_another(tmp_path: Path) -> None:
    with Web(web.village(hosts=1, pages=4)) as served:
        run(tmp_path / "one", settings(served), "http://www0.test/")
        next((tmp_path / "one").glob("rounds/0001/fetches/*.arrow")).unlink()
        assert status(str(tmp_path / "one")).round == layout.rounds(str(tmp_path / "one"))
        with pytest.raises(DatasetError, match="is gone: restore it, or run the crawl of"):
            run(tmp_path / "two", settings(served), earlier=tmp_path / "one")


def test_a_second_crawl_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    with Web({"a.test": {"/": html()}}) as served:
        with pytest.raises(StageError, match="another run is at work here"):
            run(tmp_path, settings(served), "http://a.test/")
        assert served.log == []
        os.close(first)
        run(tmp_path, settings(served), "http://a.test/")
    assert outcome(pages(tmp_path)["http://a.test/"]) == "kept"


# ---------------------------------------------------------------- politeness


def gaps(served: Web, host: str) -> list[float]:
    """Return the pauses that a host saw, from the end of an answer to the next request."""
    mine = sorted((entry for entry in served.log if entry.host == host), key=lambda entry: entry.begun)
    return [after.begun - before.ended for before, after in pairwise(mine)]


def test_each_host_sees_its_pause_between_any_two_requests(tmp_path: Path) -> None:
    with Web(web.village(hosts=3, pages=4)) as served:
        run(
            tmp_path,
            settings(served, politeness={"delay_s": 0.15}, scope={"within": "any"}),
            "http://www0.test/",
        )
    for host in range(3):
        pauses = gaps(served, f"www{host}.test")
        assert len(pauses) > 4
        assert min(pauses) >= 0.12  # the server notes the end of its answer a little late
    ended = max(entry.ended for entry in served.log) - min(entry.begun for entry in served.log)
    assert ended < sum(
        sum(gaps(served, f"www{host}.test")) for host in range(3)
    )  # they were asked side by side


def test_no_host_has_two_connections_at_a_time(tmp_path: Path) -> None:
    with Web(web.village(hosts=2, pages=10)) as served:
        run(tmp_path, settings(served, scope={"within": "any"}), "http://www0.test/")
    for host in ("www0.test", "www1.test"):
        mine = sorted((e for e in served.log if e.host == host), key=lambda entry: entry.begun)
        assert all(a.ended <= b.begun for a, b in pairwise(mine))


def test_a_crawl_delay_is_kept(tmp_path: Path) -> None:
    site: Site = {
        "/robots.txt": robots("User-agent: derlem\nCrawl-delay: 0.2\n"),
        "/": html("/1"),
        "/1": html(),
    }
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    assert min(gaps(served, "a.test")) >= 0.17


def test_a_slow_answer_lengthens_the_pause(tmp_path: Path) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.trickle(html(), 0.1, piece=len(html()) // 2 + 1)

    site: Site = {"/robots.txt": OPEN, "/": html("/slow", "/zz"), "/slow": slow}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served, politeness={"factor": 3.0}), "http://a.test/")
    at = served.paths().index("/slow")
    assert served.log[at + 1].begun - served.log[at].begun >= 0.1 + 0.3


def fails_at_first(times: int, reply: bytes) -> Callable[[str], Callable[[Exchange], Reply]]:
    """Return a page that answers `reply` so often before it is found."""
    left = {"/busy": times}

    def site(exchange: Exchange) -> Reply:
        if exchange.path == "/robots.txt":
            return OPEN
        if left.get(exchange.path, 0) > 0:
            left[exchange.path] -= 1
            return reply
        return html("/busy")

    return lambda _: site


@pytest.mark.parametrize("code", ["429 Too Many Requests", "503 Service Unavailable", "500 Oops"])
def test_a_busy_server_is_left_alone_and_asked_again(tmp_path: Path, code: str) -> None:
    site = fails_at_first(1, page(status=code, retry_after="1"))("")
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/busy")
    assert outcome(pages(tmp_path)["http://a.test/busy"]) == "kept"
    times = [entry.begun for entry in served.log if entry.path == "/busy"]
    assert len(times) == 2
    assert times[1] - times[0] >= 1.0


def test_a_server_that_stays_busy_is_given_up_with_its_status(tmp_path: Path) -> None:
    with Web({"a.test": fails_at_first(99, page(status="503 Service Unavailable"))("")}) as served:
        run(tmp_path, settings(served), "http://a.test/busy")
    row = pages(tmp_path)["http://a.test/busy"]
    assert (outcome(row), row["detail"], row["tries"]) == ("failed status", "503", 2)
    assert served.paths().count("/busy") == 2


def test_a_long_retry_after_ends_the_round_for_the_host_and_loses_nothing(tmp_path: Path) -> None:
    site = fails_at_first(1, page(status="429 Too Many Requests", retry_after="3600"))("")
    with Web({"a.test": site}) as served:
        ended = run(tmp_path, settings(served, limits={"round_minutes": 0.02}), "http://a.test/busy")
        assert "ask for a longer pause" in ended.why
        assert ended.waiting == 1
        assert served.paths().count("/busy") == 1
        assert "http://a.test/busy" not in pages(tmp_path)


# ---------------------------------------------------------------- robots.txt and opt-outs


@pytest.mark.parametrize(
    ("reply", "expected", "robots_asked"),
    [
        (robots("User-agent: *\nDisallow: /\n"), "dropped robots.disallow", 1),
        (robots("User-agent: derlem\nDisallow: /\n\nUser-agent: *\nAllow: /"), "dropped robots.disallow", 1),
        (robots("User-agent: GPTBot\nDisallow: /\n"), "kept", 1),
        (page(status="404 Not Found"), "kept", 1),
        (page(status="403 Forbidden"), "kept", 1),
        (page(status="410 Gone"), "kept", 1),
        (page(status="500 Oops"), "failed robots.unreachable", 4),
        (page(status="503 Busy"), "failed robots.unreachable", 4),
        (page(status="429 Busy"), "failed robots.unreachable", 4),
        (robots("User-agent: *\nDisallow: /\n" + "# more\n" * 200_000), "dropped robots.disallow", 1),
        (robots("# filler\n" * 100_000 + "User-agent: *\nDisallow: /\n"), "kept", 1),
    ],
    ids=[
        "closed",
        "closed-to-us",
        "closed-to-others",
        "404",
        "403",
        "410",
        "500",
        "503",
        "429",
        "huge",
        "late",
    ],
)
def test_the_status_of_robots_txt_decides(
    tmp_path: Path, reply: bytes, expected: str, robots_asked: int
) -> None:
    with Web({"a.test": {"/robots.txt": reply, "/": html()}}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    assert outcome(pages(tmp_path)["http://a.test/"]) == expected
    assert served.paths().count("/robots.txt") == robots_asked
    assert ("/" in served.paths()) == (expected == "kept")


@pytest.mark.parametrize(("hops", "expected"), [(1, "dropped"), (5, "dropped"), (6, "kept")])
def test_robots_txt_is_followed_through_five_redirects(tmp_path: Path, hops: int, expected: str) -> None:
    """More of them mean that it is not there (RFC 9309, section 2.3.1.2)."""
    site: dict[str, Reply] = {f"/r{at}": redirect(f"/r{at + 1}") for at in range(1, hops)}
    site |= {"/robots.txt": redirect("/r1"), f"/r{hops}": robots("User-agent: *\nDisallow: /"), "/": html()}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    assert pages(tmp_path)["http://a.test/"]["outcome"] == expected


def test_robots_txt_is_kept_from_round_to_round(tmp_path: Path) -> None:
    with Web({"a.test": {"/robots.txt": OPEN, "/": html("/1"), "/1": html("/2"), "/2": html()}}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    assert len(pages(tmp_path)) == 3
    assert served.paths().count("/robots.txt") == 1
    assert served.paths().count("/.well-known/tdmrep.json") == 1


OPTED = {
    "/header": page("<p>x", x_robots_tag="noai"),
    "/named": page("<p>x", x_robots_tag="derlem: noindex"),
    "/others": page("<p>x", x_robots_tag="otherbot: noindex"),
    "/meta": html("/m1", head='<meta name="robots" content="NOAI, noimageai">'),
    "/own": html("/o1", head='<meta name="derlem" content="noindex">'),
    "/nofollow": html("/n1", head='<meta name="robots" content="nofollow">'),
    "/rel": page('<p><a rel=nofollow href="/r1">x</a>'),
    "/tdm": page("<p>x", tdm_reservation="1"),
    "/tdm-meta": html(head='<meta name="tdm-reservation" content="1">'),
    "/free": page("<p>x", tdm_reservation="0"),
}


def test_opt_outs_are_honoured_and_recorded(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html(*OPTED), **OPTED}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    found = {url.removeprefix("http://a.test"): row for url, row in pages(tmp_path).items()}
    assert {path: outcome(row) for path, row in found.items() if path != "/"} == {
        "/header": "dropped optout.noai",
        "/named": "dropped optout.noindex",
        "/others": "kept",
        "/meta": "dropped optout.noai",
        "/own": "dropped optout.noindex",
        "/nofollow": "kept",
        "/rel": "kept",
        "/tdm": "dropped optout.tdm",
        "/tdm-meta": "dropped optout.tdm",
        "/free": "kept",
        "/m1": "failed status",  # links of a page that is withheld are followed, unless it says nofollow
        "/o1": "failed status",
    }
    assert found["/header"]["optouts"] == "noai (header)"
    assert found["/meta"]["optouts"] == "noai (meta), noimageai (meta)"
    assert found["/nofollow"]["optouts"] == "nofollow (meta)"
    stored = {row["url"] for row in rows(tmp_path) if row["file"]}
    assert not any(path in url for url in stored for path in ("/header", "/meta", "/tdm"))


def test_opt_outs_that_are_not_to_be_honoured_are_recorded_all_the_same(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": page("<p>x", x_robots_tag="noai, noindex")}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served, politeness={"honour": ["tdm"]}), "http://a.test/")
    row = pages(tmp_path)["http://a.test/"]
    assert (outcome(row), row["optouts"]) == ("kept", "noai (header), noindex (header)")


def test_what_tdmrep_json_reserves_is_not_asked_for(tmp_path: Path) -> None:
    rules = '[{"location": "/haber/*", "tdm-reservation": 1}, {"location": "/", "tdm-reservation": 0}]'
    site: dict[str, Reply] = {
        "/robots.txt": OPEN,
        "/.well-known/tdmrep.json": page(rules, content_type="application/json"),
        "/": html("/haber/1", "/tarih/1"),
        "/tarih/1": html(),
        "/haber/1": html(),
    }
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    assert outcome(pages(tmp_path)["http://a.test/haber/1"]) == "dropped optout.tdm"
    assert outcome(pages(tmp_path)["http://a.test/tarih/1"]) == "kept"
    assert "/haber/1" not in served.paths()


# ---------------------------------------------------------------- discovery


def test_sitemaps_lead_to_pages_that_nothing_links(tmp_path: Path) -> None:
    def urls(*names: str) -> str:
        return (
            "<urlset>" + "".join(f"<url><loc>http://a.test{name}</loc></url>" for name in names) + "</urlset>"
        )

    index = "<sitemapindex><sitemap><loc>http://a.test/s2.xml</loc></sitemap></sitemapindex>"
    site: dict[str, Reply] = {
        "/robots.txt": robots("Sitemap: http://a.test/s1.xml\n"),
        "/s1.xml": page(index, content_type="application/xml"),
        "/s2.xml": page(urls("/x", "/y"), content_type="text/xml"),
        "/sitemap.xml": page(urls("/z"), content_type="application/xml"),
        **{path: html() for path in ("/", "/x", "/y", "/z")},
    }
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served, scope={"sitemaps": True}), "http://a.test/")
    found = pages(tmp_path)
    assert {url.removeprefix("http://a.test") for url in found} == {"/", "/x", "/y", "/z"}
    assert {row["depth"] for url, row in found.items() if url != "http://a.test/"} == {1}
    assert served.paths().count("/sitemap.xml") == 1


def test_links_beyond_the_scope_the_depth_and_into_traps_are_left_out_and_counted(tmp_path: Path) -> None:
    def site(exchange: Exchange) -> Reply:
        if exchange.path == "/robots.txt":
            return OPEN
        at = exchange.path.strip("/")
        if at.startswith(".well-known"):
            return page(status="404 Not Found")
        if at.startswith("takvim"):  # a calendar without an end
            return html("/takvim/2026/01", f"/takvim/{int(at[-4:] or 2026) + 1}", "/takvim?ay=1&yil=3000")
        return html(f"/{int(at or 0) + 1}", "http://b.test/", "/a/a/a/a/a/a", "/x?PHPSESSID=0123456789abcdef")

    with Web({"a.test": site, "b.test": {"/": html()}}) as served:
        run(tmp_path, settings(served, scope={"depth": 3}), "http://a.test/")
    assert {entry.host for entry in served.log} == {"a.test"}
    assert "/3" in served.paths()
    assert "/4" not in served.paths()
    rounds = range(1, layout.finished_rounds(str(tmp_path)) + 1)
    manifests = [dataset.load(layout.round_folder(str(tmp_path), n)) for n in rounds]
    left_out = sum((Counter(m.counts().noted["links skipped"]) for m in manifests), Counter())
    assert left_out["scope.host"] >= 3
    assert left_out["trap.repeating"] >= 3
    assert left_out["scope.depth"] >= 1


def test_an_endless_site_ends_at_the_budgets(tmp_path: Path) -> None:
    numbers = iter(range(10**9))

    def site(exchange: Exchange) -> Reply:
        if exchange.path == "/robots.txt":
            return OPEN
        return html(*(f"/p{next(numbers)}" for _ in range(5)))

    with Web({"a.test": site, "b.test": site}) as served:
        limits = {"host_pages": 12, "host_round_pages": 4, "pages": 100}
        ended = run(tmp_path, settings(served, limits=limits), "http://a.test/", "http://b.test/")
        assert Counter(row["origin"] for row in pages(tmp_path).values()) == {
            "http://a.test": 12,
            "http://b.test": 12,
        }
        assert "limits.host_pages = 12" in ended.why
        assert ended.waiting > 50
        ended = run(
            tmp_path, settings(served, limits={**limits, "host_pages": 99, "pages": 30}), "http://a.test/"
        )
        assert ended.why == "limits.pages = 30 is reached"
    assert len(pages(tmp_path)) == 30


def test_redirects_are_followed_up_to_the_limit_and_loops_end(tmp_path: Path) -> None:
    site: dict[str, Reply] = {f"/r{at}": redirect(f"/r{at + 1}") for at in range(12)}
    site |= {"/robots.txt": OPEN, "/r0": redirect("/r1"), "/r12": html(), "/loop": redirect("/loop2")}
    site |= {"/loop2": redirect("/loop"), "/near": redirect("/there"), "/there": html()}
    seeds = [f"http://a.test{path}" for path in ("/r0", "/loop", "/near")]
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), *seeds)
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(tmp_path).items()}
    assert found["/there"] == "kept"
    assert found["/near"] == found["/loop"] == "redirect"
    assert found["/loop2"] == "failed redirect.loop"
    assert found["/r5"] == "dropped redirect.many"
    assert "/r6" not in served.paths()


@pytest.mark.parametrize("linked", [["/1"], ["/0", "/1"], ["/3", "/1"], ["/1", "/2", "/3"]])
def test_a_ring_of_redirects_is_recorded_wherever_it_is_entered(tmp_path: Path, linked: list[str]) -> None:
    ring = {"/1": redirect("/2"), "/2": redirect("/3"), "/3": redirect("/1")}
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html(*linked, "/self", "/0"), **ring}
    site |= {"/self": redirect("/self"), "/0": redirect("/1")}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    found = {url.removeprefix("http://a.test"): row for url, row in pages(tmp_path).items()}
    assert outcome(found["/self"]) == "failed redirect.loop"
    assert sorted(outcome(found[path]) for path in ring) == ["failed redirect.loop", "redirect", "redirect"]
    assert outcome(found["/0"]) == "redirect"
    assert max(Counter(served.paths()).values()) == 1


SLIPS = {
    "long": ("Content-Length: 999", b"<p>Merhaba", "cut short: disconnect"),
    "short": ("Content-Length: 4", b"<p>Merhaba", "cut short: unspecified"),
    "chunks": ("Transfer-Encoding: chunked", b"a\r\n<p>Merhaba\r\n", "cut short: disconnect"),
    "twice": ("Content-Length: 10\r\nContent-Length: 10", b"<p>Merhaba", ""),
    "line": ("PHP Notice:  Undefined index\r\nContent-Length: 10", b"<p>Merhaba", ""),
}


def test_a_host_that_never_answers_costs_few_requests_however_much_waits_for_it(tmp_path: Path) -> None:
    seeds = [f"http://dead.test/{number}" for number in range(200)]
    with Web({}) as served, socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
        closed.close()
        network = {"resolve": {"dead.test": f"127.0.0.1:{port}"}}
        loaded = settings(served, network=network, limits={"host_round_pages": 10})
        ended = run(tmp_path, loaded, *seeds)
    assert ended.why == "nothing is left to fetch"
    found = pages(tmp_path)
    assert len(found) == 200
    assert {(outcome(row), row["tries"]) for row in found.values()} == {("failed robots.unreachable", 2)}
    assert len([row for row in rows(tmp_path) if row["outcome"] == "asked"]) == 4 * 2


def test_answers_with_slips_are_kept_and_marked_and_no_host_goes_down(tmp_path: Path) -> None:
    def slip(fields: str, body: bytes) -> Reply:
        async def reply(exchange: Exchange) -> None:
            exchange.closing = True
            await exchange.send(
                f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{fields}\r\n\r\n".encode() + body
            )

        return reply

    contrary = slip("Content-Length: 10\r\nContent-Length: 7", b"<p>Merhaba")
    site: dict[str, Reply] = {f"/{name}": slip(fields, body) for name, (fields, body, _) in SLIPS.items()}
    site |= {f"/contrary{at}": contrary for at in range(4)} | {"/robots.txt": OPEN, "/good": html()}
    site |= {"/": html(*site)}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    found = {url.removeprefix("http://a.test/"): row for url, row in pages(tmp_path).items()}
    assert {outcome(found[name]) for name in (*SLIPS, "good", "")} == {"kept"}
    assert {name: found[name]["detail"] for name in SLIPS} == {
        name: said for name, (*_, said) in SLIPS.items()
    }
    assert {outcome(found[f"contrary{at}"]) for at in range(4)} == {"failed protocol"}
    counted = dataset.load(layout.round_folder(str(tmp_path), 2)).counts()
    assert counted.noted["cut short"] == {"disconnect": 2, "unspecified": 1}
    marked = {
        record.rec_headers["WARC-Target-URI"].rpartition("/")[2]: record.rec_headers["WARC-Truncated"]
        for path in tmp_path.glob("rounds/*/warc/*.warc.gz")
        for record in ArchiveIterator(path.open("rb"))
        if record.rec_headers["WARC-Truncated"]
    }
    assert marked == {"long": "disconnect", "short": "unspecified", "chunks": "disconnect"}


def test_pages_that_answer_with_an_error_cost_no_other_page(tmp_path: Path) -> None:
    bad = {f"/{at}": page(status=f"{status} X") for at, status in enumerate([500, 502, 503, 504, 429] * 2)}
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html(*bad, "/z"), "/z": html(), **bad}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(tmp_path).items()}
    assert found == {"/": "kept", "/z": "kept", **dict.fromkeys(bad, "failed status")}
    assert {row["tries"] for row in pages(tmp_path).values()} == {1, 2}


def test_a_refresh_field_leads_on_whatever_the_body_is(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/a": html(), "/b": html(), "/c": html()}
    site |= {
        "/": page("<p>x", refresh="0; url=/a"),
        "/t": page("x", content_type="text/plain", refresh="5;URL='/b'"),
    }
    site |= {"/p": page("x", content_type="image/png", refresh="0;/c")}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), *(f"http://a.test{path}" for path in ("/", "/t", "/p")))
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(tmp_path).items()}
    assert found == {**dict.fromkeys(("/", "/t", "/a", "/b", "/c"), "kept"), "/p": "dropped media"}


def test_one_body_at_two_urls_is_stored_for_each(tmp_path: Path) -> None:
    """Copies are left to dedupe, which says of each what stays in its place."""
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html("/a", "/b"), "/a": html(), "/b": html()}
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served), "http://a.test/")
    found = pages(tmp_path)
    assert found["http://a.test/a"]["digest"] == found["http://a.test/b"]["digest"]
    assert {outcome(row) for row in found.values()} == {"kept"}


# ---------------------------------------------------------------- safety


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://127.0.0.2/"]
)
def test_no_redirect_leads_into_a_private_network(tmp_path: Path, target: str) -> None:
    with Web({"a.test": {"/robots.txt": OPEN, "/": redirect(target)}}) as served:
        own = {"allow": ["127.0.0.1/32"]}
        run(tmp_path, settings(served, scope={"within": "any"}, network=own), "http://a.test/")
    found = {outcome(row) for row in pages(tmp_path).values()}
    assert found == {"redirect", "failed network.refused"}


def test_without_leave_nothing_on_this_machine_is_asked(tmp_path: Path) -> None:
    with Web({"a.test": {"/": html()}}) as served:
        run(
            tmp_path,
            settings(served, network={"allow": []}),
            "http://a.test/",
            f"http://127.0.0.1:{served.port}/",
        )
    assert served.log == []
    assert {outcome(row) for row in pages(tmp_path).values()} == {"failed network.refused"}


def test_what_servers_do_wrong_is_told_apart(tmp_path: Path) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.send(html()[:60])
        exchange.reset()

    async def garbage(exchange: Exchange) -> None:
        await exchange.send(b"\x00\x01nonsense\r\n\r\n")
        exchange.closing = True

    site: dict[str, Reply] = {
        "/robots.txt": OPEN,
        "/cut": cut,
        "/garbage": garbage,
        "/image": page(b"\x89PNG", content_type="image/png"),
        "/none": page(status="404 Not Found"),
        "/nowhere": redirect("mailto:a@b.test"),
        "/bomb": page(gzip.compress(b"0" * (9 << 20)), content_encoding="gzip"),
    }
    with Web({"a.test": site}) as served:
        run(tmp_path, settings(served, politeness={"retries": 9}), *(f"http://a.test{path}" for path in site))
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(tmp_path).items()}
    assert found["/cut"].startswith("failed reset")
    assert found["/garbage"] == "failed protocol"
    assert found["/image"] == "dropped media"
    assert found["/none"] == "failed status"
    assert found["/nowhere"] == "failed redirect.target"
    assert found["/bomb"] == "failed bomb"


# ---------------------------------------------------------------- again


def changing(version: int) -> dict[str, Reply]:
    """Return a site whose pages change in their own ways between two crawls."""

    def tagged(exchange: Exchange) -> Reply:
        if exchange.fields.get("if-none-match") == '"same"':
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        return page("<p>aynı", etag='"same"')

    def dated(exchange: Exchange) -> Reply:
        if exchange.fields.get("if-modified-since"):
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        return page("<p>tarihli", last_modified="Thu, 01 Jan 2026 12:00:00 GMT")

    def site(exchange: Exchange) -> Reply:
        chosen: dict[str, Reply] = {"/tagged": tagged(exchange), "/dated": dated(exchange)}
        chosen |= {"/silent": page("<p>etiketsiz"), "/robots.txt": OPEN}
        chosen |= {"/new": page(f"<p>sürüm {version}"), "/": html("/tagged", "/dated", "/silent", "/new")}
        return chosen.get(exchange.path, page(status="404 Not Found"))

    return {"a.test": site}  # type: ignore[dict-item]


def test_a_crawl_that_follows_another_stores_only_what_has_changed(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    with Web(changing(1)) as served:  # type: ignore[arg-type]
        run(first, settings(served), "http://a.test/")
    with Web(changing(2)) as served:  # type: ignore[arg-type]
        run(second, settings(served), earlier=first)
        again = Counter(entry.path for entry in served.log)
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(second).items()}
    assert found == {
        "/": "unchanged",
        "/tagged": "unchanged",
        "/dated": "unchanged",
        "/silent": "unchanged",
        "/new": "kept",
    }
    assert max(again.values()) == 1
    sums = [dataset.load(layout.round_folder(str(second), 1)).counts()]
    assert (sums[0].kept, sums[0].skipped["unchanged"]) == (1, 4)


def test_a_crawl_that_follows_another_finds_pages_that_are_new_since(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html("/1"), "/1": html()}
    with Web({"a.test": site}) as served:
        run(tmp_path / "1", settings(served), "http://a.test/")
        site |= {"/": html("/1", "/2"), "/2": html()}
        run(tmp_path / "2", settings(served), earlier=tmp_path / "1")
    found = {url.removeprefix("http://a.test"): outcome(row) for url, row in pages(tmp_path / "2").items()}
    assert found == {"/": "kept", "/1": "unchanged", "/2": "kept"}


def test_a_crawl_can_only_follow_one_that_is_there(tmp_path: Path) -> None:
    with Web({}) as served, pytest.raises(ConfigError, match="does not hold a crawl"):
        run(tmp_path / "2", settings(served), earlier=tmp_path / "1")


def test_a_round_that_was_too_short_for_any_page_is_followed_by_another(tmp_path: Path) -> None:
    site: dict[str, Reply] = {"/robots.txt": OPEN, "/": html()}
    own = {"delay_s": 0.6}  # the third request falls behind the round of a second
    with Web({"a.test": site}) as served:
        loaded = settings(served, politeness=own, limits={"round_minutes": 1 / 60})
        ended = run(tmp_path, loaded, "http://a.test/")
    assert ended.why == "nothing is left to fetch"
    assert outcome(pages(tmp_path)["http://a.test/"]) == "kept"
    assert served.paths() == ["/robots.txt", "/.well-known/tdmrep.json", "/"]
    assert ended.rounds > 1


# ---------------------------------------------------------------- status


def test_the_status_is_read_from_the_files_alone(tmp_path: Path) -> None:
    with Web(web.village(hosts=2, pages=4)) as served:
        run(tmp_path, settings(served, scope={"within": "any"}), "http://www0.test/")
    found = status(str(tmp_path))
    assert found.outcomes["kept"] == 8
    assert found.requests == len(served.log)
    assert found.origins == 2
    assert found.causes["dropped: robots.disallow"] == 2
    assert found.is_finished
    assert found.as_dict()["waiting"] is None
    with pytest.raises(ConfigError, match="does not hold a crawl"):
        status(str(tmp_path / "elsewhere"))
