"""A run computes the same however it is run: stopped, killed, divided into ranks, branched, started twice."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import time
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece as spm
import torch
from ranks import on_ranks, process
from rich.console import Console
from token_shards import tokenizer, write
from torch import Tensor
from typer.testing import CliRunner

import derlem
from benchmarks import kills
from commands.terminal import Terminal
from corpus import files, settings
from corpus.errors import CheckpointError, ConfigError, DatasetError, StoppedError
from corpus.teller import SILENT
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.train import fit
from trainer import fast_tokenizer, identity, metrics, preflight, recipe, run, selfcheck, tokens
from trainer.abilities import survey
from trainer.checkpoint import Checkpoints
from trainer.config import Config, Data, load
from trainer.guard import Guard, Unread
from trainer.identity import Branch
from trainer.load_run import described, load_run
from trainer.loop import Loop
from trainer.order import Order, Phase, Stream
from trainer.rope import Rope
from trainer.shape import shape
from trainer.throughput import Throughput
from trainer.world import World

STEPS = 12
VOCABULARY = Tokenizer(tokenizer()).vocabulary
DEEP = "[" * 100_000
COUNTED = '"steps": 12, "tokens": 1536, "unique_tokens": 1000, "streams": {}'


def made(**changes: Any) -> Config:
    """A configuration of twelve steps of 8 windows of 16 tokens, with other values by dotted key."""
    data: dict[str, Any] = {
        "model": {"depth": 1, "width": 32, "head": 16},
        "data": {"length": 16, "batch": 8, "tokens": STEPS * 8 * 16},
        "optimizer": {"ema": 0.5},
        "evaluate": {"documents": 4, "every": 6},
        "checkpoint": {"every": 4, "keep": 2},
        "run": {"device": "cpu", "log": []},
    }
    return settings.parse(Config, settings.overlay(data, [f"{k}={v}" for k, v in changes.items()]), "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Token shards whose next token is mostly the one after: 40 documents of 5 to 60 tokens."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    documents = [
        [*((np.arange(random.integers(4, 59)) + random.integers(40)) % 40 + 3).tolist(), 2] for _ in range(44)
    ]
    held = {"tur_Latn/web": [documents[40:]]}
    write(folder, {"tur_Latn/web": [documents[:40]]}, validation=held, model=tokenizer())
    return str(folder)


def train(corpus: str, folder: Path, config: Config | None = None, branch: Branch | None = None) -> Any:
    torch.set_num_threads(1)
    return run.train(corpus, folder, config or made(), SILENT, branch)


def losses(folder: Path) -> list[float]:
    """The losses that a run logged, in the order of its lines."""
    return [line["loss"] for line in metrics.read(folder / metrics.FILE, "train")]


@pytest.fixture(scope="module")
def whole(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(corpus, folder)
    return folder


def test_a_run_learns_and_says_what_it_did(whole: Path) -> None:
    logged = losses(whole)
    assert len(logged) == STEPS
    assert logged[0] == pytest.approx(np.log(VOCABULARY), abs=0.02)
    assert logged[-1] < logged[0] - 1
    result = json.loads((whole / "result.json").read_text())
    assert result["steps"] == STEPS
    assert result["tokens"] == STEPS * 8 * 16
    stream = result["streams"]["tur_Latn/web"]
    assert stream["read"] == pytest.approx(result["tokens"], abs=16)
    assert result["unique_tokens"] == stream["tokens"] < result["tokens"]
    lines = metrics.read(whole / metrics.FILE)
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [6, 12]
    assert [line["kind"] for line in lines[-3:]] == ["evaluation", "outlook", "evaluation_ema"]
    assert result["evaluation"]["all"] == lines[-3]["scores"]["all"]
    assert result["outlook"] == lines[-2]["outlook"]
    assert result["outlook"]["limit"] == "data"  # far fewer tokens than parameters
    assert result["evaluation_ema"]["all"]["bits_per_byte"] != result["evaluation"]["all"]["bits_per_byte"]
    assert result["evaluation"]["all"]["documents"] == 4


def test_a_tokenizer_that_loses_text_is_told_before_the_training_and_marks_every_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [[3, 4, 5, 6, 2]] * 40
    held = {"tur_Latn/web": [documents[:4]]}
    corpus, folder = tmp_path / "corpus", tmp_path / "run"
    lossy = io.BytesIO()
    spm.SentencePieceTrainer.Train(
        sentence_iterator=iter(["bir iki üç", "dört beş"]),
        model_writer=lossy,
        model_type="word",
        vocab_size=8,
        minloglevel=2,
    )
    model = lossy.getvalue()
    write(corpus, {"tur_Latn/web": [documents]}, validation=held, lost=(7, 9), model=model)
    torch.set_num_threads(1)
    result = run.train(str(corpus), folder, made(), Terminal(Console(stderr=True, width=500)))
    said = capsys.readouterr().err
    before, _, after = said.partition("parameters,")
    assert "7 of 44 documents do not come back from their tokens, and 9 of" in before
    assert "`derlem export` will refuse it: the tokenizer cannot be exported: it changes text" in before
    assert "held out >" in after
    assert "about" not in after
    assert {score["exact"] for score in result["evaluation"].values()} == {False}
    assert json.loads((folder / "result.json").read_text())["evaluation"]["all"]["exact"] is False
    assert described(result["evaluation"]["all"]).endswith("; too low: the tokenizer loses text)")
    with pytest.raises(ConfigError, match="cannot be exported"):
        fast_tokenizer.convert(Tokenizer(lossy.getvalue()), False)


def test_a_tokenizer_that_keeps_all_text_is_no_matter(
    corpus: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    result = run.train(corpus, tmp_path, made(), Terminal(Console(stderr=True, width=500)))
    said = capsys.readouterr().err
    assert "export" not in said
    assert "too low" not in said
    assert {score["exact"] for score in result["evaluation"].values()} == {True}


@pytest.mark.parametrize(
    ("times", "chosen", "told"), [(3, {}, True), (1, {}, False), (3, {"permute": "windows"}, False)]
)
def test_text_that_is_read_again_in_the_same_windows_is_told_unless_they_were_chosen(
    times: int, chosen: dict[str, str], told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    read = Order([Stream("tr", np.array([1025]))], [Phase(1024 * times, {"tr": 1.0}, 64, 4)], 0)
    preflight.say_of_repeats(
        Config(data=Data.model_validate(chosen)), read, Terminal(Console(stderr=True, width=500))
    )
    assert ("it reads its text 3.0 times" in capsys.readouterr().err) == told


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model.activation": "relu2"}, "have only swiglu"),
        ({"model.experts.count": 4, "model.experts.shared": 0}, "GLM-4-MoE has a shared expert"),
    ],
)
def test_a_model_that_cannot_be_exported_is_told_before_the_training(
    changes: dict[str, Any], expected: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    short = made(**changes, **{"data.tokens": 128, "evaluate.documents": 0})
    run.train(corpus, tmp_path, short, Terminal(Console(stderr=True, width=500)))
    said = capsys.readouterr().err
    assert "this model will train, but `derlem export` will refuse it: model." in said
    assert expected in said


def test_the_speed_of_a_step_is_that_of_its_own_time_also_before_and_after_an_evaluation(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    step = Loop.step

    def timed(self: Loop, batches: Any, rate: float) -> Any:
        now[0] += 1.0
        return step(self, batches, rate)

    monkeypatch.setattr(Loop, "step", timed)
    monkeypatch.setattr(run, "Throughput", partial(Throughput, clock=lambda: now[0]))
    train(corpus, tmp_path / "run", made(**{"evaluate.every": 3}))
    speeds = [line["tokens_per_second"] for line in metrics.read(tmp_path / "run" / metrics.FILE, "train")]
    assert speeds == pytest.approx([8 * 16] * STEPS, rel=0.15)  # rows are not all full


def test_a_finished_run_is_not_trained_again(whole: Path, corpus: str) -> None:
    before = (whole / metrics.FILE).stat()
    assert train(corpus, whole)["steps"] == STEPS
    after = (whole / metrics.FILE).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_run_killed_between_its_last_checkpoint_and_its_result_gives_the_result(
    whole: Path, corpus: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "result.json").unlink()
    found, expected = train(corpus, folder), json.loads((whole / "result.json").read_text())
    del found["rate"], expected["rate"]  # of this process, which has trained nothing
    assert json.loads(json.dumps(found)) == expected
    assert (folder / metrics.FILE).read_bytes() == (whole / metrics.FILE).read_bytes()


def test_a_look_that_fails_loses_no_result(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: run.Run) -> None:
        raise ConfigError("prompt 0 is empty")

    monkeypatch.setattr(run.Run, "show", fail)
    with pytest.raises(ConfigError):
        train(corpus, tmp_path / "run")
    assert (tmp_path / "run" / "result.json").exists()


def test_a_run_without_evaluation_and_with_less_than_a_window_to_read_ends(tmp_path: Path) -> None:
    write(tmp_path / "corpus", {"tur_Latn/web": [[[5, 6, 7, 2]]]}, model=tokenizer())
    with pytest.raises(DatasetError, match=r"split 'validation'.*shard\.validation.*evaluate\.documents = 0"):
        train(str(tmp_path / "corpus"), tmp_path / "run")
    result = train(str(tmp_path / "corpus"), tmp_path / "run", made(**{"evaluate.documents": 0}))
    assert (result["steps"], result["unique_tokens"], result["documents"]) == (STEPS, 4, None)
    assert "evaluation" not in result
    assert result["streams"]["tur_Latn/web"]["read"] == STEPS * 8 * 3


def _train_slowly(corpus: str, folder: str) -> None:
    """Train, a little time between steps, so that there is a moment to be hit in."""
    advance = run.Run.advance

    def slowly(self: run.Run, batches: Any) -> Any:
        time.sleep(0.05)
        return advance(self, batches)

    run.Run.advance = slowly  # type: ignore[method-assign]
    try:
        train(corpus, Path(folder))
    except StoppedError as stopped:
        os._exit(128 + stopped.signal)


def _until(training: BaseProcess, folder: Path, lines: int) -> None:
    """Wait until a run in a process has logged this many lines."""
    end = time.monotonic() + 60
    file = folder / metrics.FILE
    while not file.exists() or file.read_bytes().count(b"\n") < lines:
        assert training.is_alive(), "the run failed"
        assert time.monotonic() < end, "the run did not start"
        time.sleep(0.002)


@pytest.mark.parametrize("lines", [1, 9])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_losses(
    lines: int, whole: Path, corpus: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    training = process(_train_slowly, corpus, str(folder))
    _until(training, folder, lines)
    training.kill()
    training.join()
    assert not (folder / "result.json").exists()
    train(corpus, folder)
    assert losses(folder) == losses(whole)
    scores = [json.loads((each / "result.json").read_text())["evaluation_ema"] for each in (folder, whole)]
    assert scores[0] == scores[1]


def _nothing() -> None:
    """Do nothing, in a process."""


def test_a_killed_rank_ends_the_other_and_both_resume_to_the_same_losses(corpus: str, tmp_path: Path) -> None:
    """A trial of `benchmarks.kills`, which makes a hundred."""
    process(_nothing).join()  # so that the server that forks its ranks is that of all tests
    small = (
        "model.depth=1",
        "model.width=32",
        "model.head=16",
        "data.length=16",
        "data.batch=8",
        "data.tokens=1280",
    )
    changes = (*small, "checkpoint.every=3", "evaluate.documents=0", "run.log=[]", "run.device=cpu")
    expected = kills.undisturbed(corpus, tmp_path / "whole", changes, 2)
    found = kills.trial(corpus, tmp_path / "run", changes, expected, number=1, ranks=2, after=4)
    assert found.same
    assert 4 <= found.logged < len(expected) == 10
    assert found.lived < 30


def test_sigterm_saves_and_leaves(whole: Path, corpus: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    training = process(_train_slowly, corpus, str(folder))
    _until(training, folder, 2)
    assert training.pid is not None
    os.kill(training.pid, signal.SIGTERM)
    training.join()
    assert training.exitcode == 128 + signal.SIGTERM
    done = len(losses(folder))
    assert 2 <= done < STEPS
    assert sorted(path.name for path in (folder / "checkpoints").iterdir())[-1] == f"{done:010d}"
    train(corpus, folder)
    assert losses(folder) == losses(whole)


def test_micro_batches_change_nothing_but_rounding(whole: Path, corpus: str, tmp_path: Path) -> None:
    for size in (16, 50):  # one window of 16 tokens, and three
        folder = tmp_path / str(size)
        train(corpus, folder, made(**{"run.micro_batch": size}))
        assert losses(folder) == pytest.approx(losses(whole), abs=1e-4)


def _on_rank(
    world: World, corpus: str, folder: str, parallel: str, changes: dict[str, Any] | None = None
) -> None:
    torch.set_num_threads(1)
    config = made(**{"run.parallel": parallel}, **(changes or {}))
    opened = tokens.open(corpus)
    order = preflight.open_order(config, opened, world.size)
    run.Run(Path(folder), config, opened, order, world, SILENT).go(None)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_train_as_one(parallel: str, whole: Path, corpus: str, tmp_path: Path) -> None:
    on_ranks(_on_rank, corpus, str(tmp_path), parallel)
    assert losses(tmp_path) == pytest.approx(losses(whole), abs=1e-4)
    found = [
        {
            line["step"]: line["scores"]["all"]["nll"]
            for line in metrics.read(each / metrics.FILE, "evaluation")
        }
        for each in (tmp_path, whole)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_branch_goes_on_from_its_trunk_with_a_schedule_of_its_own(
    whole: Path, corpus: str, tmp_path: Path
) -> None:
    steady = {"schedule.decay": 0.0, "schedule.warmup": 0.25, "checkpoint.keep": 3}
    trunk, branch = tmp_path / "trunk", tmp_path / "branch"
    train(corpus, trunk, made(**steady))
    half = {"data.tokens": STEPS * 8 * 16 // 2, "schedule.decay": 1 / 3, "schedule.warmup": 0.5}
    train(corpus, branch, made(**half), Branch(trunk, 4))
    assert len(losses(branch)) == 2
    rates = [line["rate"] for line in metrics.read(branch / metrics.FILE, "train")]
    assert rates[0] > rates[1] > 0
    assert losses(branch)[0] == losses(trunk)[4]


def test_another_run_does_not_go_on_in_a_runs_folder(whole: Path, corpus: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.length was 16, is 8.*choose another --output"):
        train(corpus, whole, made(**{"data.length": 8}))


def test_the_order_of_a_run_is_shown_as_the_run_has_it(whole: Path, corpus: str) -> None:
    def shown(*words: str) -> Any:
        return CliRunner().invoke(derlem.app, ["data", "order", *words, "--step", "3", "--json"])

    planned = ["--set", "data.length=16", "--set", "data.batch=8", "--set", f"data.tokens={STEPS * 8 * 16}"]
    assert shown(str(whole)).stdout == shown(corpus, *planned).stdout != shown(corpus).stdout
    assert shown(str(whole), "--preset", "tiny").exit_code == 2


def test_a_size_and_tokens_are_trained_by_the_recipe_and_set_is_stronger(corpus: str, tmp_path: Path) -> None:
    def told(*words: str) -> str:
        sizes = ("--parameters", "80000", "--tokens", "2000", "--set", "data.length=16")
        found = CliRunner().invoke(derlem.app, ["train", corpus, "-o", str(tmp_path / "run"), *sizes, *words])
        assert found.exit_code == 0, found.output
        return found.stderr

    said = told("--set", "optimizer.lr=0.02")
    made = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert f"--set data.batch={made['data']['batch']} " in said
    assert made["data"]["tokens"] == 2000
    assert made["optimizer"]["lr"] == 0.02
    assert "done" in told("--set", "optimizer.lr=0.02")  # the same: it is finished


def test_the_recipe_is_that_of_the_optimizer_and_model_that_set_chooses(corpus: str, tmp_path: Path) -> None:
    chosen = ["optimizer.name=adamw", "model.experts.count=4", "data.length=16", "optimizer.lr=0.02"]
    options = [word for each in chosen for word in ("--set", each)]
    sizes = ["--parameters", "90000", "--tokens", "2000"]
    found = CliRunner().invoke(derlem.app, ["train", corpus, "-o", str(tmp_path / "run"), *sizes, *options])
    assert found.exit_code == 0, found.output
    base = load("tiny", chosen[:3])
    expected = recipe.overrides(base, VOCABULARY, 90_000, 2_000)
    assert " ".join(f"--set {each}" for each in expected) in found.stderr
    made = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["optimizer"]
    assert (made["lr"], made["embedding_lr"], made["weight_decay"]) == (
        0.02,
        1.0,
        base.optimizer.weight_decay,
    )


def test_set_of_what_the_recipe_chooses_does_not_change_the_rest_of_it(corpus: str, tmp_path: Path) -> None:
    def rates(*words: str) -> list[float]:
        folder, options = tmp_path / str(len(words)), ("--tokens", "2000", "--set", "data.length=16", *words)
        found = CliRunner().invoke(derlem.app, ["train", corpus, "-o", str(folder), *options])
        assert found.exit_code == 0, found.output
        made = json.loads((folder / "run.json").read_text())["config"]["optimizer"]
        return [made[key] for key in ("lr", "matrix_lr", "weight_decay")]

    assert rates() == rates("--set", "data.batch=4")


def test_more_tokens_for_a_finished_run_are_trained_in_a_branch(whole: Path, corpus: str) -> None:
    with pytest.raises(ConfigError, match=r"finished \(data\.tokens was 1536, is 3072\).*--branch .*/run@8$"):
        train(corpus, whole, made(**{"data.tokens": 2 * STEPS * 8 * 16}))


def test_another_corpus_or_branch_is_refused_also_where_there_is_no_checkpoint(
    whole: Path, corpus: str, tmp_path: Path
) -> None:
    write(tmp_path / "other", {"tur_Latn/web": [[[5, 6, 7, 2]] * 50]}, model=tokenizer())
    with pytest.raises(DatasetError, match=r"changed: the streams' names .*the tokens themselves"):
        train(str(tmp_path / "other"), whole)
    with pytest.raises(ConfigError, match="--branch was none, is trunk@4"):
        train(corpus, whole, branch=Branch(tmp_path / "trunk", 4))


def test_a_corpus_without_its_tokenizer_is_named(corpus: str, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    (tmp_path / "corpus" / MODEL).unlink()
    with pytest.raises(DatasetError, match=rf"{MODEL}: No such file .* run `derlem tokenize` again"):
        train(str(tmp_path / "corpus"), tmp_path / "run")
    (tmp_path / "corpus" / MODEL).mkdir()
    with pytest.raises(DatasetError, match=rf"{MODEL}: Is a directory"):
        train(str(tmp_path / "corpus"), tmp_path / "run")


def test_an_evaluation_reads_no_earlier_one_and_a_resumed_run_has_the_same_outlook(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    usual = metrics.read

    def counted(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
        reads.append(path)
        return usual(path, kind)

    def outlooks(folder: Path) -> list[Any]:
        return [line["outlook"] for line in usual(folder / metrics.FILE, "outlook")]

    monkeypatch.setattr(metrics, "read", counted)
    for every in (1, STEPS):
        reads.clear()
        train(corpus, tmp_path / str(every), made(**{"evaluate.every": every}))
        assert len(reads) == 2, "at the start and at the end"
    assert len(outlooks(tmp_path / "1")) == STEPS
    half = made(**{"evaluate.every": 1, "checkpoint.every": 5, "checkpoint.keep": 9})
    train(corpus, tmp_path / "half", half)
    for step in (10, 12):
        shutil.rmtree(tmp_path / "half" / "checkpoints" / f"{step:010d}")
    (tmp_path / "half" / "result.json").unlink()
    train(corpus, tmp_path / "half", half)
    assert outlooks(tmp_path / "half") == outlooks(tmp_path / "1")


OTHER_WORDS = ["on bir on iki on üç on dört on beş on altı on yedi"] * 9


@pytest.mark.parametrize("pieces", [330, VOCABULARY])
def test_shards_beside_another_tokenizer_are_refused_before_anything_is_written(
    corpus: str, tmp_path: Path, pieces: int
) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    (tmp_path / "corpus" / MODEL).write_bytes(fit(OTHER_WORDS, "unigram", pieces))
    other = Tokenizer((tmp_path / "corpus" / MODEL).read_bytes()).vocabulary
    expected = rf"has {other} pieces .* made with a tokenizer of {VOCABULARY} pieces .*: .* `derlem tokenize`"
    with pytest.raises(DatasetError, match=expected):
        train(str(tmp_path / "corpus"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_beside_another_tokenizer_is_neither_evaluated_nor_continued_as_text(
    whole: Path, tmp_path: Path
) -> None:
    """Evaluation, generation, export, tasks and studies open a run in one way."""
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / MODEL).write_bytes(fit(OTHER_WORDS, "unigram", 330))
    other = Tokenizer((tmp_path / "run" / MODEL).read_bytes()).vocabulary
    for opens in (load_run, lambda folder: survey.size(folder, "parameters")):
        with pytest.raises(ConfigError, match=rf"{MODEL} has {other} pieces .* restore it from the token sh"):
            opens(tmp_path / "run")


def test_what_could_not_begin_leaves_no_run_behind(whole: Path, corpus: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ConfigError, match="head dimension must divide the width"):
        train(corpus, folder, made(**{"model.width": 40}))
    with pytest.raises(CheckpointError, match="no checkpoint of step 5; existing ones: 8, 12"):
        train(corpus, folder, branch=Branch(whole, 5))
    assert not folder.exists()


def test_a_record_is_written_whole_after_a_kill_in_the_middle(corpus: str, tmp_path: Path) -> None:
    config, opened = made(), tokens.open(corpus)
    order = preflight.open_order(config, opened, 1)
    found, sizes = identity.record(config, opened, order, None), shape(config.model, opened.vocabulary)
    (tmp_path / "run.json.tmp-0123abcd").touch()
    for missing in ("run.json", MODEL):
        (tmp_path / missing).unlink(missing_ok=True)
        identity.check(tmp_path, found)
        identity.write(tmp_path, found, opened, sizes)
        more = {
            "parameters": sizes.parameters,
            "active_parameters": sizes.parameters,
            "beside": files.seen_from(corpus, str(tmp_path)),
        }
        assert files.read_json(str(tmp_path), "run.json") == found | more
        assert (tmp_path / MODEL).exists()


def test_a_run_finds_its_corpus_from_anywhere_and_after_a_move(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(corpus, project / "corpus")
    monkeypatch.chdir(project)
    config, opened = made(), tokens.open("corpus")
    found = identity.record(config, opened, preflight.open_order(config, opened, 1), None)
    identity.write(Path("run"), found, opened, shape(config.model, opened.vocabulary))
    monkeypatch.chdir("/")

    def held(run: Path) -> str:
        record = identity.read(run)
        assert record is not None
        return str(record["corpus"])

    assert held(project / "run") == str(project / "corpus")
    shutil.copytree(project / "run", tmp_path / "alone")
    assert held(tmp_path / "alone") == str(project / "corpus")
    moved = project.rename(tmp_path / "moved")
    assert held(moved / "run") == str(moved / "corpus")
    assert held(tmp_path / "alone") == str(project / "corpus")  # as it was: to be named where it is missed


def test_a_folder_that_takes_no_files_is_named(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "write_json", refuse)
    with pytest.raises(ConfigError, match=r"run: cannot be written to: Permission denied; name another"):
        train(corpus, tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        train(corpus, tmp_path / "file")


def test_a_run_keeps_out_of_folders_that_hold_something_else(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="no run of derlem"):
        train(corpus, tmp_path)


def test_a_batch_that_reads_the_corpus_again_and_again_is_refused_before_any_work(
    corpus: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch = 1,000,000: .* expected at most [\d,]+$"):
        train(corpus, tmp_path / "run", made(**{"data.batch": 1_000_000}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("run.json", content) for content in ("{", "[]", "{}", "3", '{"config": {}}', "\udcff", DEEP)),
        ("run.json", '{"config": {}, "data": "", "bos": false, "branch": "trunk@4"}'),
        ("run.json", '{"config": {}, "data": 5, "bos": false, "branch": null}'),
        *(("result.json", content) for content in ("{", "[]", "{}", "3", "\udcff", DEEP)),
        ("result.json", f'{{{COUNTED}, "evaluation": {{"all": {{"documents": 4}}}}}}'),
        ("result.json", f'{{{COUNTED}, "evaluation": {{"all": "good"}}}}'),
    ],
)
def test_a_damaged_record_of_a_run_is_named(
    whole: Path, corpus: str, tmp_path: Path, name: str, content: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=rf"{name} .*restore the file, or name another folder"):
        train(corpus, folder)
    if name == "run.json":
        with pytest.raises(ConfigError, match=rf"{name} .*restore the file, or name another folder"):
            load_run(folder)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_ends_the_run_with_the_key_to_change(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def step(*_: object) -> None:
        raise error

    monkeypatch.setattr(Loop, "step", step)
    with pytest.raises(
        ConfigError,
        match=r"run\.micro_batch = 0: out of memory .* 128 tokens at once \(8 × 16\); set it to 64 or less",
    ):
        train(corpus, tmp_path / "run")


@pytest.mark.parametrize(
    "line", ["{", "3", DEEP, '{"kind": "train"}', '{"kind": "train", "step": "1"}', '{"step": 1}', "\udcff"]
)
def test_a_damaged_line_of_a_runs_metrics_is_named_and_left_out_where_a_run_goes_on(
    whole: Path, corpus: str, tmp_path: Path, line: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    logged = (folder / metrics.FILE).read_bytes()
    (folder / metrics.FILE).write_bytes(line.encode(errors="surrogateescape") + b"\n" + logged)
    with pytest.raises(ConfigError, match=r"metrics\.jsonl, line 1: has no kind and step"):
        metrics.read(folder / metrics.FILE)
    (folder / "result.json").unlink()
    train(corpus, folder)
    assert (folder / metrics.FILE).read_bytes() == logged


def test_metrics_that_are_no_file_are_named(whole: Path, corpus: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "result.json").unlink()
    (folder / metrics.FILE).unlink()
    (folder / metrics.FILE).mkdir()
    with pytest.raises(ConfigError, match=r"metrics\.jsonl: cannot be read: Is a directory"):
        train(corpus, folder)


def test_a_corpus_without_tokens_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/web": [[]]})
    with pytest.raises(ConfigError, match=r"has no tokens \(train\): add text"):
        preflight.open_order(made(), tokens.open(str(tmp_path)), 1)


def test_ranks_must_share_a_batch_evenly(corpus: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch = 8: 3 ranks"):
        preflight.open_order(made(), tokens.open(corpus), 3)


@pytest.mark.parametrize("bad", [(6, 7), (7, 8, 9)])  # of the second, step 8 has a checkpoint of its own
def test_bad_steps_in_a_row_bring_the_last_checkpoint_back(
    bad: tuple[int, ...], corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    decide = Guard.decide

    def worried(self: Guard, loss: Tensor, norm: Tensor) -> Tensor:
        seen.append(float(loss))
        return decide(self, loss, norm if len(seen) not in bad else norm * math.nan)

    monkeypatch.setattr(Guard, "decide", worried)
    result = train(corpus, tmp_path / "run", made(**{"optimizer.patience": len(bad)}))
    lines = metrics.read(tmp_path / "run" / metrics.FILE)
    assert [(line["step"], line["to"]) for line in lines if line["kind"] == "rollback"] == [(bad[-1] + 1, 4)]
    assert [line["step"] for line in lines if line.get("skipped")] == [*bad]
    assert result["rollbacks"] == 1
    assert len(seen) == STEPS  # no data are read again


@pytest.mark.parametrize("stop", [6, 7, 8, 9])
def test_a_run_that_stops_between_bad_steps_and_the_way_back_goes_back_at_the_same_step(
    stop: int, corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, advance, stops, at = Guard.decide, run.Run.advance, {stop}, [0]

    def watched(self: run.Run, batches: Any) -> Any:
        at[0] = self.step + 1
        if at[0] in stops:
            stops.clear()
            signal.raise_signal(signal.SIGTERM)
        return advance(self, batches)

    def worried(self: Guard, loss: Tensor, norm: Tensor) -> Tensor:
        return decide(self, loss, norm if at[0] not in (6, 7) else norm * math.nan)

    monkeypatch.setattr(run.Run, "advance", watched)
    monkeypatch.setattr(Guard, "decide", worried)
    settings, folder, whole = made(**{"optimizer.patience": 2}), tmp_path / "run", tmp_path / "whole"
    with pytest.raises(StoppedError):
        train(corpus, folder, settings)
    train(corpus, folder, settings)
    train(corpus, whole, settings)
    assert losses(folder) == losses(whole)
    for each in (folder, whole):
        assert [(line["step"], line["to"]) for line in metrics.read(each / metrics.FILE, "rollback")] == [
            (8, 4)
        ]


def test_a_loss_that_stays_not_finite_ends_the_run_with_a_message(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    decide = Guard.decide

    def spoiled(self: Guard, loss: Tensor, norm: Tensor) -> Tensor:
        seen.append(float(loss))
        return decide(self, loss if len(seen) < 6 else loss * math.nan, norm)

    monkeypatch.setattr(Guard, "decide", spoiled)
    with pytest.raises(ConfigError, match=r"not finite: loss nan.*step 8 has not helped"):
        train(corpus, tmp_path / "run", made(**{"optimizer.patience": 2}))
    assert not (tmp_path / "run" / "result.json").exists()
    assert len(seen) == 11  # two skipped steps and one until they are read, a rollback, and three more


def test_skipped_steps_are_counted_through_a_rollback(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    decide = Guard.decide

    def worried(self: Guard, loss: Tensor, norm: Tensor) -> Tensor:
        seen.append(float(loss))
        return decide(self, loss, norm if len(seen) not in (2, 6, 7, 10) else norm * math.nan)

    monkeypatch.setattr(Guard, "decide", worried)
    result = train(corpus, tmp_path / "run", made(**{"optimizer.patience": 2}))
    assert (result["skipped"], result["rollbacks"]) == (4, 1)


def test_a_run_of_an_earlier_version_resumes_though_a_key_was_added(corpus: str, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["config"]["model"]["soft_cap"], record["config"]["checkpoint"]["mirror"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    (tmp_path / "run" / "result.json").unlink()
    assert train(corpus, tmp_path / "run")["steps"] == STEPS


@pytest.fixture(scope="module")
def reserved(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The corpus, as if its tokenizer had all the pieces that it reserves."""
    folder = tmp_path_factory.mktemp("reserved") / "corpus"
    shutil.copytree(corpus, folder)
    manifest = folder / "manifest.json"
    rows = json.loads(manifest.read_text())
    rows["facts"] |= {"vocabulary": Tokenizer(tokenizer()).vocabulary, "padded_vocabulary": 384}
    manifest.write_text(json.dumps(rows))
    return str(folder)


MIXTURE = {"data.length": 64, "data.batch": 2, "objective.mixture": "true", "objective.share": 0.15}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("fill-in-the-middle", {}),
        ("masked", {}),
        ("masked", {"objective.words": "true"}),
        ("span-corruption", {"data.length": 32, "data.batch": 4}),
        ("span-corruption", {"data.length": 32, "data.batch": 4, "model.kind": "encoder-decoder"}),
        ("span-corruption", {**MIXTURE, "model.kind": "encoder-decoder"}),
        ("span-corruption", MIXTURE),
    ],
)
def test_other_objectives_learn_and_resume_bit_for_bit(
    name: str, more: dict[str, Any], reserved: str, tmp_path: Path
) -> None:
    settings = {"objective.name": name, "objective.share": 0.5, "model.qk_norm": "false", **more}
    whole, folder = tmp_path / "whole", tmp_path / "run"
    result = train(reserved, whole, made(**settings))
    assert losses(whole)[-1] < losses(whole)[0] - 0.5
    assert ("evaluation" in result) == (name == "fill-in-the-middle")
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints" / "0000000012")
    (folder / "result.json").unlink()
    again = train(reserved, folder, made(**settings))
    assert losses(folder) == losses(whole)
    opened = load_run(folder)
    assert opened.encoder == (name == "masked")
    if opened.encoder:
        assert again["evaluation_masked"]["tokens"] == result["evaluation_masked"]["tokens"] > 20
        assert "masked held-out token" in str(opened.facts())
        with pytest.raises(ConfigError, match="an encoder, which learned masked tokens"):
            opened.decoder()
    if name == "span-corruption":
        assert again["evaluation_spans"] == result["evaluation_spans"]
        assert again["evaluation_spans"]["tokens"] > 20
        assert "held-out token of spans" in str(opened.facts())
        with pytest.raises(ConfigError, match="it learned to write the spans"):
            opened.decoder()


@pytest.fixture(scope="module")
def mixed(reserved: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with experts."""
    folder = tmp_path_factory.mktemp("mixed") / "run"
    train(reserved, folder, made(**EXPERTS))
    return folder


EXPERTS = {"model.experts.count": 4, "model.experts.balance": 0.02, "checkpoint.keep": 3}


def biases(folder: Path, step: int | None = None, *, ema: bool = False) -> torch.Tensor:
    return load_run(folder, step, ema=ema).model.get_buffer("blocks.0.feed.router.bias")


def test_a_run_with_experts_learns_and_says_how_even_their_load_is(mixed: Path) -> None:
    assert losses(mixed)[-1] < losses(mixed)[0] - 0.3
    result, opened = json.loads((mixed / "result.json").read_text()), load_run(mixed)
    sizes = opened.model.shape
    assert result["parameters"] == sizes.parameters > result["active_parameters"] == sizes.active_parameters
    held = identity.read(mixed)
    assert held is not None
    assert (held["parameters"], held["active_parameters"]) == (sizes.parameters, sizes.active_parameters)
    assert opened.facts()["parameters"] == f"{sizes.parameters:,} ({sizes.active_parameters:,} active)"
    load = metrics.read(mixed / metrics.FILE, "experts")
    assert [line["step"] for line in load] == [6, 12]
    assert all(0.25 <= line["busiest"] <= 0.5 and line["even"] == 0.25 for line in load)
    found = biases(mixed)
    assert torch.equal((found / 0.02).round() * 0.02, found.round(decimals=6))  # twelve steps, up or down
    assert 0 < found.abs().max() <= 12 * 0.02 + 1e-6


def test_experts_continue_texts_are_scored_and_exported(mixed: Path, reserved: str, tmp_path: Path) -> None:
    def told(*words: str) -> str:
        found = CliRunner().invoke(derlem.app, [words[0], str(mixed), *words[1:]])
        assert found.exit_code == 0, found.output
        return found.stdout

    words = ("generate", "--prompt", "bir", "--set", "tokens=4", "--json")
    assert json.loads(told(*words)) == json.loads(told(*words))
    scored = json.loads(told("evaluate", reserved, "--documents", "4", "--json"))["all"]["bits_per_byte"]
    stored = json.loads((mixed / "result.json").read_text())["evaluation"]["all"]["bits_per_byte"]
    assert scored == pytest.approx(stored, rel=1e-5)
    told("export", str(tmp_path / "model"))
    stated = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (stated["model_type"], stated["n_routed_experts"]) == ("glm4_moe", 4)
    assert "active) |" in (tmp_path / "model" / "README.md").read_text()
    parameters = json.loads(told("status", "--json"))
    assert parameters["parameters"] > parameters["active_parameters"]


def test_biases_of_experts_resume_bit_for_bit_and_are_averaged(
    mixed: Path, reserved: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(mixed, folder)
    shutil.rmtree(folder / "checkpoints" / "0000000012")
    (folder / "result.json").unlink()
    assert not torch.equal(biases(mixed, 8), biases(mixed))
    train(reserved, folder, made(**EXPERTS))
    assert losses(folder) == losses(mixed)
    assert torch.equal(biases(folder), biases(mixed))
    averaged = biases(mixed, ema=True)
    assert torch.equal(averaged, biases(folder, ema=True))
    assert not torch.equal(averaged, biases(mixed))
    both = load_run(mixed, last=2).model.get_buffer("blocks.0.feed.router.bias")
    torch.testing.assert_close(both, (biases(mixed, 8) + biases(mixed)) / 2)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_train_experts_as_one(parallel: str, mixed: Path, reserved: str, tmp_path: Path) -> None:
    on_ranks(_on_rank, reserved, str(tmp_path), parallel, EXPERTS)
    assert losses(tmp_path) == pytest.approx(losses(mixed), abs=1e-4)
    counts = [metrics.read(each / metrics.FILE, "experts") for each in (tmp_path, mixed)]
    for found, expected in zip(*counts, strict=True):
        assert found["busiest"] == pytest.approx(expected["busiest"], abs=0.01)
    state = Checkpoints(tmp_path / "checkpoints").tensors(12, "model")
    torch.testing.assert_close(state["blocks.0.feed.router.bias"], biases(mixed))


def test_micro_batches_of_experts_change_nothing_but_rounding(
    mixed: Path, reserved: str, tmp_path: Path
) -> None:
    train(reserved, tmp_path / "run", made(**EXPERTS, **{"run.micro_batch": 50}))
    assert losses(tmp_path / "run") == pytest.approx(losses(mixed), abs=1e-4)
    torch.testing.assert_close(biases(tmp_path / "run"), biases(mixed))


def test_experts_in_single_precision_are_not_compiled(corpus: str, tmp_path: Path) -> None:
    changes = EXPERTS | {"run.compile": "always"}
    with pytest.raises(ConfigError, match=r'set run\.dtype = "bfloat16", or run\.compile = "auto"'):
        train(corpus, tmp_path / "run", made(**changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "windows", [{"data.length": 8}, {"data.phases": "[{tokens=256, length=8}]"}], ids=["all", "phase"]
)
def test_windows_too_short_for_spans_are_refused(corpus: str, windows: dict[str, Any]) -> None:
    changes = {"objective.name": "span-corruption", **windows}
    with pytest.raises(ConfigError, match=r"windows of 8 tokens: .*at least 16 tokens; set data\.length"):
        preflight.open_order(made(**changes), tokens.open(corpus), 1)
    assert preflight.open_order(made(**changes | {"objective.name": "causal"}), tokens.open(corpus), 1).steps


PAIRED = {
    "objective.name": "span-corruption",
    "model.kind": "encoder-decoder",
    "model.qk_norm": "false",
    "data.length": 32,
    "data.batch": 4,
}


@pytest.fixture(scope="module")
def paired(reserved: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of an encoder-decoder."""
    folder = tmp_path_factory.mktemp("paired") / "run"
    train(reserved, folder, made(**PAIRED))
    return folder


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_train_an_encoder_decoder_as_one(
    parallel: str, paired: Path, reserved: str, tmp_path: Path
) -> None:
    on_ranks(_on_rank, reserved, str(tmp_path), parallel, PAIRED)
    assert losses(tmp_path) == pytest.approx(losses(paired), abs=1e-4)
    for one, two in zip(
        *(metrics.read(each / metrics.FILE, "evaluation_spans") for each in (paired, tmp_path)), strict=True
    ):
        assert two["scores"]["tokens"] == one["scores"]["tokens"] > 20
        assert two["scores"]["nats"] == pytest.approx(one["scores"]["nats"], rel=1e-4)


def test_an_encoder_decoder_is_scored_continued_and_exported_by_the_commands(
    paired: Path, reserved: str, tmp_path: Path
) -> None:
    def told(*words: str) -> str:
        found = CliRunner().invoke(derlem.app, [words[0], str(paired), *words[1:]])
        assert found.exit_code == 0, found.output
        return found.stdout

    prompt = ("--prompt", "bir <|reserved_0|> ev", "--set", "tokens=4", "--json")
    assert json.loads(told("generate", *prompt))["prompt"] == "bir <|reserved_0|> ev"
    told("export", str(tmp_path / "model"))
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "t5gemma"
    manifest = Path(reserved) / "manifest.json"
    facts = json.loads(manifest.read_text())
    own = tmp_path / "corpus"
    shutil.copytree(reserved, own)
    facts["facts"]["tokenizer"] = Tokenizer(tokenizer()).sha256
    (own / "manifest.json").write_text(json.dumps(facts))
    scored = json.loads(told("evaluate", str(own), "--documents", "4", "--json"))["spans"]
    stored = json.loads((paired / "result.json").read_text())["evaluation_spans"]
    assert scored == pytest.approx(stored, rel=1e-5)
    refused = CliRunner().invoke(derlem.app, ["evaluate", str(paired), "--text", "bir"])
    assert refused.exit_code == 2
    assert "it learned to write the spans" in refused.stderr


def test_a_run_with_muons_switches_resumes_bit_for_bit_in_the_middle_of_its_momentum_warmup(
    corpus: str, whole: Path, tmp_path: Path
) -> None:
    switches = {"momentum_warmup": STEPS, "normalize": "true", "cautious": "true"}
    settings = made(**{f"optimizer.{key}": value for key, value in switches.items()})
    train(corpus, tmp_path / "whole", settings)
    folder = tmp_path / "run"
    shutil.copytree(tmp_path / "whole", folder)
    shutil.rmtree(folder / "checkpoints" / f"{STEPS:010}")
    (folder / "result.json").unlink()
    train(corpus, folder, settings)
    assert losses(folder) == losses(tmp_path / "whole") != losses(whole)


def test_a_phase_has_its_own_base_of_rotary_positions_and_resumes_bit_for_bit(
    reserved: str, tmp_path: Path
) -> None:
    phase = "{tokens=1024, length=8, batch=16, rope_base=500.0}"  # 8 steps, up to the first checkpoint kept
    settings = {"data.phases": f"[{phase}]", "model.rope_base": "40_000.0"}
    whole, folder, other = tmp_path / "whole", tmp_path / "run", tmp_path / "other"
    train(reserved, whole, made(**settings))
    assert [load_run(whole, step).model.rope for step in (8, 12)] == [Rope(500.0), Rope(40_000.0)]
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints" / "0000000012")
    (folder / "result.json").unlink()
    train(reserved, folder, made(**settings))
    assert losses(folder) == losses(whole)
    train(reserved, other, made(**settings | {"model.rope_base": "500.0"}))
    assert losses(other)[:8] == losses(whole)[:8]
    assert losses(other)[8] != losses(whole)[8]


def test_yarn_stretches_the_positions_of_longer_windows_alone(reserved: str, tmp_path: Path) -> None:
    phase = "{tokens=1024, length=8, batch=16}"
    settings = {"data.phases": f"[{phase}]", "model.yarn": 8, "model.rope_base": "100.0"}
    whole, other = tmp_path / "whole", tmp_path / "other"
    train(reserved, whole, made(**settings))
    assert [load_run(whole, step).model.rope for step in (8, 12)] == [Rope(100.0), Rope(100.0, 2.0, 8)]
    train(reserved, other, made(**settings | {"model.yarn": 0}))
    assert losses(other)[:8] == losses(whole)[:8]
    assert losses(other)[8] != losses(whole)[8]


def test_a_run_of_epochs_has_the_tokens_of_its_corpus_as_often(corpus: str, tmp_path: Path) -> None:
    twice = made(**{"data.epochs": 2, "data.unique": 512})
    result = train(corpus, tmp_path / "run", twice)
    assert result["tokens"] == 1024
    assert result["unique_tokens"] == 512
    assert train(corpus, tmp_path / "run", twice) == result  # finished, and known as the same run
    with pytest.raises(ConfigError, match=r"epochs = .*: only for runs that read all streams alike"):
        made(**{"data.epochs": 2, "data.weights": '{ "tur_Latn/web" = 1 }'})


def test_dropout_draws_the_same_after_a_stop(corpus: str, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "run"
    settings = made(**{"model.dropout": 0.3})
    result = train(corpus, whole, settings)
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints" / "0000000012")
    (folder / "result.json").unlink()
    torch.manual_seed(99)  # whatever else has drawn
    assert train(corpus, folder, settings)["evaluation"] == result["evaluation"]
    assert losses(folder) == losses(whole)


def test_without_a_checkpoint_there_is_no_way_back(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Guard.decide
    monkeypatch.setattr(Guard, "decide", lambda self, loss, norm: decide(self, loss * math.nan, norm))
    with pytest.raises(ConfigError, match="no checkpoint to go back to"):
        train(corpus, tmp_path / "run", made(**{"optimizer.patience": 2}))


def test_norms_that_rise_for_good_before_the_first_checkpoint_are_accepted(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.guard.WINDOW", 4)
    decide, seen = Guard.decide, list[Tensor]()

    def risen(self: Guard, loss: Tensor, norm: Tensor) -> Tensor:
        seen.append(decide(self, loss, torch.full_like(norm, 1.0 if len(seen) < 4 else 50.0)))
        return seen[-1]

    monkeypatch.setattr(Guard, "decide", risen)
    result = train(corpus, tmp_path / "run", made(**{"optimizer.patience": 2, "checkpoint.every": 100}))
    # The third is skipped before the first two are read.
    assert [Unread(numbers).read().skip for numbers in seen] == [""] * 4 + ["outlier"] * 3 + [""] * 5
    assert result["rollbacks"] == 0


def test_the_resume_check_repeats_logged_losses_and_notices_others(whole: Path, corpus: str) -> None:
    found = selfcheck.repeat(corpus, whole, made())
    assert [each.step for each in found] == [9, 10, 11, 12]
    assert all(each.logged == each.again for each in found)
    other = selfcheck.repeat(corpus, whole, made(**{"optimizer.lr": 0.001}))
    assert any(each.difference > 0 for each in other)
    assert selfcheck.Repeated(3, None, float("nan")).difference == 0  # not finite, then and now
    assert selfcheck.Repeated(3, None, 2.0).difference == float("inf")


def test_several_ranks_are_refused_before_they_train_for_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    selfcheck.one_process()
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="start without torchrun"):
        selfcheck.one_process()


def test_a_run_in_8_bit_floats_learns_and_resumes_bit_for_bit(
    corpus: str, whole: Path, tmp_path: Path
) -> None:
    folder, settings = tmp_path / "run", made(**{"run.fp8": "true"})
    train(corpus, tmp_path / "whole", settings)
    shutil.copytree(tmp_path / "whole", folder)
    shutil.rmtree(folder / "checkpoints" / f"{STEPS:010}")
    (folder / "result.json").unlink()
    train(corpus, folder, settings)
    assert losses(folder) == losses(tmp_path / "whole") != losses(whole)
    assert losses(folder)[-1] == pytest.approx(losses(whole)[-1], abs=0.05)
