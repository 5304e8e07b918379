"""A model asked many items at once says what it says of each alone; its tokenizer's digits are looked at."""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece as spm
import torch
from typer.testing import CliRunner

from benchmarks import family
from benchmarks.family import Family
from commands.scale import app
from corpus.errors import ConfigError
from corpus.teller import SILENT
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.train import fit
from trainer.abilities import ask, outputs, survey, tasks
from trainer.attention import Documents
from trainer.generate import controls, generate
from trainer.load_run import LoadedRun, load_run
from trainer.sampling import Sampling

SETTINGS = """
output = "family"
tasks = ["addition/1/tr"]
held_out = 20
learnt = 60
seeds = 2
sizes = [{ depth = 1, width = 16 }, { depth = 1, width = 32 }]
[train]
model = { head = 8 }
data = { length = 64, batch = 2, tokens = 512 }
evaluate = { documents = 0 }
run = { device = "cpu", log = [] }
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family's file."""
    path = tmp_path_factory.mktemp("abilities") / "family.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def runs(file: Path) -> Path:
    """The runs of a trained family of two sizes and two seeds."""
    torch.set_num_threads(1)
    return family.make(family.load(file), file.parent / "family", SILENT)


@pytest.fixture(scope="module")
def model(runs: Path) -> LoadedRun:
    """One of them, with weights that make it say something."""
    found = load_run(runs / "depth1-width16-seed0")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in found.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return found


def test_what_is_asked_was_not_learnt(file: Path) -> None:
    settings = family.load(file)
    asked = {item.prompt for item in tasks.make("addition/1/tr", settings.held_out, settings.seed, shots=0)}
    learnt = {text.rsplit(" ", 1)[0] for text in family.texts(settings, "addition/1/tr")}
    assert len(asked) == 20
    assert len(learnt) == 60
    assert not asked & learnt


def test_answers_read_together_have_the_nats_that_they_have_alone(model: LoadedRun) -> None:
    items = tasks.make("addition/1/tr", 40, shots=1)
    for item, found in zip(items, ask.answer(model, items, "m", 1.0), strict=True):
        before = [model.tokenizer.bos, *model.tokenizer.encode(item.prompt)]
        for ending, nats in zip(item.options, found.option_nats, strict=True):
            both = [model.tokenizer.bos, *model.tokenizer.encode(item.prompt + ending)]
            assert both[: len(before)] == before
            with torch.no_grad():
                inputs = torch.tensor([both])
                states = model.model.hidden(inputs, Documents.whole(1, len(both)))
                expected = model.model.logits(states)[0].double().log_softmax(-1)
            own = sum(expected[k - 1, both[k]].item() for k in range(len(before), len(both)))
            assert nats == pytest.approx(own, abs=1e-4)


def test_digits_and_their_end_are_those_of_the_right_answer(model: LoadedRun) -> None:
    items = tasks.make("addition/1/tr", 40, shots=0)
    single = ask.digits(model.tokenizer)
    assert sorted(set(single.values())) == list("0123456789")
    for item, found in zip(items, ask.answer(model, items, "m", 1.0), strict=True):
        ids = [model.tokenizer.bos, *model.tokenizer.encode(item.prompt + item.targets[0])]
        states = model.model.hidden(torch.tensor([ids]), Documents.whole(1, len(ids)))
        expected = model.model.logits(states)[0].double().softmax(-1)
        places = range(len(ids) - len(found.target[0]), len(ids))
        nats = [math.log(expected[k - 1, ids[k]].item()) for k in places]
        assert found.digit_nats == pytest.approx(nats, abs=1e-4)
        assert found.digit_right == tuple(bool(expected[k - 1].argmax() == ids[k]) for k in places)
        more = sum(expected[-1, id].item() for id in single)
        assert found.end_nats == pytest.approx(math.log1p(-more), abs=1e-4)


def test_a_model_that_is_right_by_greedy_digits_writes_the_answer(model: LoadedRun) -> None:
    """A digit is right exactly if the model would write it after what stands before it."""
    items = tasks.make("addition/1/tr", 40, shots=0)
    answers = ask.answer(model, items, "m", 1.0)
    single, pieces = ask.digits(model.tokenizer), model.tokenizer
    texts = [ask._text(pieces, item.prompt, item.targets[0], model.bos) for item in items]
    places = [next(k for k in range(t.first, len(t.ids)) if t.ids[k] in single) for t in texts]
    before = [list(text.ids[:place]) for text, place in zip(texts, places, strict=True)]
    one = Sampling(method="greedy", tokens=1)
    written = generate(model.model, before, one, eos=pieces.eos, never=controls(pieces))
    for found, text, place, made in zip(answers, texts, places, written, strict=True):
        wanted = single[text.ids[place]]
        assert found.digit_right[0] == (bool(made.ids) and single.get(made.ids[0]) == wanted)


def test_texts_of_every_length_come_back_in_their_order(model: LoadedRun) -> None:
    random = np.random.default_rng(0)
    texts = []
    for _ in range(50):
        size = int(random.integers(2, 60))
        texts.append(ask._Text(tuple(random.integers(0, 200, size).tolist()), int(random.integers(1, size))))
    together = ask.read_all(model.model, texts, [])
    for text, found in zip(texts, together, strict=True):
        alone = ask.read_all(model.model, [text], [])[0]
        assert found.nats == pytest.approx(alone.nats, abs=1e-5)
        assert len(found.nats) == len(text.ids) - text.first


def test_a_tokenizer_that_merges_digits_is_found_out() -> None:
    texts = [f"{a} artı {b} kaç eder?" for a in range(100, 160) for b in range(100, 130)]
    assert ask.merged(Tokenizer(fit(texts, "bpe", 400))) == []
    written = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        vocab_size=400,
        model_type="bpe",
        split_digits=False,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    several = ask.merged(Tokenizer(written.getvalue()))
    assert several
    assert all(sum(map(str.isdigit, piece)) > 1 for piece in several)


def test_items_longer_than_the_models_windows_are_refused(model: LoadedRun) -> None:
    with pytest.raises(ConfigError, match="windows of 64 tokens"):
        ask.answer(model, tasks.make("addition/5/tr", 2, shots=5), "m", 1.0)


def test_the_number_of_items_follows_what_the_smallest_model_can_do(runs: Path) -> None:
    console = SILENT
    found = survey.survey([runs], ["addition/2/tr", "pairs/harmony"], console, most=210, shots=0)
    numbers, pairs = found.plans
    assert numbers.n == 210 < numbers.needed
    assert "needs" in numbers.describe()
    assert (pairs.n, pairs.needed) == (200, 5)
    assert len(found.outputs) == 4 * (210 + 200)
    assert {row.scale for row in found.outputs if row.model.startswith("depth1-width16")} == {
        float(load_run(runs / "depth1-width16-seed0").model.shape.parameters)
    }


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        survey.runs([tmp_path])


def test_runs_are_asked_judged_and_written_to_a_page(runs: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["abilities", str(runs), "--task", "addition/1/tr", "--n", "20", "--json", "-o", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    judged = json.loads((tmp_path / "abilities.json").read_text(encoding="utf-8"))
    assert [ability["task"] for ability in judged] == ["addition/1/tr"]
    assert judged[0]["kind"] in ("unclear", "absent")  # two sizes cannot tell
    assert len(outputs.read(tmp_path / "outputs.jsonl")) == 4 * 20
    assert "<svg" in (tmp_path / "abilities.html").read_text(encoding="utf-8")


def test_of_a_study_only_the_runs_of_its_table_are_asked(runs: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(runs, study)
    row = json.dumps({"folder": "depth1-width16-seed0"})
    (study / "runs.jsonl").write_text(f"{row}\n", encoding="utf-8")
    assert survey.runs([study]) == [study / "depth1-width16-seed0"]


def test_a_family_that_keeps_all_pairs_to_ask_learns_nothing_and_says_so(file: Path) -> None:
    settings: Family = family.load(file, ["held_out=100"])
    with pytest.raises(ConfigError, match="100 pairs in all"):
        list(family.texts(settings, "addition/1/tr"))
