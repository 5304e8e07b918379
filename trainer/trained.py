"""A run's folder, opened: the model at one of its checkpoints, or an average of them, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from corpus import files, settings, tokenizer
from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.lost import TOO_LOW
from trainer import average, identity
from trainer.average import Ema
from trainer.checkpoint import Checkpoints
from trainer.config import Config
from trainer.identity import CHECKPOINTS, RUN
from trainer.model import Transformer, build
from trainer.shape import shape


@dataclass(frozen=True, eq=False)
class Trained:
    """A model of a run after `step` steps; `bos`: whether its texts begin with BOS."""

    folder: Path
    config: Config
    step: int
    model: Transformer
    tokenizer: Tokenizer
    bos: bool
    result: dict[str, Any] | None

    @property
    def window(self) -> int:
        """Return the tokens of the longest window that it was trained on."""
        data = self.config.data
        return max([data.length, *(phase.length or 0 for phase in data.phases)])

    def facts(self) -> dict[str, str]:
        """Return what it was trained on and how good it is, for people."""
        found = {"steps": f"{self.step:,}", "windows a step": f"{self.config.data.batch:,}"}
        if self.result is not None:
            found["tokens"] = f"{self.result['tokens']:,}, {self.result['unique_tokens']:,} of them different"
            for name, score in self.result.get("evaluation", {}).items():
                if "/" not in name:
                    found[f"bits per byte, {name}"] = described(score)
        return found


def described(score: dict[str, Any]) -> str:
    """Say a score of result.json: bits per byte, its standard error where there is one, over how much."""
    error = score["standard_error"]
    around = "" if error is None else f" ± {error:.4f}"
    mark = "" if score.get("exact", True) else f"; {TOO_LOW}"  # older results do not say
    return f"{score['bits_per_byte']:.4f}{around} ({score['documents']} held-out documents{mark})"


def open(
    folder: Path,
    step: int | None = None,
    *,
    ema: bool = False,
    last: int = 1,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Trained:
    """Load the latest checkpoint of a run, or that of a step.

    `ema`: the average kept beside the weights; `last`: the mean of the weights of so many checkpoints up to
    that one. Raises ConfigError where the folder holds no run, or not what is asked for; CheckpointError
    where a checkpoint is damaged.
    """
    held = identity.read(folder)
    if held is None:
        raise ConfigError(f"{folder} holds no run: there is no {RUN}; `derlem train` makes one")
    config = settings.parse(Config, held["config"], f"{folder}/{RUN}")
    pieces = tokenizer.load(files.join(str(folder), tokenizer.MODEL))
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    chosen = _chosen(folder, checkpoints.steps(), step, last)
    model = build(shape(config.model, pieces.vocabulary), config.seed, device, dtype, config.z_loss)
    if ema and not config.optimizer.ema:
        raise ConfigError(f"{folder}: this run kept no average of its weights (optimizer.ema = 0)")

    def weights(at: int) -> dict[str, torch.Tensor]:
        if ema:
            averaged = Ema(model, config.optimizer.ema)
            checkpoints.load(at, {"ema": averaged})
            return averaged.weights
        checkpoints.load(at, {"model": model})
        return {name: parameter.detach() for name, parameter in model.named_parameters()}

    found = weights(chosen[0]) if len(chosen) == 1 else average.mean(map(weights, chosen))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(found[name])
    model.eval()
    return Trained(
        folder=folder,
        config=config,
        step=chosen[-1],
        model=model,
        tokenizer=pieces,
        bos=bool(held["bos"]),
        result=identity.result(folder),
    )


def _chosen(folder: Path, steps: list[int], step: int | None, last: int) -> list[int]:
    """Return the steps of the checkpoints to load, the last one the latest or that of the step asked for."""
    if not steps:
        raise ConfigError(f"{folder} has no finished checkpoint yet")
    until = steps[-1] if step is None else step
    chosen = [each for each in steps if each <= until][-last:]
    if until not in steps or len(chosen) < last:
        raise ConfigError(
            f"{folder}: {last} checkpoints up to step {until} are not there; there are those of steps "
            f"{', '.join(map(str, steps))}"
        )
    return chosen
