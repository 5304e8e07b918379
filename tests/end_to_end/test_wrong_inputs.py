"""Whatever is wrong on a command line or in a configuration gets one message, before anything is written.

Every row is a command, and what its message must hold: the key or option, the value, and what is allowed. The
status is 2 and there is no trace.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import Command
from typer.testing import CliRunner

from derlem import app

CONTACT = ("--contact", "https://example.org/crawler")
CRAWL = ("crawl", "seeds.txt", "-o", "out", *CONTACT)
FETCH = ("commoncrawl", "-o", "out", "--base", "folder", "--index-base", "http://127.0.0.1:1")
RUNS = ("runs.csv", "--loss", "loss", "--params", "N", "--tokens", "D")
S3 = "pip install -c constraints.txt '.[s3]'"

Row = tuple[tuple[str, ...], tuple[str, ...]]


def config(override: str, *said: str) -> Row:
    """A row of `derlem config` with one key that is wrong whatever else is done."""
    return ("config", "ok.toml", "--set", override), said


def build(override: str, *said: str) -> Row:
    return ("build", "ok.toml", "--set", override), said


def source(text: str, *said: str) -> Row:
    return config(f'source=[{{name="x", format="jsonl", paths=["a.jsonl"], {text}}}]', *said)


def paths(text: str, *said: str) -> Row:
    return build(f'source=[{{name="x", format="jsonl", paths={text}}}]', *said)


ROWS: list[Row] = [
    # Words of the command line.
    (("bild",), ("'bild'", "'build'")),
    (("build",), ("CONFIG",)),
    (("build", "ok.toml", "--nope"), ("--nope",)),
    (
        ("build", "ok.toml", "--until", "nope"),
        ("--until", "nope", "extract, furniture, filter, dedupe"),
    ),
    (("build", "ok.toml", "--workers", "-1"), ("--workers", "-1", "greater than or equal to 1")),
    (("build", "ok.toml", "--workers", "100000"), ("--workers", "100000", "512")),
    (("build", "ok.toml", "--workers", "two"), ("--workers", "integer")),
    (("config", "ok.toml", "--set", "threshold"), ("--set 'threshold'", "key=value")),
    (("config", "ok.toml", "--set", "=1"), ("--set '=1'", "key=value")),
    # The file of a configuration.
    (("config", "none.toml"), ("none.toml", "no such file", "derlem init")),
    (("config", "folder"), ("folder", "expected a TOML file")),
    (("config", "empty.toml"), ("empty.toml", "source: missing")),
    (("config", "broken.toml"), ("broken.toml", "line 2")),
    (("config", "latin.toml"), ("latin.toml", "not UTF-8 at byte 10")),
    (("config", "file/x.toml"), ("file/x.toml", "Not a directory")),
    (("config", "a\0b"), ("CONFIG", "NUL")),
    # Keys, types and values.
    config("dedupe.treshold=0.8", "dedupe.treshold", "'threshold'"),
    config("filtr.x=1", "filtr", "'filter'"),
    config("dedupe..x=1", "dedupe..x=1", "expected key=value"),
    config("source.name=x", "source is not a table"),
    config("filter=3", "filter = 3", "table"),
    config("output=3", "output = 3", "a text"),
    config('output=["a"]', 'output = ["a"]', "a text"),
    config("output=", 'output = ""', "a path or a URL"),
    config('output="a\\u0000b"', "output", "NUL"),
    config("output=a\udcff", "output", "UTF-8"),
    config("output=nope://x", "nope://x", "unknown protocol 'nope'", "s3://"),
    config("output=s3:bucket/x", "s3:bucket/x", "starts with s3://"),
    config("output=://x", "://x", "without a protocol"),
    config("output=file://", "file://", "without a protocol or a path"),
    config(f"output={'x' * 300}", "output", "255 bytes"),
    config('extract.language_model="a\\u0000b"', "extract.language_model", "NUL"),
    config("tokenizer.model=nope://x", "tokenizer.model", "unknown protocol 'nope'"),
    config("output=~nobody9/x", "~nobody9/x", "whole path"),
    config("dedupe.threshold=1.5", "dedupe.threshold = 1.5", "less than or equal to 1"),
    config("dedupe.threshold=inf", "dedupe.threshold = inf", "finite"),
    config("dedupe.threshold=1979-05-27", "dedupe.threshold", "1979-05-27", "number"),
    config("shard.target_mb=inf", "shard.target_mb = inf", "finite"),
    config("shard.target_mb=nan", "shard.target_mb = nan", "finite"),
    config("shard.target_mb=-1", "shard.target_mb = -1", "greater than 0"),
    config("shard.target_mb=1e300", "shard.target_mb", "1e+300", "up to"),
    config("shard.seed=999999999999999999999", "shard.seed", "up to"),
    config("run.workers=0", "run.workers = 0", "1"),
    config("run.workers=true", "run.workers = true", "a whole number"),
    config("filter.language.keep=turkish", 'keep = "turkish"', "list"),
    config("filter.language.keep=[]", "filter.language.keep", "1 or more"),
    config("source=[]", "source = []", "1 or more"),
    config("source=a", 'source = "a"', "list"),
    source('nam="y"', 'source "x", nam', "'name'"),
    source("max_record_mb=inf", 'source "x", max_record_mb = inf', "finite"),
    source("text_column=3", 'source "x", text_column = 3', "a text"),
    # What only the machine knows: file systems, models, runners.
    build("output=file", "output", "file", "not a folder"),
    build("output=file/x", "output", "file is not a folder"),
    build("output=github://x", "github://x", "cannot be opened", "folder or a store"),
    build("output=http://127.0.0.1:1/x", "http://127.0.0.1:1/x", "only be read"),
    paths('["nope://x/*"]', "nope://x/*", "unknown protocol 'nope'"),
    paths('["a\\u0000b"]', 'source "x", paths, value 1', "NUL"),
    paths('[""]', 'source "x", paths, value 1', "a path or a URL"),
    paths("[]", 'source "x", paths = []', "1 or more"),
    paths('"a.jsonl"', 'source "x", paths = "a.jsonl"', "list"),
    paths('["none-*.gz"]', "'x'", "none-*.gz", "matches no file"),
    paths('["folder"]', "'x'", "folder", "file"),
    build("extract.language_model=none.ftz", "extract.language_model", "none.ftz", "fastText"),
    build("extract.language_model=file", "extract.language_model", "file", "expected a fastText model"),
    build("extract.language_model=folder", "extract.language_model", "folder", "fastText"),
    build('filter.language.keep=["turkish"]', "filter.language.keep", "turkish", "'tur_Latn'"),
    build('filter.language.keep=["tur"]', "filter.language.keep", "'tur'", "did you mean 'tur_Latn'"),
    build('filter.language.keep=["ru"]', "filter.language.keep", "'ru'", "did you mean 'rus_Cyrl'"),
    build('filter.language.keep=["tur_latn"]', "'tur_latn'", "did you mean 'tur_Latn'"),
    build("filter.language.min_scores={tr=0.5}", "filter.language.min_scores", "'tur_Latn'"),
    build('filter.presets={english="fineweb"}', "filter.presets", "'eng_Latn'"),
    build("filter.default=nope", "nope", "unknown"),
    build(
        'filter.limits.tur_Latn."gopher.hashs"=1', "ok.toml with --set", '"gopher.hashs"', '"gopher.hashes"'
    ),
    build('filter.limits.tur_Latn."gopher.hashes"=7', "ok.toml with --set", "gopher.hashes = 7", "to 1"),
    config('filter.limits.tur_Latn."gopher.hashes"=7', "ok.toml with --set", "gopher.hashes = 7", "to 1"),
    build("run.runner=NopeRunner", "run.runner = NopeRunner", "local, DataflowRunner, FlinkRunner"),
    (("build", "ok.toml", "--", "--runner=PrismRunner"), ("--runner=PrismRunner", "network", "local")),
    build("run.runner=none.such.Runner", "run.runner = none.such.Runner", "not the full name of a class"),
    (("build", "ok.toml", "--", "--runner="), ("--runner=", "local, DataflowRunner")),
    (("build", "ok.toml", "--", "--runner", "FlinkRunner"), ("--runner=NAME",)),
    (("build", "ok.toml", "--", "--regoin=x"), ("--regoin", "not an option of Beam")),
    (("build", "ok.toml", "--", "--max_num_workers=x"), ("max_num_workers", "'x'")),
    (("build", "ok.toml", "--", "-x"), ("'-x'", "Beam's own options")),
    (("build", "ok.toml", "--", "word"), ("'word'", "Beam's own options")),
    (("tokenize", "none.toml"), ("none.toml", "derlem init")),
    (("tokenize", "ok.toml"), ("shards", "manifest.json")),
    (("tokenize", "ok.toml", "--set", "output=nope://x"), ("output", "unknown protocol 'nope'")),
    (("tokenizer", "train", "ok.toml"), ("shards", "manifest.json")),
    (("tokenizer", "train", "ok.toml", "--set", "output=file"), ("output", "not a folder")),
    (("tokenizer", "train", "ok.toml", "--set", "tokenizer.vocabulary=1"), ("vocabulary = 1", "512")),
    (("tokenizer", "compare", "folder"), ("MODEL",)),
    (("tokenizer", "compare", "none", "m"), ("DIR 'none'", "no such folder")),
    (("tokenizer", "compare", "folder", "nope://x"), ("MODEL", "unknown protocol 'nope'")),
    (("show", "folder", "--find", "a\udcff"), ("a\\udcff", "UTF-8")),
    (("generate", "folder", "--prompt", "a\udcff"), ("a\\udcff", "UTF-8")),
    (("presets", "fineweb2"), ("'fineweb2'", "fineweb")),
    (("presets", "none.toml"), ("none.toml", "No such file")),
    (("presets", "ok.toml"), ("ok.toml", "source: unknown key", "known here: summary")),
    # init
    (("init", "ok.toml"), ("ok.toml", "exists already")),
    (("init", "folder"), ("folder", "exists already")),
    (("init", "x" * 300), ("FILE", "255 bytes")),
    (("init", "file/x.toml"), ("file", "not a folder")),
    (("init", "new.toml", "--crawl", "nope://x"), ("--crawl", "unknown protocol 'nope'")),
    (("init", "new.toml", "--crawl", "a\0b"), ("--crawl", "NUL")),
    # Looking.
    *(
        ((command, where), said)
        for command in ("inspect", "show", "clusters", "verify")
        for where, said in (
            ("none", ("DIR 'none'", "no such folder")),
            ("file", ("DIR 'file'", "expected a folder")),
            ("folder", ("folder", "manifest.json")),
            ("nope://x", ("DIR", "unknown protocol 'nope'")),
            ("a\0b", ("DIR", "NUL")),
            ("", ("DIR", "a path or a URL")),
        )
    ),
    (("show", "folder", "--limit", "0"), ("--limit", "greater than or equal to 1")),
    (("show", "folder", "--random", "-1"), ("--random", "greater than or equal to 1")),
    (("show", "folder", "--seed", "text"), ("--seed", "integer")),
    (("show", "folder", "--parts", "--tokens"), ("--parts", "--tokens")),
    (("clusters", "folder", "--largest", "0"), ("--largest", "greater than or equal to 1")),
    # Crawling.
    (("crawl", "seeds.txt", "-o", "out"), ("agent.contact", "--contact https://")),
    (("crawl", "seeds.txt", *CONTACT), ("--output DIR",)),
    (("crawl", "none.txt", "-o", "out", *CONTACT), ("none.txt", "one URL or host per line")),
    (("crawl", "folder", "-o", "out", *CONTACT), ("folder", "one URL or host per line")),
    (("crawl", "a\0b", "-o", "out", *CONTACT), ("SEEDS", "NUL")),
    (("crawl", "binary.txt", "-o", "out", *CONTACT), ("binary.txt", "one URL or host per line")),
    (("crawl", "no-seeds.txt", "-o", "out", *CONTACT), ("no seeds", "one URL or host per line")),
    (("crawl", "seeds.txt", "-o", "file", *CONTACT), ("--output", "file", "not a folder")),
    (("crawl", "seeds.txt", "-o", "nope://x", *CONTACT), ("--output", "unknown protocol 'nope'")),
    (("crawl", "seeds.txt", "-o", "", *CONTACT), ("--output", "a path or a URL")),
    (("crawl", "seeds.txt", "-o", "out", "--contact", "me"), ('agent.contact = "me"', "mail address")),
    ((*CRAWL, "--config", "none.toml"), ("none.toml", "--settings")),
    ((*CRAWL, "--config", "broken.toml"), ("broken.toml", "line 2")),
    ((*CRAWL, "--again", "none"), ("--again 'none'", "no such folder")),
    ((*CRAWL, "--workers", "0"), ("--workers", "greater than or equal to 1")),
    ((*CRAWL, "--allow-network", "10.0.0.1/8"), ("network.allow", "10.0.0.1/8", "host bits")),
    ((*CRAWL, "--set", "limits.page=1"), ("limits.page", "'pages'")),
    ((*CRAWL, "--set", "limits.body_mb=inf"), ("limits.body_mb = inf", "finite")),
    ((*CRAWL, "--set", "scope.within=galaxy"), ("scope.within", "galaxy", "'host'")),
    ((*CRAWL, "--set", "scope.language=turkish"), ("scope.language", "turkish", "tur")),
    ((*CRAWL, "--set", 'scope.allow=["("]'), ("scope.allow", '"("', "regular expression")),
    ((*CRAWL, "--set", 'network.resolve={"a"="b"}'), ("network.resolve", "'b'", "address:port")),
    (("status", "none"), ("DIR 'none'", "no such folder")),
    (("status", "folder"), ("folder", "neither a build, nor a crawl, nor a training run")),
    # Common Crawl.
    (("commoncrawl",), ("--output",)),
    (("commoncrawl", "-o", "file", *FETCH[3:]), ("--output", "file", "not a folder")),
    (("commoncrawl", "-o", "out", "--base", "none"), ("access.base", "none", "no such folder")),
    (("commoncrawl", "-o", "out", "--base", "nope://x"), ("access.base", "unknown protocol 'nope'")),
    (("commoncrawl", "-o", "out", "--base", "http://"), ("access.base", "http://", "https://data")),
    ((*FETCH, "--language", "turkish"), ("selection.languages", "turkish", "tur")),
    ((*FETCH, "--limit", "-1"), ("selection.limit = -1", "greater than or equal to 0")),
    ((*FETCH, "--via", "x"), ("selection.via", '"x"', "'columnar' or 'cdx'")),
    ((*FETCH, "--via", "cdx"), ("cdx", "host")),
    ((*FETCH, "--host", "https://x/"), ("selection.hosts", "https://x/", "example.com.tr")),
    ((*FETCH, "--status", "20"), ("selection.statuses", "20", "100")),
    ((*FETCH, "--connections", "0"), ("access.connections = 0", "1")),
    ((*FETCH, "--set", "pieces.unit_mb=inf"), ("pieces.unit_mb = inf", "finite")),
    ((*FETCH, "--set", "piece.unit_mb=1"), ("piece", "'pieces'")),
    ((*FETCH, "--paths", "a\0b"), ("--paths", "NUL")),
    ((*FETCH, "--paths", "none"), ("--paths none", "not found")),
]

TRAINING: list[Row] = [
    (("train", "folder"), ("--output",)),
    (("train", "none", "-o", "run"), ("CORPUS 'none'", "no such folder")),
    (("train", "file", "-o", "run"), ("CORPUS 'file'", "expected a folder")),
    (("train", "folder", "-o", "run"), ("folder", "derlem tokenize")),
    (("train", "folder", "-o", "file"), ("--output", "file", "not a folder")),
    (("train", "folder", "-o", "s3://x/y"), ("--output", "s3://x/y", "on this machine")),
    (("train", "folder", "-o", "run", "--preset", "nope"), ("nope", "presets are", "tiny")),
    (("train", "folder", "-o", "run", "--preset", "folder"), ("folder", "expected a TOML file")),
    (("train", "folder", "-o", "run", "--set", "optimizer.lr=inf"), ("optimizer.lr = inf", "finite")),
    (("train", "folder", "-o", "run", "--set", "modle.depth=1"), ("modle", "'model'")),
    (("train", "folder", "-o", "run", "--branch", "x"), ("--branch 'x'", "RUN@STEP")),
    (("generate", "none"), ("RUN 'none'", "no such folder")),
    (("generate", "file"), ("RUN 'file'", "expected a folder")),
    (("generate", "folder"), ("folder", "run.json")),
    (("generate", "folder", "--set", "temperature=inf"), ("temperature = inf", "finite")),
    (("generate", "folder", "--set", "temprature=1"), ("temprature", "'temperature'")),
    (("generate", "folder", "--step", "x"), ("--step", "integer")),
    (("evaluate", "folder", "none"), ("CORPUS 'none'", "no such folder")),
    (("evaluate", "folder", "folder", "--documents", "0"), ("--documents", "greater than or equal to 1")),
    (("export", "folder", "out", "--dtype", "int8"), ("--dtype int8", "float32 or bfloat16")),
    (("export", "folder", "file"), ("DIR", "file", "not a folder")),
    (("data", "order", "none", "--step", "1"), ("CORPUS_OR_RUN 'none'", "no such folder")),
    (("data", "order", "folder", "--step", "-1"), ("--step", "greater than or equal to 0")),
    (("scale", "none.toml"), ("none.toml", "study.toml")),
    (("scale", "study.toml", "--set", "tokens..most=1"), ("tokens..most=1", "key=value")),
    (("compare", "folder", "-o", "new"), ("CORPUS folder", "two or more")),
    (("compare", "folder", "x", "-o", "new"), ("CORPUS 'x'", "no such folder")),
    (
        ("compare", "folder", ".", "-o", "new", "--set", "first=9"),
        ("preset tiny with --set first", "at most"),
    ),
    (("mix", "none.toml"), ("none.toml", "docs/mix.md")),
    (("mix", "study.toml", "--set", "runs=1"), ("study.toml with --set runs", "runs = 1")),
    (("what-if", "none"), ("DIR 'none'", "no such folder")),
    (("what-if", "ok.toml", "--set", "filter.limits.tur_Latn=3"), ("ok.toml with --set", "a table of keys")),
    (("scale", "folder"), ("folder", "--output")),
    (("scale", "folder", "-o", "new", "--hours", "inf"), ("--hours", "10000")),
    (("scale", "folder", "-o", "new", "--set", "output=x"), ("--set output", "--output")),
    (("scale", "study.toml", "--hours", "1"), ("--hours 1", "study.toml")),
    (("scale", "folder", "-o", "file"), ("--output", "file", "not a folder")),
    (("scale", "folder", "-o", "new"), ("folder", "derlem tokenize")),
    (("scale", "folder", "-o", "new", "--hours", "0"), ("--hours", "0.01")),
    (("scale", "study.toml", "-o", "new"), ("--output", "study.toml", "--set output=DIR")),
    (("scale", "broken.toml"), ("broken.toml", "line 2")),
    (("scale", "study.toml"), ("corpora.a", "none", "no such folder")),
    (("scale", "study.toml", "--set", "output=file"), ("output", "file", "not a folder")),
    (("scale", "study.toml", "--set", "output=s3://x"), ("output", "s3://x", "disk")),
    (("scale", "study.toml", "--set", "sizes.count=0"), ("sizes.count = 0", "1")),
    (("fit", "none.csv", "--loss", "loss"), ("none.csv", "no such file")),
    (("fit", "folder", "--loss", "loss"), ("folder", ".csv, .parquet")),
    (("fit", "runs.csv"), ("--loss",)),
    (("fit", *RUNS[:2], "x", *RUNS[3:]), ("no column x", "N, D, loss")),
    (("fit", *RUNS, "--law", "x"), ("'x'", "chinchilla")),
    (("fit", *RUNS, "--resamples", "1"), ("--resamples", "40")),
    (("report", "none.csv", "--loss", "loss"), ("none.csv", "no such file")),
    (("report", "x" * 300), ("RUNS", "255 bytes")),
    (("report", "folder"), ("folder", "runs.jsonl")),
    (("report", *RUNS, "--model", "nan"), ("--model nan", "from 0 to")),
    (("report", *RUNS, "--held", "-1"), ("--held -1", "from 0 to")),
    (("report", *RUNS, "--leave-out", "x"), ("--leave-out", "RUN=WHY")),
    (("report", *RUNS, "-o", "page.json"), ("--output page.json", "twin", "report.html")),
    (("report", *RUNS, "--about", "x"), ("no run of corpus 'x'", "--corpus")),
    (("report", "folder", "--loss", "x"), ("--loss", "folder", "omit the option")),
    (("report", *RUNS, "-o", "folder"), ("--output folder", "a file")),
    (("abilities", "none"), ("none", "no finished run")),
    (("abilities", "folder", "--scale", "x"), ("--scale x", "parameters")),
    (("abilities", "folder", "-o", "file"), ("--output", "file", "not a folder")),
    (("abilities", "empty.toml"), ("empty.toml", "tables")),
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good configuration and files of all wrong kinds, where the user stands."""
    monkeypatch.chdir(tmp_path)
    source = '[[source]]\nname = "a"\nformat = "jsonl"\npaths = ["a.jsonl"]\n'
    contents = {
        "a.jsonl": '{"text": "Bu bir metin."}\n',
        "ok.toml": source,
        "empty.toml": "",
        "broken.toml": 'output = "x"\n[[source]\n',
        "file": "x",
        "seeds.txt": "https://example.org/\n",
        "no-seeds.txt": "\n# none\n",
        "study.toml": 'output = "study"\n[corpora]\na = "none"\n',
        "runs.csv": "N,D,loss\n1,2,3\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "latin.toml").write_bytes(b'output = "\xfd"\n')
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    return tmp_path


def listed(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def check(row: Row, world: Path) -> None:
    arguments, said = row
    before = listed(world)
    answer = CliRunner().invoke(app, arguments, env={"COLUMNS": "400", "NO_COLOR": "1"})
    shown = " ".join(answer.stderr.split())
    assert answer.exception is None or isinstance(answer.exception, SystemExit), repr(answer.exception)
    assert "Traceback" not in shown
    assert (answer.exit_code, [part for part in said if part not in shown]) == (2, []), shown
    assert answer.stdout == ""
    assert listed(world) == before, "something was written"


def name(row: Row) -> str:
    return ascii(" ".join(row[0]))


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_wrong_input_is_one_message(row: Row, world: Path) -> None:
    check(row, world)


@pytest.mark.parametrize("row", TRAINING, ids=name)
def test_a_wrong_input_to_training_is_one_message(row: Row, world: Path) -> None:
    check(row, world)


def test_the_table_is_about_every_command() -> None:
    tried = {row[0][:2] if row[0][0] in ("tokenizer", "data") else row[0][:1] for row in ROWS + TRAINING}
    groups = {("tokenizer", "train"), ("tokenizer", "compare"), ("data", "order")}
    single = (
        "init config build inspect show clusters verify presets tokenize crawl commoncrawl train generate"
    )
    single += " evaluate export scale fit report abilities"
    assert groups | {(each,) for each in single.split()} <= tried
    assert len(ROWS + TRAINING) > 150


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://bucket/x", "s3"), ("gs://bucket/x", "gcp")], ids=["s3", "gs"]
)
@pytest.mark.parametrize("where", ["output", "source", "inspect"])
def test_a_store_whose_package_is_absent_says_how_to_install_it(
    where: str, url: str, extra: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    def absent(protocol: str) -> None:
        raise ImportError(f"no package for {protocol}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", absent)
    rows = {
        "output": build(f"output={url}"),
        "source": paths(f'["{url}"]'),
        "inspect": (("inspect", url), ()),
    }
    installs = f"pip install 'derlem[{extra}]'", f"pip install -c constraints.txt '.[{extra}]'"
    check((rows[where][0], (url, *installs)), world)


@pytest.mark.parametrize("flag", ["", "--sdk_container_image=x"])
def test_dataflow_s_workers_need_the_package(flag: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    from pipelines import options

    usual = util.find_spec
    there = (
        "build",
        "ok.toml",
        "--",
        "--runner=DataflowRunner",
        "--region=europe-west1",
        "--temp_location=gs://bucket/tmp",
        *([flag] if flag else []),
    )
    if usual("apitools") is None:
        check((there, ("DataflowRunner", "pip install -c constraints.txt '.[gcp]'")), world)
    monkeypatch.setattr(options, "_has_dataflow", lambda: True)
    if flag:
        from corpus.config import Run

        assert options.choose(Run(), None, there[3:]).name == "DataflowRunner"
    else:
        check((there, ("DataflowRunner", "--sdk_container_image", "--setup_file")), world)


def test_a_folder_without_permission_is_named(world: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (world / "folder").chmod(0o500)
    check(build("output=folder/x", "output", "no permission", "folder"), world)
    (world / "folder").chmod(0o700)
    (world / "ok.toml").chmod(0o000)
    try:
        answer = CliRunner().invoke(app, ["config", "ok.toml"])
        assert (answer.exit_code, "Permission denied" in answer.stderr) == (2, True)
    finally:
        (world / "ok.toml").chmod(0o600)


def test_a_build_s_own_wrong_options_are_one_message(built: Path, derlem: Command) -> None:
    rows: list[Row] = [
        (("show", str(built), "--language", "tr"), ("'tr'", "tur_Latn")),
        (("show", str(built), "--dropped", "gopfer"), ("gopfer", "gopher")),
        (("show", str(built), "--id", "zzz"), ("zzz",)),
        (("show", str(built), "--ids"), ("tokens", "--until tokenize")),
        (("tokenizer", "compare", str(built), "none.model"), ("none.model", "cannot be read")),
        (("train", str(built), "-o", "run"), ("derlem tokenize",)),
    ]
    for row in rows:
        check(row, built)
