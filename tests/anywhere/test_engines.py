"""The same build by other engines of Beam: its job service with two workers, and a Dask cluster."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from anywhere import chaos
from anywhere.conftest import SETTINGS, Cloud
from anywhere.same import contents
from anywhere.stores import free_port, is_open, wait_until

BOOT = Path(__file__).with_name("boot.py")
ROUNDS = ["--until", "shard", "--set", "dedupe.max_links_in_memory=1"]


@contextmanager
def running(cloud: Cloud, log: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of Python with derlem's extras until the block ends."""
    environment = cloud.environment()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(cloud.python), "-P", *words], env=environment, stdout=subprocess.PIPE, stderr=out, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def job_service(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The flags that lead to Beam's job service."""
    folder = tmp_path_factory.mktemp("jobs")
    program = str(Path(__file__).with_name("job_service.py"))
    with running(cloud, folder / "log", program, str(folder)) as process:
        assert process.stdout is not None
        yield ["--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{int(process.stdout.readline())}"]


@contextmanager
def killing(parents: Sequence[int], word: str, folders: Sequence[Path]) -> Iterator[None]:
    """Kill a random worker, a child of one of the processes, when each of the folders gets a first file."""
    draw, killed = random.Random(0), list[Path]()

    def kill() -> None:
        for folder in folders:
            while not stop.is_set() and not any(folder.rglob("*.arrow")):
                time.sleep(0.02)
            while not stop.is_set() and not chaos.kill_one(draw.choice(parents), word, draw):
                time.sleep(0.02)
            killed.append(folder)

    stop, thread = threading.Event(), threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert killed == list(folders)


@pytest.fixture(scope="module")
def dask(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], list[int]]]:
    """The flags that lead to a Dask scheduler with two workers, and the processes that restart these."""
    folder, port = tmp_path_factory.mktemp("dask"), free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = [
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    ]
    worker = [
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--local-directory",
    ]
    with ExitStack() as stack:
        stack.enter_context(running(cloud, folder / "scheduler", *scheduler))
        wait_until(lambda: is_open(port))
        places = [folder / "0", folder / "1"]
        keepers = [
            stack.enter_context(running(cloud, f.with_suffix(".log"), *worker, str(f))) for f in places
        ]
        kind = "apache_beam.runners.dask.dask_runner.DaskRunner"
        yield [f"--runner={kind}", f"--dask_client_address={address}"], [each.pid for each in keepers]


def same(cloud: Cloud, local: Path, folder: Path, flags: list[str]) -> None:
    """Build by an engine, then dedupe again in rounds: each time what a local build holds."""
    output = ["--set", f'output="{folder}"']
    said = cloud.derlem("build", local, *SETTINGS, *output, "--", *flags)
    assert "0 done before" in said
    assert contents(folder) == contents(local.parent / "corpus")
    said = cloud.derlem("build", local, *SETTINGS, *output, *ROUNDS, "--", *flags)
    # A group of shards is named by what dedupe decided of its parts: it decided the same. One is furniture's.
    assert said.count("1 unit, 1 done before") == 2


def test_beam_s_job_service_makes_the_local_bytes(
    cloud: Cloud, local: Path, job_service: list[str], tmp_path: Path
) -> None:
    same(cloud, local, tmp_path / "out", [*job_service, "--environment_type=LOOPBACK"])


def extracted(folder: Path) -> dict[str, str]:
    """Return the contents of the first stage of a build."""
    return {name: digest for name, digest in contents(folder).items() if name.startswith("extract/")}


def test_worker_processes_of_an_environment_make_the_local_bytes(
    cloud: Cloud, local: Path, job_service: list[str], tmp_path: Path
) -> None:
    process = ["--environment_type=PROCESS", f'--environment_config={{"command":"{BOOT}"}}']
    output = ["--until", "extract", "--set", f'output="{tmp_path / "out"}"']
    cloud.derlem("build", local, *SETTINGS, *output, "--", *job_service, *process)
    assert contents(tmp_path / "out") == extracted(local.parent / "corpus")


def test_a_pool_of_workers_of_which_one_is_killed_makes_the_local_bytes(
    cloud: Cloud, local: Path, job_service: list[str], tmp_path: Path
) -> None:
    """Beam's job service waits for a dead worker forever: the user ends the driver and starts it again."""
    port, out = free_port(), tmp_path / "out"
    pool = ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    build = ["build", local, *SETTINGS, "--until", "extract", "--set", f'output="{out}"', "--", *job_service]
    build += ["--environment_type=EXTERNAL", f"--environment_config=localhost:{port}"]
    with running(cloud, tmp_path / "log", *pool) as keeper:
        process = cloud.start(*build)
        with killing([keeper.pid], "sdk_worker", [out / "extract"]):
            assert chaos.wait_for(process, lambda: any(out.rglob("units/*.json")))
            time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert "run the same command to resume" in cloud.finished(process, 130)
        cloud.derlem(*build)
    assert contents(out) == extracted(local.parent / "corpus")


def test_a_dask_cluster_whose_workers_are_killed_makes_the_local_bytes(
    cloud: Cloud, local: Path, dask: tuple[list[str], list[int]], tmp_path: Path
) -> None:
    flags, keepers = dask
    with killing(keepers, "spawn_main", [tmp_path / "out" / "extract", tmp_path / "out" / "shards"]):
        same(cloud, local, tmp_path / "out", flags)


def test_an_option_that_no_runner_has_is_refused(
    cloud: Cloud, local: Path, dask: tuple[list[str], list[int]]
) -> None:
    said = cloud.derlem("build", local, "--", dask[0][0], "--dask_klient=1", status=2)
    assert "--dask_klient: not an option of Beam" in said
