"""A report answers what its runs can tell, declines the rest, and shows no number that its twin lacks."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.reproduce import TABLES
from corpus.errors import RunsError
from trainer.config import Model
from trainer.page import formatting
from trainer.page.formatting import Kind
from trainer.records import plain
from trainer.scaling.checks import Check
from trainer.scaling.laws import REPETITION
from trainer.scaling.report import build
from trainer.scaling.report.answers import REACH, beyond, vague
from trainer.scaling.report.compare import compare_all
from trainer.scaling.report.measured import Measured, measure
from trainer.scaling.report.page import render
from trainer.scaling.report.report_model import Number, Report
from trainer.scaling.runs import Columns
from trainer.scaling.source import STUDY, Asked, load
from trainer.scaling.uncertainty import Interval
from trainer.shape import shape

LAW = {
    "a": 4.0,
    "b": 6.5,
    "e": -0.1,
    "alpha": 0.3,
    "beta": 0.35,
    "log_rd": np.log(8.0),
    "log_rn": np.log(20.0),
}
NOISE = 0.002
HELD = 2e9
WIDTHS = (128, 192, 256, 384, 512)
FRESH = (2.5e8, 5e8, 1e9, 2e9)
DOCUMENTS = 60
ALL = Asked(Columns(("loss",), "n", "d", "u", "run"))


def law(params: Any, tokens: Any, unique: Any) -> Any:
    """Return the losses that runs would have without noise."""
    logs = {
        k: np.log(np.asarray(v, float))
        for k, v in (("params", params), ("tokens", tokens), ("unique", unique))
    }
    return np.exp(REPETITION.log_loss(np.array([LAW[name] for name in REPETITION.parameters]), logs))


def cell(
    width: int, tokens: float, unique: float, seed: int, corpus: str, worse: float = 0.0
) -> dict[str, Any]:
    """Return a line of runs.jsonl: the law's loss with noise, on a corpus that is `worse` by a share."""
    sizes = shape(Model(depth=4, width=width), 4096)
    rng = np.random.default_rng([width, int(tokens) % 2**31, int(unique) % 2**31, seed, len(corpus)])
    bits = float(law([sizes.matmul_parameters], [tokens], [unique])[0])
    bits *= (1 + worse) * float(np.exp(NOISE * rng.standard_normal()))
    name = f"{corpus}-{width}-{tokens:.2g}-{unique:.2g}-s{seed}"
    return {
        "run": name,
        "folder": f"cells/{name}",
        "corpus": corpus,
        "seed": seed,
        "size": f"w{width}",
        "branch_of": f"{corpus}-{width}-{tokens / unique:.2g}-s{seed} at step {int(tokens / 1e6)}",
        "parameters": sizes.parameters,
        "matmul_parameters": sizes.matmul_parameters,
        "non_embedding_parameters": sizes.non_embedding_parameters,
        "shape": asdict(sizes),
        "length": 512,
        "batch": 64,
        "steps": int(tokens / (64 * 512)),
        "lr": 0.003,
        "tokens": tokens,
        "unique_tokens": unique,
        "flops": 6.3 * sizes.matmul_parameters * tokens * (1 + 1e-5 * seed),
        "loss": bits * 3.1,
        "bits_per_byte": bits,
        "standard_error": 0.01,
        "languages": {
            "tur_Latn": {"bits_per_byte": bits * 1.02, "standard_error": 0.01},
            "eng_Latn": {"bits_per_byte": bits * 0.97, "standard_error": 0.01},
        },
        "tasks": {"turkish": task(bits)},
        "tokenizer": "t1",
        "documents": "d1",
        "evaluated": {"documents": DOCUMENTS, "tokens": 18_000, "bytes": 60_000},
        "versions": {"derlem": "0.1", "code": "c0ffee" * 6 + "c0ff-dirty"},
        "schedule": "final",
    }


def task(bits: float) -> dict[str, float]:
    """Return the accuracy of a model of these bits per byte on 100 pairs."""
    share = 0.5 + 0.45 * float(np.exp(-bits))
    return {"share": share, "low": share - 0.08, "high": share + 0.08, "chance": 0.5, "probability": share}


def cells(corpus: str = "web", worse: float = 0.0) -> list[dict[str, Any]]:
    """Return a whole study's lines: five sizes, four budgets, seeds at the smallest size, epochs at two."""
    main = [
        cell(width, tokens, tokens, seed, corpus, worse)
        for width in WIDTHS
        for tokens in FRESH
        for seed in range(3 if width == WIDTHS[0] else 1)
    ]
    again = [cell(w, 2e9, 2e9 / e, 0, corpus, worse) for w in (128, 384) for e in (2, 4, 8, 16)]
    return main + again


def records(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write the bits of every validation document; a document is as hard in every run."""
    hard = np.exp(0.6 * np.random.default_rng(1).standard_normal(DOCUMENTS))
    for row in rows:
        noise = np.random.default_rng(len(row["run"])).standard_normal(DOCUMENTS)
        bits = 1000 * row["bits_per_byte"] * hard * (1 + 0.01 * noise)
        lines = [
            {
                "language": "tur_Latn",
                "source": "web",
                "id": f"doc-{i}",
                "bytes": 1000,
                "tokens": 300,
                "bits": b,
            }
            for i, b in enumerate(bits.tolist())
        ]
        place = folder / row["folder"]
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath("documents.jsonl").write_text(
            "\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8"
        )


def study(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a study's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("runs.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return folder


def table(path: Path, n: Any, d: Any, u: Any, names: list[str] | None = None) -> Path:
    """Write a table of runs of the law."""
    rng = np.random.default_rng(0)
    loss = law(n, d, u) * np.exp(NOISE * rng.standard_normal(len(n)))
    rows = zip(names or [f"r{i}" for i in range(len(n))], n, d, u, loss, strict=True)
    lines = ["run,n,d,u,loss", *(f"{a},{b:.17g},{c:.17g},{e:.17g},{f:.17g}" for a, b, c, e, f in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a study on two corpora, the second 2 % worse, with records and one run that diverged."""
    made = tmp_path_factory.mktemp("study")
    rows = [*cells("web"), *(cell(w, d, d, 0, "books", 0.02) for w in WIDTHS[:3] for d in FRESH)]
    records(made, rows)
    return study(made, [*rows, {**cell(512, 1e9, 1e9, 9, "web"), "bits_per_byte": None}])


@pytest.fixture(scope="module")
def measured(folder: Path) -> Measured:
    """Fit the study's runs, once for all that is said of them."""
    return measure(load(folder, Asked()), resamples=100)


@pytest.fixture(scope="module")
def made(measured: Measured) -> Report:
    """Make the study's report."""
    return build.compose(measured, "study", resamples=100)


def number(made: Report, title: str) -> Number:
    """Find a number of the first screen."""
    return next(one for one in made.headline.numbers if title in one.title)


def check(made: Report, words_: str) -> Check:
    """Find a check."""
    return next(one for one in made.checklist if words_ in one.name)


def test_gains_hold_the_truth(made: Report) -> None:
    n, d = shape(Model(depth=4, width=512), 4096).matmul_parameters, 2e9
    had = law([n], [d], [d])
    for title, after in (
        ("Twice the data", (n, 2 * d, 2 * d)),
        ("next epoch", (n, 2 * d, d)),
        ("Twice the parameters", (2 * n, d, d)),
    ):
        found = number(made, title)
        assert found.value is not None, found.note
        assert found.value.holds(float((1 - law(*([v] for v in after)) / had)[0])), title
        assert formatting.around(found.value, "percent") in str(found)


def test_what_lies_beyond_the_reach_is_declined_with_its_ratio(folder: Path) -> None:
    far = build.compose(measure(load(folder, Asked(unique=100 * HELD)), resamples=40), "study")
    found = number(far, "Twice the data")
    assert found.value is None
    assert "200 times the compute of the largest run, more than 20" in found.note
    assert "200 times" in far.headline.sentence
    most = shape(Model(depth=4, width=512), 4096).matmul_parameters
    runs = {"tokens": np.array([2 * REACH * HELD]), "params": np.array([float(most)])}
    assert beyond(measure(load(folder, Asked()), resamples=40), runs) == pytest.approx(2 * REACH)


def test_a_gain_that_may_be_nothing_is_vague() -> None:
    assert vague(Interval(0.1, -0.01, 0.2))
    assert vague(Interval(0.1, 0.02, 0.2))
    assert vague(Interval(0.1, 0.05, None))
    assert not vague(Interval(0.1, 0.06, 0.15))


def test_without_repeated_data_the_next_epoch_has_no_answer(tmp_path: Path) -> None:
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e11, 5)))
    fitted = measure(load(table(tmp_path / "runs.csv", n, d, d), ALL), resamples=40)
    found = build.compose(fitted, "runs.csv")
    assert "no run saw its data more than once" in number(found, "epoch").note
    assert [one.id for one in found.sections] == ["law", "runs"]
    asked = replace(ALL, columns=replace(ALL.columns, unique=""))
    unknown = build.compose(replace(fitted, source=load(tmp_path / "runs.csv", asked)), "runs.csv")
    assert "is not given" in number(unknown, "epoch").note


def test_one_size_gives_the_data_law_and_no_number_about_sizes(tmp_path: Path) -> None:
    d = np.geomspace(1e8, 1e11, 14)
    found = build.report(table(tmp_path / "runs.csv", np.full(14, 1e8), d, d), ALL, resamples=40)
    assert found.headline.numbers == ()
    assert found.analysis.fit.law.name == "data"
    assert "lowers loss by" in found.headline.sentence


def test_one_run_that_read_data_again_does_not_tell_what_that_is_worth(tmp_path: Path) -> None:
    rows = cells()
    single = [row for row in rows if row["tokens"] == row["unique_tokens"]]
    again = next(row for row in rows if row["tokens"] == 4 * row["unique_tokens"])
    few = build.report(study(tmp_path, [*single, again]), resamples=40)
    assert number(few, "epoch").value is None
    assert "only 1 run repeated data" in number(few, "epoch").note.replace("\u00a0", " ")


def test_an_epochs_worth_says_how_large_the_models_were_that_read_data_again(made: Report) -> None:
    most = formatting.count(shape(Model(depth=4, width=384), 4096).matmul_parameters)
    assert f"had at most {most} parameters" in number(made, "epoch").note


def test_the_best_size_is_that_of_the_law(made: Report) -> None:
    compute = max(row["flops"] for row in cells())
    sizes = np.geomspace(1e5, 1e9, 4000)
    tokens = compute / 6 / sizes
    found = number(made, "best size")
    assert found.value is not None, found.note
    assert found.value.holds(float(sizes[law(sizes, tokens, tokens).argmin()]))


def test_two_sizes_do_not_tell_what_size_is_worth(tmp_path: Path) -> None:
    rows = [row for row in cells() if row["size"] in ("w128", "w192")]
    found = build.report(study(tmp_path, rows), resamples=40)
    for title in ("parameters", "best size"):
        assert number(found, title).value is None
        assert "2 sizes cannot tell" in number(found, title).note.replace("\u00a0", " ")
    assert number(found, "data").value is not None


def test_a_best_size_far_from_the_sizes_of_the_runs_is_not_an_answer(tmp_path: Path) -> None:
    budgets = (2e9, 8e9, 1.6e10, 3.2e10)
    rows = [cell(w, d, d, seed, "web") for w in (128, 192, 256) for d in budgets for seed in range(3)]
    found = number(build.report(study(tmp_path, rows), resamples=40), "best size")
    assert found.value is None
    assert "the runs have 1.38 M to 4.26 M" in found.note.replace("\u00a0", " ")


def test_the_noise_between_seeds_is_found_and_stated(made: Report) -> None:
    noise = check(made, "noise")
    assert noise.verdict == "strong"
    shown = float(re.findall(r"[\d.]+", noise.why)[0]) / 100
    assert NOISE / 2 < shown < 2 * NOISE


def test_runs_left_out_are_listed_with_their_reasons(folder: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in folder.joinpath("runs.jsonl").read_text().splitlines()]
    rows[3]["documents"] = "d2"
    other = study(tmp_path / "other", rows)
    source = load(other, Asked(left_out={rows[5]["run"]: "its disk was full"}))
    reasons = {row.run: row.left_out for row in source.rows if row.left_out}
    assert reasons == {
        rows[3]["run"]: "scored on other validation documents than most runs",
        rows[5]["run"]: "its disk was full",
        rows[-1]["run"]: "no finite loss: the run diverged or was not scored",
    }
    assert len(source.runs("bits_per_byte")) == sum(row["corpus"] == "web" for row in rows) - 3


def test_answers_are_for_the_whole_corpus_of_a_study_unless_the_runs_read_far_less(
    folder: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in folder.joinpath("runs.jsonl").read_text().splitlines()]
    most = max(row["unique_tokens"] for row in rows if row["corpus"] == "web")
    other = study(tmp_path / "other", rows)
    assert load(other, Asked()).asked.unique == 0  # not known: the most that a run read
    for tokens, unique, part_of in ((1.5 * most, 1.5 * most, 0), (3 * most, 0, 3 * most)):
        facts = {"web": {"content": "w", "tokens": int(tokens)}, "books": {"content": "b", "tokens": 5}}
        other.joinpath("study.json").write_text(json.dumps({"plan": {"corpora": facts}}))
        source = load(other, Asked())
        assert (source.asked.unique, source.part_of) == (unique, part_of)
        assert load(other, Asked(unique=3e9)).asked.unique == 3e9


def test_reasons_reach_the_page(made: Report) -> None:
    runs = next(one for one in made.sections if one.id == "runs")
    assert any("diverged" in text and "1 row" in text for text in runs.text)
    assert [row[0] for row in runs.tables[0].rows if "diverged" in str(row[-1])] == ["web-512-1e+09-1e+09-s9"]


def test_what_cannot_be_reported_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunsError, match=r"no runs\.jsonl in this folder"):
        load(tmp_path, Asked())
    with pytest.raises(RunsError, match="no run nobody"):
        load(folder, Asked(left_out={"nobody": "x"}))
    with pytest.raises(RunsError, match="no run of corpus 'sea'; corpora are books, web"):
        load(folder, Asked(about="sea"))
    path = table(tmp_path / "runs.csv", np.full(9, 1e8), np.geomspace(1e8, 1e9, 9), np.full(9, 2e9))
    with pytest.raises(RunsError, match="more unique tokens than tokens"):
        load(path, ALL)
    with pytest.raises(RunsError, match="no column N; it has run, n, d, u, loss"):
        load(path, Asked(Columns(("loss",), "N", "d")))
    with pytest.raises(RunsError, match="no loss column"):
        load(path, Asked(Columns((), "n", "d")))


def test_the_better_corpus_is_found_run_by_run_and_document_by_document(made: Report) -> None:
    (said,) = made.corpora
    assert said.startswith("web: its loss is")
    assert "12 runs" in said.replace("\u00a0", " ")
    assert f"{DOCUMENTS} validation documents, paired" in said
    assert said in made.lines


def test_comparisons_hold_the_truth_with_and_without_records(folder: Path) -> None:
    source = load(folder, Asked())
    (paired,) = compare_all(source, "bits_per_byte")
    (alone,) = compare_all(replace(source, study=False), "bits_per_byte")
    assert (paired.first, paired.second, paired.documents, alone.documents) == ("books", "web", DOCUMENTS, 0)
    for found in (paired, alone):
        assert found.difference.holds(1 - 1 / 1.02), found.difference
        assert len(found.cells) == 12
    assert paired.difference.lower is not None
    assert paired.difference.lower > 0


def test_equal_corpora_are_not_told_apart_and_one_cell_gives_no_interval(tmp_path: Path) -> None:
    rows = [cell(w, d, d, 0, name) for name in ("web", "books") for w in WIDTHS[:3] for d in FRESH]
    (found,) = compare_all(load(study(tmp_path / "a", rows), Asked()), "bits_per_byte")
    assert found.difference.holds(0.0)
    lone = [*cells("web"), cell(128, 1e9, 1e9, 0, "books", 0.05)]
    (one,) = compare_all(load(study(tmp_path / "b", lone), Asked()), "bits_per_byte")
    assert not one.difference.determined
    assert len(one.cells) == 1


def test_cells_without_a_twin_are_not_compared(tmp_path: Path) -> None:
    rows = [*cells("web"), *(cell(w, 3e9, 3e9, 0, "books") for w in WIDTHS)]
    assert compare_all(load(study(tmp_path, rows), Asked()), "bits_per_byte") == ()


def test_few_trunks_are_resampled_by_branch_and_that_is_said(tmp_path: Path, made: Report) -> None:
    few = [row for row in cells() if row["seed"] == 0 and row["tokens"] == row["unique_tokens"]]
    for row in few:  # one trunk a size
        row["branch_of"] = f"{row['size']} at step 1"
    source = load(study(tmp_path, few), Asked())
    assert len(set(source.runs("bits_per_byte").group)) == len(few)
    assert "5 trunks" in source.branches
    found = build.compose(measure(source, 40), "few")
    assert check(found, "independent").why == source.branches
    assert (check(found, "independent").verdict, check(made, "independent").verdict) == ("weak", "strong")


def test_trunks_of_other_corpora_do_not_count(tmp_path: Path) -> None:
    few = [
        row for row in cells() + cells("books") if row["seed"] == 0 and row["tokens"] == row["unique_tokens"]
    ]
    for row in few:  # one trunk a size, ten of both corpora
        row["branch_of"] = f"{row['corpus']}-{row['size']} at step 1"
    source = load(study(tmp_path, few), Asked())
    assert "5 trunks" in source.branches
    assert len(set(source.runs("bits_per_byte").group)) == len(few) // 2


def test_twin_is_json_without_nan_and_says_what_the_report_says(made: Report, tmp_path: Path) -> None:
    twin = build.write(made, tmp_path / "page.html")
    assert twin == tmp_path / "page.json"
    held = json.loads(twin.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert held == json.loads(json.dumps(plain(made)))
    assert held["headline"]["sentence"] == made.headline.sentence
    assert held["input"]["blake2b"] == made.input["blake2b"]
    assert {"derlem", "numpy", "scipy", "python"} <= held["versions"].keys()


def test_twin_has_every_row_as_the_study_wrote_it(folder: Path, made: Report) -> None:
    rows = [json.loads(line) for line in folder.joinpath("runs.jsonl").read_text().splitlines()]
    held = plain(made)["more"]["runs"]
    assert [row["run"] for row in held] == [row["run"] for row in rows]
    assert [row["versions.code"] for row in held] == [row["versions"]["code"] for row in rows]
    assert [bool(row["left_out"]) for row in held] == [row["bits_per_byte"] is None for row in rows]


class Page(HTMLParser):
    """Collects what the tests ask about: tags, ids, headings, text outside of pictures and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Check that tags close in the order in which they opened."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep words outside of pictures."""
        if not {"svg", "style"} & set(self._open):
            self.words.append(data)


NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?(?:\u00a0(?:×\u00a010[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|[kMBT]\b|%))?")


KINDS: tuple[Kind, ...] = ("number", "percent", "count", "power", "plain")


def said(value: object) -> set[str]:
    """Return every way in which a twin's values may be written."""
    if isinstance(value, dict):
        out = set().union(*(said(each) for each in value.values())) if value else set()
        if "level" in value and "estimate" in value:
            found = Interval(value["estimate"], value["lower"], value["upper"], value["level"])
            texts = [f(found, kind) for kind in KINDS for f in (formatting.ends, formatting.around)]
            out |= {n for text in texts for n in NUMBER.findall(text)}
        return out
    if isinstance(value, list):
        return set().union(*(said(each) for each in value)) if value else set()
    if isinstance(value, str):
        return set(NUMBER.findall(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        shown = {n for kind in KINDS for n in NUMBER.findall(formatting.write(value, kind))}
        return shown | set(NUMBER.findall(formatting.number(value, 2)))
    return set()


def test_no_number_of_the_page_is_missing_in_its_twin(made: Report) -> None:
    page = Page(render(made, "page.json"))
    twin = said(plain(made)) | {f"95{formatting.GAP}%"}
    verdicts = [one.verdict for one in made.checklist]
    twin |= {str(verdicts.count(one)) for one in verdicts}  # counts of what the twin lists
    shown = {n for text in page.words for n in NUMBER.findall(text)}
    assert len(shown) > 150
    assert shown - twin == set()


def test_page_loads_nothing_and_can_be_read_without_seeing(made: Report) -> None:
    page = Page(render(made, "page.json"))
    text = render(made, "page.json")
    assert not re.search(r"https?://|@import|url\((?!#)|<script|\bsrc=", text)
    assert "default-src 'none'" in text
    links = [attrs.get("href") or "" for tag, attrs in page.tags if tag in ("a", "link")]
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert all(link in ("data:,", "page.json") or link.removeprefix("#") in ids for link in links)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    count = {
        name: sum(tag == name for tag, _ in page.tags) for name in ("table", "caption", "figure", "desc")
    }
    assert count["table"] == count["caption"] > 3
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("aria-hidden") is None]
    assert len(pictures) == count["figure"] == count["desc"]
    assert all(p["role"] == "img" and set(str(p["aria-labelledby"]).split()) <= set(ids) for p in pictures)


def test_tasks_are_drawn_beside_the_loss(made: Report) -> None:
    loss, (task,) = made.headline.chart, made.headline.tasks
    assert task.title == "Accuracy on turkish"
    assert [mark.at for mark in task.marks] == [0.5]
    assert [each.label for each in task.dots] == [each.label for each in loss.dots][: len(task.dots)]
    for each in task.dots:
        assert each.x == tuple(sorted(set(each.x)))  # a point is the mean of seeds
        assert all(low < y < high for low, y, high in zip(each.lower, each.y, each.upper, strict=True))


def test_no_two_series_of_a_chart_differ_in_colour_alone(made: Report) -> None:
    for one in made.sections:
        for chart in one.charts:
            for group in (chart.lines, chart.dots):
                styles = [(series.style, series.guess) for series in group]
                assert len(styles) == len(set(styles)), chart.title


def test_words_are_as_short_as_the_numbers_allow() -> None:
    gap = formatting.GAP
    assert formatting.count(1.2e9) == f"1.2{gap}B"
    assert formatting.count(999.9e6) == f"1{gap}B"
    assert formatting.count(940) == "940"
    assert formatting.percent(0.0132) == f"1.3{gap}%"
    assert formatting.power(3.2e21) == f"3.2{gap}×{gap}10²¹"
    assert formatting.power(1e18) == "10¹⁸"
    assert formatting.number(0.031534) == "0.03153"
    assert formatting.number(-2.5) == "−2.500"
    assert formatting.number(132352.2) == "132,352"
    assert formatting.around(Interval(0.03412, 0.0301, 0.0409)) == "0.034 (0.030 to 0.041)"
    assert formatting.around(Interval(15.4, 5.5, None)) == "not determined (above 5.500)"


def test_the_command_writes_page_and_twin(tmp_path: Path) -> None:
    from commands.scale import app

    d = np.geomspace(1e8, 1e11, 14)
    path = table(tmp_path / "runs.csv", np.full(14, 1e8), d, d)
    options = ["--loss", "loss", "--params", "n", "--tokens", "d", "--unique", "u", "--run", "run"]
    page = tmp_path / "out" / "report.html"
    command = ["report", str(path), "-o", str(page), "--resamples", "40", *options]
    done = CliRunner().invoke(app, [*command, "--leave-out", "r3=its disk was full"])
    assert done.exit_code == 0, done.output
    assert "its disk was full" in page.read_text(encoding="utf-8")
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["analysis"]["runs"] == 13
    assert CliRunner().invoke(app, [*command, "--leave-out", "r3"]).exit_code == 2
    assert CliRunner().invoke(app, ["report", str(tmp_path / "none.csv"), "--loss", "x"]).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "page.json"], "page.json: its JSON twin"),
        (["--loss", "bits_per_byte"], "--loss: {study} is a folder, and a study's columns are known"),
        (["--params", "n", "--seed", "seed"], "--params, --seed: "),
        (["--leave-out", "=why"], "RUN=WHY"),
        (["--model", "1e300"], "--model 1e+300: expected a number from 0 to"),
    ],
)
def test_an_option_that_would_be_ignored_or_harm_is_refused(
    folder: Path, options: list[str], said: str
) -> None:
    from commands.scale import app

    done = CliRunner().invoke(app, ["report", str(folder), *options], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert said.format(study=folder) in " ".join(done.stderr.split())


def published(name: str, asked: Asked) -> Report:
    """Report on a published table of runs."""
    return build.report(TABLES / name, asked, resamples=40)


def test_a_diverged_run_is_left_out_of_a_report_for_its_reason(tmp_path: Path) -> None:
    d = np.geomspace(1e8, 1e11, 14)
    path = table(tmp_path / "runs.csv", np.full(14, 1e8), d, d)
    lines = path.read_text().splitlines()
    lines[9] = ",".join([*lines[9].split(",")[:-1], "11.0"])
    path.write_text("\n".join(lines))
    found = build.report(path, ALL, resamples=40)
    page = render(found, "x.json")
    assert "the run diverged, or the number is wrong" in page
    assert found.analysis.runs == 13


def test_gemstones_report_shows_the_published_fit() -> None:
    columns = Columns(("final_loss",), "params_active_precise", "tokens", run="run_name")
    found = published("gemstones/wandb_df_for_fitting_cool_end.jsonl", Asked(columns))
    fit = found.analysis.fit
    assert fit.law.name == "chinchilla"
    assert fit.parameters["alpha"] == pytest.approx(0.3003, abs=1e-4)
    assert fit.parameters["beta"] == pytest.approx(0.5802, abs=1e-4)
    assert check(found, "at its optimum").verdict == "strong"
    assert "up to 3.7 times beyond the rest" in found.headline.trust


def test_datablations_report_leaves_open_what_the_data_leave_open() -> None:
    columns = Columns(("val_loss_c4",), "params", "tokens", "unique_tokens", "run")
    found = published("datablations/runs_182_fit_set.csv", Asked(columns))
    assert "R_N*" in check(found, "determine every parameter").why
    (chart,) = next(one for one in found.sections if one.id == "repetition").charts
    again, fresh = chart.lines
    assert again.y[0] == pytest.approx(fresh.y[0])  # one epoch is fresh
    assert again.y[-1] > fresh.y[-1]


def test_gadre_report_ranks_its_corpora() -> None:
    columns = Columns(("loss_c4_val",), "params", "tokens", run="name")
    found = published("gadre_overtraining/losses.csv", Asked(columns, corpus="train_dataset"))
    assert any(said.startswith("c4_original") and "on rw_original" in said for said in found.corpora)
    assert "number of unique tokens is not given" in number(found, "epoch").note
    assert STUDY.params == "matmul_parameters"


def test_a_study_of_a_tokenizer_that_loses_text_says_so_at_the_top_and_in_its_checks(
    folder: Path, measured: Measured, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in folder.joinpath("runs.jsonl").read_text().splitlines()]
    lossy = study(tmp_path / "lossy", [{**row, "exact": False} for row in rows])
    found = build.compose(replace(measured, source=load(lossy, Asked())), "lossy")
    assert found.about.endswith("; bits per byte are too low: the tokenizer loses text")
    assert check(found, "across tokenizers").verdict == "weak"
    assert "the tokenizer loses text" in check(found, "across tokenizers").why
