"""The status of a run comes from its record and the end of its metrics."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from commands.render.status import run_status
from trainer.limits import Outlook
from trainer.status import status


def started(folder: Path, *lines: object) -> Path:
    (folder / "run.json").write_text(json.dumps({"config": {"data": {"tokens": 1000}}}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr')
    return folder


def step(number: int, **more: object) -> dict[str, object]:
    numbers = {"loss": 5 - number, "tokens": 100 * number, "tokens_per_second": 50.0, "waited": 0.25}
    return {"kind": "train", "step": number, "skipped": None, "time": 7.0 + number, **numbers, **more}


def test_a_run_is_told_at_its_last_step(tmp_path: Path) -> None:
    scores = {"all": {"bits_per_byte": 1.5}}
    lines = [step(1, skipped="spike"), {"kind": "evaluation", "step": 1, "scores": scores}, step(2)]
    found = status(str(started(tmp_path, *lines)))
    assert found is not None
    assert (found.is_finished, found.step, found.tokens, found.planned_tokens) == (False, 2, 200, 1000)
    assert (found.loss, found.tokens_per_second, found.waited, found.left_s) == (3, 50.0, 0.25, 16.0)
    assert (found.held_out, found.skipped, found.last) == (1.5, 1, 9.0)


def test_the_last_outlook_is_told(tmp_path: Path) -> None:
    outlook = {"now": 1.5, "epoch": 1.4, "fresh": None, "limit": "data"}
    found = status(str(started(tmp_path, step(1), {"kind": "outlook", "step": 1, "outlook": outlook})))
    assert found is not None
    assert found.outlook == Outlook(1.5, 1.4, None, "data")
    assert found.as_dict()["outlook"] == outlook
    console = Console(width=80, record=True)
    console.print(run_status(found))
    shown = console.export_text()
    assert [name in shown for name in ("1.4000", "fresh text", "limited by")] == [True, False, True]


def test_parameters_and_the_load_of_experts_are_told_where_they_are_known(tmp_path: Path) -> None:
    folder = started(tmp_path, step(1), {"kind": "experts", "step": 1, "busiest": 0.25, "even": 0.125})
    assert status(str(folder)).parameters is None  # type: ignore[union-attr]
    record = {"config": {"data": {}}, "parameters": 9000, "active_parameters": 3000}
    (folder / "run.json").write_text(json.dumps(record))
    found = status(str(folder))
    assert found is not None
    assert (found.parameters, found.active_parameters) == (9000, 3000)
    assert (found.busiest, found.even) == (0.25, 0.125)
    console = Console(width=80, record=True)
    console.print(run_status(found))
    shown = console.export_text()
    assert "9,000 (3,000 active)" in shown
    assert "25.0% of a layer's choices (even: 12.5%)" in shown


def test_a_finished_run_has_no_time_left(tmp_path: Path) -> None:
    folder = started(tmp_path, step(10))
    (folder / "result.json").write_text("{}")
    found = status(str(folder))
    assert found is not None
    assert (found.is_finished, found.left_s) == (True, None)


def test_a_run_before_its_first_step_and_another_folder(tmp_path: Path) -> None:
    assert status(str(tmp_path)) is None
    found = status(str(started(tmp_path)))
    assert found is not None
    assert (found.step, found.loss) == (0, None)


def test_only_the_end_of_long_metrics_is_read(tmp_path: Path) -> None:
    found = status(str(started(tmp_path, *(step(number) for number in range(3000)))))
    assert found is not None
    assert found.step == 2999
