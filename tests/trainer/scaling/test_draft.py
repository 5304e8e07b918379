"""A drafted study fits the tokens of its corpus and the time, and its file reads back as it was."""

from __future__ import annotations

import io
import random
import re
import signal
from pathlib import Path

import pytest
from rich.console import Console
from token_shards import write
from typer.testing import CliRunner

import derlem
from commands.terminal import Terminal
from corpus.errors import ConfigError, DatasetError, StoppedError
from corpus.teller import SILENT
from corpus.tokenizer.train import fit
from trainer.scaling import config, draft
from trainer.scaling.config import Study
from trainer.scaling.plan import Plan, plan

SPEED = 2e9
"""FLOP/s of the machine that these tests suppose."""


def cost(made: Plan) -> float:
    """Return the seconds of all cells' whole training, more than their trunks take."""
    return sum(cell.compute for cell in made.cells()) / SPEED


def corpus(folder: Path, documents: int, model: bytes = b"") -> str:
    """Write a corpus of documents of 100 tokens, and a validation of ten."""
    text = [*range(10, 109), 2]
    held = {"tur_Latn/web": [[text] * 10]}
    write(folder, {"tur_Latn/web": [[text] * documents]}, validation=held, model=model)
    return str(folder)


@pytest.mark.parametrize("documents", [300, 3_000, 30_000])
@pytest.mark.parametrize("hours", [0.01, 0.1, 2.0])
def test_a_draft_keeps_to_the_time_and_to_the_corpus(tmp_path: Path, documents: int, hours: float) -> None:
    found = plan(draft.draft(corpus(tmp_path / "c", documents), tmp_path / "study", hours, cost))
    cells = found.cells()
    assert cost(found) <= 1.3 * hours * 3600
    assert all(cell.tokens <= documents * 100 for cell in cells)
    counted = [size.shape.matmul_parameters for size in found.sizes]
    assert len(counted) == 4
    assert 2.5 * counted[0] < counted[-1] < 8 * counted[0]
    assert found.sizes[-1].tokens <= 20.5 * counted[-1]
    # Sizes are nearer to each other before any of them reads fewer tokens per parameter.
    assert found.study.tokens.per_parameter >= 16 or counted[-1] < 4 * counted[0]
    trunks = {cell.trunk.name for cell in cells}
    assert len(trunks) >= 12  # enough for intervals that resample them


def test_more_time_and_more_text_give_larger_models(tmp_path: Path) -> None:
    def largest(documents: int, hours: float) -> int:
        folder = corpus(tmp_path / f"{documents}-{hours}", documents)
        return draft.draft(folder, tmp_path / "study", hours, cost).sizes.largest

    assert largest(100_000, 0.1) < largest(100_000, 10.0)
    assert largest(30_000, 10.0) < largest(100_000, 10.0)


def test_what_the_models_would_have_to_repeat_is_said_and_not_planned(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"at least [\d,]+ tokens, and the corpus has 600.*vocabulary"):
        draft.draft(corpus(tmp_path / "c", 6), tmp_path / "study", 1.0, cost)
    with pytest.raises(ConfigError, match=r"takes at least [\d.]+ hours.*--hours"):
        draft.draft(corpus(tmp_path / "d", 30_000), tmp_path / "study", 0.01, lambda made: 5_000 * cost(made))


def test_its_file_reads_back_as_the_study(tmp_path: Path) -> None:
    study = draft.draft(corpus(tmp_path / "my" / "corpus", 3_000), tmp_path / "study", 0.1, cost)
    assert list(study.corpora) == ["my"]
    assert draft.read(tmp_path / "study", str(tmp_path / "my" / "corpus")) is None
    draft.write(study, 0.1, is_tuned=False)
    assert draft.read(tmp_path / "study", str(tmp_path / "my" / "corpus")) == (study, False)
    path = draft.write(study, 0.1, is_tuned=True)
    assert list(path.parent.iterdir()) == [tmp_path / "study" / "study.toml"]
    assert config.load(path) == study
    assert draft.read(tmp_path / "study", str(tmp_path / "my" / "corpus")) == (study, True)
    with pytest.raises(ConfigError, match=r"study of .*my/corpus, not of /other: choose another --output"):
        draft.read(tmp_path / "study", "/other")
    assert path.read_text().startswith("# Drafted for about 0.1 hours")


def test_the_rates_are_the_best_of_those_tried_on_the_smallest_size(tmp_path: Path) -> None:
    given = ["workers=1", "train.optimizer.lr=0.002", "train.optimizer.matrix_lr=0.001"]
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghıijklmnoöprsştuüvyz", k=draw.randint(2, 7))) for _ in range(400)]
    model = fit([" ".join(draw.choices(words, k=20)) for _ in range(200)], "unigram", 336)
    study = draft.draft(corpus(tmp_path / "c", 300, model), tmp_path / "study", 0.01, cost, given)
    said = io.StringIO()
    found = draft.tuned(study, Terminal(Console(file=said, width=200)))
    assert found.train.optimizer.lr == pytest.approx(0.016)  # of rates this low the highest is best
    assert found.train.optimizer.matrix_lr == pytest.approx(0.008)
    assert found.check == ()
    assert re.fullmatch(
        r"learning rates of d1w16: (× [\d.]+: [\d.]+, ){4}× 8: [\d.]+: × 8 is taken\n", said.getvalue()
    )
    runs = tmp_path / "study" / "rates" / "runs"
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("done.json")}
    assert len(before) == 10
    assert draft.tuned(study, SILENT) == found
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("done.json")} == before


def test_a_study_of_few_tokens_per_parameter_says_that_its_answers_are_rough(tmp_path: Path) -> None:
    rough = draft.draft(corpus(tmp_path / "c", 3_000), tmp_path / "study", 2.0, cost)
    assert rough.tokens.per_parameter < 8
    most = 4 * rough.tokens.per_parameter
    assert draft.doubt(rough).startswith(f"its models read at most {most:.2g} tokens per parameter")
    assert draft.doubt(draft.draft(corpus(tmp_path / "d", 100_000), tmp_path / "study", 2.0, cost)) == ""


def test_overrides_of_some_sizes_are_stronger_than_the_draft(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", 3_000)
    drafted = draft.draft(folder, tmp_path / "study", 0.1, cost).sizes
    largest = drafted.largest - 10_000
    found = draft.draft(folder, tmp_path / "study", 0.1, cost, [f"sizes.largest={largest}", "sizes.count=3"])
    assert (found.sizes.largest, found.sizes.count) == (largest, 3)


@pytest.mark.parametrize("multiples", [[1, 2], [2, 8], [0.5], [1, 2, 4, 8]])
def test_other_multiples_are_repeated_and_fit_into_the_corpus(tmp_path: Path, multiples: list[float]) -> None:
    folder = corpus(tmp_path / "c", 3_000)
    study = draft.draft(folder, tmp_path / "study", 0.1, cost, [f"tokens.multiples={multiples}"])
    cells = plan(study).cells()
    assert study.tokens.multiples == tuple(multiples)
    assert {cell.multiple for cell in cells if cell.trunk.unique} == {multiples[0], multiples[-1]}
    assert max(cell.tokens for cell in cells) <= 300_000


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("repetition.epochs=[2]", ((2,), 1, (1.0, 4.0))),
        ("repetition.epochs=[]", ((), 1, (1.0, 4.0))),
        ("repetition.sizes=2", ((4, 16), 2, (1.0, 4.0))),
        ("repetition.multiples=[1]", ((4, 16), 1, (1.0,))),
    ],
)
def test_a_repetition_that_is_asked_for_is_stronger_than_the_draft(
    tmp_path: Path, override: str, found: tuple[object, ...]
) -> None:
    repetition = draft.draft(
        corpus(tmp_path / "c", 3_000), tmp_path / "study", 0.1, cost, [override]
    ).repetition
    assert (repetition.epochs, repetition.sizes, repetition.multiples) == found


def test_one_size_is_the_largest(tmp_path: Path) -> None:
    found = draft.draft(corpus(tmp_path / "c", 3_000), tmp_path / "study", 0.1, cost, ["sizes.count=1"])
    assert found.sizes.smallest == found.sizes.largest
    assert len(plan(found).sizes) == 1


@pytest.mark.parametrize("section", ["sizes", "tokens", "seeds", "repetition", "train", "corpora"])
def test_a_table_that_is_a_number_is_one_message(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match=f"--set {section}: .*\n  {section} = 5: expected a table of keys"):
        draft.draft(corpus(tmp_path / "c", 30), tmp_path / "study", 0.1, cost, [f"{section}=5"])


def test_what_an_override_makes_too_large_is_told_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"with --set train.data.length needs at least"):
        draft.draft(corpus(tmp_path / "c", 3_000), tmp_path / "study", 0.1, cost, ["train.data.length=4096"])


def test_a_corpus_of_no_tokens_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c has no tokens \(train\)"):
        draft.draft(corpus(tmp_path / "c", 0), tmp_path / "study", 0.1, cost)


def test_a_stop_while_rates_are_tried_keeps_the_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Study] = []

    def stopped(study: Study, teller: object) -> Study:
        tried.append(study)
        raise StoppedError(signal.SIGINT, 0)

    plain, drafted = draft.draft, list[Study]()
    monkeypatch.setattr(draft, "draft", lambda *given: drafted.append(plain(*given)) or drafted[-1])
    monkeypatch.setattr(draft, "tuned", stopped)
    words = ["scale", corpus(tmp_path / "c", 300), "-o", str(tmp_path / "study"), "--set", "workers=1"]
    for hours in ("1", "2"):
        answer = CliRunner().invoke(derlem.app, [*words, "--hours", hours])
        assert isinstance(answer.exception, SystemExit)
    assert len(drafted) == 1  # a second one, by another speed, would not fit the runs that have finished
    assert tried == drafted * 2
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["draft.toml"]


def test_a_folder_without_tokens_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="derlem tokenize"):
        draft.draft(str(tmp_path), tmp_path / "study", 1.0, cost)
