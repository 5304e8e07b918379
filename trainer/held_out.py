"""The held-out documents that score the runs of a comparison or swarm, and the bits that each run needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel

from corpus import files
from corpus.errors import ConfigError
from trainer import evaluate, records
from trainer.evaluate import Document, Sample
from trainer.tokens import Tokens

if TYPE_CHECKING:
    from trainer.load_run import LoadedRun

BITS = "held-out.json"
"""In a run's folder: the digest of the held-out documents and the bits of each."""
FEWEST = 2
"""Documents that a set needs for a standard error."""
_COLUMNS = ("set", "language", "source", "id", "bytes", "tokens")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Documents:
    """The held-out documents, as parallel arrays: their set, language, source, and UTF-8 bytes."""

    sets: NDArray[np.str_]
    languages: NDArray[np.str_]
    sources: NDArray[np.str_]
    bytes: NDArray[np.int64]


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


def write(folder: Path, held: HeldOut) -> str:
    """Write the documents into a study's folder, for its workers; return the file's path.

    Its name has their digest, so that `read` need not check what it reads.
    """
    path = folder / f"held-out-{held.digest}.arrow"
    if not path.exists():
        every = [(name, each) for name, sample in held.samples.items() for each in sample.documents]
        rows = [(name, d.language, d.source, d.id, d.bytes, d.tokens) for name, d in every]
        facts = {name: [each.vocabulary, each.bos, each.exact] for name, each in held.samples.items()}
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        table = pa.table(columns, list(_COLUMNS)).replace_schema_metadata({"samples": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        files.write_bytes(str(folder), path.name, sink.getvalue().to_pybytes())
    return str(path)


def read(path: str) -> HeldOut:
    """Read the documents that `write` wrote."""
    with pa.memory_map(path) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
    facts = json.loads(table.schema.metadata[b"samples"])
    found: dict[str, list[Document]] = {name: [] for name in facts}
    tokens = (each.values.to_numpy() for each in table["tokens"])
    plain = zip(*(table[name].to_pylist() for name in _COLUMNS[:-1]), tokens, strict=True)
    for name, *document in plain:
        found[name].append(Document(*document))
    return HeldOut({name: Sample(tuple(found[name]), *facts[name]) for name in facts})


def digest(path: str) -> str:
    """Return the digest of the documents of a file that `write` wrote, from its name."""
    return Path(path).stem.removeprefix("held-out-")


def stored(folder: Path, digest: str) -> Floats | None:
    """Return the bits of every document that were stored for a run; None if they are of other documents."""
    found = records.read(folder, BITS, _Bits)
    if found is None or found["documents"] != digest:
        return None
    return np.array(found["bits"], np.float64)


def score(folder: Path, held: HeldOut, model: LoadedRun) -> None:
    """Store in a finished run's folder the bits of every held-out document under its model."""
    on = model.model.embedding.weight.device
    nats = [
        evaluate.evaluate(model.decoder(), sample, model.config.data.length, on).nll
        for sample in held.samples.values()
    ]
    bits = np.concatenate(nats) / np.log(2)
    files.write_json(str(folder), BITS, {"documents": held.digest, "bits": bits.tolist()}, sweeps=True)
