"""The settings of a comparison, read from one TOML file: models, budgets, seeds, and when it stops."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from corpus import files, settings
from corpus.errors import ConfigError
from corpus.settings import Section, WrongValueError
from trainer.config import Config, Positive
from trainer.scaling.config import Budgets, LimitedBudgets, Seeds, Sizes, Study

if TYPE_CHECKING:
    from trainer.compare.sequential import Rule

_PRESETS = resources("trainer.compare") / "presets"


class Comparison(Section):
    """What is trained on every corpus, and when the comparison stops."""

    sizes: Sizes = Field(Sizes(), description="The models, the same for every corpus.")
    tokens: Budgets = Field(
        Budgets(), description="The training tokens of a size, the same for every corpus; the largest decide."
    )
    first: int = Field(3, ge=2, description="Seeds before the first look.")
    most: int = Field(8, ge=2, description="Seeds after which it ends, decided or not.")
    error: float = Field(
        0.05, gt=0, lt=1, description="Chance that a comparison of equal corpora finds a difference."
    )
    tie: float = Field(
        0.005, ge=0, lt=1, description="Corpora nearer than this share of the bits per byte are a tie."
    )
    noise: Positive = Field(
        0.003, description="Noise of a run, as a share of its bits per byte, for the plan of a first start."
    )
    tasks: tuple[str, ...] = Field(
        (), description="Tasks that every model is asked, as in `derlem evaluate --tasks`."
    )
    price: float = Field(0.0, ge=0.0, description="Price of one device hour, for the plan.")
    workers: int = Field(
        0, ge=0, description="Processes that train on a CPU; 0: one for each core, 1: this process alone."
    )
    train: Config = Field(Config(), description="Settings of all runs, as in `derlem train --preset FILE`.")

    @model_validator(mode="after")
    def _can_be_followed(self) -> Comparison:
        if self.first > self.most:
            raise WrongValueError(self, "first", f"expected at most `most`, {self.most}")
        if not self.train.evaluate.documents:
            raise WrongValueError(
                self, "train.evaluate.documents", "expected 1 or more, which compare the corpora"
            )
        return self

    def rule(self, bits_per_byte: float) -> Rule:
        """Return the rule of stopping for corpora of about these bits per byte."""
        from trainer.compare.sequential import Rule  # which needs torch, as no configuration does

        return Rule(self.first, self.most, self.error, self.tie * bits_per_byte)

    def study(self, corpora: dict[str, str], output: str) -> Study:
        """Return the study whose trunks are the runs of this comparison, a seed each.

        Its own score of a run is not used, because it is of one corpus: it reads one document a stream.
        """
        one = self.train.evaluate.model_copy(update={"documents": 1})
        return Study(
            output=output,
            corpora=corpora,
            check=(),
            tasks=self.tasks,
            price=self.price,
            sizes=self.sizes,
            tokens=LimitedBudgets(**self.tokens.model_dump()),
            seeds=Seeds(smallest=self.most, others=self.most),
            train=self.train.model_copy(update={"evaluate": one}),
        )


def load(preset: str, overrides: tuple[str, ...] = ()) -> Comparison:
    """Read packaged settings by their name, or a TOML file by its path, and apply `key=value` overrides."""
    named = Path(str(_PRESETS / f"{preset}.toml"))
    path = named if named.exists() else Path(files.located(preset))
    try:
        data = settings.read(path, overrides)
    except FileNotFoundError:
        raise ConfigError(f"{preset}: neither packaged settings (tiny) nor a file") from None
    return settings.parse(
        Comparison, data, settings.named(f"preset {preset}" if path == named else path, overrides)
    )
