"""Check that a run resumes exactly: repeat some of its steps from an earlier checkpoint, compare losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import ConfigError
from corpus.teller import SILENT
from trainer import metrics, preflight, tokens
from trainer.config import Config
from trainer.run import Run
from trainer.world import ranks, start

STEPS = 5


@dataclass(frozen=True, slots=True)
class Repeated:
    """A step's loss, as the run logged it and as it was when repeated."""

    step: int
    logged: float | None
    again: float

    @property
    def difference(self) -> float:
        """Return |again - logged| as a share of the logged loss, which is None if it was not finite."""
        if self.logged is None:
            return math.inf if math.isfinite(self.again) else 0.0
        return abs(self.again - self.logged) / abs(self.logged or 1.0)


def one_process() -> None:
    """Raise ConfigError for several ranks: called before they start to train, and wait for each other."""
    if ranks() > 1:
        raise ConfigError("a run is checked in one process: start without torchrun, or without --check")


def repeat(corpus: str, folder: Path, config: Config) -> list[Repeated]:
    """Repeat up to STEPS steps of a finished run from its last checkpoint but one; changes no file.

    In float32 on a CPU the losses are the same bit for bit. Raises ConfigError if no earlier checkpoint was
    kept, and for several ranks.
    """
    one_process()
    world = start(config.run)
    opened = tokens.open(corpus)
    run = Run(folder, config, opened, preflight.open_order(config, opened, 1), world, SILENT)
    steps = run.checkpoints.steps()
    if len(steps) < 2:
        raise ConfigError(
            f"{folder}: the check needs two checkpoints, and the run kept {len(steps)}: train it in another "
            "folder with a smaller checkpoint.every, and checkpoint.keep of at least 2"
        )
    first = steps[-2]
    logged = {line["step"]: line["loss"] for line in metrics.read(folder / metrics.FILE, "train")}
    run.load(run.checkpoints, first)
    end = min(first + STEPS, steps[-1])
    with run.loader() as loader:
        losses = [run.advance(batches)[0].decision.loss for batches in loader.steps(first, end)]
    return [Repeated(first + n, logged[first + n], loss) for n, loss in enumerate(losses, start=1)]
