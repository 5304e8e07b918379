"""Every path of a configuration starts from its file's folder, and no build reads what it writes itself."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import texts

from corpus import files, language
from corpus.config import Config, located, parse
from corpus.crawl.state import catalogue, layout
from corpus.errors import ConfigError
from corpus.sources.inputs import expand
from corpus.teller import SILENT
from pipelines import build, extract
from pipelines.options import Runner
from pipelines.stage import Context

QUIET = SILENT


def configuration(output: str, *paths: str, **more: Any) -> Config:
    sources = [{"name": "a", "format": "jsonl", "paths": list(paths)}]
    return parse({"output": output, "source": sources, **more}, "test")


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"url": url, "text": text}) for url, text in texts()[::8]]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


OWN = [
    "extract/x.jsonl",
    "filter/documents/x.jsonl",
    "dedupe/x.jsonl",
    "shards/tur_Latn/x.jsonl",
    "tokens/x.jsonl",
]
OWN += ["tokenizer/x.jsonl", "units/x.jsonl"]


@pytest.mark.parametrize("inside", OWN)
@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("../o", "../o/{}"),
        ("../o", "{root}/o/{}"),
        ("../o/", "file://{root}/o/{}"),
        ("../o", "local://{root}/o/{}"),
        ("../o", "../o//./{}"),
        ("../o", "../{up}/../o/{}"),
        ("../o", "../link/{}"),
        ("../link", "../o/{}"),
        ("{root}/link/", "../o/**/*.jsonl"),
        ("file://{root}/o", "../o/*/**/x.json*"),
        ("../up/../o", "../o/{}"),
        ("../o", "file-link.jsonl"),
    ],
)
def test_a_source_in_the_build_s_own_output_is_refused_however_it_is_written(
    tmp_path: Path, inside: str, output: str, source: str
) -> None:
    base = tmp_path / "config"
    for folder in (base, tmp_path / "up"):
        folder.mkdir()
    own = write(tmp_path / "o" / inside)
    (tmp_path / "link").symlink_to(tmp_path / "o")
    (base / "file-link.jsonl").symlink_to(own)
    filled = [text.format(inside, root=tmp_path, up="up") for text in (output, source)]
    with pytest.raises(ConfigError, match="is in the build's own output"):
        extract.plan(Context(located(configuration(*filled), base), base))


def test_a_source_beside_the_build_s_folders_is_an_input(tmp_path: Path) -> None:
    for name in ("o/pages/x.jsonl", "o/x.jsonl", "o-clean/x.jsonl", "clean/x.jsonl"):
        write(tmp_path / name)
    config = configuration("o", "o/pages/*.jsonl", "o/x.jsonl", "o-clean/*", "clean/*")
    (unit,) = extract.plan(Context(located(config, tmp_path), tmp_path)).units
    assert [item.name for item in unit.inputs] == [
        "o/pages/x.jsonl",
        "o/x.jsonl",
        "o-clean/x.jsonl",
        "clean/x.jsonl",
    ]


def test_a_remote_source_in_the_build_s_own_output_is_refused() -> None:
    files.write_bytes("memory://own/o", "filter/documents/x.jsonl", b"{}")
    with pytest.raises(ConfigError, match="is in the build's own output"):
        extract.plan(Context(configuration("memory://own//o/", "memory://own/o/filter/*/x.jsonl"), Path("/")))


def test_all_paths_of_a_configuration_start_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "config"
    write(base / "in.jsonl")
    model = language.model_paths()[0]
    shutil.copy(model, base / "mine.ftz")
    monkeypatch.chdir("/")
    named = {"extract": {"language_model": "mine.ftz"}, "tokenizer": {"model": "file://t.model"}}
    config = located(configuration("../o", "in.jsonl", **named), base)
    assert config.output == str(tmp_path / "o")
    assert config.extract.language_model == str(base / "mine.ftz")
    assert config.tokenizer.model == str(base / "t.model")
    assert located(config, Path("/elsewhere")) == config
    build.run(config, base, Runner(), QUIET, until="extract")
    assert (tmp_path / "o" / "extract" / "manifest.json").is_file()


def test_a_corpus_that_moves_with_its_configuration_is_not_cleaned_anew(tmp_path: Path) -> None:
    write(tmp_path / "old" / "in.jsonl")
    shutil.copy(language.model_paths()[0], tmp_path / "old" / "mine.ftz")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    config = configuration("o", "in.jsonl", extract={"language_model": "mine.ftz"})
    plans = [
        extract.plan(Context(located(config, tmp_path / name), tmp_path / name)) for name in ("old", "new")
    ]
    assert plans[0].units[0].fingerprint == plans[1].units[0].fingerprint


@pytest.mark.parametrize("output", ["a::b", "::o", "o::memory", "file::o"])
def test_two_colons_in_an_output_are_part_of_its_name(tmp_path: Path, output: str) -> None:
    write(tmp_path / "in.jsonl")
    neighbour = write(tmp_path / output.partition("::")[0] / "extract" / "extracted" / "mine.arrow")
    build.run(configuration(output, "in.jsonl"), tmp_path, Runner(), QUIET, until="extract")
    assert (tmp_path / output / "extract" / "manifest.json").is_file()
    assert sorted(path.name for path in neighbour.parent.iterdir()) == ["mine.arrow"]


def test_the_folder_of_a_configuration_may_be_called_as_a_glob(tmp_path: Path) -> None:
    base = tmp_path / "kap [v1] * ?"
    write(base / "in" / "x.jsonl")
    for pattern in ("in/*.jsonl", "**/*.jsonl", "in/x.jsonl"):
        assert expand(configuration("o", pattern).source[0], str(base)) == [str(base / "in" / "x.jsonl")]


def test_sources_are_the_same_with_and_without_file_urls_and_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(tmp_path / "x.jsonl")
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = [
        "x.jsonl",
        "*.jsonl",
        "~/x.jsonl",
        "file://x.jsonl",
        f"file://{tmp_path}/*.jsonl",
        "./x.jsonl",
    ]
    for way in ways:
        assert expand(configuration("o", way).source[0], str(tmp_path)) == [str(found)]


def test_a_crawl_s_archives_are_named_as_the_configuration_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    remote = f"memory://{tmp_path.name}/crawl"
    fs, root = files.filesystem(remote)
    fs.pipe_file(f"{root}/{layout.START}", b"{}")
    for name in ("crawl", "crawl [1]"):
        (tmp_path / name).mkdir()
        (tmp_path / name / layout.START).touch()

    def named(folder: str, base: str) -> tuple[str, ...]:
        [source] = catalogue.sources(folder, Path(base))
        return source.paths

    rest = "rounds/*/warc/*.warc.gz"
    assert named("crawl", "my") == (f"../crawl/{rest}",)
    assert named(f"file://{tmp_path}/crawl", "my") == (f"{tmp_path}/crawl/{rest}",)
    assert named("crawl [1]", "") == (f"crawl [[]1]/{rest}",)
    assert named(remote, "my") == (f"{remote}/{rest}",)


def test_nothing_is_written_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands = tmp_path / "elsewhere"
    stands.mkdir()
    write(tmp_path / "in.jsonl")
    monkeypatch.chdir(stands)
    build.run(configuration("file://o", "in.jsonl"), tmp_path, Runner(), QUIET, until="extract")
    assert os.listdir(stands) == []
    assert (tmp_path / "o" / "extract").is_dir()
