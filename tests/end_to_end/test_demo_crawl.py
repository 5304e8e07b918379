"""The demo's crawl of the sample site: what a server can do wrong meets the fate that the table states."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pack
import pytest
import serve
from support import command

from corpus import dataset
from corpus.crawl.state import layout
from corpus.web.url import canonical

EXAMPLES = Path(serve.__file__).parent
ROWS = {path: row for path, row in serve.rows().items() if row.name in {row.name for row in pack.defects()}}

# What the network shows otherwise than an archive: answers that the crawler itself refuses, and a page whose
# later fetch is at an address that is not served.
OTHERWISE = {
    "before-update": "kept",
    "bomb": "failed bomb",
    "not-found": "failed status",
    "moved": "redirect",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder after its crawl and its build, by the demo's own commands."""
    home = tmp_path_factory.mktemp("demo")
    shutil.copytree(EXAMPLES, home / "examples", ignore=shutil.ignore_patterns("site", "__pycache__"))
    with serve.serving() as port:
        resolve = f'network.resolve={{"kitaplik.example" = "127.0.0.1:{port}"}}'
        words = ["crawl", home / "examples/seeds.txt", "--config", home / "examples/crawl.toml"]
        command(*words, "-o", home / "demo/crawl", "--set", resolve)
    command("build", home / "examples/corpus.toml", "--set", f"output={home}/demo/corpus")
    return home / "demo"


@pytest.fixture(scope="module")
def fetched(folder: Path) -> dict[str, dict[str, Any]]:
    """What became of each address, by path."""
    found = {}
    for number in range(1, layout.finished_rounds(str(folder / "crawl")) + 1):
        home = layout.round_folder(str(folder / "crawl"), number)
        for file in dataset.load(home).files("fetches"):
            rows = dataset.table(home, file.path).to_pylist()
            found.update(
                {r["url"].removeprefix(serve.SITE): r for r in rows if r["outcome"] not in ("asked", "retry")}
            )
    return found


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows of the build by kind of file and address."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, stage in (
        ("documents", "filter"),
        ("dropped", "extract"),
        ("dropped", "filter"),
        ("rejected", "extract"),
        ("removed", "dedupe"),
    ):
        home = str(folder / "corpus" / stage)
        rows = [
            row
            for file in dataset.load(home).files(kind)
            for row in dataset.table(home, file.path).to_pylist()
        ]
        found[kind] = found.get(kind, {}) | {row.get("url") or row["id"]: row for row in rows}
    return found


def fate(path: str, fetched: dict[str, Any], built: dict[str, Any]) -> tuple[str, str]:
    """Return what became of an address, by the crawl and by the build."""
    row, url = fetched[path], serve.SITE + path
    if row["outcome"] != "kept":
        return f"{row['outcome']} {row['cause']}".strip(), ""
    if url in built["rejected"]:
        return "rejected", built["rejected"][url]["cause"]
    if url in built["dropped"]:
        return "dropped", built["dropped"][url]["rule"]
    removed = built["removed"].get(built["documents"][url]["id"])
    return ("removed", removed["kind"]) if removed else ("kept", "")


@pytest.mark.parametrize(("path", "row"), ROWS.items(), ids=[row.name for row in ROWS.values()])
def test_a_served_defect_meets_its_fate(
    path: str, row: Any, fetched: dict[str, Any], built: dict[str, Any]
) -> None:
    if row.name == "image":  # by its name it is no page: nobody asks for it
        assert path not in fetched
        return
    outcome, by = fate(path, fetched, built)
    if row.name in OTHERWISE:
        assert outcome == OTHERWISE[row.name]
        return
    assert outcome == row.fate, by
    assert by.startswith(row.by)
    if row.fate == "kept" and row.whole:
        text = built["documents"][serve.SITE + path]["text"]
        assert all(
            " ".join(part.split()) in " ".join(text.split()) for part in pack.paragraphs(pack.read(row.page))
        )


def test_every_page_of_the_site_was_fetched(fetched: dict[str, Any]) -> None:
    assert set(serve.rows()) - {"/amblem.png"} <= set(fetched)


def test_what_the_site_withholds_is_not_stored(fetched: dict[str, Any], built: dict[str, Any]) -> None:
    assert (fetched[serve.WITHHELD]["outcome"], fetched[serve.WITHHELD]["cause"]) == (
        "dropped",
        "optout.noai",
    )
    assert fetched[serve.CLOSED]["cause"] == "robots.disallow"
    stored = {canonical(url) for rows in built.values() for url in rows}
    assert canonical(serve.SITE + serve.WITHHELD) not in stored
    assert canonical(serve.SITE + serve.CLOSED) not in stored


def test_the_crawl_can_be_verified(folder: Path) -> None:
    said = command("verify", folder / "crawl").stderr
    assert said.count("are correct") == layout.finished_rounds(str(folder / "crawl"))


def test_the_server_runs_as_long_as_its_command() -> None:
    code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
    words = [sys.executable, EXAMPLES / "serve.py", sys.executable, "-c", code]
    done = subprocess.run(
        [*words, "http://127.0.0.1:{port}/robots.txt"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == serve.ROBOTS.strip()
    failed = subprocess.run([*words[:3], "-c", "raise SystemExit(3)"], check=False)
    assert failed.returncode == 3


def test_warcio_finds_no_fault(folder: Path) -> None:
    archives = sorted(map(str, folder.glob("crawl/rounds/*/warc/*.warc.gz")))
    done = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", *archives], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_configuration_for_the_crawl_finds_its_pages(folder: Path) -> None:
    command("init", folder / "own" / "corpus.toml", "--crawl", folder / "crawl")
    said = command("build", folder / "own" / "corpus.toml", "--until", "filter").stderr
    assert "(skipped, not a document: request)" in said
    assert dataset.load(str(folder / "own" / "corpus" / "extract")).counts().seen == 106
