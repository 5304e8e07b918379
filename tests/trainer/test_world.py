"""Ranks agree on numbers, answers and errors; a run starts, stops and fails as one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import free_port, on_ranks, process

from corpus.errors import ConfigError, ElsewhereError, PeerError
from trainer import config, parallel
from trainer import world as ranks
from trainer.world import Stop, World

ALONE = World(0, 1, 0, torch.device("cpu"))


def _numbers(world: World) -> dict[str, Any]:
    world.barrier()
    return {
        "total": world.total(torch.tensor([world.rank + 1, 2**53])).tolist(),
        "thirds": world.total(torch.tensor(1 / 3, dtype=torch.float32)).item(),
        "one": world.agree(world.rank == 1),
        "none": world.agree(False),
        "first": world.first,
    }


def test_ranks_agree_on_numbers_and_flags() -> None:
    first, second = on_ranks(_numbers)
    assert first | {"first": False} == second
    assert first["first"]
    assert first["total"] == [3.0, 2.0**54]
    assert first["thirds"] == 2 * float(np.float32(1 / 3))
    assert first["one"]
    assert not first["none"]
    assert ALONE.total(torch.tensor(2)).item() == 2.0
    assert ALONE.agree(True)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2"}, r"WORLD_SIZE=2 is set, but not RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "0"}, r"RANK is set, but not WORLD_SIZE"),
        (
            {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_PORT": "1"},
            r"but not MASTER_ADDR; start several ranks with `torchrun",
        ),
        ({"WORLD_SIZE": "two", "RANK": "0"}, r"WORLD_SIZE is 'two', expected a number"),
        (
            {
                "WORLD_SIZE": "2",
                "RANK": "2",
                "LOCAL_RANK": "0",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": "1",
            },
            r"RANK is 2, expected less than WORLD_SIZE=2",
        ),
    ],
)
def test_an_environment_that_is_torchruns_in_part_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    clear(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        ranks.start(config.Run(device="cpu"))


def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch)
    world = ranks.start(config.Run(device="cpu", parallel="fsdp"))
    assert world == ALONE
    assert parallel.kind(config.Run(parallel="fsdp"), world) == "alone"
    ranks.finish(world)


@pytest.mark.parametrize(
    ("wanted", "rank", "gpus", "message"),
    [
        ("cuda", 0, 0, "finds no CUDA device"),
        ("auto", 4, 4, "rank 4 .* machine has 4; .* --nproc-per-node 4"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: str, rank: int, gpus: int, message: str
) -> None:
    clear(monkeypatch)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    settings = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 8,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": 1,
    }
    for name, value in settings.items() if gpus else ():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ConfigError, match=message):
        ranks.start(config.Run(device=wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
        assert stop.signal == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_at_once() -> None:
    with Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM


def _stop_together(world: World) -> int:
    """Step until any rank was told to stop; rank 1 is told in step 3."""
    with Stop() as stop:
        for step in range(10):
            if world.rank == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            if world.agree(stop.requested):
                return step
    return -1


def test_all_ranks_stop_at_the_same_step() -> None:
    assert on_ranks(_stop_together) == [3, 3]


def _decide(world: World) -> tuple[int, str, str]:
    """Return an answer that only one rank can give, and what each rank is told of an error of that rank."""
    calls: list[int] = []

    def refuse() -> None:
        calls.append(world.rank)
        raise ConfigError("the folder holds another run")

    decided = world.decide(lambda: 7 + world.rank)
    try:
        world.decide(refuse)
    except (ConfigError, ElsewhereError) as error:
        return decided, type(error).__name__, f"{error} {getattr(error, 'ends_with', error.status)} {calls}"
    return decided, "", ""


def test_one_rank_decides_and_reports_for_all() -> None:
    assert on_ranks(_decide) == [
        (7, "ConfigError", "the folder holds another run 2 [0]"),
        (7, "ElsewhereError", "the folder holds another run 2 []"),
    ]
    assert ALONE.decide(lambda: 3) == 3


def _fail_on_one_rank(port: int, rank: int, folder: str) -> None:
    """Be one of two ranks; the second fails in the middle of the work, while the first waits for it."""
    launch = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "MASTER_PORT": port,
        "MASTER_ADDR": "127.0.0.1",
    }
    os.environ.update({name: str(value) for name, value in launch.items()})
    sys.stderr = open(Path(folder) / str(rank), "w")  # noqa: SIM115 (open until the process ends)
    try:
        with ranks.joined(config.Run(device="cpu")) as world:
            world.barrier()
            if world.rank == 1:
                raise ZeroDivisionError("in a step")
            world.total(torch.zeros(1))
    except PeerError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    except ZeroDivisionError as error:
        ranks.leave(error)


def test_a_rank_that_fails_ends_the_others_and_is_named(tmp_path: Path) -> None:
    port = free_port()
    started = [process(_fail_on_one_rank, port, rank, str(tmp_path)) for rank in range(2)]
    for each in started:
        each.join(60)
    assert [each.exitcode for each in started] == [1, 1]
    said = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    ended = rf"rank 0: rank 1 \(process {started[1].pid}\) ended; its own message, if .*, says why \(.*\)\n"
    assert re.fullmatch(ended, said[0])
    assert said[1].startswith("rank 1 of 2 failed:\nTraceback")
    assert said[1].endswith("ZeroDivisionError: in a step\n")


def test_a_rank_that_cannot_be_seen_is_not_named() -> None:
    """On another machine, or in another container of this one, where numbers of processes mean others."""
    here = ranks.Peer.mine()
    error = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]:26099")
    peers = (here, ranks.Peer("node-b", here.space, 1), ranks.Peer("node-c", "another", here.number))
    world = World(0, 3, 0, torch.device("cpu"), peers)
    said = (
        "rank 0: another rank on node-b or node-c ended or does not answer; its own message, if it left one"
    )
    assert str(world.lost(error)).startswith(said)
    assert world.lost(RuntimeError("a matrix is singular")) is None
    assert world.lost(ValueError(str(error))) is None
    assert ALONE.lost(error) is None


def test_torchrun_starts_two_ranks_and_a_refusal_is_one_message(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "derlem", "train"]
    done = subprocess.run(
        [*launch, str(tmp_path), "-o", str(tmp_path / "run"), "--set", "run.device=cpu"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode != 0
    assert done.stderr.count("holds no finished token shards") == 1
    ours, _, _ = done.stderr.partition("torch/distributed/elastic")  # torchrun's own report of a failed rank
    assert len(ours.splitlines()) == 2, ours
