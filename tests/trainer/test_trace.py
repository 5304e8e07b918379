"""The documents that a step is said to read are those whose tokens its windows hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import dataset, files
from corpus.counts import Counts
from corpus.schema import TOKENS16
from trainer import identity, metrics
from trainer import tokens as shards
from trainer.config import Config, Data, Phase
from trainer.order import Order
from trainer.readers import Reader, readers, runs_beside
from trainer.tokens import Tokens
from trainer.trace import trace

EOS = 2
SHORT = Phase(tokens=1_000, length=8, weights={"tur_Latn/web": 1.0})
CONFIG = Config(data=Data(length=32, batch=6, tokens=4_000, phases=(SHORT,)))
PERMUTED = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"permute": "documents"})})
BOTH = pytest.mark.parametrize("config", [CONFIG, PERMUTED], ids=["windows", "documents"])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """Two sources of 60 documents of 1 to 50 tokens, in two files each, seven documents to a batch."""
    folder = tmp_path_factory.mktemp("tokens")
    chance = np.random.default_rng(1)
    units = []
    for number, source in enumerate(["web", "books", "web", "books"]):
        fingerprint = f"{number:016x}"
        lengths = chance.integers(1, 50, 30).tolist()
        rows = [
            {
                "tokens": [*chance.integers(3, 1_000, length - 1).tolist(), EOS],
                "bytes": 3 * length,
                "id": f"{1000 * number + row:032x}",
                "language": "tur_Latn",
                "source": source,
                "copies": 1,
            }
            for row, length in enumerate(lengths)
        ]
        path = f"tur_Latn/train-{source}-{number}.arrow"
        more = {"language": "tur_Latn", "split": "train", "source": source}
        with dataset.create(str(folder), path, TOKENS16, fingerprint, compression=None, **more) as slot:
            for first in range(0, 30, 7):
                batch = pa.RecordBatch.from_pylist(rows[first : first + 7], TOKENS16.schema(fingerprint))
                slot.arrow.write_tokens(batch)
        assert slot.file is not None
        counts = Counts(seen=30, kept=30)
        units.append(
            dataset.Unit(name=path, fingerprint=fingerprint, inputs=(), files=(slot.file,), counts=counts)
        )
    facts = {"tokenizer": "f" * 64, "vocabulary": 1_000, "padded_vocabulary": 1_024, "eos": EOS, "bos": None}
    manifest = dataset.Manifest(stage="tokenize", version=1, settings={}, units=tuple(units), facts=facts)
    dataset.save(str(folder), manifest)
    return shards.open(str(folder))


@pytest.fixture(scope="module")
def documents(opened: Tokens) -> dict[str, dict[str, object]]:
    """Return every document by its id."""
    return {
        row["id"]: row
        for file in opened.manifest.files("tokens16")
        for row in dataset.table(opened.folder, file.path).to_pylist()
    }


def windows(opened: Tokens, order: Order, step: int) -> list[list[int]]:
    """Read a step's tokens from the batches themselves."""
    read: list[list[int]] = [[] for _ in range(CONFIG.data.batch)]
    where = shards.places(opened)
    for segment in order.segments(order.windows(step)):
        file, number = where[segment["stream"]][segment["batch"]]
        held = dataset.read_batch(opened.folder, file, number)["tokens"].flatten().to_pylist()
        read[segment["row"]] += held[segment["offset"] : segment["offset"] + segment["length"]]
    return read


@BOTH
@pytest.mark.parametrize("step", [0, 7, 21, 22, 60, 4_321])
def test_passages_put_together_are_the_tokens_of_the_window(
    opened: Tokens, documents: dict[str, dict[str, object]], step: int, config: Config
) -> None:
    order = shards.order(config, opened)
    rows = trace(opened, order, step)
    assert [row.row for row in rows] == list(range(6))
    for row, expected in zip(rows, windows(opened, order, step), strict=True):
        found: list[int] = []
        for passage in row.passages:
            document = documents[passage.id]
            held = document["tokens"]
            assert isinstance(held, list)
            assert passage.tokens == len(held)
            assert row.stream == f"{passage.language}/{passage.source}" == f"tur_Latn/{document['source']}"
            found += held[passage.first : passage.last + 1]
        assert found == expected
        assert len(found) == row.length + 1


def test_ranks_have_slices_of_the_step(opened: Tokens) -> None:
    order = shards.order(CONFIG, opened)
    whole = trace(opened, order, 30)
    assert [row for rank in range(4) for row in trace(opened, order, 30, rank, 4)] == whole
    with pytest.raises(ValueError, match="rank 4 of 4"):
        trace(opened, order, 30, 4, 4)


def test_one_epoch_reads_every_document_of_a_stream_once(opened: Tokens) -> None:
    config = CONFIG.model_copy(update={"data": Data(length=32, batch=1, weights={"tur_Latn/books": 1.0})})
    order = shards.order(config, opened)
    read: dict[str, set[int]] = {}
    step = 0
    while (row := trace(opened, order, step)[0]).epoch == 0:
        for passage in row.passages:
            read.setdefault(passage.id, set()).update(range(passage.first, passage.last + 1))
        step += 1
    books = [file for file in opened.manifest.files("tokens16") if file.source == "books"]
    lengths = {
        row["id"]: len(row["tokens"])
        for file in books
        for row in dataset.table(opened.folder, file.path).to_pylist()
    }
    assert {id: len(seen) for id, seen in read.items()} == lengths


def test_only_the_batches_concerned_are_opened(opened: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = dataset.open_arrow
    monkeypatch.setattr(dataset, "open_arrow", lambda *where: asked.append(where[1]) or original(*where))
    order = shards.order(CONFIG, opened)
    for row in trace(opened, order, 3):  # of the phase that reads the web alone
        assert row.stream == "tur_Latn/web"
    assert set(asked) <= {"tur_Latn/train-web-0.arrow", "tur_Latn/train-web-2.arrow"}
    assert len(asked) == len(set(asked))


def test_the_command_waits_for_no_torch(opened: Tokens) -> None:
    code = (
        "import sys, runpy; sys.argv = ['derlem', 'data', 'order', sys.argv[1], '--step', '3', '--json']\n"
        "try: runpy.run_module('derlem', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, opened.folder]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    *rows, torch = run.stdout.splitlines()
    assert (len(rows), torch) == (16, "False")


def run_on(folder: Path, opened: Tokens, config: Config, steps: int) -> Path:
    """Write what a run of some steps leaves in its folder."""
    order = shards.order(config, opened)
    record = {**identity.record(config, opened, order, None)}
    files.write_json(str(folder), identity.RUN, record)
    (folder / metrics.FILE).write_text(f'{{"kind": "train", "step": {steps}, "tokens": 1}}\n')
    return folder


@BOTH
@pytest.mark.parametrize("steps", [0, 1, 25, 40, 90])
def test_the_documents_that_a_run_has_read_are_those_of_its_steps(
    opened: Tokens, tmp_path: Path, steps: int, config: Config
) -> None:
    order = shards.order(config, opened)
    read = [
        {passage.id for row in trace(opened, order, step) for passage in row.passages}
        for step in range(steps)
    ]
    ids = {f"{1000 * number + row:032x}" for number, row in [(0, 3), (1, 29), (2, 11), (3, 0), (3, 17)]}
    run = run_on(tmp_path / "run", opened, config, steps)
    first = next((step for step, found in enumerate(read) if ids & found), None)
    expected = Reader(str(run), steps, len(ids & set().union(*read)), first)
    assert readers([run, tmp_path], opened.folder, ids) == [expected]


def test_of_a_run_on_tokens_that_are_gone_nothing_is_said(opened: Tokens, tmp_path: Path) -> None:
    run = run_on(tmp_path / "run", opened, CONFIG, 9)
    record = files.read_json(str(run), identity.RUN)
    assert record is not None
    record["data"] = re.sub("content=.", "content=x", record["data"])
    files.write_json(str(run), identity.RUN, record)
    assert readers([run], opened.folder, {"0" * 32}) == [Reader(str(run), 9, None, None)]


def test_runs_beside_a_corpus_are_found(tmp_path: Path) -> None:
    for name in ("run", "studies/one/a", "corpus/x"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / identity.RUN).write_text("{}")
    (tmp_path / "run-without-record").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in runs_beside(tmp_path / "corpus")]
    assert found == ["corpus/x", "run", "studies/one/a"]
