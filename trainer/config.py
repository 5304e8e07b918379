"""The configuration of a training run, read from one TOML file: its keys, their meaning and their values."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from corpus import files, settings
from corpus.errors import ConfigError
from corpus.places import OptionalPlace
from corpus.settings import Section, WrongValueError
from trainer.model_config import Base
from trainer.model_config import Experts as Experts  # exported again, as a part of the configuration
from trainer.model_config import Model as Model

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weights = dict[str, Annotated[float, Field(ge=0.0)]]

_PRESETS = resources("trainer") / "presets"


class Phase(Section):
    """A phase of a curriculum; the phases run one after another."""

    tokens: int = Field(ge=1, description="Length of the phase in tokens.")
    length: int | None = Field(None, ge=2, description="Tokens per window; data.length unless set.")
    batch: int | None = Field(None, ge=1, description="Windows per step; data.batch unless set.")
    weights: Weights | None = Field(None, description="Weights of the streams; data.weights unless set.")
    rope_base: Base | None = Field(
        None, description="Base of the rotary position embedding; model.rope_base unless set."
    )


class Data(Section):
    """What is read, in which order and in which batches."""

    length: int = Field(2048, ge=2, description="Tokens per window.")
    batch: int = Field(256, ge=1, description="Windows per step, all ranks together.")
    tokens: int = Field(
        1_000_000_000, ge=1, description="Tokens of the whole run, rounded up to whole steps."
    )
    epochs: Positive | None = Field(
        None,
        description="Length of the run as readings of all text that it reads, instead of data.tokens.",
    )
    weights: Weights = Field(
        default_factory=dict,
        description='Weights of streams, such as "tur_Latn/books" = 2; empty: in proportion to their tokens.',
    )
    rehydrate: bool = Field(
        False,
        description="Repeat documents by their number of copies, as FineWeb2 does, or by a score; needs "
        "token shards made with tokenizer.by_copies = true or by_score, and no data.weights.",
    )
    unique: int | None = Field(
        None,
        ge=2,
        description="Train on only this many tokens, the first of each stream, repeated as often as needed.",
    )
    permute: Literal["windows", "documents"] = Field(
        "windows",
        description="What each epoch reads in a new order: windows of the text as it is stored, or "
        "documents, which windows then cut.",
    )
    phases: tuple[Phase, ...] = Field((), description="Phases before the last, which uses the values above.")
    cache: str = Field(
        "", description="Folder of the cache for remote token shards; empty: the user's cache folder."
    )
    cache_gb: Positive = Field(32.0, description="Largest size of the cache (GiB).")

    @model_validator(mode="after")
    def _one_kind_of_weights(self) -> Data:
        if self.rehydrate and self.weights:
            raise WrongValueError(
                self, "rehydrate", "it sets the weights: leave weights empty, or set it false"
            )
        if self.rehydrate and self.unique is not None:
            raise WrongValueError(
                self, "rehydrate", "it repeats by copies, unique to fill the run: set only one of them"
            )
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Data:
        if self.epochs is not None and (self.phases or self.weights or self.rehydrate):
            raise WrongValueError(
                self,
                "epochs",
                "only for runs that read all streams alike: set tokens instead, or leave phases, weights and "
                "rehydrate empty",
            )
        return self

    @model_validator(mode="after")
    def _phases_leave_a_last_one(self) -> Data:
        before = sum(phase.tokens for phase in self.phases)
        if before >= self.tokens:
            raise WrongValueError(
                self,
                "phases",
                f"they use {before:,} tokens, but the whole run, with the last phase, has only tokens = "
                f"{self.tokens:,}: raise tokens, or shorten the phases",
            )
        return self


class Objective(Section):
    """What the model learns; all but causal need a tokenizer with reserved pieces."""

    name: Literal["causal", "fill-in-the-middle", "masked", "span-corruption"] = Field(
        "causal",
        description="causal: the next token; fill-in-the-middle: also parts of texts from what surrounds "
        "them; masked: an encoder (attention in both directions); span-corruption: the spans that were taken "
        "out of a text that is seen in both directions. The last two are never scored in bits per byte.",
    )
    share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.15, description="Share of documents cut for filling in, or of tokens masked or taken out."
    )
    span: float = Field(
        3.0,
        ge=2.0,
        description="span-corruption: mean length of a span (tokens); longer in texts that would have more "
        "spans than the tokenizer has pieces for.",
    )
    mixture: bool = Field(
        False,
        description="span-corruption: UL2's seven denoisers, one drawn for each text, in place of share and "
        "span; the pieces <|reserved_20|> to <|reserved_22|> before a text name its mode, R, S or X.",
    )
    words: bool = Field(False, description="masked: choose whole words, by the tokenizer's marks of blanks.")

    @model_validator(mode="after")
    def _words_are_masked(self) -> Objective:
        if self.words and self.name != "masked":
            raise WrongValueError(self, "words", f'only for name = "masked", found "{self.name}"')
        return self

    @model_validator(mode="after")
    def _mixture_has_its_own_numbers(self) -> Objective:
        if self.mixture and (self.name, self.share, self.span) != ("span-corruption", 0.15, 3.0):
            raise WrongValueError(
                self,
                "mixture",
                'only for name = "span-corruption" without share and span: its denoisers have their own',
            )
        return self


class Optimizer(Section):
    """The optimizer and its settings."""

    name: Literal["adamw", "muon", "adafactor", "lion", "lamb"] = Field(
        "muon", description="muon: for the matrices of blocks; adamw for all other parameters."
    )
    lr: Positive | None = Field(
        None, description="Peak learning rate, without Muon's matrices; default: see recipe.py."
    )
    matrix_lr: Positive = Field(0.02, description="muon: peak learning rate of the matrices.")
    embedding_lr: Positive = Field(1.0, description="Rate of the embedding, as a multiple of lr.")
    head_lr: Positive = Field(1.0, description="Rate of an untied head, as a multiple of lr.")
    norm_lr: Positive = Field(1.0, description="Rate of the norms, as a multiple of lr.")
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.95), description="adamw, lion, lamb: β1 and β2 of the moments."
    )
    eps: Positive = Field(1e-8, description="adamw, lamb: added to the root of the second moment.")
    momentum: Decay = Field(0.95, description="muon: momentum.")
    momentum_warmup: int = Field(
        0, ge=0, description="muon: steps over which momentum rises from 0.85 to its value; 0: none."
    )
    normalize: bool = Field(
        False, description="muon: divide each row of an update by the root of its second moment (NorMuon)."
    )
    cautious: bool = Field(
        False, description="muon: decay a weight only where its update makes it smaller too."
    )
    weight_decay: float = Field(
        0.1, ge=0.0, description="Weight decay of matrices; norms and embeddings: none."
    )
    clip: float = Field(1.0, ge=0.0, description="Clip the gradient norm to this; 0: no clipping.")
    outlier: float = Field(
        6.0,
        ge=0.0,
        description="Skip a step if its gradient norm is this many deviations above the mean; 0: never.",
    )
    patience: int = Field(
        5, ge=1, description="Roll back to a checkpoint after this many skipped steps in a row."
    )
    ema: Decay = Field(
        0.0, description="Decay of an exponential moving average of the weights; 0: no average."
    )

    @model_validator(mode="after")
    def _switches_are_muons(self) -> Optimizer:
        for key in ("momentum_warmup", "normalize", "cautious"):
            if getattr(self, key) and self.name != "muon":
                raise WrongValueError(self, key, f'only for name = "muon", found "{self.name}"')
        return self


class Schedule(Section):
    """The learning rate over the tokens of the run, as a share of its peak."""

    name: Literal["wsd", "cosine", "linear"] = Field(
        "wsd", description="wsd: warm up, stay at the peak, decay; cosine, linear: decay after the warmup."
    )
    warmup: Share = Field(0.01, description="Share of the tokens for the warmup from 0 to the peak.")
    decay: Share = Field(0.2, description="wsd: share of the tokens for the decay at the end.")
    shape: Literal["1-sqrt", "linear", "cosine"] = Field("1-sqrt", description="wsd: shape of the decay.")
    floor: Share = Field(0.0, description="Learning rate at the end, as a share of the peak.")


class Evaluate(Section):
    """Evaluation in bits per byte on validation documents, the same ones for every model."""

    documents: int = Field(200, ge=0, description="Validation documents per stream; 0: no evaluation.")
    every: int = Field(0, ge=0, description="Steps between evaluations; 0: only at the end.")
    seed: int = Field(0, description="Seed for the choice of documents.")
    prompt: str = Field("", description="Prompt for a sample at the end of the run; empty: no sample.")


class Checkpoint(Section):
    """Which checkpoints a run writes and keeps."""

    every: int = Field(1000, ge=1, description="Steps between checkpoints; the last step always has one.")
    keep: int = Field(2, ge=1, description="Number of latest checkpoints to keep.")
    keep_every: int = Field(
        0, ge=0, description="Also keep checkpoints at multiples of this many steps; 0: none."
    )
    mirror: OptionalPlace = Field(
        "", description="URL (gs://, s3://) that each checkpoint is copied to and fetched from; empty: none."
    )


class Run(Section):
    """How the machine is used: this changes the speed of a run, but not its results (except for rounding)."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA if available.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of activations; auto: bfloat16 on CUDA, else float32. Weights are float32.",
    )
    micro_batch: int = Field(
        0, ge=0, description="Tokens of a micro-batch per device, in whole windows; 0: no accumulation."
    )
    parallel: Literal["auto", "ddp", "fsdp"] = Field("auto", description="With torchrun; auto: ddp.")
    compile: Literal["auto", "always", "never"] = Field("auto", description="torch.compile; auto: on CUDA.")
    flash: Literal["FA2", "FA3", "FA4"] = Field(
        "FA2", description="FlashAttention on a GPU; FA2 is torch's own, the others are packages."
    )
    fp8: bool = Field(
        False,
        description="Multiply in the blocks' linear layers in 8-bit floats, in training alone; for large "
        "models on GPUs of compute capability 8.9 or more.",
    )
    recompute: bool = Field(False, description="Recompute activations in the backward pass to save memory.")
    log: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        ("tensorboard",), description="Dashboards besides metrics.jsonl; those not installed are skipped."
    )


class Config(Section):
    """The configuration of a training run on a folder of token shards."""

    seed: int = Field(0, ge=0, description="Seed of the initial weights and of the order of windows.")
    z_loss: float = Field(0.0, ge=0.0, description="z-loss coefficient.")
    model: Model = Model()
    data: Data = Data()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    run: Run = Run()

    @model_validator(mode="after")
    def _yarn_stretches_a_phase(self) -> Config:
        longest = max([self.data.length, *(phase.length or 0 for phase in self.data.phases)])
        if self.model.yarn >= longest:
            raise WrongValueError(
                self,
                "model.yarn",
                f"expected fewer tokens than the longest window, {longest}, which it stretches; 0 for no "
                "stretching",
            )
        return self

    @model_validator(mode="after")
    def _kind_fits_objective(self) -> Config:
        kind, name = self.model.kind, self.objective.name
        fitting = {"masked": ["encoder"], "span-corruption": ["decoder", "encoder-decoder"]}
        if kind is not None and kind not in fitting.get(name, ["decoder"]):
            expected = " or ".join(f'"{each}"' for each in fitting.get(name, ["decoder"]))
            raise WrongValueError(self, "model.kind", f'expected {expected} for objective.name = "{name}"')
        return self

    @model_validator(mode="after")
    def _can_be_exported(self) -> Config:
        if self.objective.name == "masked":
            key, format = "objective.name", "EuroBERT"
        elif self.model.kind == "encoder-decoder":
            key, format = "model.kind", "T5Gemma"
        else:
            return self
        if self.model.experts.count:
            raise WrongValueError(
                self,
                key,
                f"set model.experts.count = 0, because {format}, the format in which such models are "
                "exported, has no experts",
            )
        if self.model.qk_norm or self.model.activation != "swiglu":
            raise WrongValueError(
                self,
                key,
                f'set model.qk_norm = false and model.activation = "swiglu", as {format} has them, the '
                "format in which such models are exported",
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Config:
        if self.schedule.name == "wsd" and self.schedule.warmup + self.schedule.decay > 1:
            raise WrongValueError(
                self,
                "schedule.warmup",
                f"expected at most 1, the whole run, together with schedule.decay = {self.schedule.decay}",
            )
        return self


def presets() -> list[str]:
    """Return the names of the packaged presets."""
    return sorted(
        path.name.removesuffix(".toml") for path in _PRESETS.iterdir() if path.name.endswith(".toml")
    )


def load(preset: str, overrides: Sequence[str] = ()) -> Config:
    """Read a packaged preset by its name, or a TOML file by its path, and apply `key=value` overrides.

    Raises ConfigError naming file, key, value and what is allowed.
    """
    named = Path(str(_PRESETS / f"{preset}.toml"))
    path = named if preset in presets() else Path(files.located(preset))
    try:
        data = settings.read(path, overrides)
    except FileNotFoundError:
        known = ", ".join(presets())
        raise ConfigError(f"{preset}: neither a preset nor a file; presets are {known}") from None
    return settings.parse(
        Config, data, settings.named(f"preset {preset}" if path == named else path, overrides)
    )
