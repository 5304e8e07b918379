"""The recipe: how batch, learning rates and weight decay follow from a model's size and its tokens.

A configuration's batch, rates and decay are valid at one point. N is the number of parameters that a token is
multiplied by (`Shape.matmul_parameters`; of experts those that it passes), D the tokens. At another point:

- muon, as in nanochat: batch ~ D^0.383 (Power Lines, arXiv 2505.13738), both rates ~ √batch, the rate of
  embeddings, head and norms also ~ 1/√width, weight decay ~ √batch / D;
- adamw, as in Porian et al. (arXiv 2406.19146) and OLMo's ladder: batch ~ N^(2/3), rate ~ N^(-1/3).

Batches are rounded to powers of two in windows, and the rates follow the rounded batch. The warmup is a share
of the tokens at every point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import Field

from corpus.errors import ConfigError
from corpus.settings import Section
from trainer import config
from trainer.shape import shape

LEARNING_RATES = {"adamw": 1e-3, "muon": 1e-2, "adafactor": 0.1, "lion": 6e-4, "lamb": 0.06}
"""Default peak learning rate of each optimizer (muon: of its AdamW groups).

A starting point, not a tuned value: except for muon, the best of three to four rates, apart by factors of
about 3, for 3.3 M parameters (depth 4, width 192) after 120 steps of 512 tokens of Turkish text. Muon was
still better at 0.03 and 0.1; wider models need lower rates."""

RULED = ("muon", "adamw")
"""The optimizers for which such rules are published."""
MUON = {"embedding_lr": 4.0, "momentum": 0.85, "weight_decay": 0.03}
"""What Muon has at another size or other tokens, unless the preset states it: models of 0.2 to 0.7 million
parameters need fewer steps with it (benchmarks/README.md; larger ones were not tried). Defaults of the
configuration stay as they are, for older runs."""
SIZED = ("model.depth", "model.width", "model.hidden", "model.experts.hidden")
"""The keys of the model that `overrides` sets."""
CHOSEN = ("data.tokens", "data.batch", *(f"optimizer.{key}" for key in ("lr", "matrix_lr", *MUON)))
"""The other keys that it sets; what the user sets of them is not its start."""
PER_PARAMETER = 20.0
"""Tokens per parameter of a model that is as good as its compute allows (Hoffmann et al., 2203.15556)."""
ASPECT = 0.15
"""How much a model may miss N for a better ratio of width to depth: the error in ln N worth a factor 2."""


class Point(Section):
    """Where a batch, learning rates and a weight decay are valid."""

    parameters: int = Field(ge=1, description="N.")
    width: int = Field(ge=1)
    tokens: int = Field(ge=1, description="The tokens that the model is trained on.")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A batch in windows, and the rates and decay that go with it."""

    batch: int
    lr: float
    matrix_lr: float
    weight_decay: float


def lr(optimizer: config.Optimizer) -> float:
    """Return the peak learning rate, without Muon's matrices."""
    return LEARNING_RATES[optimizer.name] if optimizer.lr is None else optimizer.lr


def rate(optimizer: config.Optimizer, part: str) -> float:
    """Return the peak learning rate of a part of a model: embedding, head, norms, or matrices of blocks."""
    multiples = {
        "embedding": optimizer.embedding_lr,
        "head": optimizer.head_lr,
        "norms": optimizer.norm_lr,
    }
    if optimizer.name == "muon" and part not in multiples:
        return optimizer.matrix_lr
    return lr(optimizer) * multiples.get(part, 1.0)


def decay(optimizer: config.Optimizer, part: str) -> float:
    """Return the weight decay of a part of a model: matrices of blocks decay, and so does an untied head."""
    return 0.0 if part in ("embedding", "norms") else optimizer.weight_decay


def scaled(settings: config.Config, at: Point, to: Point) -> Recipe:
    """Return the recipe of settings that are valid at a point, at another; for the optimizers of `RULED`."""
    optimizer, windows = settings.optimizer, settings.data.batch
    if optimizer.name == "adamw":
        batch = _power_of_two(windows * (to.parameters / at.parameters) ** (2 / 3))
        rate = lr(optimizer) * (at.parameters / to.parameters) ** (1 / 3)
        return Recipe(batch, _rounded(rate), optimizer.matrix_lr, optimizer.weight_decay)
    batch = _power_of_two(windows * (to.tokens / at.tokens) ** 0.383)
    root = math.sqrt(batch / windows)
    return Recipe(
        batch,
        lr=_rounded(lr(optimizer) * root * math.sqrt(at.width / to.width)),
        matrix_lr=_rounded(optimizer.matrix_lr * root),
        weight_decay=_rounded(optimizer.weight_decay * (root * at.tokens / to.tokens)),
    )


def nearest(base: config.Model, vocabulary: int, parameters: float, aspect: float) -> config.Model:
    """Return the depth and width, of whole heads, that are nearest to N and to a ratio of width to depth."""

    def miss(model: config.Model) -> float:
        found = shape(model, vocabulary)
        slim = math.log(found.width / found.layers / aspect)
        return (math.log(found.matmul_parameters / parameters)) ** 2 + (ASPECT / math.log(2) * slim) ** 2

    experts = base.experts.model_copy(update={"hidden": None})
    group = base.head * (base.kv_heads or 1)
    most = max(1, round(2 * (parameters / 12) ** 0.5 / group))
    tried = [
        base.model_copy(update={"depth": depth, "width": group * heads, "hidden": None, "experts": experts})
        for heads in range(1, most + 1)
        for depth in {max(1, round(group * heads / aspect) + more) for more in range(-4, 5)}
    ]
    return min(tried, key=miss)


def beside(
    preset: str, given: Sequence[str], vocabulary: int, parameters: int | None, tokens: int | None
) -> list[str]:
    """Return the `overrides` of a preset, by its name, that go with those of the user, which are stronger.

    ConfigError where the user sets what --parameters or --tokens chooses.
    """
    keys = {each.partition("=")[0].strip() for each in given}
    if parameters is not None and (sized := [key for key in SIZED if key in keys]):
        raise ConfigError(
            f"--parameters {parameters:,} and --set {', '.join(sized)}: both choose the size; omit one"
        )
    if "data.tokens" in keys:
        if tokens is not None:
            raise ConfigError(f"--tokens {tokens:,} and --set data.tokens: omit one of them")
        tokens = config.load(preset, given).data.tokens
    kept = [each for each in given if each.partition("=")[0].strip() not in CHOSEN]
    return overrides(config.load(preset, kept), vocabulary, parameters, tokens)


def overrides(
    preset: config.Config, vocabulary: int, parameters: int | None, tokens: int | None
) -> list[str]:
    """Return the `key=value` overrides that make a preset one for another size, other tokens, or both.

    The preset is valid at its own size and tokens; its ratio of width to depth stays. Without `tokens` there
    are 20 per parameter, and Muon has what `MUON` says unless the preset states it. ConfigError for presets
    of which the rules say nothing.
    """
    name, data, optimizer = preset.optimizer.name, preset.data, preset.optimizer
    if name not in RULED or data.phases or data.epochs is not None:
        key = f"optimizer.name = {name}" if name not in RULED else "data.phases or data.epochs"
        raise ConfigError(
            f"--parameters, --tokens: the configuration has {key}; the rules for other sizes and tokens are "
            f"for {' and '.join(RULED)}, and for data.tokens read in one phase"
        )
    own = found = shape(preset.model, vocabulary)
    if parameters is not None:
        found = shape(nearest(preset.model, vocabulary, parameters, own.width / own.layers), vocabulary)
        if found.matmul_parameters > 2 * parameters:
            raise ConfigError(
                f"--parameters {parameters:,}: with {vocabulary:,} pieces and heads of {preset.model.head} "
                f"the smallest model has {found.matmul_parameters:,}: ask for more, or train a tokenizer of "
                "fewer pieces (tokenizer.vocabulary)"
            )
    read = tokens or round(PER_PARAMETER * found.matmul_parameters)
    at, to = (
        Point(parameters=each.matmul_parameters, width=each.width, tokens=count)
        for each, count in ((own, data.tokens), (found, read))
    )
    values = {"model.depth": found.layers, "model.width": found.width, "data.tokens": read}
    if preset.model.hidden is not None:
        values["model.hidden"] = found.hidden
    if preset.model.experts.hidden is not None:
        values["model.experts.hidden"] = found.hidden
    if name == "muon":
        unstated = {key: value for key, value in MUON.items() if key not in optimizer.model_fields_set}
        preset = preset.model_copy(update={"optimizer": optimizer.model_copy(update=unstated)})
    chosen = asdict(scaled(preset, at, to))
    values["data.batch"] = chosen.pop("batch")
    rates = {key: getattr(preset.optimizer, key) for key in MUON} | chosen
    if name == "adamw":  # it has one rate, and its decay stays
        rates = {"lr": chosen["lr"]}
    values |= {f"optimizer.{key}": rate for key, rate in rates.items()}
    return [f"{key}={value}" for key, value in values.items()]


def _power_of_two(windows: float) -> int:
    return 1 << max(0, round(math.log2(windows)))


def _rounded(value: float) -> float:
    """Round to four digits, so that a configuration is readable and the same on every machine."""
    return float(f"{value:.4g}")
