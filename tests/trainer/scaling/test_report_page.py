"""A report's page opens from disk in a real browser: asks for nothing, fits a phone, is legible, prints."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.scaling.laws import REPETITION
from trainer.scaling.report import build
from trainer.scaling.runs import Columns
from trainer.scaling.source import Asked

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
KEPT = os.environ.get("DERLEM_SCREENSHOTS", "")
"""A folder to keep pictures in, for eyes."""


class Browser:
    """Chromium with one page, spoken to over two pipes: no port, no driver."""

    def __init__(self, profile: Path) -> None:
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()

        def place() -> None:  # the browser reads from 3 and writes to 4
            held = os.dup(to_child), os.dup(from_child)
            os.dup2(held[0], 3)
            os.dup2(held[1], 4)

        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            close_fds=False,
            preexec_fn=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        self._number, self._left, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile is kept in `events`."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": params}
        call |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(call).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])
            self.events.append(found)

    def open(self, page: Path) -> None:
        """Load a file and wait until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(self._next())

    def tell(self, script: str) -> Any:
        """Return what a script says."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def look(self, width: int, dark: bool = False) -> None:
        """Set the width of the screen, and whether its user likes it dark."""
        phone = width < 500
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page, where a folder for pictures is named."""
        if KEPT:
            shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            Path(KEPT, f"{name}.png").write_bytes(base64.b64decode(shot))

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self.ask("Browser.close")
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            more = os.read(self._in, 1 << 20)
            assert more, "chromium ended"
            self._left += more
        message, self._left = self._left.split(b"\0", 1)
        return dict(json.loads(message))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report with every kind of picture: repeated data, two corpora, a long table."""
    folder = tmp_path_factory.mktemp("page")
    theta = np.array([4.0, 6.5, -0.1, 0.3, 0.35, np.log(8.0), np.log(20.0)])
    rng = np.random.default_rng(0)
    lines = ["run,corpus,n,d,u,loss"]
    for corpus, worse in (("web", 1.0), ("books", 1.02)):
        for n in np.geomspace(1e6, 1e9, 5):
            for d in np.geomspace(1e8, 1e10, 4):
                for epochs in (1.0, 2.0, 8.0) if corpus == "web" else (1.0,):
                    logs = {k: np.log([v]) for k, v in (("params", n), ("tokens", d), ("unique", d / epochs))}
                    loss = np.exp(REPETITION.log_loss(theta, logs))[0] * worse * np.exp(0.002 * rng.normal())
                    name = f"{corpus}-with-a-rather-long-name-{len(lines)}"
                    lines.append(f"{name},{corpus},{n:.9g},{d:.9g},{d / epochs:.9g},{loss:.9g}")
    table = folder / "runs.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    asked = Asked(Columns(("loss",), "n", "d", "u", "run"), corpus="corpus")
    build.write(build.report(table, asked, resamples=60), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser, or skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium to test the page")
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def test_the_page_asks_for_nothing_but_itself_and_reports_no_error(browser: Browser, page: Path) -> None:
    browser.look(1200)
    browser.open(page)
    asked = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    said = [e for e in browser.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert said == []
    assert browser.tell("document.scripts.length") == 0
    assert browser.tell("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_runs_out_of_a_narrow_screen(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)
    browser.open(page)
    browser.keep(f"page-{width}")
    assert browser.tell("document.documentElement.scrollWidth") <= width
    outside = browser.tell(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, clipPath'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


def test_words_of_charts_stay_inside_and_apart(browser: Browser, page: Path) -> None:
    browser.look(1280)
    browser.open(page)
    faults = browser.tell(
        """[...document.querySelectorAll('figure > svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            const boxes = [...svg.querySelectorAll('text')].map(
                t => [t.textContent, t.getBoundingClientRect()]);
            const out = boxes.filter(([, b]) => b.left < frame.left - 6 || b.right > frame.right + 14
                || b.top < frame.top - 4 || b.bottom > frame.bottom + 4).map(([t]) => 'outside: ' + t);
            for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
                const [[s, a], [t, b]] = [boxes[i], boxes[j]];
                const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (wide > 1 && high > 3) out.push(`${s} over ${t}`);
            }
            return out.map(o => svg.querySelector('title').textContent + ': ' + o);
        })"""
    )
    assert faults == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_stands_out_from_its_ground(browser: Browser, page: Path, dark: bool) -> None:
    browser.look(1280, dark)
    browser.open(page)
    browser.keep("page-dark" if dark else "page-light")
    pairs = browser.tell(
        """[...document.querySelectorAll('main *, header *')].filter(e => !e.closest('title, desc')
            && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
            const own = getComputedStyle(e);
            const back = g => getComputedStyle(g).backgroundColor;
            let ground = e;
            while (back(ground) === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
            const ink = e.closest('svg') ? own.fill : own.color;
            return [ink, back(ground), e.textContent.slice(0, 40)];
        })"""
    )
    assert len(pairs) > 300
    faint = {(round(contrast(ink, ground), 2), ink, ground, text) for ink, ground, text in pairs}
    assert {one for one in faint if one[0] < 4.5} == set()


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_markers_stand_out_from_the_page(browser: Browser, page: Path, dark: bool) -> None:
    browser.look(1280, dark)
    browser.open(page)
    colours = browser.tell(
        "[...new Set([...document.querySelectorAll('svg .line, svg .dot, svg .cross')]"
        ".map(e => getComputedStyle(e).color))]"
    )
    ground = browser.tell("getComputedStyle(document.body).backgroundColor")
    assert len(colours) >= 5
    assert {c: round(contrast(c, ground), 2) for c in colours if contrast(c, ground) < 3.0} == {}


def test_dark_is_dark_and_paper_is_white(browser: Browser, page: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.look(1280, dark=True)
    browser.open(page)
    assert luminance(browser.tell(ground)) < 0.05
    browser.look(1280)
    assert luminance(browser.tell(ground)) > 0.9
    printed = base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 25
    if KEPT:
        Path(KEPT, "page.pdf").write_bytes(printed)


def luminance(colour: str) -> float:
    """Return the relative luminance of rgb(r, g, b) (WCAG 2)."""
    parts = [float(v) / 255 for v in re.findall(r"[\d.]+", colour)[:3]]
    bent = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * bent[0] + 0.7152 * bent[1] + 0.0722 * bent[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2): 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
