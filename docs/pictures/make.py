"""The pictures of docs/looking.md: pages of `derlem view` on the demo's corpus, in Debian's Chromium.

python docs/pictures/make.py demo/corpus docs/pictures
"""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

from corpus.inspect.build import open_build
from corpus.inspect.texts import Texts
from corpus.view import index, server
from corpus.view.pages import Viewer
from corpus.view.questions import Questions, Selection

TOKEN = "picture"
MISSING, RULE = "unlu-uyumu", "gopher.alphabetic_words"  # a page of the demo, and what drops it


@contextmanager
def served(corpus: str) -> Iterator[tuple[str, Questions]]:
    """Serve a build on a free port; yield the address and the questions."""
    texts = Texts(open_build(corpus))
    questions = Questions(texts, index.open_index(texts))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        application = server.application(Viewer(questions), TOKEN)
        running = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", questions
        running.should_exit = True
        thread.join()


@dataclass(frozen=True, slots=True)
class Picture:
    """A page, and the screen that it is drawn on."""

    name: str
    path: str
    width: int = 1280
    scheme: str = "light"


def pictures(questions: Questions) -> list[Picture]:
    """Return the pages to draw: what a person sees who asks why a page is missing, and others."""
    dropped, kept = (
        questions.page(selection).rows[0]
        for selection in (Selection(address=MISSING), Selection(state="kept", order="-copies"))
    )
    return [
        Picture("funnel", "/"),
        Picture("missing", f"/documents?address={MISSING}", width=390),
        Picture("why", f"/document/{dropped.n}"),
        Picture("document", f"/document/{kept.n}"),
        Picture("what-if", f"/what-if?rule={RULE}&language=tur_Latn&limit=0.7", scheme="dark"),
    ]


def main(corpus: str, folder: Path) -> None:
    """Draw the first screen of each page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with served(corpus) as (address, questions), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for each in pictures(questions):
            size = {"width": each.width, "height": 700}
            page = browser.new_page(viewport=size, color_scheme=each.scheme)
            page.goto(f"{address}/?token={TOKEN}")
            page.goto(address + each.path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=str(folder / f"{each.name}.png"))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
