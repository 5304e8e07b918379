"""An opened run: the model at one of its checkpoints, or an average of several, and its tokenizer."""

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
    """A model of a run after `step` steps; `bos`: whether its texts start with BOS."""

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
        """Return what it was trained on and its scores, for people."""
        found = {"steps": f"{self.step:,}", "windows per step": f"{self.config.data.batch:,}"}
        if self.result is not None:
            found["tokens"] = f"{self.result['tokens']:,}, {self.result['unique_tokens']:,} of them unique"
            for name, score in self.result.get("evaluation", {}).items():
                if "/" not in name:
                    found[f"bits per byte, {name}"] = described(score)
        return found


def described(score: dict[str, Any]) -> str:
    """Describe a score of result.json: bits per byte, its standard error if known, number of documents."""
    error = score["standard_error"]
    around = "" if error is None else f" ± {error:.4f}"
    mark = "" if score.get("exact", True) else f"; {TOO_LOW}"  # older results have no `exact`
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

    `ema`: load the moving average of the weights; `last`: average the weights of this many checkpoints up to
    that one. Raises ConfigError if the folder holds no run, or not what was asked for; CheckpointError if a
    checkpoint is damaged.
    """
    held = identity.read(folder)
    if held is None:
        raise ConfigError(f"{folder} holds no run: it has no {RUN}; `derlem train` makes one")
    config = settings.parse(Config, held["config"], f"{folder}/{RUN}")
    pieces = tokenizer.load(files.join(str(folder), tokenizer.MODEL))
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    chosen = _chosen(folder, checkpoints.steps(), step, last)
    model = build(shape(config.model, pieces.vocabulary), config.seed, device, dtype, config.z_loss)
    if ema and not config.optimizer.ema:
        raise ConfigError(f"{folder}: this run has no average of its weights (optimizer.ema = 0)")

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
    """Return the steps of the checkpoints to load; the last is the latest or the one asked for."""
    if not steps:
        raise ConfigError(f"{folder} has no finished checkpoint yet")
    until = steps[-1] if step is None else step
    chosen = [each for each in steps if each <= until][-last:]
    if until not in steps or len(chosen) < last:
        raise ConfigError(
            f"{folder}: {last} checkpoints up to step {until} do not exist; existing ones are of steps "
            f"{', '.join(map(str, steps))}"
        )
    return chosen
