"""What a build leaves for programs: a log of JSON lines, and metrics that Prometheus reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.prometheus import Metrics
from commands.watched import watched
from corpus import dataset
from corpus.counts import Counts
from corpus.errors import ConfigError, StageError
from pipelines import stage
from pipelines.options import Runner

_SAMPLE = re.compile(r'(derlem_\w+)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})? (\S+)')


def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
    if unit.name == "bad":
        raise ValueError("a page\nof two lines")
    return stage.Outcome([], Counts(seen=3, kept=2, dropped={"toy.rule": 1}), {"step": 0.5})


def plan(folder: Path, *names: str) -> stage.Stage:
    units = [
        stage.plan_unit("toy", 1, {}, name, (dataset.Input(name=name, checksum=""),), 0, 1) for name in names
    ]
    return stage.Stage("toy", 1, str(folder), {}, tuple(units), work)


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def samples(path: Path) -> dict[str, float]:
    """Return the samples of a file of metrics, each line of which must be a comment or a sample."""
    found = {}
    for line in path.read_text().splitlines():
        if not line.startswith(("# HELP derlem_", "# TYPE derlem_")):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            found[f"{match[1]}{match[2] or ''}"] = float(match[3])
    return found


def test_units_are_lines_of_json_and_their_sums_are_metrics(tmp_path: Path) -> None:
    log, metrics = tmp_path / "log", tmp_path / "derlem.prom"
    with watched(log, metrics) as teller:
        stage.run(plan(tmp_path / "toy", "a", "b"), Runner(), teller)
    done = [line for line in lines(log) if line["message"] == "unit done"]
    assert [(line["stage"], line["unit"], line["kept"]) for line in done] == [
        ("toy", "a", 2),
        ("toy", "b", 2),
    ]
    assert all(str(line["time"]).endswith("Z") and line["severity"] == "INFO" for line in done)
    found = samples(metrics)
    assert found['derlem_documents{stage="toy",fate="dropped"}'] == 2
    assert found['derlem_dropped_documents{stage="toy",rule="toy.rule"}'] == 2
    assert found['derlem_units_done{stage="toy"}'] == found['derlem_units{stage="toy"}'] == 2
    assert found["derlem_failed"] == 0


def test_a_failure_has_its_stage_and_unit_in_the_log(tmp_path: Path) -> None:
    log, metrics = tmp_path / "log", tmp_path / "derlem.prom"
    with pytest.raises(StageError), watched(log, metrics) as teller:
        stage.run(plan(tmp_path / "toy", "a", "bad"), Runner(), teller)
    failed, ended = lines(log)[-2:]
    assert (failed["severity"], failed["stage"], failed["unit"]) == ("ERROR", "toy", "bad")
    assert failed["error"] == "ValueError: a page\nof two lines"
    assert ended["message"] == "failed"
    assert samples(metrics)["derlem_failed"] == 1


def test_a_stage_that_proceeds_counts_what_was_done_before(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.take("stage started", {"stage": "toy", "units": 10, "pending": 6})
    metrics.take("progress", {"stage": "toy", "pending": 6, "done": 2, "documents": 5, "kept": 4})
    path = tmp_path / "derlem.prom"
    path.write_text(metrics.text(0.0))
    assert samples(path)['derlem_units_done{stage="toy"}'] == 6


def test_labels_are_escaped(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.set("units", 1, stage='a"b\\c\nd')
    assert 'derlem_units{stage="a\\"b\\\\c\\nd"} 1\n' in metrics.text(0.0)


def test_a_log_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for places in ((tmp_path, None), (None, tmp_path / "file" / "derlem.prom")):
        with pytest.raises(ConfigError, match="--log, --metrics"), watched(*places):
            pass
