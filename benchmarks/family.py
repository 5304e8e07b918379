"""Train a small family of models on generated sums, and judge what it learnt.

`python -m benchmarks.family benchmarks/addition-family.toml`: docs/abilities.md shows the result. Run it
again to resume.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from corpus import dataset, files, settings
from corpus.counts import Counts
from corpus.errors import ConfigError
from corpus.schema import TOKENS16
from corpus.settings import Section
from corpus.teller import SILENT, Teller
from corpus.tokenizer import MODEL, Tokenizer, padded
from corpus.tokenizer.train import fit
from trainer import run
from trainer.abilities import command, tasks
from trainer.config import Config

TOKENS, RUNS = "tokens", "runs"
_BATCH = 4096  # documents per record batch
_VOCABULARY = 512  # upper limit; digits, the words of the prompts and 256 bytes need fewer
_LANGUAGES = {"tr": "tur_Latn", "en": "eng_Latn"}


class Size(Section):
    """A model size of the family."""

    depth: int = Field(ge=1, description="Number of layers.")
    width: int = Field(ge=16, description="Width of the residual stream.")


class Family(Section):
    """A family of models and the tasks that they learn."""

    output: str = Field("family", description="Output folder, relative to the file.")
    tasks: tuple[str, ...] = Field(
        ("addition/2/tr",), min_length=1, description="Sums and products to learn."
    )
    seed: int = Field(0, ge=0, description="Seed of the sums; the first `held_out` pairs are never learnt.")
    held_out: int = Field(500, ge=1, description="Number of held-out pairs of each task, for the questions.")
    learnt: int = Field(10_000, ge=1, description="Number of training pairs of each task, or all if fewer.")
    sizes: tuple[Size, ...] = Field(min_length=1, description="The models.")
    seeds: Annotated[int, Field(ge=1)] = Field(2, description="Models of each size, for the seed noise.")
    train: Config = Field(Config(), description="All other settings of their training.")


def load(path: Path, overrides: Sequence[str] = ()) -> Family:
    """Read a family's TOML file; ConfigError names what is wrong with it."""
    try:
        return settings.parse(Family, settings.read(path, overrides), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; benchmarks/addition-family.toml is an example") from None


def make(family: Family, folder: Path, teller: Teller) -> Path:
    """Write the sums and train all models; existing ones are kept. Return the folder of the runs."""
    corpus = folder / TOKENS
    if files.size(str(corpus), dataset.MANIFEST) is None:
        write(family, corpus)
    for size in family.sizes:
        for seed in range(family.seeds):
            model = family.train.model.model_copy(update={"depth": size.depth, "width": size.width})
            config = family.train.model_copy(update={"model": model, "seed": seed})
            name = f"depth{size.depth}-width{size.width}-seed{seed}"
            run.train(str(corpus), folder / RUNS / name, config, teller)
    return folder / RUNS


def texts(family: Family, task: str) -> Iterator[str]:
    """Yield the texts of a task for training: a question and its answer, without examples before it."""
    name = task.split("/")[0]
    if name not in tasks.OPERATIONS:
        raise ConfigError(f"tasks: {task} cannot be learnt here; expected {' or '.join(tasks.OPERATIONS)}")
    items = tasks.make(task, family.held_out + family.learnt, family.seed, shots=0)
    if len(items) <= family.held_out:
        raise ConfigError(f"held_out = {family.held_out}: {task} has only {len(items)} pairs in all")
    for item in items[family.held_out :]:
        yield item.prompt + item.targets[0]


def write(family: Family, folder: Path) -> None:
    """Write the sums as token shards, and the tokenizer made from them, which splits digits."""
    learnt = {task: list(texts(family, task)) for task in family.tasks}
    model = fit((text for held in learnt.values() for text in held), "bpe", _VOCABULARY)
    pieces = Tokenizer(model)
    files.write_bytes(str(folder), MODEL, model, sweeps=True)
    units = []
    for task, held in learnt.items():
        language, source = _LANGUAGES[task.split("/")[2]], task.replace("/", "-")
        fingerprint = files.fingerprint(task, family.seed, family.held_out, family.learnt, pieces.sha256)
        with dataset.create(
            str(folder),
            f"{language}/train-{source}-{fingerprint}.arrow",
            TOKENS16,
            fingerprint,
            compression=None,
            language=language,
            split="train",
            source=source,
        ) as slot:
            for first in range(0, len(held), _BATCH):
                rows = [
                    {
                        "tokens": [pieces.bos, *pieces.encode(text), pieces.eos],
                        "bytes": len(text.encode()),
                        "id": f"{number:032x}",
                        "language": language,
                        "source": source,
                        "copies": 1,
                    }
                    for number, text in enumerate(held[first : first + _BATCH], first)
                ]
                slot.arrow.write_tokens(pa.RecordBatch.from_pylist(rows, TOKENS16.schema()))
        assert slot.file is not None
        units.append(
            dataset.Unit(
                name=source,
                fingerprint=fingerprint,
                inputs=(),
                files=(slot.file,),
                counts=Counts(seen=len(held), kept=len(held)),
            )
        )
    facts: dict[str, object] = {
        "tokenizer": pieces.sha256,
        "vocabulary": pieces.vocabulary,
        "padded_vocabulary": padded(pieces.vocabulary),
        "eos": pieces.eos,
        "bos": pieces.bos,
    }
    manifest = dataset.Manifest(stage="tokenize", version=1, settings={}, units=tuple(units), facts=facts)
    dataset.save(str(folder), manifest)


def main(path: Path, teller: Teller) -> None:
    """Train the family of a file, ask all models the held-out pairs, and write the verdicts beside them."""
    family = load(path)
    home = path.parent / family.output
    runs = make(family, home, teller)
    request = command.Request(tasks=family.tasks, n=family.held_out, shots=0, seed=family.seed)
    command.abilities([runs], request, home, teller)


if __name__ == "__main__":
    main(Path(sys.argv[1]), SILENT)
