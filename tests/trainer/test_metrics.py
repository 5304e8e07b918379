"""What a run wrote survives a kill and a resume; dashboards are optional; the line names its numbers."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from commands.terminal import Terminal
from corpus.counts import Counts
from corpus.dataset import Manifest, Unit
from corpus.errors import ConfigError
from trainer import metrics
from trainer.metrics import Journal, Line, open_metrics, read, scalars
from trainer.throughput import Rate

RATE = Rate(
    steps=1,
    tokens=1000,
    seconds=1.0,
    tokens_per_second=612_345.0,
    tflops=464.0,
    mfu=0.469,
    mfu_full=0.538,
    waited=0.0004,
)
UNKNOWN = Rate(
    steps=1,
    tokens=1000,
    seconds=1.0,
    tokens_per_second=2_000.0,
    tflops=0.0123,
    mfu=None,
    mfu_full=None,
    waited=0.25,
)


def without_time(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "time"} for line in read(path)]


# --- read late ---


# --- metrics.jsonl ---


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    journal = Journal(path)
    journal.write("train", 1, {"loss": 2.5, "türkçe": "ığşç"})
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert "ığşç" in line
    found = json.loads(line)
    assert found.pop("time") > 1e9
    assert found == {"kind": "train", "step": 1, "loss": 2.5, "türkçe": "ığşç"}


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "m.jsonl")
    journal.write("train", 1, {"loss": math.nan, "deep": {"norm": math.inf, "all": [1.0, -math.inf]}})
    assert without_time(tmp_path / "m.jsonl") == [
        {"kind": "train", "step": 1, "loss": None, "deep": {"norm": None, "all": [1.0, None]}}
    ]


@pytest.mark.parametrize("killed", range(4, 9))
@pytest.mark.parametrize("torn", ["", '{"kind": "tra', '{"kind": "train", "step": 2}', "\x00\x00"])
def test_a_resumed_run_has_the_file_of_an_uninterrupted_one(tmp_path: Path, killed: int, torn: str) -> None:
    def steps(journal: Journal, first: int, end: int) -> None:
        for step in range(first, end):
            journal.write("train", step, {"loss": 1 / step})
            if step % 2 == 0:
                journal.write("evaluation", step, {"bits_per_byte": 2 / step})
        journal.close()

    steps(Journal(tmp_path / "whole.jsonl"), 1, 10)
    path = tmp_path / "m.jsonl"
    steps(Journal(path), 1, killed)
    with path.open("a", encoding="utf-8") as file:
        file.write(torn)  # the kill came in the middle of a write
    steps(Journal(path, resumed=4 if killed > 4 else 3), 5 if killed > 4 else 4, 10)
    assert without_time(path) == without_time(tmp_path / "whole.jsonl")
    assert read(path, "evaluation") == [line for line in read(path) if line["kind"] == "evaluation"]
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith(".")] == []


def test_a_new_run_begins_anew(tmp_path: Path) -> None:
    Journal(tmp_path / "m.jsonl").write("train", 0, {})
    Journal(tmp_path / "m.jsonl")
    assert read(tmp_path / "m.jsonl") == []


# --- dashboards ---


def test_nested_numbers_have_one_name_each() -> None:
    values = {"scores": {"all": {"bits": 1.5, "name": "all"}, "tur_Latn": {"bits": 2}}, "skipped": True}
    assert scalars("evaluation", values) == {
        "evaluation/scores/all/bits": 1.5,
        "evaluation/scores/tur_Latn/bits": 2.0,
        "evaluation/skipped": 1.0,
    }


def test_a_dashboard_that_is_not_installed_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("wandb", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    notes: list[str] = []
    with open_metrics(tmp_path, ("tensorboard", "wandb"), None, {}, notes.append) as opened:
        opened.write("train", 1, {"loss": 2.0})
    assert notes == [
        "tensorboard is not installed: numbers go only to metrics.jsonl (pip install tensorboard)",
        "wandb is not installed: numbers go only to metrics.jsonl (pip install wandb)",
    ]
    assert without_time(tmp_path / "metrics.jsonl") == [{"kind": "train", "step": 1, "loss": 2.0}]


def test_tensorboard_hides_what_a_killed_run_wrote_after_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            self.folder, self.purge_step, self.added, self.closed = folder, purge_step, [], False
            made.append(self)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.added.append((name, value, step))

        def close(self) -> None:
            self.closed = True

    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    for resumed in (None, 4):
        with open_metrics(tmp_path, ("tensorboard",), resumed, {}, print) as opened:
            opened.write("train", 5, {"loss": 2.0, "mfu": None})
    assert [writer.purge_step for writer in made] == [None, 5]
    assert made[1].folder == str(tmp_path / "tensorboard")
    assert made[1].added == [("train/loss", 2.0, 5)]
    assert made[1].closed


def test_wandb_keeps_a_run_that_resumes_offline_where_there_is_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real package, which asks for no key and reaches out to nobody."""
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    notes: list[str] = []
    for resumed in (None, 3):
        with open_metrics(tmp_path, ("wandb",), resumed, {"seed": 1}, notes.append) as opened:
            opened.write("train", 4, {"loss": 2.0})
    assert notes == []
    name = (tmp_path / "wandb.id").read_text()
    kept = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert kept
    assert all(each.endswith(f"-{name}") for each in kept)


@pytest.mark.parametrize(("has_key", "mode"), [(False, "offline"), (True, "online")])
def test_wandb_is_online_where_there_is_a_key_unless_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_key: bool, mode: str
) -> None:
    modes: list[str] = []

    def init(**settings: Any) -> SimpleNamespace:
        modes.append(settings["mode"])
        return SimpleNamespace(define_metric=lambda *_, **__: None, finish=lambda: None)

    fake = ModuleType("wandb")
    fake.init, fake.login = init, lambda prompt: has_key  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with open_metrics(tmp_path, ("wandb",), None, {}, print):
        pass
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with open_metrics(tmp_path, ("wandb",), None, {}, print):
        pass
    assert modes == [mode, "disabled"]


@pytest.mark.parametrize("moment", ["init", "log", "finish"])
def test_a_dashboard_that_fails_is_told_once_and_the_journal_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    parts: dict[str, Any] = {name: lambda *_, **__: None for name in ("define_metric", "log", "finish")}
    fake = ModuleType("wandb")
    fake.login = lambda prompt: False  # type: ignore[attr-defined]
    kept = SimpleNamespace(**{**parts, moment: fail})
    fake.init = fail if moment == "init" else lambda **_: kept  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    notes: list[str] = []
    with open_metrics(tmp_path, ("wandb",), None, {}, notes.append) as opened:
        for step in (1, 2):
            opened.write("train", step, {"loss": 2.0})
    (note,) = notes
    assert note.startswith("wandb failed and is not written to any more (ConnectionError: gone)")
    assert len(metrics.read(tmp_path / metrics.FILE)) == 2


def test_ranks_that_write_nothing_have_no_sinks() -> None:
    with metrics.Metrics() as opened:
        opened.write("train", 1, {"loss": 1.0})


# --- the line of progress ---


def test_bytes_of_a_token_are_those_that_the_stage_counted() -> None:
    def unit(name: str, split: str, tokens: int, size: int) -> Unit:
        noted = {f"{split} tokens": {name: tokens}, f"{split} bytes": {name: size}}
        return Unit(name=name, fingerprint="", inputs=(), files=(), counts=Counts(noted=noted))

    units = (
        unit("tur_Latn", "train", 100, 400),
        unit("eng_Latn", "train", 100, 600),
        unit("tur_Latn", "validation", 10, 99),
    )
    manifest = Manifest(stage="tokenize", version=1, settings={}, units=units)
    assert metrics.bytes_per_token(manifest) == 5.0
    assert metrics.bytes_per_token(Manifest(stage="tokenize", version=1, settings={}, units=())) is None


def test_the_line_names_what_its_numbers_are() -> None:
    line = Line(5000, 10_000_000, 4.0, Terminal(Console(file=io.StringIO())))
    assert line.text(1200, 2_400_000, 4 * math.log(2), RATE) == (
        "step 1,200/5,000 · loss 2.773 (about 1.000 bits/byte) · 612 k tokens/s · "
        "MFU 46.9% (whole windows 53.8%) · data wait 0.0% · 0:00:12 left"
    )
    line.evaluated(1.05)
    assert "· held out 1.0500 bits/byte ·" in line.text(1200, 2_400_000, 2.0, RATE)


def test_an_unknown_device_shows_tokens_and_operations_only() -> None:
    text = Line(10, 10_000, None, Terminal(Console(file=io.StringIO()))).text(5, 5_000, 2.0, UNKNOWN)
    assert text == "step 5/10 · loss 2.000 · 2 k tokens/s · 0.0123 TFLOP/s · data wait 25.0% · 0:00:02 left"
    stopped = Rate(0, 0, 0.0, 0.0, 0.0, None, None, 0.0)
    assert "left" not in Line(10, 10, None).text(5, 5, math.nan, stopped)


def test_without_a_terminal_there_is_a_plain_line_now_and_then() -> None:
    out, now = io.StringIO(), [0.0]
    with Line(50, 50, None, Terminal(Console(file=out, width=40)), every=10.0, clock=lambda: now[0]) as line:
        for step in range(1, 51):
            line.update(step, step, 2.0, UNKNOWN)
            now[0] += 1.0
    lines = out.getvalue().splitlines()
    assert [text.split()[1] for text in lines] == ["1/50", "11/50", "21/50", "31/50", "41/50", "50/50"]
    assert all("\x1b" not in text for text in lines)


@pytest.mark.parametrize("drawn", [True, False])
def test_the_last_line_holds_the_last_evaluation(drawn: bool) -> None:
    out = io.StringIO()
    console = Terminal(Console(file=out, force_terminal=drawn, width=160, _environ={}))
    with Line(2, 2, None, console, every=10.0, clock=lambda: 0.0) as line:
        for step, found in (1, 3.0), (2, 2.5):
            line.update(step, step, 2.0, UNKNOWN)
            line.evaluated(found)
    last = out.getvalue()[out.getvalue().rindex("step 2/2") :]
    assert "held out 2.5000 bits/byte" in last


def test_on_a_terminal_the_line_is_drawn_over_itself_and_notes_stay() -> None:
    out = io.StringIO()
    console = Terminal(Console(file=out, force_terminal=True, width=160, _environ={}))
    with Line(50, 50, None, console, every=0.0) as line:
        line.update(25, 25, 2.0, UNKNOWN)
        line.note("skipped [step] 7")
    text = out.getvalue()
    assert "50%" in text
    assert "skipped [step] 7" in text
    assert "step 25/50" in text
    assert "\x1b[" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_told_with_what_to_do_and_closing_does_not_fail_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "m.jsonl")
    journal.close()
    with Path("/dev/full").open("ab", buffering=0) as journal._file:
        with pytest.raises(ConfigError, match=r"not written after step 2: No space left.*free disk space"):
            journal.write("train", 2, {"loss": 2.0})
        journal.close()
