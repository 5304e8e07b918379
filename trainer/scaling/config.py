"""The configuration of a scaling study, read from one TOML file: its keys, their meaning, their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from corpus import files, settings
from corpus.errors import ConfigError
from corpus.settings import Section, WrongValueError
from trainer.config import Config, Positive
from trainer.recipe import RULED, Point
from trainer.tasks.questions import sets

Multiple = Annotated[float, Field(ge=0.001, le=1000)]
"""The type of a multiple of the tokens: budgets are whole steps in the multiples' ratio, as fractions."""


class Sizes(Section):
    """Model sizes from smallest to largest, spaced as evenly in ln N as widths allow."""

    smallest: int = Field(
        10_000_000, ge=1, description="N of the smallest model: weights of matrix products."
    )
    largest: int = Field(80_000_000, ge=1, description="N of the largest model.")
    count: int = Field(4, ge=1, description="Number of sizes.")
    aspect: Positive = Field(64.0, description="Approximate ratio of width to depth.")

    @model_validator(mode="after")
    def _ordered(self) -> Sizes:
        if (self.count > 1) != (self.largest > self.smallest):
            raise WrongValueError(
                self,
                "count",
                f"with smallest = {self.smallest:,} and largest = {self.largest:,}: several sizes need a "
                "largest above the smallest, one size the same number twice",
            )
        return self


class Budgets(Section):
    """Training tokens of the models: `per_parameter` × each multiple × N."""

    per_parameter: Positive = Field(20.0, description="Tokens per parameter at multiple 1.")
    multiples: tuple[Multiple, ...] = Field((0.5, 1.0, 2.0, 4.0), min_length=1)


class LimitedBudgets(Budgets):
    """Budgets of which the largest models skip those that cost most."""

    most: int | None = Field(
        None, ge=1, description="Most tokens that a model reads; larger budgets are skipped."
    )


class Seeds(Section):
    """Number of seeds; a seed sets the initial weights and the order of windows."""

    smallest: int = Field(3, ge=1, description="Seeds of the smallest size; they measure the seed noise.")
    others: int = Field(1, ge=1, description="Seeds of the other sizes.")


class Repetition(Section):
    """The same budgets, read as several epochs of a part of the corpus."""

    epochs: tuple[int, ...] = Field((), description="Epochs, such as [2, 4, 8, 16]; main cells have 1.")
    sizes: int = Field(1, ge=1, description="Number of sizes, from the smallest.")
    multiples: tuple[Multiple, ...] = Field((), description="Multiples; all of tokens.multiples unless set.")

    @model_validator(mode="after")
    def _several(self) -> Repetition:
        if min(self.epochs, default=2) < 2:
            raise WrongValueError(self, "epochs", "expected whole numbers of 2 or more")
        return self


class Folder(Section):
    """The folder that a study writes its runs into."""

    output: str = Field(description="Output folder of the study.")

    @classmethod
    def read(cls, path: Path, overrides: tuple[str, ...], example: str) -> Self:
        """Read a TOML file, its output relative to it; ConfigError names what is wrong, or the example."""
        try:
            data = settings.read(path, overrides)
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; {example} is one to start from") from None
        found = settings.parse(cls, data, settings.named(path, overrides))
        if not files.is_local(found.output):
            raise ConfigError(
                f"{path}: output = {found.output!r}: runs need a folder on a local or network disk"
            )
        return found.model_copy(update={"output": files.located(found.output, path.resolve().parent)})


def leave_to_the_study(section: Section, train: Config, *keys: str) -> None:
    """Raise WrongValueError where [train.data] has one of these keys, which the study sets itself."""
    for key in keys:
        if getattr(train.data, key) not in (None, (), {}, False):
            raise WrongValueError(section, f"train.data.{key}", "expected none: the study sets what is read")


class Study(Folder):
    """A family of models, trained to measure how loss depends on parameters, data and epochs."""

    corpora: dict[str, str] = Field(min_length=1, description="Name and token shards of each corpus.")
    validation: str = Field("", description="Corpus for the validation of all models; default: the first.")
    tasks: tuple[str, ...] = Field(
        (), description="Tasks that every model is asked, as in `derlem evaluate --tasks`."
    )
    check: tuple[Positive, ...] = Field(
        (0.5, 2.0), description="Learning rate multiples tested at the smallest size; empty: no test."
    )
    workers: int = Field(0, ge=0, description="Worker processes on a CPU; 0: one for each core.")
    price: float = Field(0.0, ge=0.0, description="Price of one device hour, for the plan.")
    sizes: Sizes = Sizes()
    tokens: LimitedBudgets = LimitedBudgets()
    seeds: Seeds = Seeds()
    repetition: Repetition = Repetition()
    reference: Point | None = Field(
        None,
        description="Where [train]'s batch, rates and decay are valid, with the tokens at multiple 1; unset: "
        "at the smallest size.",
    )
    train: Config = Field(Config(), description="Settings of all runs, as in `derlem train --preset FILE`.")

    @model_validator(mode="after")
    def _usable(self) -> Study:
        known = ", ".join(self.corpora)
        if self.validation and self.validation not in self.corpora:
            raise WrongValueError(self, "validation", f"expected one of the corpora {known}")
        for name in self.corpora:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise WrongValueError(
                    self, "corpora", f"the name {name!r}: expected only letters, digits, - and _"
                )
        if self.train.schedule.name != "wsd":
            raise WrongValueError(self, "train.schedule.name", 'expected "wsd", whose trunk a study branches')
        if not 0.01 <= self.train.schedule.decay <= 0.99:
            raise WrongValueError(self, "train.schedule.decay", "expected 0.01 to 0.99, for branches")
        if self.train.optimizer.name not in RULED:
            raise WrongValueError(
                self,
                "train.optimizer.name",
                f"rules for other sizes are published only for {' and '.join(RULED)}",
            )
        leave_to_the_study(self, self.train, "phases", "unique", "epochs")
        if not self.train.evaluate.documents:
            raise WrongValueError(
                self, "train.evaluate.documents", "expected 1 or more, which score the models"
            )
        if self.train.data.rehydrate and self.repetition.epochs:
            raise WrongValueError(self, "repetition.epochs", "subsets of a rehydrated corpus are not defined")
        if self.repetition.sizes > self.sizes.count:
            raise WrongValueError(
                self, "repetition.sizes", f"expected at most sizes.count = {self.sizes.count}"
            )
        if set(self.repetition.multiples) - set(self.tokens.multiples):
            raise WrongValueError(
                self, "repetition.multiples", "expected some of tokens.multiples, to compare with"
            )
        return self

    @property
    def validation_corpus(self) -> str:
        """Return the name of the corpus whose validation documents score all models."""
        return self.validation or next(iter(self.corpora))


def load(path: Path, overrides: tuple[str, ...] = ()) -> Study:
    """Read a study; local folders in it are relative to its file. ConfigError names what is wrong."""
    study = Study.read(path, overrides, "examples/study.toml")
    base = path.resolve().parent
    return study.model_copy(
        update={
            "corpora": {name: files.located(folder, base) for name, folder in study.corpora.items()},
            "tasks": tuple(each if each in sets() else files.located(each, base) for each in study.tasks),
        }
    )
