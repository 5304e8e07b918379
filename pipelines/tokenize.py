"""The tokenize stage: every shard becomes a token shard, by one SentencePiece model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import dataset, files, tokenizer
from corpus.config import Config, ConfigError
from corpus.counts import Counts
from corpus.dataset import DatasetError
from corpus.schema import TOKENS16, TOKENS32, Kind
from corpus.tokenizer import MODEL, Tokenizer
from pipelines.progress import Beat
from pipelines.shard import FOLDER as SHARDS
from pipelines.stage import Outcome, Planned, Stage, plan_unit

NAME = "tokenize"
FOLDER = "tokens"
VERSION = 1

BATCH_TOKENS = 1 << 21  # a record batch ends with the document that fills it: what a reader fetches at once

_CARRIED = ["bytes", "id", "language", "source", "copies"]


def model_url(config: Config, base: Path) -> str:
    """Say where the configured model lies: the one named, or the one trained from this corpus."""
    named = config.tokenizer.model
    if not named:
        return files.join(config.output, tokenizer.FOLDER, MODEL)
    return str(base / Path(named.removeprefix("file://")).expanduser()) if files.is_local(named) else named


def plan(config: Config, base: Path) -> Stage:
    """Plan the stage from the shards' manifest and the model; `base` is the folder of the configuration file.

    Raises DatasetError where shards or model are missing, ConfigError for a model that ends no document.
    """
    shards = files.join(config.output, SHARDS)
    sharded = dataset.load(shards)
    model = _model(config, base)
    settings: dict[str, object] = {"bos": config.tokenizer.bos}
    units = []
    for file in sharded.files("shard"):
        inputs = (
            dataset.Input(name=file.path, checksum=file.sha256),
            dataset.Input(name=MODEL, checksum=model.sha256),
        )
        units.append(plan_unit(NAME, VERSION, settings, file.path, inputs, file, file.bytes))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=files.join(config.output, FOLDER),
        settings=settings,
        units=tuple(units),
        work=partial(tokenize_unit, shards, model.model, config.tokenizer.bos),
    )


def _model(config: Config, base: Path) -> Tokenizer:
    url = model_url(config, base)
    if files.size("", url) is None:
        if config.tokenizer.model:
            raise ConfigError(f"tokenizer.model = {config.tokenizer.model!r}: no such file")
        raise DatasetError(
            f"{url}: there is no model yet; `derlem tokenizer train` makes one, tokenizer.model names another"
        )
    model = tokenizer.load(url)
    if model.eos < 0:
        raise ConfigError(f"{url} has no EOS piece to end documents with; use another model")
    if config.tokenizer.bos and model.bos < 0:
        raise ConfigError(f"tokenizer.bos = true: {url} has no BOS piece")
    return model


def tokenize_unit(shards: str, model: bytes, bos: bool, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Write one shard's token shard, row by row, and the model beside it: the folder is whole by itself."""
    shard: dataset.File = unit.task
    pieces = Tokenizer(model)
    kind = TOKENS16 if tokenizer.fits_uint16(pieces.vocabulary) else TOKENS32
    head, tail = [pieces.bos] if bos else [], [pieces.eos]
    counts = Counts()
    files.write_bytes(folder, MODEL, model)
    path = f"{shard.path.rpartition('-')[0]}-{unit.fingerprint}.arrow"
    with dataset.create(
        folder, path, kind, unit.fingerprint, compression=None, language=shard.language, split=shard.split
    ) as slot:
        for batch in _full(_encoded(shards, shard.path, pieces, head, tail, kind)):
            slot.arrow.write_tokens(batch)
            counts.seen = counts.kept = slot.arrow.rows
            counts.note(f"{shard.split} tokens", shard.language, len(batch["tokens"].flatten()))
            counts.note(f"{shard.split} bytes", shard.language, pc.sum(batch["bytes"]).as_py())
            beat(counts.seen, counts.kept, counts.seen / shard.rows)
    assert slot.file is not None
    facts: dict[str, object] = {
        "tokenizer": pieces.sha256,
        "vocabulary": pieces.vocabulary,
        "padded_vocabulary": tokenizer.padded(pieces.vocabulary),
        "eos": pieces.eos,
        "bos": pieces.bos if bos else None,
    }
    return Outcome([slot.file], counts, facts=facts)


def _encoded(
    shards: str, path: str, pieces: Tokenizer, head: list[int], tail: list[int], kind: Kind
) -> Iterator[pa.RecordBatch]:
    """Encode a shard, one record batch of tokens for each of its own."""
    schema = kind.schema()
    tokens = schema.field("tokens").type
    for batch in dataset.batches(shards, path, ["text", *_CARRIED]):
        rows = [head + pieces.encode(text) + tail for text in batch["text"].to_pylist()]
        ends = np.cumsum([0, *map(len, rows)])
        values = np.fromiter(chain.from_iterable(rows), tokens.value_type.to_pandas_dtype(), int(ends[-1]))
        lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values), type=tokens)
        yield pa.RecordBatch.from_arrays([lists, *(batch[name] for name in _CARRIED)], schema=schema)


def _full(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut a stream of record batches into ones that end with the document that makes `BATCH_TOKENS` full."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        ends = np.cumsum(pc.list_value_length(batch["tokens"]).to_numpy()) + held
        start = 0
        while (last := int(np.searchsorted(ends, BATCH_TOKENS))) < batch.num_rows:
            yield pa.concat_batches([*waiting, batch.slice(start, last + 1 - start)])
            waiting, start = [], last + 1
            ends -= ends[last]
        waiting.append(batch.slice(start))
        held = int(ends[-1])
    if sum(batch.num_rows for batch in waiting):
        yield pa.concat_batches(waiting)
