"""The overview's numbers are those of the files, and it says so when they do not add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import dataset, files
from corpus.errors import DatasetError
from corpus.inspect.documents import documents
from corpus.inspect.overview import _Sample, hosts_of, overview

Build = Callable[..., str]


def test_totals_are_those_of_the_shards(build: Build) -> None:
    found = overview(build())
    assert (found.stage, found.documents, found.words) == ("shards", 5, 36 + 4 + 4 + 6 + 4)
    assert found.bytes == sum(total.bytes for total in found.languages)
    turkish = found.languages[0]
    assert (turkish.language, turkish.documents, turkish.train, turkish.validation) == ("tur_Latn", 3, 2, 1)
    assert turkish.mean_score == pytest.approx(0.9)
    assert (found.redactions, found.redacted_documents) == (3, 3)
    assert dict(found.sources) == {"web": 3, "books": 2}


def test_the_size_on_disk_is_shared_among_languages_and_adds_up(build: Build) -> None:
    root = build("extract", "filter")
    found = overview(root)
    parts = [root + f"/filter/documents/{n}.arrow" for n in (0, 1)]
    assert found.disk_bytes == sum(Path(part).stat().st_size for part in parts)
    assert sum(total.disk_bytes for total in found.languages) == pytest.approx(found.disk_bytes, abs=3)


def test_without_shards_the_documents_are_those_that_filter_kept(build: Build) -> None:
    found = overview(build("extract", "filter", "dedupe"))
    assert (found.stage, found.documents) == ("filter", 8)
    assert found.funnel.steps[-1].name == "surviving"
    assert found.funnel.faults == ()


def test_tokens_are_counted_by_language_source_and_split(build: Build) -> None:
    found = overview(build("extract", "filter", "dedupe", "shards", "tokens"))
    assert found.stage == "shards"
    assert [total.tokens for total in found.tokens] == sorted((t.tokens for t in found.tokens), reverse=True)
    assert {(t.language, t.source, t.split): t.documents for t in found.tokens} == {
        ("tur_Latn", "web", "train"): 2,
        ("tur_Latn", "web", "validation"): 1,
        ("aze_Latn", "books", "train"): 1,
        ("deu_Latn", "books", "train"): 1,
    }
    assert sum(total.bytes for total in found.tokens) == found.bytes
    rows = documents(found.root, stage="tokens", limit=9)
    assert sum(total.tokens for total in found.tokens) == sum(row.values["tokens"] for row in rows)
    assert (found.funnel.steps[-1].name, found.funnel.steps[-1].documents) == ("in token shards", 5)
    assert found.funnel.faults == ()


def test_token_shards_are_looked_over_by_themselves(build: Build) -> None:
    found = overview(f"{build('tokens')}/tokens")
    assert (found.stage, found.documents) == ("", 0)
    assert sum(total.documents for total in found.tokens) == 5


def test_token_shards_of_fewer_documents_are_noticed(build: Build) -> None:
    root = build("shards", "tokens")
    manifest = files.read_json(f"{root}/tokens", dataset.MANIFEST)
    manifest["units"][0]["counts"].update(seen=4, kept=4)
    files.write_json(f"{root}/tokens", dataset.MANIFEST, manifest)
    between, within = overview(root).funnel.faults
    assert between.startswith("in shards 5, but in token shards 4; tokens/ was probably made from an earlier")
    assert within.startswith("tokenize kept by its counts 4, but in its tokens16 files 5")


def test_hosts_are_counted_without_regard_to_case(build: Build) -> None:
    found = overview(build("extract", "filter"), top=1)
    assert found.hosts == (("site1.example", 3),)
    assert found.hosts_total == 4  # three hosts, and one document has no URL


def test_a_host_is_what_stands_between_user_and_port() -> None:
    urls = [
        "https://Ali@Örnek.example:8080/a?b",
        "http://[2001:db8::1]:80/x",
        "ftp://a.example",
        "no url",
        "",
        None,
        "https://b.example#c",
    ]
    expected = ["Örnek.example", "[2001:db8::1]", "a.example", "", "", "", "b.example"]
    assert hosts_of(pa.array(urls)).to_pylist() == expected


def test_of_very_many_hosts_the_rare_are_forgotten_and_their_number_is_bounded(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus.inspect.overview.ORIGINS", 1)
    found = overview(build("extract", "filter"), top=9)
    true = {"site1.example": 3, "site2.example": 2, "site0.example": 2, "": 1}
    assert found.hosts_uncertain > 0
    assert len(found.hosts) < len(true)
    for host, number in found.hosts:
        assert number <= true[host] <= number + found.hosts_uncertain


def test_the_funnel_goes_from_records_to_shards_and_adds_up(build: Build) -> None:
    funnel = overview(build()).funnel
    assert [(step.name, step.documents) for step in funnel.steps] == [
        ("records", 17),
        ("document records", 13),
        ("documents read", 12),
        ("texts", 12),
        ("kept by filter", 8),
        ("surviving", 5),
        ("in shards", 5),
    ]
    for step, following in zip(funnel.steps, funnel.steps[1:], strict=False):
        assert step.documents - sum(loss.documents for loss in step.losses) == following.documents
    removed = {loss.why: loss.documents for loss in funnel.steps[4].losses}
    assert removed == {"dedupe.exact": 1, "dedupe.near": 1, "dedupe.url": 1}
    assert funnel.faults == ()


@pytest.mark.parametrize(
    ("stage", "change", "said"),
    [
        ("filter", lambda m: m["units"][0]["counts"].update(kept=6), "counts do not add up"),
        ("filter", lambda m: m["units"][0]["files"][0].update(rows=4), "in its documents files 7"),
        ("filter", lambda m: m["units"][0]["files"][2].update(rows=9), "in its dropped files 9"),
        ("dedupe", lambda m: m["units"][0]["counts"].update(seen=9, kept=6), "dedupe read 9"),
        ("dedupe", lambda m: m["units"][0]["files"][0].update(rows=2), "in its removed files 2"),
        (
            "shards",
            lambda m: m["units"][0]["files"].pop(),
            "by its counts 5, but in its shard files 4",
        ),
        ("shards", lambda m: m["units"][0]["files"].pop(), "the documents in shards stand for 7"),
    ],
)
def test_numbers_that_disagree_are_named(
    build: Build, stage: str, change: Callable[[dict[str, object]], object], said: str
) -> None:
    root = build()
    manifest = files.read_json(f"{root}/{stage}", dataset.MANIFEST)
    change(manifest)  # type: ignore[arg-type]
    files.write_json(f"{root}/{stage}", dataset.MANIFEST, manifest)
    assert any(said in fault for fault in overview(root).funnel.faults)


@pytest.mark.parametrize("stage", ["filter", "dedupe", "shards"])
def test_one_stage_can_be_looked_at_alone(build: Build, stage: str) -> None:
    found = overview(f"{build()}/{stage}")
    assert found.documents == {"filter": 8, "dedupe": 0, "shards": 5}[stage]
    assert found.funnel.faults == ()


def test_a_folder_without_a_finished_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no finished stage"):
        overview(str(tmp_path))


def test_a_folder_of_another_stage_is_refused(tmp_path: Path) -> None:
    manifest = dataset.Manifest(stage="crawl", version=1, settings={}, units=())
    dataset.save(str(tmp_path), manifest)
    with pytest.raises(DatasetError, match="stage 'crawl'"):
        overview(str(tmp_path))


def test_an_overview_is_json(build: Build) -> None:
    value = json.loads(json.dumps(overview(build()).as_dict()))
    assert value["languages"][0]["language"] == "tur_Latn"
    assert value["funnel"]["steps"][0] == {
        "name": "records",
        "documents": 17,
        "verb": "skipped",
        "losses": [{"why": "request", "documents": 4}],
    }


def test_quantiles_are_exact_while_all_rows_are_held(build: Build) -> None:
    found = overview(build())
    assert found.quantiles_every == 1
    assert found.quantiles["words"] == {
        "0": 4,
        "0.05": 4,
        "0.25": 4,
        "0.5": 4,
        "0.75": 6,
        "0.95": 36,
        "1": 36,
    }


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(2, 30))
def test_the_sample_holds_every_nth_row_and_no_more_than_its_limit(sizes: list[int], limit: int) -> None:
    sample = _Sample(limit=limit)
    start = 0
    for size in sizes:
        numbers = np.arange(start, start + size)
        columns = {"bytes": numbers, "words": numbers, "language_score": numbers.astype(np.float32)}
        sample.add(pa.RecordBatch.from_pydict(columns))
        start += size
    held = np.concatenate(sample.pieces)[:, 0]
    assert len(held) <= limit
    assert held.tolist() == list(range(0, start, sample.stride))
