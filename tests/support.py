"""What the end-to-end tests share: a small corpus to build, with planted copies, and the command line."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pyarrow as pa
from typer.testing import CliRunner

from corpus import dataset, schema
from corpus.counts import Counts
from derlem import app

ROOT = Path(__file__).parents[1]
DERLEM = [sys.executable, "-m", "derlem"]
FILES = 6

Answer = subprocess.CompletedProcess[str]
Command = Callable[..., Answer]


def texts() -> list[tuple[str, str]]:
    """Return (URL, text) of the site's pages in Turkish, Azerbaijani and English, and of planted copies."""
    found = []
    for page in sorted(ROOT.glob("examples/site/*/*.html")):
        if page.parent.name in ("tr", "az", "en"):
            text = re.sub(r"<[^>]+>", "\n", page.read_text(encoding="utf-8"))
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            found.append((f"https://site.example/{page.parent.name}/{page.stem}", "\n".join(lines)))
    copies = [(f"{url}?kopya", text) for url, text in found[::9]]
    turkish = [(url, text) for url, text in found if "/tr/" in url]
    near = [(f"{url}/yazdir", text.replace(" ve ", " ile ", 1) + "\nSon.") for url, text in turkish[4::9]]
    return [*found, *copies, *near]


def write_input(folder: Path) -> Path:
    """Write the input files and their configuration below a folder; give the configuration's path."""
    rows = texts()
    for number in range(FILES):
        lines = [json.dumps({"url": url, "text": text}) for url, text in rows[number::FILES]]
        (folder / f"pages-{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # One source a file, so that every file is a unit of its own.
    sources = "".join(
        f'[[source]]\nname = "pages-{n}"\nformat = "jsonl"\npaths = ["pages-{n}.jsonl"]\n'
        for n in range(FILES)
    )
    path = folder / "corpus.toml"
    path.write_text(
        f'output = "corpus"\n{sources}'
        '[filter.language]\nkeep = ["tur_Latn", "azj_Latn", "eng_Latn"]\n'
        '[filter.presets]\ntur_Latn = "fineweb2-tur"\neng_Latn = "fineweb"\n'  # drops one of the texts
        "[shard]\nvalidation = 0.1\ntarget_mb = 0.05\n",
        encoding="utf-8",
    )
    return path


def copy_of(built: Path, folder: Path) -> Path:
    """Copy a build and its input, to be changed there; return the path of its configuration."""
    shutil.copytree(built.parent, folder, dirs_exist_ok=True)
    return folder / "corpus.toml"


def write_shards(folder: Path, shards: dict[str, list[str]]) -> None:
    """Write a finished shard stage of the texts given by "LANGUAGE/SPLIT", a shard each, four to a batch."""
    kind, units = schema.SHARD, []
    for number, (name, kept) in enumerate(shards.items()):
        language, split = name.split("/")
        fingerprint = f"{number:016x}"
        rows = [
            {
                "id": hashlib.md5(text.encode()).hexdigest(),
                "text": text,
                "source": "web" if row % 4 else "books",
                "language": language,
                "bytes": len(text.encode()),
                "words": len(text.split()),
                "copies": row % 3 + 1,
            }
            for row, text in enumerate(kept)
        ]
        path = f"{language}/{split}-000-{number:04d}-{fingerprint}.arrow"
        with dataset.create(str(folder), path, kind, fingerprint, language=language, split=split) as slot:
            for first in range(0, len(rows), 4):
                batch = pa.RecordBatch.from_pylist(rows[first : first + 4], kind.schema(fingerprint))
                slot.arrow.write(batch)
        assert slot.file is not None
        counts = Counts(seen=len(rows), kept=len(rows))
        units.append(
            dataset.Unit(name=name, fingerprint=fingerprint, inputs=(), files=(slot.file,), counts=counts)
        )
    dataset.save(str(folder), dataset.Manifest(stage="shard", version=1, settings={}, units=tuple(units)))


@contextmanager
def process_state() -> Iterator[None]:
    """Put back what a command changes for its process: signals, levels of logging, the working folder."""
    loggers = [logging.getLogger(), logging.getLogger("apache_beam")]
    levels = [logger.level for logger in loggers]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with chdir(ROOT):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def command(*arguments: str | Path, check: bool = True, columns: int = 100) -> Answer:
    """Run derlem in this process, which spares the seconds of a start; with `check`, fail with its message.

    An error that would end the command with a trace is raised.
    """
    words = list(map(str, arguments))
    with process_state():
        done = CliRunner().invoke(app, words, env={"COLUMNS": str(columns)})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if check:
        assert done.exit_code == 0, done.stderr
    return Answer(words, done.exit_code, done.stdout, done.stderr)


def final_files(corpus: Path) -> dict[str, bytes]:
    """Return the files of a build that must not depend on how it was run: all but reports and records."""
    return {
        str(path.relative_to(corpus)): path.read_bytes()
        for path in sorted(corpus.rglob("*"))
        if path.is_file() and "units" not in path.parts and path.name != "report.json"
    }
