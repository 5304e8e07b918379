"""A rank that is killed while a checkpoint is written or read is named by the one that survives it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from ranks import free_port, process
from torch import Tensor

from corpus.errors import PeerError
from trainer.checkpoint import Checkpoints
from trainer.config import Run
from trainer.world import joined


def state(value: float) -> dict[str, Tensor]:
    """Return a state of which each rank writes a part."""
    return {"a": torch.full((1000,), value), "b": torch.full((3, 7), -value)}


def _be_a_rank(port: int, rank: int, dies: int, moment: str, folder: Path) -> None:
    """Be one of two ranks that save; one is killed at a moment of that, the other writes what it raises."""
    launch = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launch.items()}, MASTER_ADDR="127.0.0.1")

    def die(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        with joined(Run(device="cpu")) as world, Checkpoints(folder, world=world) as held:
            held.save(1, state(1), {})
            held.wait()
            if rank == dies and moment == "write":
                from trainer import dcp

                dcp.write = die
            elif rank == dies:
                setattr(Checkpoints, moment, die)
            if moment == "verify":
                held.load(1, state(1))
            held.save(2, state(2), {})
    except PeerError as error:
        (folder / "said").write_text(str(error))
        os._exit(error.status)


@pytest.mark.parametrize("dies", [0, 1])
@pytest.mark.parametrize("moment", ["_prepare", "write", "_hashes", "_publish", "verify"])
def test_the_survivor_names_the_rank_and_the_checkpoints_are_as_they_were(
    dies: int, moment: str, tmp_path: Path
) -> None:
    port = free_port()
    started = [process(_be_a_rank, port, rank, dies, moment, tmp_path) for rank in range(2)]
    for each in started:
        each.join(60)
    assert started[dies].exitcode == -signal.SIGKILL
    assert started[1 - dies].exitcode == PeerError.status
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"rank {1 - dies}: rank {dies} (process {started[dies].pid}) ended; ")
    # The first rank publishes: where the other one is killed at that time, the checkpoint exists.
    left = 2 if (moment, dies) == ("_publish", 1) else 1
    assert Checkpoints(tmp_path).steps() == [left]
    if moment != "verify":
        assert said.endswith(f" while step 2 was saved; checkpoints: {left}")
