"""The viewer: its numbers are the build's, it finds what is asked for, and a hostile page does nothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import archives
import duckdb
import pytest
import uvicorn
from support import ROOT, command

from corpus.errors import DatasetError, NotThereError
from corpus.inspect.build import open_build
from corpus.inspect.diff import Change, Diff, Example, Setting
from corpus.inspect.texts import Texts
from corpus.view import document, index, server
from corpus.view.labels import Labels
from corpus.view.pages import Viewer
from corpus.view.questions import PAGE, Questions, Selection
from corpus.whatif import what_if

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = 'https://kotu.example/"><script>alert(1)</script>?a'
SHORT = (  # fewer words than the limit, and no other fault
    "Bu sayfa kısa kalmış bir sayfadır, çünkü yazarı gitti. Kütüphanenin bahçesinde oturan kediler ve "
    "kuşlar için her sabah su konur. Öğleden sonra gelen çocuklar da onlara ekmek verir. Yazın ağaçların "
    "gölgesi uzundur, kışın ise herkes içeride sıcak çay içer ve kitap okur."
)
REPEATED = "Bu yazı dizimizin bütün bölümleri kütüphanenin arşivinde okunabilir."
LONG_LINE = "uzun satır " * 40_000
BIDI = "\u202eters\u202c"


def article(*paragraphs: str) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return f"<html><meta charset=utf-8><body><article>{body}</article></body></html>".encode()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A build of ten Turkish pages, one of them twice, one with an e-mail address, one short, one hostile."""
    folder = tmp_path_factory.mktemp("viewed")
    site = sorted((ROOT / "examples" / "site" / "tr").glob("*.html"))[:10]
    line = f"<p>{REPEATED}</p>".encode()
    pages = [(f"https://iyi.example/{page.stem}", page.read_bytes() + line) for page in site]
    first = pages[0][1].decode()
    with_address = first.replace("</p>", " Yazın: ayse@example.org.</p>", 1).replace(" ve ", " ile ").encode()
    pages += [
        ("https://kopya.example/ayni", pages[1][1]),
        ("https://iyi.example/adres", with_address),
        ("https://iyi.example/kisa", article(SHORT)),
        (
            HOSTILE,
            article(
                "<script>document.title='caught'</script>",
                *["&lt;img src=x onerror=alert(1)&gt; " + BIDI] * 9,
                LONG_LINE,
            ),
        ),
    ]
    records = [archives.record(archives.response(body), WARC_Target_URI=url) for url, body in pages]
    (folder / "crawl.warc.gz").write_bytes(archives.by_record(records))
    config = folder / "corpus.toml"
    (folder / "broken.jsonl").write_text('{"url": "https://bozuk.example/"}\n{"url": \n')
    config.write_text(
        'output = "corpus"\n[[source]]\nname = "pages"\nformat = "warc"\npaths = ["crawl.warc.gz"]\n'
        '[[source]]\nname = "lines"\nformat = "jsonl"\npaths = ["broken.jsonl"]\n'
        '[filter.language]\nkeep = ["tur_Latn"]\n[filter.presets]\ntur_Latn = "fineweb2-tur"\n'
    )
    command("build", config, "--workers", "1")
    return str(folder / "corpus")


@pytest.fixture(scope="module")
def questions(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        texts = Texts(open_build(corpus))
        yield Questions(texts, index.open_index(texts))


def number_of(questions: Questions, url: str) -> int:
    rows = [row for row in questions.page(Selection()).rows if row.url == url]
    return rows[0].n


def test_every_text_has_one_number_and_the_outcome_that_the_build_gave_it(questions: Questions) -> None:
    build = questions.texts.build
    outcomes = dict(questions.ask("SELECT rule, count(*) FROM texts GROUP BY rule"))
    counts = {}
    for stage in build.stages():
        counts |= stage.manifest.counts().dropped
    kept = build.need("shard", "").manifest.counts().kept
    assert outcomes == {**counts, "": kept}
    assert counts["dedupe.near"] == 2
    for row in questions.page(Selection()).rows:
        assert document.read(questions.texts, row.n).row["url"] == row.url
    assert questions.texts.count == sum(outcomes.values())
    with pytest.raises(NotThereError, match="there is no text"):
        document.read(questions.texts, questions.texts.count)


def test_a_facet_and_the_groups_count_what_the_table_shows(questions: Questions) -> None:
    for value, number, _ in questions.facet("host", Selection(state="kept")):
        assert questions.page(Selection(state="kept", host=value)).total == number
    for name, value in (("register", "other"), ("page_kind", "article")):
        found = {value: number for value, number, _ in questions.facet(name, Selection())}
        assert sum(found.values()) == questions.texts.count
        assert 0 < questions.page(Selection(**{name: value})).total == found[value]
    texts = {row[0]: row[1:3] for row in questions.groups("host", "kept", 10)}
    assert texts["kopya.example"][0] == 1
    shares = [row[2] / row[1] for row in questions.groups("host", "share", 10)]
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) > 1
    assert sum(number for number, _ in texts.values()) == questions.texts.count


@pytest.mark.parametrize(
    "order",
    ["", "words", "-words", "-score", "random", "gopher.min_words", "-gopher.min_words", "-fetched", "-host"],
)
def test_next_and_previous_walk_through_a_page_in_its_order(questions: Questions, order: str) -> None:
    chosen = Selection(order=order, seed="3")
    numbers = [row.n for row in questions.page(chosen).rows]
    assert sorted(numbers) == list(range(questions.texts.count))
    for one, other in pairwise(numbers):
        assert questions.beside(chosen, one, 1) == other
        assert questions.beside(chosen, other, -1) == one
    assert questions.beside(chosen, numbers[-1], 1) is None


def test_a_search_finds_a_stem_with_its_suffixes_in_either_case_and_nothing_inside_words(
    questions: Questions,
) -> None:
    def found(words: str) -> int:
        return len(questions.page(Selection(find=words)).rows)

    assert found("KISA KALMIŞ BİR SAYFA") == found("kısa kalmış bir sayfad") == 1
    assert found("yazarı gitti") == found("YAZARI GİTTİ") == 1
    assert found("azarı gitti") == 0
    chosen = Selection(find="uzun satır")
    assert questions.page(chosen).searched == questions.texts.count
    assert [row.url for row in questions.page(chosen).rows] == [HOSTILE]


def test_a_search_that_takes_too_long_can_be_continued(
    questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = [row.n for row in questions.page(Selection(find="bir")).rows]
    monkeypatch.setattr("corpus.view.questions.SEARCH_S", -1.0)
    seen, start = [], ""
    for _ in range(questions.texts.count + 1):
        page = questions.page(Selection(find="bir", start=start))
        seen += [row.n for row in page.rows]
        if not (start := page.next):
            break
    assert seen == everywhere
    assert len(everywhere) < PAGE


def test_a_document_shows_what_was_replaced_its_copies_and_its_page(questions: Questions) -> None:
    shown = document.read(questions.texts, number_of(questions, "https://iyi.example/adres"))
    cut = {span.cause for span in shown.spans if REPEATED in span.text and not span.is_new}
    assert cut == {document.FURNITURE}
    replaced = {span.cause for span in shown.spans if "ayse@example.org" in span.text}
    assert replaced == {document.REDACTED}
    assert any("<|email|>" in span.text and span.is_new for span in shown.spans)
    copies = questions.page(Selection(rule="dedupe.")).rows
    assert len(copies) == 2
    for row in copies:
        copy = document.read(questions.texts, row.n)
        (kept,) = copy.copies
        assert copy.rule == "dedupe.near"
        assert row.n in [other.n for other in document.read(questions.texts, kept.n).copies]
    assert "<script>document.title='caught'" in document.crawled(
        questions.texts, number_of(questions, HOSTILE)
    )


def test_the_index_of_another_state_is_another_file(
    questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = index.path(questions.texts)
    assert before.exists()
    monkeypatch.setattr(index, "VERSION", index.VERSION + 1)
    assert index.path(questions.texts) != before
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(DatasetError, match="set XDG_CACHE_HOME"):
        index.open_index(questions.texts)


def test_the_exports_open_without_a_server(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command("view", corpus, "--export", tmp_path / "pages", "--parquet", tmp_path / "texts.parquet")
    for page in (tmp_path / "pages").glob("*.html"):
        links = set(re.findall(r'(?:href|src)="([^"#]*)"', page.read_text(encoding="utf-8")))
        assert all((page.parent / link).exists() for link in links), page
    rows = duckdb.sql(
        f"SELECT count(*), count(*) FILTER (rule = '') FROM '{tmp_path}/texts.parquet'"
    ).fetchall()
    assert rows == [(14, 10)]


def test_without_its_packages_the_command_says_what_to_install(
    corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("corpus.view")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    answer = command("view", corpus, check=False)
    assert answer.returncode == 1
    assert "duckdb" in answer.stderr
    assert "[view]" in answer.stderr


CHANGES = Diff(
    "one", "two", 9, (Change("now dropped", "", "gopher.min_words", 1, 30),),
    (Setting("filter", "limits", "5", "<b>6"),),
    (Example("now dropped", "", "gopher.min_words", HOSTILE, 3, (("eski sözler", "yeni sözler"),)),),
)  # fmt: skip


def rows_of_step(questions: Questions, step: int) -> list[dict[str, Any]]:
    """Return a row that reads the only text with an address, as a training run would say."""
    if step > 5:
        raise ValueError("the run has no such step")
    known = document.read(questions.texts, number_of(questions, "https://iyi.example/adres")).row["id"]
    passage = {"id": known, "source": "pages", "language": "tur_Latn", "first": 0, "last": 9, "tokens": 20}
    return [{"row": 0, "stream": "tur_Latn/pages", "epoch": 0, "length": 9, "passages": [passage]}]


class Served:
    """A viewer that serves on a free port of this machine."""

    def __init__(self, questions: Questions, labels: Path) -> None:
        self.token = "of-the-test"
        viewer = Viewer(questions, Labels(labels), changes=CHANGES, steps=partial(rows_of_step, questions))
        application = server.application(viewer, self.token)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    def get(self, path: str, token: str | None = None, **headers: str) -> tuple[int, Any, str]:
        cookie = {"Cookie": f"{server.COOKIE}={self.token if token is None else token}"}
        request = urllib.request.Request(self.address + path, headers={**cookie, **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def served(questions: Questions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    viewer = Served(questions, tmp_path_factory.mktemp("labels") / "labels.jsonl")
    yield viewer
    viewer.stop()


def test_only_the_token_and_this_machines_name_open_it(served: Served) -> None:
    assert served.get("/", token="")[0] == 403
    assert served.get("/", token="wrong")[0] == 403
    assert served.get("/", Host="rebound.example")[0] == 400
    assert served.get(f"/?token={served.token}", token="")[0] == 403  # urllib keeps no cookie
    status, headers, _ = served.get("/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/", "/documents", "/documents?find=deniz", "/documents?order=-gopher.min_words", "/sources",
        "/documents?start=x&least=q", "/documents?rule=%27%3B--", "/hosts?order=share&limit=1", "/languages",
        "/what-if", "/what-if?rule=gopher.min_words&language=tur_Latn&limit=5", "/what-if?limit=nan",
        "/labels", "/tokens", "/changes", "/steps", "/steps?step=9", "/rejected", "/rejected?cause=x&start=9",
        "/documents?certainty=from+0.9", "/documents?order=gopher.min_words&low=1&high=90",
    ],
)  # fmt: skip
def test_every_page_answers(served: Served, path: str) -> None:
    status, _, text = served.get(path)
    assert status == 200
    assert "<script>alert" not in text


def test_a_rejected_record_is_shown_with_its_cause(served: Served) -> None:
    _, _, funnel = served.get("/")
    assert 'href="/rejected?cause=missing-text"' in funnel
    _, _, text = served.get("/rejected?cause=missing-text")
    assert "bozuk.example" in text
    assert "bad-json" not in text.partition("<table>")[2]


def test_a_step_leads_to_its_documents_and_a_change_to_its_text(served: Served, questions: Questions) -> None:
    number = number_of(questions, "https://iyi.example/adres")
    assert f'href="/document/{number}"' in served.get("/steps?step=5")[2]
    assert "the run has no such step" in served.get("/steps?step=6")[2]
    text = served.get("/changes")[2]
    assert 'href="/document/3"' in text
    assert "eski sözler" in text
    assert "&lt;b&gt;6" in text


def test_ranges_narrow_the_table(questions: Questions) -> None:
    facets = questions.facet("certainty", Selection())
    assert sum(number for _, number, _ in facets) == questions.texts.count
    for name, number, _ in facets:
        assert questions.count(Selection(certainty=name)) == number
    chosen = Selection(order="gopher.min_words", low="10", high="200")
    values = [row.value for row in questions.page(chosen).rows]
    assert 0 < len(values) == questions.page(chosen).total < questions.texts.count
    assert all(value is not None and 10 <= value <= 200 for value in values)
    assert sum(number for _, number, _ in questions.facet("rule", chosen)) == len(values)


def test_a_port_in_use_is_said(served: Served, corpus: str) -> None:
    answer = command("view", corpus, "--port", served.address.rpartition(":")[2], check=False)
    assert answer.returncode == 2
    assert "name another" in answer.stderr


def test_what_if_says_what_the_command_says(served: Served, corpus: str) -> None:
    override = 'filter.limits."tur_Latn"."gopher.min_words"=5'
    expected = what_if(corpus, [override]).given_back
    _, _, text = served.get("/what-if?rule=gopher.min_words&language=tur_Latn&limit=5")
    assert expected == {"gopher.min_words": 1}
    assert "comes back" in text
    assert override.replace('"', "&#34;") in text


def test_a_crawled_page_is_shown_without_its_power(served: Served, questions: Questions) -> None:
    _, headers, text = served.get(f"/page/{number_of(questions, HOSTILE)}")
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "uzun satır" in text


def test_an_unknown_page_is_said_to_be_unknown(served: Served) -> None:
    for path in ("/document/99999", "/page/99999", "/nothing", "/document/-1"):
        status, _, text = served.get(path)
        assert status in (200, 404)
        assert "Traceback" not in text


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium to test the viewer in it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_the_screen_and_breaks_no_policy(
    browser: Any, served: Served, questions: Questions, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(f"{served.address}/?token={served.token}")
    hostile = number_of(questions, HOSTILE)
    paths = [
        "/",
        "/documents",
        f"/document/{hostile}",
        "/hosts",
        "/what-if?rule=gopher.min_words&limit=5",
        "/tokens",
        "/labels",
        "/changes",
        "/steps",
        "/rejected",
    ]
    for path in paths:
        page.goto(served.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.goto(f"{served.address}/document/{hostile}")
    page.frame_locator("iframe").locator("article").wait_for()
    assert page.title() != "caught"
    # The policies may report what they forbade inside the crawled page, and nothing else was tried.
    assert [text for text in said if "sandboxed" not in text and "Content Security Policy" not in text] == []
    page.close()


def test_keys_alone_search_read_and_label(browser: Any, served: Served, questions: Questions) -> None:
    page = browser.new_page()
    page.goto(f"{served.address}/documents?state=kept&token={served.token}")
    page.keyboard.press("/")
    page.keyboard.type("ve")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents?find=ve*")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/document/*")
    one, url = page.url, page.locator("h1").inner_text()
    page.keyboard.press("3")
    page.wait_for_url(lambda now: now != one)
    page.keyboard.press("k")
    page.wait_for_url(lambda now: now == one)
    assert "labelled bad spam" in page.locator(".labels").inner_text()
    page.goto(f"{served.address}/labels")
    kept = [
        json.loads(line) for line in Path(page.locator("code").first.inner_text()).read_text().splitlines()
    ]
    assert [(label["url"], label["label"], label["reason"]) for label in kept] == [(url, "bad", "spam")]
    page.close()


def test_from_the_first_page_two_steps_tell_why_a_page_is_missing(
    browser: Any, served: Served, questions: Questions
) -> None:
    copy = questions.page(Selection(rule="dedupe.")).rows[0].url.replace("https://", "http://www.")
    page = browser.new_page()
    page.goto(f"{served.address}/?token={served.token}")
    for address, why, same in (
        ("iyi.example/kisa", "gopher.min_words: 42 is below the limit 50", 1),
        (copy, "almost the same text", 2),
    ):
        page.goto(served.address)
        page.get_by_label("Why is a page missing?").fill(address)
        page.keyboard.press("Enter")
        page.locator("[data-row]").first.click()
        fate = page.locator(".fate").inner_text()
        assert why in fate
        page.get_by_text(f"all {same} that went the same way").click()
        page.wait_for_url("**/documents?rule=*")
        assert page.locator("[data-row]").count() == same
    page.close()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://bozuk.example/", "rejected as missing-text"),
        ("https://iyi.example/yok", "No input has a record of this address"),
    ],
)
def test_a_page_that_has_no_text_is_explained(served: Served, address: str, why: str) -> None:
    assert why in served.get(f"/documents?{urllib.parse.urlencode({'address': address})}")[2]


def test_the_slider_counts_when_it_rests(browser: Any, served: Served) -> None:
    page = browser.new_page()
    page.goto(f"{served.address}/what-if?rule=gopher.min_words&language=tur_Latn&token={served.token}")
    slider = page.locator("[data-slide]")
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_url("**limit=*")
    assert "comes back" in page.content()
    page.close()
