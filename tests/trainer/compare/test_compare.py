"""A comparison trains what is missing, finds the noisy corpus, resumes, and shows what could mislead."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from comparisons import facts, write_corpora
from token_shards import tokenizer, write
from typer.testing import CliRunner

from corpus.errors import ConfigError
from corpus.teller import SILENT
from derlem import app
from trainer.compare import config, plan
from trainer.compare.page import page
from trainer.compare.plan import named, named_beside
from trainer.compare.runs import run
from trainer.compare.summary import headline, summarise, warnings

SMALL = (
    "sizes.smallest=9000",
    "sizes.largest=9000",
    "sizes.count=1",
    "tokens.per_parameter=0.12",
    "tokens.multiples=[1,2]",
    "train.data.length=16",
    "train.data.batch=4",
    "train.run.device=cpu",
    "workers=1",
    'tasks=["turkish"]',
    "first=2",
    "most=4",
)


@pytest.fixture(scope="module", autouse=True)
def _no_garbage() -> Iterator[None]:
    """Skip the garbage collection of a starting run: with torch it takes longer than these runs train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda: 0)
        yield


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, corpora: dict[str, str]) -> Path:
    """A comparison by the command, with the clean corpus's validation as the held-out set."""
    folder = tmp_path_factory.mktemp("price")
    asked = ["compare", *corpora.values(), "-o", str(folder), "--held-out", corpora["clean"]]
    asked += [part for each in SMALL for part in ("--set", each)]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    assert "noisy is worse than clean" in " ".join(found.output.split())
    return folder


def test_the_noisy_corpus_is_found_before_the_last_seed(output: Path) -> None:
    twin = json.loads((output / "compare.json").read_text())
    (other,) = twin["others"]
    assert other["apart"]["verdict"] == "worse"
    assert other["worth"][0]["value"] is None or other["worth"][0]["value"] < 1
    assert twin["seeds"] < 4
    assert {row["kind"] for row in twin["rows"]} == {"all", "set"}
    (task,) = twin["tasks"]
    assert task["task"] == "turkish"
    assert task["differences"][0] == 0.0
    assert task["differences"][1] == pytest.approx(task["accuracy"][1] - task["accuracy"][0])


def test_the_page_says_the_same_and_stands_alone(output: Path) -> None:
    text = (output / "compare.html").read_text()
    assert "noisy is worse than clean" in text
    assert "http" not in text.replace("http-equiv", "")


def test_finished_runs_are_not_trained_again_and_planned_with_their_noise(
    output: Path, corpora: dict[str, str]
) -> None:
    settings = config.load("tiny", SMALL)
    sets = named_beside([corpora["clean"]], corpora)
    planned, confounds = plan.plan(settings, named(list(corpora.values())), sets, str(output))
    results = planned.results()
    assert results is not None
    assert plan.power(planned, results).measured
    assert "noisy is worse than clean" in page(summarise(planned, confounds, results))
    assert len(headline(summarise(planned, confounds, results))) == 1


def test_speeds_are_measured_once(
    output: Path, corpora: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {name: corpora[name] for name in ("clean",)}
    planned, _ = plan.plan(config.load("tiny", SMALL), corpora, held, str(output))
    monkeypatch.setattr("trainer.scaling.plan._rate", pytest.fail)
    assert plan.cost(planned, 0, keep=False).seconds > 0


def test_a_held_out_document_that_a_corpus_trains_on_is_not_used(
    tmp_path: Path,
) -> None:
    """Of 100 training ids and 20 held-out ones from 85 on, 15 are the same."""
    made = named(list(write_corpora(tmp_path, held_from=85).values()))
    planned, confounds = plan.plan(config.load("tiny", SMALL), made, {}, str(tmp_path))
    leaked = confounds.leaks.ids  # those, and where the text of another is equal by chance
    assert {f"{number:032x}" for number in range(85, 100)} <= leaked
    assert planned.held.documents.bytes.size == 2 * (20 - len(leaked)) > 0
    made = named(list(write_corpora(tmp_path / "all", held_from=0).values()))
    with pytest.raises(ConfigError, match="of 20 documents only 0 have no copy"):
        plan.plan(config.load("tiny", SMALL), made, {}, str(tmp_path))


def test_a_corpus_that_changed_since_the_first_start_is_refused(
    output: Path, tmp_path: Path, corpora: dict[str, str]
) -> None:
    other = write_corpora(tmp_path)
    swapped = named([corpora["clean"], other["noisy"]])
    assert list(swapped) == ["clean", "noisy"]
    write(Path(other["noisy"]), {"tur_Latn/web": [[[9, 9, 9]] * 9]}, facts=facts(), validation=None)
    planned, _ = plan.plan(
        config.load("tiny", SMALL), swapped, {"held": corpora["clean"]}, str(output), own=False
    )
    with pytest.raises(ConfigError, match="corpus noisy is not the one that this comparison started with"):
        run(planned, SILENT)


def test_held_the_mix_of_the_first_corpus_is_read_in_all(tmp_path: Path) -> None:
    """Two streams, one of them large in `a` and small in `b`, which has a third besides."""
    rng = np.random.default_rng(0)
    sizes = {"a": {"law": 60, "web": 20}, "b": {"law": 10, "web": 60, "news": 30}}
    folders = []
    for name, held in sizes.items():
        made = {
            f"tur_Latn/{n}": [[[*rng.integers(10, 99, 29), 2] for _ in range(k)]] for n, k in held.items()
        }
        held_out = {n: [d[0][:3]] for n, d in made.items()}
        write(tmp_path / name, made, validation=held_out, model=tokenizer())
        folders.append(str(tmp_path / name))
    write(
        tmp_path / "held", {"tur_Latn/law": [[[9, 2]]]}, facts=facts(), held_from=500,
        validation={"tur_Latn/law": [[[*rng.integers(10, 99, 29), 2] for _ in range(4)]]},
    )  # fmt: skip
    settings = config.load("tiny", (*SMALL, "tokens.multiples=[1]", "most=2", "tasks=[]"))
    with pytest.raises(ConfigError, match="a has no tur_Latn/news, which b has: the mix cannot be held"):
        plan.plan(settings, named(folders[::-1]), {}, str(tmp_path / "other"), hold_mix=True)
    sets = {"held": str(tmp_path / "held")}
    planned, confounds = plan.plan(
        settings, named(folders), sets, str(tmp_path / "out"), hold_mix=True, own=False
    )
    results = run(planned, SILENT)
    said = " ".join(warnings(summarise(planned, confounds, results)))
    assert "all corpora are read in the mix of a" in said
    assert "mix of sources differs" not in said
    read = {}
    for name in sizes:
        (cell,) = (tmp_path / "out" / "runs").glob(f"{name}-*-s0/cell-*")
        streams = json.loads((cell / "result.json").read_text())["streams"]
        read[name] = {stream: facts["read"] for stream, facts in streams.items() if facts["read"]}
    assert read["a"].keys() == read["b"].keys() == {"tur_Latn/law", "tur_Latn/web"}
    assert read["b"]["tur_Latn/law"] / sum(read["b"].values()) == pytest.approx(0.75, abs=0.05)
    # 1,086 tokens are read; three quarters of them come from the 300 tokens of law that b has.
    most = sum(read["b"].values())
    assert confounds.epochs["b"] == pytest.approx(0.75 * most / 300, rel=0.1)


def test_another_tokenizer_is_refused_with_what_to_do(tmp_path: Path, corpora: dict[str, str]) -> None:
    write(tmp_path / "other", {"tur_Latn/web": [[[1, 2, 3]]]}, validation={"tur_Latn/web": [[[1, 2, 3]]]})
    with pytest.raises(ConfigError, match=r"Set tokenizer\.model in the configuration of other"):
        plan.plan(
            config.load("tiny", SMALL),
            named([corpora["clean"], str(tmp_path / "other")]),
            {},
            str(tmp_path / "out"),
        )


def test_names_are_the_last_parts_that_differ() -> None:
    assert list(named(["/x/a/corpus", "/x/b/corpus"])) == ["a", "b"]
    assert list(named(["/x/a", "/y/b.2"])) == ["a", "b-2"]
    assert list(named_beside(["/x/a", "/y/held"], {"a": "/x/a"})) == ["a-2", "held"]
    with pytest.raises(ConfigError, match="two or more different corpora"):
        named(["/x/a", "/x/a"])
