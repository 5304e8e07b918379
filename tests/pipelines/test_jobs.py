"""What a job on other machines is sent with: a small graph, a name, and options that the user did not set."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest

from corpus import dataset
from corpus.errors import ConfigError
from pipelines import dataflow, options, plans, stage
from pipelines.options import Runner

IMAGE = "--sdk_container_image=example.org/worker:1"
PLACE = "--temp_location=gs://bucket/tmp"


def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
    raise NotImplementedError


def planned(folder: Path, number: int) -> stage.Stage:
    units = tuple(
        stage.plan_unit("toy", 1, {}, f"{n}.warc.gz", (dataset.Input(name=f"{n}", checksum="x" * 40),), n, 10)
        for n in range(number)
    )
    return stage.Stage("toy", 1, str(folder), {}, units, work)


def test_the_graph_of_a_job_does_not_grow_with_the_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    @contextmanager
    def only_made(runner: Runner, folder: str, step: str, fingerprint: str) -> Iterator[beam.Pipeline]:
        pipeline = beam.Pipeline()
        yield pipeline
        sizes.append(pipeline.to_runner_api().ByteSize())

    monkeypatch.setattr(options, "pipeline", only_made)
    for number in (2_000, 20_000):
        toy = planned(tmp_path, number)
        stage._spread(toy, list(toy.units), Runner("PortableRunner"), lambda record: None)
    assert sizes[1] - sizes[0] < 200
    assert sizes[1] < 40_000


def test_the_units_of_a_job_are_read_back_from_its_files(tmp_path: Path) -> None:
    units = planned(tmp_path, 2_500).units
    assert plans.write(str(tmp_path), "0" * 16, units) == 3
    assert [unit for n in range(3) for unit in plans.read(n, str(tmp_path), "0" * 16)] == list(units)


def test_a_job_is_named_and_works_on_a_unit_at_a_time_unless_the_user_says_otherwise() -> None:
    flags = dataflow.options_of([IMAGE], "dedupe-edges-01", "0123456789abcdef")
    assert flags == [
        IMAGE,
        "--labels=derlem-step=dedupe-edges-01",
        "--labels=derlem-fingerprint=0123456789abcdef",
        "--job_name=derlem-dedupe-edges-01-0123456789abcdef",
        "--number_of_worker_harness_threads=1",
    ]
    own = ["--job_name", "mine", "--number_of_worker_harness_threads=4"]
    assert [flag for flag in dataflow.options_of(own, "a", "b") if "labels" not in flag] == own


@pytest.mark.parametrize("flags", [[PLACE], [PLACE, "--project=p"]])
def test_workers_without_derlem_are_refused(flags: list[str]) -> None:
    with pytest.raises(ConfigError, match="its workers do not have derlem"):
        dataflow.check("--runner=", flags)


@pytest.mark.parametrize("image", [[IMAGE], ["--sdk_container_image", "x"], ["--extra_package=x.whl"]])
def test_a_job_without_a_place_is_refused(image: list[str]) -> None:
    with pytest.raises(ConfigError, match="--temp_location=gs://BUCKET/tmp"):
        dataflow.check("--runner=", image)
    dataflow.check("--runner=", [*image, PLACE])


LEAVING = """
import os, signal, sys, time
from corpus import interrupt
interrupt.answer("stopped")
interrupt._PATIENCE_S = 0.2
def last():
    if sys.argv[1] == "slow": time.sleep(60)
    return "cancelled"
with interrupt.before_leaving(last):
    if sys.argv[1] == "inside" or sys.argv[1] == "slow":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("when", "said"), [("inside", "stopped\ncancelled\n"), ("after", "stopped\n"), ("slow", "stopped\n")]
)
def test_what_is_to_be_done_before_the_end_is_done_once_and_not_waited_for_long(when: str, said: str) -> None:
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", LEAVING, when], capture_output=True, text=True, cwd=root, timeout=60
    )
    assert found.stderr == said
    assert found.returncode == 128 + signal.SIGINT
