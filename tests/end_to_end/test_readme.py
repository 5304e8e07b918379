"""Every command line of README.md and docs/ is run on small data, or named here with the reason why not."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cc_crawl
import cc_server
import pack
import pytest
import serve
from support import ROOT, command, texts
from typer.testing import CliRunner

from derlem import app

FIRST = ["corpus.md", "training.md", "worth.md"]  # other pages use what these make
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md"), key=lambda page: (page.name not in FIRST, page.name)),
]

# Lines that are not run, by how they begin.
NOT_RUN = {
    "make demo": "it installs into .venv; .ci/run runs it in a clean clone",
    "make test": "it runs all tests, this one too",
    "make reproduce": "it installs into .venv; tests/trainer/scaling/test_reproduce.py runs what it runs",
    ". .venv/bin/activate": "the tests have an environment of their own",
    "python3.11 -m venv": "it installs from the network; .ci/run does so",
    "python3 -m venv": "it installs from the network; .ci/run does so",
    "pip install": "it installs from the network; .ci/run does so",
    "torchrun": "it asks for eight GPUs; tests/trainer/test_world.py runs ranks on the CPU",
    "derlem compare": "it trains many models; tests/trainer/compare/test_compare.py runs it on tiny ones",
    "python benchmarks/prices.py": "it needs the sample data",
    "derlem build prices/": "benchmarks/prices.py makes its configuration from the sample data",
    "derlem mix": "it trains many models; tests/trainer/mix/test_mix.py runs it on tiny ones",
    "derlem evaluate my/run --tasks data/turblimp": "its pairs are downloaded by the user",
    "derlem evaluate my/run --tasks my-questions.jsonl": "test_questions.py reads such files",
    "lm_eval": "it is not installed here; tests/handover runs it where it is",
    "derlem quality": "it reads labels and texts of the user's own; tests/corpus/quality trains on some",
    "derlem view": "it serves until Ctrl-C; tests/end_to_end/test_view.py looks at its pages",
}

# Words that are put in the place of others, since the text speaks of the web and of large models.
INSTEAD = {
    "--workers 2": "--workers 1",  # test_interruption.py has worker processes
    "--preset 124m": "--preset tiny",
    "other/corpus": "my/corpus",
    "--step 1000": "--step 1",
    "--hours 1 ": "--hours 0.01 ",
    "abilities STUDY": "abilities my/study",
    "abilities answers.jsonl": "abilities DIR/outputs.jsonl",
}

# Words that are added, by how the line begins: small sizes, and servers of this machine.
ASKED = "network.allow=['127.0.0.0/8'] politeness.delay_s=0 politeness.factor=0 limits.pages=40"
KEEP = 'filter.language.keep=["tur_Latn","eng_Latn"]'
SMALL = f"dedupe.substrings.length=500 shard.validation=0.3 tokenizer.vocabulary=600 {KEEP}"
TINY = "data.tokens=4096 data.length=64 data.batch=4 model.depth=1"
RUN = f"{TINY} evaluate.documents=4 run.device=cpu run.log=[]"
ADDED = {
    "derlem crawl sites.txt": f"{ASKED} network.resolve={{'kitaplik.example'='127.0.0.1:SITE'}}",
    "derlem commoncrawl": "access.base=ARCHIVE access.index_base=ARCHIVE access.requests_per_s=1000",
    "derlem build my/": SMALL,
    "derlem tokenizer train": SMALL,
    "derlem tokenize ": SMALL,
    "derlem train": RUN,
    "derlem data order": RUN,
    "derlem generate": "tokens=4",
    "derlem scale my/corpus": "workers=1 seeds.smallest=1 seeds.others=1 tokens.per_parameter=0.05",
}
FEW_ITEMS = "--n 4 --shots 0"  # `derlem abilities` asks these of every model

STUDY = """
output = "my/study"
check = []
[corpora]
mine = "my/corpus"
[sizes]
smallest = 12_000
largest = 30_000
count = 2
aspect = 16
[tokens]
per_parameter = 0.13
multiples = [0.5, 1, 2]
[seeds]
smallest = 2
[train.model]
head = 8
[train.data]
length = 64
batch = 4
[train.evaluate]
documents = 4
[train.run]
device = "cpu"
log = []
"""


@dataclass
class Block:
    """A block of a document: its language and its lines, with the heading that it stands under."""

    heading: str
    language: str
    lines: list[str] = field(default_factory=list)


def blocks(document: Path) -> list[Block]:
    found: list[Block] = []
    heading, inside = "", False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append(Block(heading, line.removeprefix("```").strip()))
        elif inside:
            found[-1].lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found


SHELL = [
    (document.name, block.heading, line)
    for document in DOCUMENTS
    for block in blocks(document)
    if block.language == "sh"
    for line in block.lines
    if line.strip()
]
PYTHON = [
    "\n".join(block.lines)
    for document in DOCUMENTS
    for block in blocks(document)
    if block.language == "python" and document.name != "after-pretraining.md"  # tests/handover
]


def reason(line: str) -> str:
    """Return why a line is not run; nothing for one that is."""
    return next((why for start, why in NOT_RUN.items() if line.startswith(start)), "")


def words(line: str, ports: dict[str, str]) -> list[str]:
    """Return a line as the words that are run: small, and on this machine."""
    for shown, meant in INSTEAD.items():
        line = line.replace(shown, meant)
    found = shlex.split(line, comments=True)
    if found[:2] == ["derlem", "abilities"] and "outputs.jsonl" not in line:
        found += [*FEW_ITEMS.split(), *([] if "--task" in found else ["--task", "addition/1/tr"])]
    for start, added in ADDED.items():
        if f"{line} ".startswith(start):
            for name, port in ports.items():
                added = added.replace(name, port)
            found += [word for key in added.split() for word in ("--set", key)]
    return found[1:]


def own_files(folder: Path) -> None:
    """Do what README asks of the reader after `derlem init`: name own files under [[source]]."""
    rows = [json.dumps({"url": url, "text": text}) for url, text in texts()]
    rows += [json.dumps({"text": "Kısa bir metin."}), "{broken"]
    (folder / "pages.jsonl").write_text("\n".join(rows), encoding="utf-8")
    path = folder / "my" / "corpus.toml"
    text = path.read_text(encoding="utf-8")
    assert 'format = "warc"\n' in text
    text = text.replace('format = "warc"\n', 'format = "jsonl"\n')
    path.write_text(re.sub(r"(?m)^paths = .*$", 'paths = ["../pages.jsonl"]', text), encoding="utf-8")


def make_demo(folder: Path) -> Path:
    """Make the demo's corpus from its site, as `make demo` does from a crawl; return its folder."""
    (folder / "examples").mkdir()
    for name in ("corpus.toml", "quiz.jsonl", "insults.txt"):
        shutil.copy(ROOT / "examples" / name, folder / "examples")
    pack.write_warc(folder / "demo" / "crawl" / "rounds" / "0001" / "warc" / "kitaplik.warc.gz")
    command("build", folder / "examples" / "corpus.toml")
    return folder


def prepare(folder: Path) -> None:
    """Write what the documents take for granted: sites, pages, a study, a table of runs."""
    pack.write_warc(folder / "crawl.warc.gz")
    (folder / "page.html").write_text(
        "<h1>Ağaç</h1><p>" + "Ağaç gövdesi odundan bir bitkidir. " * 9, encoding="utf-8"
    )
    (folder / "sites.txt").write_text("http://kitaplik.example/\n", encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["N", "D", "val_loss"])
        for n in (1e6, 3e6, 1e7, 3e7, 1e8, 3e8):
            for d in (1e8, 1e9, 1e10, 1e11):
                table.writerow([n, d, 1.8 + 480 / n**0.35 + 2000 / d**0.37])


@contextmanager
def at(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@dataclass
class Ran:
    """What the lines of all documents said, in order; `folder` is where the last of them were run."""

    folder: Path
    said: dict[tuple[str, str, str], tuple[int, str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Run the documents' lines in their order, the two ways to a corpus each in a folder of its own."""
    archive = tmp_path_factory.mktemp("commoncrawl")
    cc_crawl.write(archive, cc_crawl.pages(40), warcs=1, indexes=1, group=20)
    folder = tmp_path_factory.mktemp("readme")
    demo = make_demo(tmp_path_factory.mktemp("demo"))
    said: dict[tuple[str, str, str], tuple[int, str]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(cc_server.serve(archive))
        ports = {"SITE": str(stack.enter_context(serve.serving())), "ARCHIVE": server.url}
        prepare(folder)
        for key in SHELL:
            _, _, line = key
            if reason(line):
                continue
            is_own = line.startswith("derlem init") and "--crawl" not in line
            if is_own:
                folder = tmp_path_factory.mktemp("readme")
                prepare(folder)
            with at(demo if "demo/" in line or "examples/corpus" in line else folder):
                if "other.model" in line:
                    shutil.copy("my/corpus/tokenizer/tokenizer.model", "other.model")
                answer = CliRunner().invoke(app, words(line, ports), env={"COLUMNS": "100"})
                if is_own:
                    own_files(folder)
            trouble = "" if isinstance(answer.exception, SystemExit | None) else repr(answer.exception)
            said[key] = (answer.exit_code, f"{trouble}{answer.stderr}{answer.stdout}")
        yield Ran(folder, said)


def test_the_documents_have_lines_and_those_that_are_not_run_are_there() -> None:
    assert len(SHELL) > 35
    for start in ("make demo", "pip install", "torchrun"):
        assert any(line.startswith(start) for _, _, line in SHELL), start
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language != "sh":
                hidden = [
                    line for line in block.lines if re.match(r"(\$ )?(derlem|make|pip|python\S*) ", line)
                ]
                assert not hidden, f"{document.name}: commands in a block that is not marked sh: {hidden}"


@pytest.mark.parametrize("key", SHELL, ids=lambda key: f"{key[0]}-{key[2].split('#')[0].strip()}")
def test_a_line_of_the_documents_works(key: tuple[str, str, str], ran: Ran) -> None:
    document, _, line = key
    if reason(line):
        assert key not in ran.said
        return
    assert line.startswith("derlem "), f"{document}: {line!r} is neither run nor named with a reason"
    status, said = ran.said[key]
    assert status == 0, said


def test_the_python_of_the_documents_reads_the_corpus(ran: Ran) -> None:
    assert PYTHON
    with at(ran.folder):
        for code in PYTHON:
            exec(compile(code, "README.md", "exec"), {})


def test_the_readme_is_short_and_its_links_lead_to_files() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for document in DOCUMENTS:
        links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
        absent = [link for link in links if "://" not in link and not (document.parent / link).exists()]
        assert absent == [], document.name


def test_options_in_running_text_exist() -> None:
    from typer.main import get_command

    def options(command: object) -> set[str]:
        found = {name for param in getattr(command, "params", []) for name in param.opts}
        for inner in getattr(command, "commands", {}).values():
            found |= options(inner)
        return found

    known = options(get_command(app))
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"`(--[a-z][a-z-]+)", text))
    foreign = {"--runner", "--region", "--number", "--shutdown-timeout", "--collector"}  # of others
    assert named - foreign <= known, named - foreign - known
