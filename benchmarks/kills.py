"""Kill training at random moments, on one rank and on two: its losses must stay the same, bit for bit.

A trial starts a run, kills one of its ranks after a random time, waits until the others have ended by
themselves, runs the same command again, and compares every logged loss with those of a run that nothing
happened to. Every third trial waits for a checkpoint that is being written. Trials are written to a file and
not made again, so the study may be stopped and continued.

    nice -n 15 python -m benchmarks.kills CORPUS [--trials 100] [--log kills.jsonl]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CONFIG = (
    "model.depth=1", "model.width=64", "data.length=64", "data.batch=8", "data.tokens=20_480",
    "checkpoint.every=5", "evaluate.documents=0", "evaluate.prompt=", "run.log=[]", "run.device=cpu",
)  # fmt: skip
LONGEST = 600.0  # seconds that a rank may take to end


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial did: after how many logged steps the kill came, how long the other ranks lived on.

    `writing`: whether the kill left a checkpoint that was half written.
    """

    number: int
    ranks: int
    killed: int
    logged: int
    lived: float
    writing: bool
    same: bool


def losses(folder: Path) -> list[float]:
    """Return the losses that a run logged."""
    from trainer import metrics

    return [line["loss"] for line in metrics.read(folder / metrics.FILE, "train")]


def start(corpus: str, folder: Path, changes: Sequence[str], ranks: int) -> list[ForkServerProcess]:
    """Start the ranks of a run, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = get_context("forkserver")
    context.set_forkserver_preload(["trainer.run", "trainer.gather", "trainer.dcp", "torch.nn.parallel"])
    found = [
        context.Process(target=_train, args=(corpus, str(folder), tuple(changes), rank, ranks, port))
        for rank in range(ranks)
    ]
    for each in found:
        each.start()
    return found


def trial(
    corpus: str,
    folder: Path,
    changes: Sequence[str],
    expected: list[float],
    number: int,
    ranks: int,
    after: int,
    during_checkpoint: bool = False,
) -> Trial:
    """Kill one rank some time after `after` steps were logged, run again, and compare.

    With `during_checkpoint` the kill waits for the next checkpoint that is being written.
    """
    chance = random.Random(number)
    killed = chance.randrange(ranks)
    started = start(corpus, folder, changes, ranks)
    file = folder / "metrics.jsonl"
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and all(each.is_alive() for each in started):
        if file.exists() and file.read_bytes().count(b"\n") >= after:
            break
        time.sleep(0.002)
    while during_checkpoint and not _writing(folder) and all(each.is_alive() for each in started):
        time.sleep(0.001)
    time.sleep(chance.random() * (0.005 if during_checkpoint else 0.05))
    started[killed].kill()
    moment = time.monotonic()
    for each in started:
        each.join(LONGEST)
        each.kill()
    lived = time.monotonic() - moment
    logged = file.read_bytes().count(b"\n") if file.exists() else 0
    writing = _writing(folder)
    for each in start(corpus, folder, changes, ranks):
        each.join(LONGEST)
        each.kill()
    return Trial(number, ranks, killed, logged, round(lived, 2), writing, losses(folder) == expected)


def undisturbed(corpus: str, folder: Path, changes: Sequence[str], ranks: int) -> list[float]:
    """Return the losses of a run that nothing happens to."""
    for each in start(corpus, folder, changes, ranks):
        each.join(LONGEST)
        assert each.exitcode == 0, f"a rank of the undisturbed run ended with {each.exitcode}"
    return losses(folder)


def _writing(folder: Path) -> bool:
    """Return whether a checkpoint is being written, or was when the run was killed."""
    from trainer.identity import CHECKPOINTS

    return any((folder / CHECKPOINTS).glob(".*.partial"))


def _train(corpus: str, folder: str, changes: Sequence[str], rank: int, ranks: int, port: int) -> None:
    import torch

    from corpus.errors import PeerError
    from corpus.teller import SILENT
    from trainer import config, run

    torch.set_num_threads(1)
    launch = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launch.items()}, MASTER_ADDR="127.0.0.1")
    try:
        run.train(corpus, Path(folder), config.load("tiny", changes), SILENT)
    except PeerError:
        os._exit(1)


def main() -> None:
    """Make the trials that are missing, and print how many were the same."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--log", type=Path, default=Path("kills.jsonl"))
    options = parser.parse_args()
    done = [json.loads(line) for line in options.log.read_text().splitlines()] if options.log.exists() else []
    with tempfile.TemporaryDirectory() as home:
        expected = {
            ranks: undisturbed(options.corpus, Path(home) / f"whole-{ranks}", CONFIG, ranks)
            for ranks in (1, 2)
        }
        for number in range(len(done), options.trials):
            ranks = 1 + number % 2
            after = random.Random(f"after {number}").randrange(len(expected[ranks]))
            folder = Path(home) / str(number)
            found = trial(
                options.corpus, folder, CONFIG, expected[ranks], number, ranks, after, number % 3 == 2
            )
            done.append(asdict(found))
            with options.log.open("a") as log:
                log.write(json.dumps(done[-1]) + "\n")
    same = sum(each["same"] for each in done)
    lived = max(each["lived"] for each in done)
    writing = sum(each["writing"] for each in done)
    print(
        f"{same} of {len(done)} trials: the same losses; {writing} kills left a checkpoint half written; "
        f"the last rank ended {lived} s after the kill"
    )
    sys.exit(same != len(done))


if __name__ == "__main__":
    main()
