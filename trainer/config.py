"""A training run in one TOML file: what its keys are, what they mean, which values they take."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from corpus import files, settings
from corpus.errors import ConfigError
from corpus.settings import Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weights = dict[str, Annotated[float, Field(ge=0.0)]]

_PRESETS = resources("trainer") / "presets"


class Model(Section):
    """A decoder-only transformer; `depth` sets every size that is not named."""

    depth: int = Field(4, ge=1, description="Layers; the width is 64 × depth unless named.")
    width: int | None = Field(None, ge=8, description="Width of the residual stream.")
    head: int = Field(64, ge=8, description="Width of an attention head; the heads fill the width.")
    kv_heads: int | None = Field(
        None, ge=1, description="Heads of keys and values, a divisor of the heads; all of them unless named."
    )
    hidden: int | None = Field(
        None, ge=16, description="Width inside the feed-forward block: 8/3 (swiglu) or 4 (relu2) × width."
    )
    activation: Literal["swiglu", "relu2"] = Field("swiglu", description="Of the feed-forward block.")
    tied: bool = Field(False, description="Whether the output layer is the embedding.")
    qk_norm: bool = Field(True, description="Whether queries and keys are normalised.")
    rope_base: Positive = Field(10_000.0, description="Base of the rotary positions' wavelengths.")
    soft_cap: float = Field(0.0, ge=0.0, description="Logits are capped smoothly at ± this; 0 leaves them.")


class Phase(Section):
    """A part of a curriculum, after which the next one begins."""

    tokens: int = Field(ge=1, description="How many tokens it lasts.")
    length: int | None = Field(None, ge=2, description="Tokens of its windows; data.length unless named.")
    batch: int | None = Field(None, ge=1, description="Its windows a step; data.batch unless named.")
    weights: Weights | None = Field(None, description="Its weights; data.weights unless named.")


class Data(Section):
    """What is read, and in which portions."""

    length: int = Field(2048, ge=2, description="Tokens of a window.")
    batch: int = Field(256, ge=1, description="Windows of a step, over all ranks together.")
    tokens: int = Field(1_000_000_000, ge=1, description="Tokens of the whole run, rounded up to steps.")
    weights: Weights = Field(
        default_factory=dict,
        description='Weights of streams, such as "tur_Latn/books" = 2; empty: by their tokens.',
    )
    rehydrate: bool = Field(
        False,
        description="Without weights: read documents the more often the more copies they had, as FineWeb2 "
        "does. Needs token shards made with tokenizer.by_copies = true.",
    )
    unique: int | None = Field(
        None,
        ge=2,
        description="Read only so many tokens, the first of every stream by its share, as often as it takes.",
    )
    phases: tuple[Phase, ...] = Field((), description="Parts before the last, which has the values above.")
    cache: str = Field(
        "", description="Folder for batches from gs://, s3:// and HTTP; empty: the user's own."
    )
    cache_gb: Positive = Field(32.0, description="Its largest size (GiB).")

    @model_validator(mode="after")
    def _one_kind_of_weights(self) -> Data:
        if self.rehydrate and self.weights:
            raise ValueError("data.rehydrate makes the weights: leave data.weights empty, or rehydrate false")
        if self.rehydrate and self.unique is not None:
            raise ValueError("data.rehydrate repeats by copies, data.unique by need: leave one of them out")
        return self

    @model_validator(mode="after")
    def _phases_leave_a_last_one(self) -> Data:
        before = sum(phase.tokens for phase in self.phases)
        if before >= self.tokens:
            raise ValueError(
                f"data.phases hold {before:,} tokens, but data.tokens = {self.tokens:,} is the whole run, "
                "the part after them included: raise data.tokens, or shorten the phases"
            )
        return self


class Optimizer(Section):
    """How gradients become updates."""

    name: Literal["adamw", "muon", "adafactor", "lion", "lamb"] = Field(
        "muon", description="muon: for the blocks' matrices, with adamw for everything else."
    )
    lr: Positive | None = Field(
        None, description="Peak learning rate of all but Muon's matrices; the optimizer's own unless named."
    )
    matrix_lr: Positive = Field(0.02, description="muon: peak learning rate of the matrices.")
    betas: tuple[Decay, Decay] = Field((0.9, 0.95), description="adamw, lion, lamb: decay of the moments.")
    eps: Positive = Field(1e-8, description="adamw, lamb: added to the root of the second moment.")
    momentum: Decay = Field(0.95, description="muon: decay of its momentum.")
    weight_decay: float = Field(0.1, ge=0.0, description="Of matrices; never of norms and embeddings.")
    clip: float = Field(1.0, ge=0.0, description="Largest norm of the gradient; 0 leaves it.")
    outlier: float = Field(
        6.0,
        ge=0.0,
        description="Skip a step whose gradient norm is so many deviations above the mean; 0: never.",
    )
    patience: int = Field(5, ge=1, description="Skipped steps in a row before going back to a checkpoint.")
    ema: Decay = Field(0.0, description="Decay of an average of the weights kept beside them; 0: none.")


class Schedule(Section):
    """The learning rate over the run's tokens, as a share of its peak."""

    name: Literal["wsd", "cosine", "linear"] = Field(
        "wsd", description="wsd: warm up, stay, decay; cosine and linear fall from the end of the warmup."
    )
    warmup: Share = Field(0.01, description="Share of the tokens over which it rises from 0 to its peak.")
    decay: Share = Field(0.2, description="wsd: share of the tokens, at the end, over which it falls.")
    shape: Literal["1-sqrt", "linear", "cosine"] = Field("1-sqrt", description="wsd: how it falls.")
    floor: Share = Field(0.0, description="Where it ends.")


class Evaluate(Section):
    """Bits-per-byte of validation documents, the same ones for every model."""

    documents: int = Field(200, ge=0, description="Of each stream; 0: no evaluation.")
    every: int = Field(0, ge=0, description="Steps between evaluations; 0: only at the end.")
    seed: int = Field(0, description="Of the choice of documents.")
    prompt: str = Field("", description="Text that one process goes on from at the end; empty: none.")


class Checkpoint(Section):
    """What is kept of a run while it goes on."""

    every: int = Field(1000, ge=1, description="Steps between checkpoints; the last step always has one.")
    keep: int = Field(2, ge=1, description="How many of the latest stay.")
    keep_every: int = Field(
        0, ge=0, description="Checkpoints at multiples of so many steps stay too; 0: none."
    )


class Run(Section):
    """The machine's part: changes how fast a run goes, not what it computes (but for rounding)."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is one.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of activations and products; auto: bfloat16 on CUDA. Weights stay float32.",
    )
    micro_batch: int = Field(0, ge=0, description="Windows at once on a device; 0: all of its share.")
    parallel: Literal["auto", "ddp", "fsdp"] = Field("auto", description="With torchrun; auto: ddp.")
    compile: Literal["auto", "always", "never"] = Field("auto", description="torch.compile; auto: on CUDA.")
    recompute: bool = Field(False, description="Compute activations again in the backward pass: less memory.")
    log: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        ("tensorboard",), description="Beside metrics.jsonl, where installed."
    )


class Config(Section):
    """A training run on a folder of token shards."""

    seed: int = Field(0, ge=0, description="Of the weights' beginning and of the order of the windows.")
    z_loss: float = Field(0.0, ge=0.0, description="Weight of the squared log-partition in the loss.")
    model: Model = Model()
    data: Data = Data()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    run: Run = Run()

    @model_validator(mode="after")
    def _schedule_fits(self) -> Config:
        if self.schedule.name == "wsd" and self.schedule.warmup + self.schedule.decay > 1:
            raise ValueError("schedule.warmup and schedule.decay together are more than the whole run")
        return self


def presets() -> list[str]:
    """Return the names of the packaged presets."""
    return sorted(
        path.name.removesuffix(".toml") for path in _PRESETS.iterdir() if path.name.endswith(".toml")
    )


def load(preset: str, overrides: Sequence[str] = ()) -> Config:
    """Read a packaged preset by its name, or a TOML file by its path; lay `key=value` overrides over it.

    Raises ConfigError naming file, key, value and what is allowed.
    """
    named = Path(str(_PRESETS / f"{preset}.toml"))
    path = named if preset in presets() else Path(files.located(preset))
    try:
        data = settings.read(path, overrides)
    except FileNotFoundError:
        known = ", ".join(presets())
        raise ConfigError(f"{preset}: no such preset and no such file; presets are {known}") from None
    return settings.parse(Config, data, str(path))
