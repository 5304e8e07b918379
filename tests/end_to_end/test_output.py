"""Where a build may write: any file system and name, alone, and nothing of others touched."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support import Command, final_files, texts

from corpus import chain, dataset, files
from corpus.config import parse
from corpus.errors import ConfigError, StageError
from corpus.teller import SILENT
from corpus.verify import find_faults
from pipelines import build, extract
from pipelines.options import Runner
from pipelines.stage import Context

QUIET = SILENT


def configuration(folder: Path, output: str, paths: str = "*.jsonl") -> dict[str, Any]:
    rows = [json.dumps({"url": url, "text": text}) for url, text in texts()[::8]]
    (folder / "ışık ve su.jsonl").write_text("\n".join(rows), encoding="utf-8")
    source = {"name": "a", "format": "jsonl", "paths": [paths]}
    return {"output": output, "source": [source], "tokenizer": {"vocabulary": 512}}


def run(folder: Path, output: str, paths: str = "*.jsonl", until: str = "shard") -> str:
    return build.run(parse(configuration(folder, output, paths), "test"), folder, Runner(), QUIET, until)


def test_a_build_in_memory_has_the_same_files_as_one_on_disk(tmp_path: Path) -> None:
    local = run(tmp_path, "çıktı klasörü", until="tokenize")
    remote = run(tmp_path, f"memory://{tmp_path.name}", until="tokenize")
    fs, root = files.filesystem(remote)
    found = {path[len(root) + 1 :]: fs.cat_file(path) for path in fs.find(root)}
    expected = final_files(Path(local))
    assert {path: found[path] for path in expected} == expected
    for stage in (row.folder for row in chain.STAGES):
        assert find_faults(files.join(remote, stage)) == []


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    output = run(tmp_path, f"file://{tmp_path}/out", f"file://{tmp_path}/*.jsonl", until="filter")
    assert output == str(tmp_path / "out")
    assert dataset.load(files.join(output, "filter")).counts().kept > 0


def test_a_build_that_keeps_nothing_fails_and_can_be_looked_into(tmp_path: Path, derlem: Command) -> None:
    (tmp_path / "short.jsonl").write_text('{"text": "kısa"}\n')
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "corpus.toml").write_text('[[source]]\nname = "a"\nformat = "jsonl"\npaths = ["*.jsonl"]\n')
    answer = derlem("build", tmp_path / "corpus.toml", check=False)
    assert answer.returncode == 1
    assert "nothing was kept: of 1 documents, 1 dropped by gopher.min_words" in answer.stderr
    for command in (["inspect"], ["show", "--dropped", "gopher"], ["verify"]):
        derlem(*command, tmp_path / "corpus")


def test_files_of_others_in_the_output_stop_the_build_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out" / "shards").mkdir(parents=True)
    (tmp_path / "out" / "shards" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="shards/ there holds files that derlem did not write"):
        run(tmp_path, "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["shards", "notes.txt"]


def test_a_python_package_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "__init__.py").touch()
    with pytest.raises(ConfigError, match="the folder is a Python package"):
        run(tmp_path, "corpus")


def test_a_second_build_into_the_same_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    first = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    with pytest.raises(StageError, match="another run is at work here"):
        run(tmp_path, "out")
    os.close(first)
    run(tmp_path, "out", until="filter")


def test_the_build_s_own_output_is_no_input(tmp_path: Path) -> None:
    run(tmp_path, "out", until="filter")
    with pytest.raises(ConfigError, match="is in the build's own output"):
        run(tmp_path, "out", "out/filter/documents/*.arrow")


def test_an_input_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = files.checksum

    def denied(url: str) -> str:
        if url.endswith(".jsonl"):
            raise PermissionError(13, "Permission denied", url)
        return usual(url)

    monkeypatch.setattr(files, "checksum", denied)
    with pytest.raises(ConfigError, match=r"ışık ve su\.jsonl cannot be read: Permission denied"):
        extract.plan(Context(parse(configuration(tmp_path, "out"), "test"), tmp_path))


def test_a_file_name_that_is_no_utf_8_is_cleaned_as_any_other(tmp_path: Path) -> None:
    config = parse(configuration(tmp_path, "out"), "test")
    os.rename(tmp_path / "ışık ve su.jsonl", os.fsencode(tmp_path) + b"/\xfd\xfe\xfd.jsonl")
    located = config.model_copy(update={"output": str(tmp_path / "out")})
    (unit,) = extract.plan(Context(located, tmp_path)).units
    assert unit.inputs[0].name == "\\udcfd\\udcfe\\udcfd.jsonl"
    build.run(config, tmp_path, Runner(), QUIET, until="filter")
    assert dataset.load(str(tmp_path / "out" / "filter")).counts().kept > 0


def test_init_makes_the_folder_and_says_what_stops_it(tmp_path: Path, derlem: Command) -> None:
    derlem("init", tmp_path / "my" / "corpus.toml")
    assert (tmp_path / "my" / "corpus.toml").is_file()
    answer = derlem("init", tmp_path / "my" / "corpus.toml" / "below.toml", check=False)
    assert answer.returncode == 2
    assert "is not a folder" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_verify_shows_names_with_brackets_as_they_are(tmp_path: Path, derlem: Command) -> None:
    output = Path(run(tmp_path, "out[red]", until="filter"))
    next((output / "filter" / "documents").iterdir()).unlink()
    answer = derlem("verify", output, check=False)
    assert answer.returncode == 1
    assert "out[red]/filter: documents/documents-" in answer.stderr


def test_the_manifests_of_a_build_with_another_setting_are_gone_until_it_is_done(tmp_path: Path) -> None:
    output = Path(run(tmp_path, "out"))
    changed = {**configuration(tmp_path, "out"), "filter": {"language": {"min_score": 0.5}}}
    build.run(parse(changed, "test"), tmp_path, Runner(), QUIET, until="filter")
    assert (output / "filter" / "manifest.json").exists()
    assert not (output / "dedupe" / "manifest.json").exists()
    assert not (output / "shards" / "manifest.json").exists()
