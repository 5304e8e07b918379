"""The configuration of a study of mixes, read from one TOML file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from corpus import files
from corpus.settings import WrongValueError
from trainer.config import Config, Positive, Weights
from trainer.scaling.config import Folder, leave_to_the_study


class Mix(Folder):
    """Small models, each trained on another mix of a corpus's streams, and the run that the mix is for."""

    corpus: str = Field(description="Folder of token shards, or of a build; its streams are mixed.")
    held_out: tuple[str, ...] = Field(
        (), description="Builds whose validation documents judge the mixes; empty: the corpus's own."
    )
    target: Weights = Field(
        default_factory=dict,
        description='How much each held-out domain counts, such as "tur_Latn/law" = 2; empty: all alike.',
    )
    tokens: int = Field(ge=1, description="Tokens of the run that the mix is for.")
    epochs: Positive = Field(4.0, description="That run reads no stream more often than this.")
    runs: int = Field(24, ge=6, description="Mixes from which the law is fitted.")
    test: int = Field(
        6, ge=3, description="Further mixes, which are trained and predicted, to judge the law."
    )
    seed: int = Field(0, ge=0, description="Seed by which the mixes are drawn.")
    workers: int = Field(0, ge=0, description="Worker processes on a CPU; 0: one for each core.")
    train: Config = Field(Config(), description="Settings of all runs, as in `derlem train --preset FILE`.")

    @model_validator(mode="after")
    def _mixes_are_set_here(self) -> Mix:
        leave_to_the_study(self, self.train, "weights", "phases", "rehydrate", "unique", "epochs")
        if self.train.objective.name != "causal":
            raise WrongValueError(
                self, "train.objective.name", "mixes are judged in bits per byte, so by causal models"
            )
        return self


def load(path: Path, overrides: tuple[str, ...] = ()) -> Mix:
    """Read a study; local folders in it are relative to its file. ConfigError names what is wrong."""
    mix = Mix.read(path, overrides, "that of docs/mix.md")
    base = path.resolve().parent
    return mix.model_copy(
        update={
            "corpus": files.located(mix.corpus, base),
            "held_out": tuple(files.located(folder, base) for folder in mix.held_out),
        }
    )
