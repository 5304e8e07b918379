"""A build ends in the same bytes however it was run, and says clearly what stops it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support import DERLEM, ROOT, Command, copy_of, final_files, write_input

from corpus import dataset


def manifest(corpus: Path, stage: str) -> dataset.Manifest:
    return dataset.load(str(corpus / stage))


def rows_of(corpus: Path, stage: str, kind: str) -> list[dict[str, Any]]:
    folder = str(corpus / stage)
    return [r for f in manifest(corpus, stage).files(kind) for r in dataset.table(folder, f.path).to_pylist()]


def test_counts_add_up_from_stage_to_stage(built: Path) -> None:
    extract, filtered, dedupe, shards = (
        manifest(built, name).counts() for name in ("extract", "filter", "dedupe", "shards")
    )
    assert extract.seen > 80
    assert filtered.seen == extract.kept
    assert dedupe.seen == filtered.kept
    assert shards.seen == dedupe.kept
    assert shards.kept == shards.seen


def test_planted_copies_are_removed_and_told_apart(built: Path) -> None:
    urls = {row["id"]: row["url"] for row in rows_of(built, "filter", "documents")}
    kinds = {(urls[row["id"]], row["kind"]) for row in rows_of(built, "dedupe", "removed")}
    copies = {(url, "exact") for url in urls.values() if url.endswith("?kopya")}
    # An exact copy of equal length may stay for its original: only the id decides between them.
    assert len([kind for _, kind in kinds if kind == "exact"]) == len(copies) > 5
    near = {url for url, kind in kinds if kind == "near"}
    pages = {url.removesuffix("/yazdir") for url in urls.values() if url.endswith("/yazdir")}
    assert {url.removesuffix("/yazdir") for url in near} == pages
    assert len(pages) > 5


def test_every_document_names_its_file_and_line(built: Path) -> None:
    found = 0
    for file in manifest(built, "shards").files("shard"):
        for row in dataset.table(str(built / "shards"), file.path).to_pylist():
            line = (built.parent / row["file"]).read_text(encoding="utf-8").splitlines()[row["offset"]]
            assert json.loads(line)["url"] == row["url"]
            found += 1
    assert found == manifest(built, "shards").counts().kept


def test_both_splits_are_there_and_share_no_document(built: Path) -> None:
    ids: dict[str, set[str]] = {"train": set(), "validation": set()}
    for file in manifest(built, "shards").files("shard"):
        ids[file.split] |= set(dataset.table(str(built / "shards"), file.path)["id"].to_pylist())
    assert ids["train"]
    assert ids["validation"]
    assert not ids["train"] & ids["validation"]


@pytest.mark.usefixtures("eager_workers")
def test_two_workers_write_the_same_bytes_as_one(built: Path, tmp_path: Path, derlem: Command) -> None:
    path = write_input(tmp_path)
    derlem("build", path, "--workers", "2")
    assert final_files(tmp_path / "corpus") == final_files(built)


def test_another_of_beams_runners_writes_the_same_bytes(built: Path, tmp_path: Path, derlem: Command) -> None:
    other = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
    derlem("build", write_input(tmp_path), "--", f"--runner={other}")
    assert final_files(tmp_path / "corpus") == final_files(built)


def test_a_build_that_was_killed_again_and_again_ends_in_the_same_bytes(
    built: Path, tmp_path: Path, derlem: Command
) -> None:
    path = write_input(tmp_path)
    moments = random.Random(7)
    for _ in range(3):
        run = subprocess.Popen([*DERLEM, "build", str(path)], cwd=ROOT, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(moments.uniform(1.0, 6.0))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    derlem("build", path)
    assert final_files(tmp_path / "corpus") == final_files(built)


def test_a_changed_threshold_leaves_the_cleaned_parts_alone(
    built: Path, tmp_path: Path, derlem: Command
) -> None:
    path = copy_of(built, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "corpus" / "filter" / "documents").iterdir()}
    old = manifest(tmp_path / "corpus", "dedupe")
    report = (tmp_path / "corpus" / "filter" / "report.json").read_bytes()
    derlem("build", path, "--set", "dedupe.threshold=1.0")
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "corpus" / "filter" / "documents").iterdir()}
    new = manifest(tmp_path / "corpus", "dedupe")
    assert before == after
    assert new.counts().dropped.get("dedupe.near", 0) < old.counts().dropped["dedupe.near"]
    assert (tmp_path / "corpus" / "filter" / "report.json").read_bytes() == report


def test_verify_passes_a_whole_corpus_and_names_a_changed_byte(
    built: Path, tmp_path: Path, derlem: Command
) -> None:
    copy_of(built, tmp_path)
    derlem("verify", tmp_path / "corpus")
    victim = next((tmp_path / "corpus" / "shards").rglob("*.arrow"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    answer = derlem("verify", tmp_path / "corpus", check=False)
    assert answer.returncode == 1
    assert victim.name in answer.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('source=[{name="a",format="jsonl",paths=["none-*.jsonl"]}]', "matches no file"),
        ("filter.default=fineweb3", "unknown; did you mean 'fineweb'?"),
        ("extract.language_model=none.bin", "no such file"),
        ("output=/proc/corpus", "cannot be written to"),
        ("dedupe.treshold=0.8", "did you mean 'threshold'?"),
    ],
)
def test_what_cannot_work_stops_before_any_work(
    tmp_path: Path, derlem: Command, override: str, message: str
) -> None:
    path = write_input(tmp_path)
    answer = derlem("build", path, "--set", override, check=False)
    assert answer.returncode == 2
    assert message in answer.stderr.replace("\n", " ")
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "corpus" / "filter").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--regoin=europe"], "--regoin: not an option of Beam"),
        (["--runner", "DataflowRunner"], "write --runner=NAME with an equals sign"),
        (["--runner=DirectRunner"], "it would fetch a program"),
    ],
)
def test_a_beam_option_that_cannot_work_is_refused(
    tmp_path: Path, derlem: Command, flags: list[str], message: str
) -> None:
    answer = derlem("build", write_input(tmp_path), "--", *flags, check=False)
    assert answer.returncode == 2
    assert message in answer.stderr


def test_garbage_is_rejected_with_its_cause_and_too_much_of_it_stops_the_stage(
    tmp_path: Path, derlem: Command
) -> None:
    path = write_input(tmp_path)
    (tmp_path / "pages-0.jsonl").write_text("{broken\n" * 300, encoding="utf-8")
    answer = derlem("build", path, check=False)
    assert answer.returncode == 1
    assert "300 of 300 records of pages-0.jsonl" in answer.stderr.replace("\n", " ")
    derlem("build", path, "--set", "extract.max_rejected=1.0")
    assert sum(manifest(tmp_path / "corpus", "extract").counts().rejected.values()) == 300


def shards(built: Path) -> list[str]:
    return [str(path) for path in sorted((built / "shards" / "tur_Latn").glob("train-*.arrow"))]


def rows(built: Path) -> int:
    files = manifest(built, "shards").files("shard")
    return sum(f.rows for f in files if f.language == "tur_Latn" and f.split == "train")


def test_the_shards_open_in_datasets(built: Path, tmp_path: Path) -> None:
    datasets: Any = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("arrow", data_files=shards(built), cache_dir=str(tmp_path), split="train")
    assert loaded.num_rows == rows(built)
    assert "Türkiye" in " ".join(loaded["text"])


def test_the_shards_open_in_polars(built: Path) -> None:
    polars: Any = pytest.importorskip("polars")
    frame = polars.concat([polars.read_ipc(path) for path in shards(built)])
    assert frame.height == rows(built)
    assert frame["copies"].min() >= 1


def test_the_shards_open_in_duckdb(built: Path) -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    import pyarrow.dataset as pads

    corpus = pads.dataset(shards(built), format="ipc")  # noqa: F841  (DuckDB finds it by its name)
    (answer,) = duckdb.sql("select count(*), sum(words) from corpus").fetchall()
    assert answer[0] == rows(built)
    assert answer[1] > 1_000
