"""An opened run: the model at one of its checkpoints, or an average of several, and its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpus.errors import CheckpointError, ConfigError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.lost import TOO_LOW
from trainer import average, identity, recipe
from trainer.checkpoint import Checkpoints
from trainer.config import Config
from trainer.device import Device, DType, check, choose
from trainer.device import dtype as resolve
from trainer.encoder_decoder import EncoderDecoder
from trainer.identity import CHECKPOINTS, RUN
from trainer.masked_score import NAMES
from trainer.model import Transformer, build
from trainer.objective import Objective, objective
from trainer.schedule import rope
from trainer.shape import counted, shape


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run's model after `step` steps on `corpus`; `bos`: whether its texts start with BOS."""

    folder: Path
    config: Config
    corpus: str
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

    @property
    def encoder(self) -> bool:
        """Return whether it learned masked tokens: it neither continues texts nor has bits per byte."""
        return self.config.objective.name == "masked"

    def decoder(self) -> Transformer:
        """Return the model; ConfigError if it did not learn to continue texts from their start."""
        if self.encoder:
            raise ConfigError(
                f"{self.folder}: an encoder, which learned masked tokens: it cannot continue texts or have "
                "bits per byte; `derlem evaluate RUN` scores masked tokens, and `derlem export` writes it"
            )
        if self.spans:
            raise ConfigError(
                f"{self.folder}: it learned to write the spans taken out of texts, not whole texts, and has "
                "no bits per byte; `derlem evaluate` scores spans, and `derlem generate` fills the places "
                "of a prompt that are marked <|reserved_0|>, <|reserved_1|> …"
            )
        return self.model

    def objective(self) -> Objective:
        """Return what it learned, for the score of hidden tokens."""
        paired = isinstance(self.model, EncoderDecoder)
        return objective(self.config.objective, self.tokenizer, paired=paired)

    def exported(self) -> Transformer:
        """Return the model; ConfigError if no class of transformers computes it."""
        if self.spans and not isinstance(self.model, EncoderDecoder):
            raise ConfigError(
                f"{self.folder}: a decoder that sees its input in both directions, which no class of "
                "transformers does: it cannot be exported; an encoder-decoder can (model.kind)"
            )
        return self.model

    @property
    def spans(self) -> bool:
        """Return whether it learned to write the spans that were taken out of texts."""
        return self.config.objective.name == "span-corruption"

    def facts(self) -> dict[str, str]:
        """Return what it was trained on and its scores, for people."""
        config = self.config
        rate = recipe.lr(config.optimizer)
        found = {
            "parameters": counted(self.model.shape.parameters, self.model.shape.active_parameters),
            "corpus": Path(self.corpus.removesuffix("/tokens")).name,
            "objective": config.objective.name,
            "steps": f"{self.step:,}",
            "windows per step": f"{config.data.batch:,}",
            "optimizer": f"{config.optimizer.name}, learning rate {rate:g}, schedule {config.schedule.name}",
            "seed": str(config.seed),
        }
        if self.result is not None:
            found["tokens"] = f"{self.result['tokens']:,}, {self.result['unique_tokens']:,} of them unique"
            streams = sorted(self.result["streams"].items(), key=lambda each: -each[1]["read"])
            found["data"] = ", ".join(f"{name} {each['read']:,} tokens" for name, each in streams[:12])
            for name, score in self.result.get("evaluation", {}).items():
                if "/" not in name:
                    found[f"bits per byte, {name}"] = described(score)
            for part, told in NAMES.values():
                if hidden := self.result.get(f"evaluation_{part}"):
                    found[f"nats for each {told}"] = f"{hidden['nats']:.4f}"
        return found


def described(score: dict[str, Any]) -> str:
    """Describe a score of result.json: bits per byte, its standard error if known, number of documents."""
    error = score["standard_error"]
    around = "" if error is None else f" ± {error:.4f}"
    mark = "" if score.get("exact", True) else f"; {TOO_LOW}"  # older results have no `exact`
    return f"{score['bits_per_byte']:.4f}{around} ({score['documents']} held-out documents{mark})"


def load_run(
    folder: Path,
    step: int | None = None,
    *,
    ema: bool = False,
    last: int = 1,
    device: torch.device | Device = "auto",
    dtype: torch.dtype | DType = "auto",
) -> LoadedRun:
    """Open a run at its latest checkpoint, or at that of a step: on the GPU where there is one.

    `ema`: load the moving average of the weights; `last`: average the weights of this many checkpoints up to
    that one. Only the files of these weights are read and verified, and none are drawn first. Raises
    ConfigError if the folder holds no run, or not what was asked for; CheckpointError if a checkpoint is
    damaged.
    """
    held = identity.read(folder)
    if held is None:
        raise ConfigError(f"{folder} holds no run: it has no {RUN}; `derlem train` makes one")
    config = identity.config(folder, held)
    pieces = identity.tokenizer_of(folder, held)
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    chosen = _chosen(folder, checkpoints.steps(), step, last)
    if ema and not config.optimizer.ema:
        raise ConfigError(f"{folder}: this run has no average of its weights (optimizer.ema = 0)")
    part = "ema.weights" if ema else "model"
    read = (checkpoints.tensors(at, part) for at in chosen)
    weights = next(read) if len(chosen) == 1 else average.mean(read)
    made = shape(config.model, pieces.vocabulary)
    on = device if isinstance(device, torch.device) else choose(device)
    computed = dtype if isinstance(dtype, torch.dtype) else resolve(dtype, on)
    check(made, on, computed)
    model = build(made, config.seed, on, computed, config.z_loss, draw=False)
    _fill(model, weights, checkpoints.path(chosen[-1]))
    model.rope = rope(config, chosen[-1])
    if isinstance(model, EncoderDecoder):
        model.start = pieces.bos
    model.whole_prompts = config.objective.name == "span-corruption"
    model.eval()
    return LoadedRun(
        folder=folder,
        config=config,
        corpus=held["corpus"],
        step=chosen[-1],
        model=model,
        tokenizer=pieces,
        bos=bool(held["bos"]),
        result=identity.result(folder),
    )


@torch.no_grad()
def _fill(model: Transformer, weights: Mapping[str, Tensor], path: Path) -> None:
    """Copy weights into a model, tensor by tensor; CheckpointError if names or shapes differ."""
    parameters = dict(model.named_parameters()) | dict(model.named_buffers())
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    expected = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                f"{path}: it differs from this run's state: {name}: found {found.get(name, 'nothing')}, "
                f"expected {expected.get(name, 'nothing')}"
            )
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


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
