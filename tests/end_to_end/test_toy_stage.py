"""A new stage is a module that plans it and one row of the chain: every command then knows it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pytest
from support import command, write_input

from corpus import chain, dataset
from corpus.counts import Counts
from corpus.schema import DOCUMENTS, DROPPED, SIGNATURES, Column
from pipelines import build
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit

RULE = "toy.english"

ROW = chain.Stage(
    name="toy",
    folder="toys",
    plan=f"{__name__}:plan",
    section="",
    kept="kept by toy",
    files={"documents": "kept", "signatures": "kept", "dropped": "dropped"},
)


def plan(context: Context) -> Stage:
    home = context.input_of("toy", DOCUMENTS.name)
    manifest = dataset.load(home)
    units = []
    for unit in manifest.units:
        inputs = tuple(dataset.Input(name=file.path, checksum=file.sha256) for file in unit.files)
        units.append(plan_unit("toy", 1, {}, unit.name, inputs, unit, 1))
    return Stage("toy", 1, context.folder("toy"), {}, tuple(units), partial(drop_english, home))


def drop_english(home: str, unit: Planned, folder: str, beat: object) -> Outcome:
    """Pass on a part's documents and signatures, but for those in English."""
    files = {file.kind: file for file in unit.task.files}
    documents = dataset.table(home, files["documents"].path)
    stays = pc.not_equal(documents["language"], "eng_Latn")
    gone = documents.filter(pc.invert(stays)).to_pylist()
    signatures = dataset.table(home, files["signatures"].path)
    written = []
    for kind, table in ((DOCUMENTS, documents), (SIGNATURES, signatures)):
        path = f"{kind.name}-{unit.fingerprint}.arrow"
        names = set(kind.schema().names)  # filter adds columns of its own
        added = [Column(each.name, each.type, "") for each in table.schema if each.name not in names]
        kind = kind.with_columns(added)
        with dataset.create(folder, path, kind, unit.fingerprint, None) as slot:
            slot.arrow.write(table.filter(stays).replace_schema_metadata(kind.schema().metadata))
        written.append(slot.file)
    with dataset.create(folder, f"dropped-{unit.fingerprint}.arrow", DROPPED, unit.fingerprint) as slot:
        rows = [{**row, "rule": RULE, "value": None, "limit": None} for row in gone]
        slot.arrow.write(dataset.pa.Table.from_pylist(rows, schema=DROPPED.schema(unit.fingerprint)))
    written.append(slot.file)
    counts = Counts(seen=documents.num_rows, kept=documents.num_rows - len(gone))
    if gone:
        counts.drop(RULE, len(gone))
    return Outcome([file for file in written if file is not None], counts)


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the toy between filter and dedupe."""
    at = chain.names().index("dedupe")
    monkeypatch.setattr(chain, "STAGES", (*chain.STAGES[:at], ROW, *chain.STAGES[at:]))


@pytest.mark.usefixtures("with_toy")
def test_every_command_knows_a_stage_that_stands_in_the_chain(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    corpus = tmp_path / "corpus"
    command("build", path, "--until", "toy")
    assert not (corpus / "dedupe").exists()
    said = command("build", path).stderr
    toy, dedupe = (dataset.load(str(corpus / name)).counts() for name in ("toys", "dedupe"))
    assert toy.dropped[RULE] > 0
    assert dedupe.seen == toy.kept

    assert f"{corpus.name}/toys: " in command("verify", corpus).stderr.replace("\n", "")
    overview = json.loads(command("inspect", corpus, "--json").stdout)
    assert overview["funnel"]["faults"] == []
    steps = {step["name"]: step for step in overview["funnel"]["steps"]}
    assert steps["kept by filter"]["losses"] == [{"why": RULE, "documents": toy.dropped[RULE]}]
    assert {entry["language"] for entry in overview["languages"]} == {"tur_Latn", "azj_Latn"}

    shown = command("show", corpus, "--dropped", "toy", "--limit", "1", "--json").stdout
    assert json.loads(shown)["rule"] == RULE
    copies = command("show", corpus, "--dropped", "dedupe", "--limit", "1", "--json").stdout
    assert json.loads(copies)["path"].startswith("toys/")

    wrong = tmp_path / "wrong.toml"
    wrong.write_text(path.read_text().replace('"pages-0.jsonl"', '"corpus/toys/*"'))
    assert "is in the build's own output" in command("build", wrong, check=False).stderr
    assert "done before" in said


@pytest.mark.usefixtures("with_toy")
def test_a_changed_stage_takes_the_manifests_of_those_after_it(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    command("build", path)
    command("build", path, "--set", "filter.language.min_score=0.9", "--until", "filter")
    left = [
        row.folder for row in chain.STAGES if (tmp_path / "corpus" / row.folder / "manifest.json").exists()
    ]
    assert left == ["extract", "furniture", "filter"]


def test_a_row_names_a_function_that_plans_the_stage() -> None:
    for row in chain.STAGES:
        assert callable(build.plan(row))
    with pytest.raises(KeyError, match="no stage before extract"):
        chain.upstream("extract", "documents")
