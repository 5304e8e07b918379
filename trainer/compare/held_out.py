"""The held-out documents of a comparison, and the bits that a run's model needs for each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from corpus import files
from corpus.errors import ConfigError
from trainer import evaluate, records
from trainer.compare.results import Documents, Floats
from trainer.device import Device, DType
from trainer.evaluate import Sample
from trainer.load_run import load_run
from trainer.tokens import Tokens

BITS = "held-out.json"
"""In a run's folder: the digest of the held-out documents and the bits of each."""
FEWEST = 2
"""Documents that a set needs for a standard error."""


class _Bits(BaseModel):
    documents: str
    bits: list[float]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The chosen documents of each held-out set, by the set's name."""

    samples: Mapping[str, Sample]

    @cached_property
    def documents(self) -> Documents:
        """Return all documents in the order of the sets."""
        every = [(name, each) for name, sample in self.samples.items() for each in sample.documents]
        return Documents(
            sets=np.array([name for name, _ in every]),
            languages=np.array([each.language for _, each in every]),
            sources=np.array([each.source for _, each in every]),
            bytes=np.array([each.bytes for _, each in every], np.int64),
        )

    @cached_property
    def digest(self) -> str:
        """Return a hash of the list of documents."""
        held = [f"{name} {sample.digest}" for name, sample in self.samples.items()]
        return hashlib.blake2b("\n".join(held).encode(), digest_size=16).hexdigest()


def choose(sets: Mapping[str, Tokens], per_stream: int, seed: int, leaked: Collection[str] = ()) -> HeldOut:
    """Return up to `per_stream` documents of each stream of each set, without those whose ids leaked.

    Raises ConfigError if too few remain, DatasetError if a set has no validation documents.
    """
    samples = {}
    for name, opened in sets.items():
        found = evaluate.choose(opened, per_stream, seed)
        kept = tuple(each for each in found.documents if each.id not in leaked)
        if len(kept) < FEWEST:
            raise ConfigError(
                f"held-out set {name}: of {len(found.documents)} documents only {len(kept)} have no copy in "
                "the training text of a corpus: name a held-out set that the corpora do not have"
            )
        samples[name] = replace(found, documents=kept)
    return HeldOut(samples)


def stored(folder: Path, held: HeldOut) -> Floats | None:
    """Return the bits of every document that were stored for a run; None if they are of other documents."""
    found = records.read(folder, BITS, _Bits)
    if found is None or found["documents"] != held.digest:
        return None
    return np.array(found["bits"], np.float64)


def score(folder: Path, held: HeldOut, device: Device, dtype: DType) -> None:
    """Store the bits of every held-out document under a finished run's model."""
    model = load_run(folder, device=device, dtype=dtype)
    on = model.model.embedding.weight.device
    nats = [
        evaluate.evaluate(model.decoder(), sample, model.config.data.length, on).nll
        for sample in held.samples.values()
    ]
    bits = np.concatenate(nats) / np.log(2)
    files.write_json(str(folder), BITS, {"documents": held.digest, "bits": bits.tolist()}, sweeps=True)
