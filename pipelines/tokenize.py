"""The tokenize stage: every shard becomes a token shard, by one SentencePiece model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset, files, tokenizer, versions
from corpus.assignment import TRAIN
from corpus.config import Config
from corpus.config import Tokenizer as Settings
from corpus.counts import Counts
from corpus.dedup.rehydrate import repeats, score_repeats
from corpus.errors import ConfigError, NotThereError
from corpus.schema import TOKENS16, TOKENS32, Kind, token_dtype
from corpus.settings import changed
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.lost import lost, note
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit

NAME = "tokenize"
VERSION = 3

BATCH_TOKENS = 1 << 21  # a record batch ends with the document that fills it: the unit of a reader

_CARRIED = ["bytes", "id", "language", "source", "copies"]
DECIDE = {"bos", "by_copies", "by_score", "score_repeats"}  # keys that decide what is written

_Group = tuple[str, int]  # a source, and how often its documents should be read


def model_url(config: Config, base: Path) -> str:
    """Return the path of the configured model: the one named, or the one trained from this corpus."""
    named = config.tokenizer.model
    if not named:
        return files.join(config.output, tokenizer.FOLDER, MODEL)
    return files.located(named, base)


def plan(context: Context) -> Stage:
    """Plan the stage from the shards' manifest and the model.

    Raises DatasetError where shards or model are missing, ConfigError for a model without an EOS piece.
    """
    config = context.config
    shards = context.input_of(NAME, "shard")
    sharded = dataset.load(shards)
    pieces = model(config, context.base)
    settings: dict[str, object] = {
        **changed(config.tokenizer, include=DECIDE),
        versions.KEY: versions.of("sentencepiece"),
    }
    units = []
    for file in sharded.files("shard"):
        inputs = (
            dataset.Input(name=file.path, checksum=file.sha256),
            dataset.Input(name=MODEL, checksum=pieces.sha256),
        )
        units.append(plan_unit(NAME, VERSION, settings, file.path, inputs, file, file.bytes))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings=settings,
        units=tuple(units),
        work=partial(tokenize_unit, shards, pieces.model, config.tokenizer),
        beside={MODEL: pieces.model},
        worker_bytes=8 << 20,
    )


def model(config: Config, base: Path) -> Tokenizer:
    """Load the configured model; DatasetError if there is none yet, ConfigError if it is unusable."""
    url = model_url(config, base)
    if files.size("", url) is None:
        if config.tokenizer.model:
            raise ConfigError(f"tokenizer.model = {config.tokenizer.model!r}: no such file")
        raise NotThereError(
            f"{url}: there is no model yet; `derlem tokenizer train` makes one, tokenizer.model names another"
        )
    pieces = tokenizer.load(url)
    if pieces.eos < 0:
        raise ConfigError(f"{url} has no EOS piece to end documents with; use another model")
    if config.tokenizer.bos and pieces.bos < 0:
        raise ConfigError(f"tokenizer.bos = true: {url} has no BOS piece; set it to false for this model")
    return pieces


def tokenize_unit(
    shards: str, model: bytes, settings: Settings, unit: Planned, folder: str, beat: Beat
) -> Outcome:
    """Write one shard's token shards, one for each source that it holds, its rows in their order.

    So that a trainer can weigh sources. With `by_copies` or `by_score` those of the train split hold
    documents of one number of repeats each (`corpus.dedup.rehydrate`), so that it can repeat them.
    """
    shard: dataset.File = unit.task
    pieces = Tokenizer(model)
    kind = TOKENS16 if tokenizer.fits_uint16(pieces.vocabulary) else TOKENS32
    head, tail = [pieces.bos] if settings.bos else [], [pieces.eos]
    counts = Counts()
    columns = ["text", *_CARRIED, *([settings.by_score] if settings.by_score else [])]
    _check_columns(shards, shard, columns)
    slots: dict[_Group, dataset.Slot] = {}
    fillers: dict[_Group, Filler] = {}
    with ExitStack() as stack:
        for batch in dataset.batches(shards, shard.path, columns, shard.bytes):
            texts = batch["text"].to_pylist()
            rows = [pieces.encode(text) for text in texts]
            changed = sum(pieces.decode(ids) != text for ids, text in zip(rows, texts, strict=True))
            unknown = sum(ids.count(pieces.unknown) for ids in rows)
            note(counts, shard.split, shard.language, changed, unknown)
            whole = _encoded(batch, [head + ids + tail for ids in rows], kind)
            times = _repeats(batch, settings) if shard.split == TRAIN else np.zeros(len(rows), np.int64)
            for group, encoded in _groups(whole, times):
                if group not in slots:
                    slots[group] = stack.enter_context(_create(folder, shard, group, kind, unit.fingerprint))
                    fillers[group] = Filler(slots[group].arrow)
                fillers[group].add(encoded)
                counts.kept += encoded.num_rows
                counts.note(f"{shard.split} tokens", shard.language, _tokens(encoded))
                counts.note(f"{shard.split} bytes", shard.language, pc.sum(encoded["bytes"]).as_py())
            counts.seen += batch.num_rows
            beat(counts.seen, counts.kept, counts.seen / shard.rows)
        for filler in fillers.values():
            filler.end()
    facts: dict[str, object] = {
        "tokenizer": pieces.sha256,
        "vocabulary": pieces.vocabulary,
        "padded_vocabulary": tokenizer.padded(pieces.vocabulary),
        "eos": pieces.eos,
        "bos": pieces.bos if settings.bos else None,
    }
    written = [slot.file for _, slot in sorted(slots.items()) if slot.file is not None]
    return Outcome(written, counts, facts=facts)


def warning(folder: str) -> str | None:
    """Return a warning about the tokenizer of the token shards in a folder; None if it loses no text."""
    found = lost(dataset.load(folder).counts())
    if found.nothing:
        return None
    return (
        f"this tokenizer loses text: {found}. Bits per byte of a model trained on these tokens will be too "
        "low, and are marked so. A model of `derlem tokenizer train` loses nothing; "
        "`derlem tokenizer compare` counts what others lose"
    )


def _create(
    folder: str, shard: dataset.File, group: _Group, kind: Kind, fingerprint: str
) -> AbstractContextManager[dataset.Slot]:
    source, times = group
    name = f"{source}-x{times}" if times else source
    numbers = shard.path.removeprefix(f"{shard.language}/{shard.split}-").rpartition("-")[0]
    return dataset.create(
        folder,
        f"{shard.language}/{shard.split}-{name}-{numbers}-{fingerprint}.arrow",
        kind,
        fingerprint,
        compression=None,
        language=shard.language,
        split=shard.split,
        source=source,
        repeats=times,
    )


def _encoded(batch: pa.RecordBatch, rows: list[list[int]], kind: Kind) -> pa.RecordBatch:
    """Return a shard's record batch with these rows of tokens for its texts."""
    schema = kind.schema()
    tokens = schema.field("tokens").type
    ends = np.cumsum([0, *map(len, rows)])
    values = np.fromiter(chain.from_iterable(rows), token_dtype(kind), int(ends[-1]))
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values), type=tokens)
    return pa.RecordBatch.from_arrays([lists, *(batch[name] for name in _CARRIED)], schema=schema)


def _check_columns(folder: str, shard: dataset.File, columns: list[str]) -> None:
    """Raise ConfigError where a shard has no column of the score."""
    with dataset.open_arrow(folder, shard.path) as reader:
        names = reader.schema.names
    if columns[-1] not in names:
        raise ConfigError(
            f"tokenizer.by_score = {columns[-1]!r}: {shard.path} has no such column; "
            f"its columns: {', '.join(names)}"
        )


def _repeats(batch: pa.RecordBatch, settings: Settings) -> NDArray[np.int64]:
    """Return how often to read each document; 0 stands for any number, where the settings do not say."""
    if not settings.by_copies and not settings.by_score:
        return np.zeros(batch.num_rows, np.int64)
    times = np.ones(batch.num_rows, np.int64)
    if settings.by_copies:
        times *= repeats(batch["copies"].to_numpy())
    if settings.by_score:
        scores = batch[settings.by_score].cast(pa.float64()).to_numpy(zero_copy_only=False)
        times *= score_repeats(scores, settings.score_repeats)
    return times


def _groups(batch: pa.RecordBatch, times: NDArray[np.int64]) -> Iterator[tuple[_Group, pa.RecordBatch]]:
    """Yield the rows of each source and each number of repeats."""
    for number in np.unique(times).tolist():
        mine = batch.filter(pa.array(times == number))
        for source in pc.unique(mine["source"]).to_pylist():
            yield (source, number), mine.filter(pc.equal(mine["source"], source))


def _tokens(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.list_value_length(batch["tokens"])).as_py())


class Filler:
    """Takes record batches of any size and writes ones that end with the document that fills them."""

    def __init__(self, arrow: dataset.ArrowWriter) -> None:
        self._arrow = arrow
        self._waiting: list[pa.RecordBatch] = []
        self._held = 0  # tokens of the waiting rows

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows, and write what is full."""
        ends = np.cumsum(pc.list_value_length(batch["tokens"]).to_numpy()) + self._held
        start = 0
        while (last := int(np.searchsorted(ends, BATCH_TOKENS))) < batch.num_rows:
            self._waiting.append(batch.slice(start, last + 1 - start))
            self.end()
            ends -= ends[last]
            start = last + 1
        self._waiting.append(batch.slice(start))
        self._held = int(ends[-1])

    def end(self) -> None:
        """Write the remaining rows."""
        if any(batch.num_rows for batch in self._waiting):
            self._arrow.write_tokens(pa.concat_batches(self._waiting))
        self._waiting = []
