"""An opened folder of token shards: its streams, where their batches are, the order in which a run reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from corpus import batches, dataset, files
from corpus.assignment import VALIDATION
from corpus.batches import Batches
from corpus.dataset import File, Manifest
from corpus.errors import ConfigError, DatasetError, NotThereError
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.lost import Lost, lost
from trainer.config import Config
from trainer.mixture import SMALLEST
from trainer.order import VERSION, Order, Phase, Stream
from trainer.order import fingerprint as counts_fingerprint

FOLDER = "tokens"  # below a build's output folder
KINDS = ("tokens16", "tokens32")
HOLD_OUT = (
    "set shard.validation to the share of the corpus to hold out and build again, or train without "
    "evaluation: evaluate.documents = 0"
)

_MEANINGS = {
    "version": "derlem's way to order windows",
    "tokenizer": "the tokenizer",
    "streams": "the streams' names or the token counts of their batches",
    "content": "the tokens themselves",
    "seed": "the seed",
    "chunk": "the longest window of all phases",
    "permute": "what is permuted for each epoch (data.permute)",
    "phases": "weights, window length or batch of a phase that has already been read",
}


@dataclass(frozen=True, eq=False)
class Tokens:
    """Finished token shards of a build: `rows` is the padded vocabulary, `tokenizer` its SHA-256.

    `lost` is the text that this tokenizer does not keep: if there is any, bits per byte are too low.
    """

    folder: str
    manifest: Manifest
    eos: int
    bos: int | None
    vocabulary: int
    rows: int
    tokenizer: str
    lost: Lost


Place = tuple[File, int]
"""A record batch: its file, and its number in the file."""


_FACTS = ("eos", "bos", "vocabulary", "padded_vocabulary")  # of the tokenizer, in the manifest


def open(folder: str) -> Tokens:
    """Open a folder of token shards by its manifest: the shards' own folder, or the output folder of a build.

    Raises DatasetError if it holds no token shards, with what to do.
    """
    for where in (folder, files.join(folder, FOLDER)):
        if files.size(where, dataset.MANIFEST) is not None:
            break
    else:
        raise NotThereError(
            f"{folder} holds no finished token shards: neither {dataset.MANIFEST} nor "
            f"{FOLDER}/{dataset.MANIFEST} is in it; `derlem tokenize` makes them from a corpus"
        )
    manifest = dataset.load(where)
    facts = manifest.facts
    if manifest.stage != "tokenize" or "tokenizer" not in facts:
        raise NotThereError(
            f"{where} holds the output of the stage {manifest.stage!r}, not token shards; "
            "`derlem tokenize` makes them from a corpus"
        )
    if absent := [name for name in _FACTS if name not in facts]:
        raise DatasetError(
            f"{files.join(where, dataset.MANIFEST)} has no {', '.join(absent)}: it is damaged; "
            "remove it and run `derlem tokenize` again"
        )
    bos = facts["bos"]
    return Tokens(
        folder=where,
        manifest=manifest,
        eos=_number(facts["eos"]),
        bos=None if bos is None else _number(bos),
        vocabulary=_number(facts["vocabulary"]),
        rows=_number(facts["padded_vocabulary"]),
        tokenizer=str(facts["tokenizer"]),
        lost=lost(manifest.counts()),
    )


def _number(value: object) -> int:
    assert isinstance(value, int), value
    return value


def streams(tokens: Tokens, split: str = "train") -> list[Stream]:
    """Return the streams of a split, sorted by name: "tur_Latn/books", its batches in the manifest's order.

    Shards made by copies give a stream for each number of repeats: "tur_Latn/books x3".
    """
    return [
        Stream(name, np.concatenate([_EMPTY, *(_batches(file).tokens.array() for file in held)]))
        for name, held in by_stream(tokens, split).items()
    ]


def held(tokens: Tokens, split: str = "train") -> int:
    """Return the number of tokens of a split; ConfigError if there are none."""
    found = sum(int(stream.tokens.sum()) for stream in streams(tokens, split))
    if not found:
        raise ConfigError(f"{tokens.folder} has no tokens ({split}): add text to the corpus")
    return found


def documents(tokens: Tokens, split: str = "train") -> list[NDArray[np.int64]]:
    """Return the number of tokens of each document, stream by stream, read from all shards of a split."""
    found = []
    for held in by_stream(tokens, split).values():
        lengths = [
            np.diff(batch["tokens"].offsets.to_numpy()).astype(np.int64)
            for file in held
            for batch in dataset.batches(tokens.folder, file.path, ["tokens"], file.bytes)
        ]
        found.append(np.concatenate([_EMPTY, *lengths]))
    return found


def places(tokens: Tokens, split: str = "train") -> list[list[Place]]:
    """Return where the batches of each stream are: one list per stream, parallel to its `tokens`."""
    return [
        [(file, number) for file in held for number in range(len(_batches(file).offset))]
        for held in by_stream(tokens, split).values()
    ]


def by_stream(tokens: Tokens, split: str = "train") -> dict[str, list[File]]:
    """Return the files of each stream of a split, in the manifest's order; DatasetError if there are none."""
    held: dict[str, list[File]] = {}
    for unit in tokens.manifest.units:
        for file in unit.files:
            if file.kind in KINDS and file.split == split:
                held.setdefault(_stream(file), []).append(file)
    if not held:
        found = sorted({file.split for kind in KINDS for file in tokens.manifest.files(kind)})
        hint = f": {HOLD_OUT}" if split == VALIDATION else ""
        raise NotThereError(
            f"{tokens.folder} has no token shards of split {split!r}; existing splits: "
            f"{', '.join(found) or 'none'}{hint}"
        )
    return dict(sorted(held.items()))


def _stream(file: File) -> str:
    return f"{file.language}/{file.source}" + (f" x{file.repeats}" if file.repeats else "")


_LEAST = 2 * SMALLEST  # of a default weight: raising many small weights lowers every share
_EMPTY = np.empty(0, np.int64)


def _batches(file: File) -> Batches:
    return file.batches or batches.NONE


def sized(config: Config, tokens: Tokens) -> Config:
    """Return the configuration with the `data.tokens` that its `data.epochs`, if set, are of these tokens."""
    data = config.data
    if data.epochs is None:
        return config
    held = sum(int(stream.tokens.sum()) for stream in streams(tokens))
    read = held if data.unique is None else min(held, data.unique)
    wanted = data.model_copy(update={"tokens": max(1, round(data.epochs * read))})
    return config.model_copy(update={"data": wanted})


def order(config: Config, tokens: Tokens, split: str = "train") -> Order:
    """Return the order that a configuration asks for: its phases, then a last one that never ends.

    Without weights every stream is read in proportion to its tokens; with `rehydrate` each token counts as
    often as it should be read; a stream too small for the mixture gets the smallest share that it deals.
    Raises ValueError for phases that cannot be read, naming the phase and the stream, and DatasetError if
    shards are to be rehydrated that were not made by copies.
    """
    data, found = config.data, streams(tokens, split)
    times = [held[0].repeats if data.rehydrate else 1 for held in by_stream(tokens, split).values()]
    if 0 in times:
        raise DatasetError(
            f"data.rehydrate = true, but the token shards in {tokens.folder} are not separated by copies: "
            "set tokenizer.by_copies = true, or by_score, in the corpus's configuration and run "
            "`derlem tokenize` again"
        )
    wanted = [float(stream.tokens.sum() * time) for stream, time in zip(found, times, strict=True)]
    least = _LEAST * sum(wanted)
    by_tokens = {
        stream.name: max(weight, least)
        for stream, weight in zip(found, wanted, strict=True)
        if stream.tokens.sum() > 1
    }
    base = dict(data.weights) or by_tokens
    phases = [
        Phase(
            phase.tokens,
            base if phase.weights is None else dict(phase.weights) or by_tokens,
            phase.length or data.length,
            phase.batch or data.batch,
        )
        for phase in data.phases
    ]
    rest = data.tokens - sum(phase.tokens for phase in phases)
    if data.permute == "documents":
        lengths = documents(tokens, split)
        found = [replace(one, documents=each) for one, each in zip(found, lengths, strict=True)]
    if data.unique is not None:
        found = subset(found, {name for name, weight in base.items() if weight > 0}, data.unique)
    return Order(found, [*phases, Phase(rest, base, data.length, data.batch)], config.seed)


def subset(found: Sequence[Stream], read: Set[str], unique: int) -> list[Stream]:
    """Cut the streams that are `read` to about `unique` tokens together, each to the same share.

    They are the first tokens, in the order that `derlem shard` drew: a larger subset contains a smaller one.
    Raises ValueError if the streams have fewer tokens.
    """
    held = sum(int(stream.tokens.sum()) for stream in found if stream.name in read)
    if unique > held:
        raise ValueError(f"data.unique = {unique:,}, but the streams that are read have only {held:,} tokens")
    return [stream.first(max(2, round(int(stream.tokens.sum()) * unique / held))) for stream in found]


def model(tokens: Tokens) -> Tokenizer:
    """Return the tokenizer that made the tokens, which is beside them.

    Raises DatasetError if it cannot be read, or is not the one that the manifest names.
    """
    path = files.join(tokens.folder, MODEL)
    rest = "it belongs to the token shards; restore it, or run `derlem tokenize` again"
    try:
        with files.open_bytes(path) as file:
            found = Tokenizer(file.read(), path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DatasetError(f"{path}: {error.strerror or 'no such file'}: {rest}") from None
    if found.sha256 != tokens.tokenizer or found.vocabulary != tokens.vocabulary:
        raise DatasetError(
            f"{path} has {found.vocabulary:,} pieces ({found.sha256[:12]}), but by {dataset.MANIFEST} the "
            f"shards were made with a tokenizer of {tokens.vocabulary:,} pieces ({tokens.tokenizer[:12]}): "
            f"{rest}"
        )
    return found


def same_tokenizer(tokens: Tokens, tokenizer: Tokenizer) -> None:
    """Raise DatasetError if tokens were made with another tokenizer than the model's."""
    if tokens.tokenizer != tokenizer.sha256:
        raise DatasetError(
            f"{tokens.folder} was made with another tokenizer ({tokens.vocabulary:,} pieces, "
            f"{tokens.tokenizer[:12]}) than the model's ({tokenizer.vocabulary:,} pieces, "
            f"{tokenizer.sha256[:12]}): name the model's under [tokenizer] and run `derlem tokenize` again"
        )


def one_tokenizer(opened: Mapping[str, Tokens]) -> None:
    """Raise ConfigError unless all were made with one tokenizer, naming what to set.

    Raises DatasetError where another one is beside some (`model`); runs refuse those that have none.
    """
    first, *others = opened
    for name in others:
        if opened[name].tokenizer != opened[first].tokenizer:
            raise ConfigError(
                f"{name} was made with another tokenizer ({opened[name].vocabulary:,} pieces, "
                f"{opened[name].tokenizer[:12]}) than {first} ({opened[first].vocabulary:,} pieces, "
                f"{opened[first].tokenizer[:12]}): models of two tokenizers differ in more than their text. "
                f"Set tokenizer.model in the configuration of {name} to "
                f"{opened[first].folder}/tokenizer.model and run `derlem tokenize` again"
            )
    for each in opened.values():
        if files.size(each.folder, MODEL) is not None:
            model(each)


def fingerprint(tokens: Tokens, order: Order, step: int, split: str = "train") -> str:
    """Return everything that decides what was read before a step, part by part: `name=value name=value …`.

    A checkpoint stores it; `check` compares it on resume. Phases that start at the step or later are not
    included, so that a branch may change them.
    """
    content = hashlib.blake2b(digest_size=16)
    for held in by_stream(tokens, split).values():
        for file in held:
            content.update(_batches(file).xxh3.text.encode())
    read, before = [], 0
    for phase in order.phases:
        if before >= step:
            break
        last = phase is order.phases[-1]
        steps = step - before if last else min(phase.steps, step - before)
        read.append([steps, phase.length, phase.batch, sorted(phase.weights.items())])
        before += steps
    parts = {
        "version": str(VERSION),
        "tokenizer": tokens.tokenizer[:32],
        "streams": counts_fingerprint(order.streams),
        "content": content.hexdigest(),
        "seed": str(order.seed),
        "chunk": str(order.chunk),
        "phases": hashlib.blake2b(json.dumps(read).encode(), digest_size=16).hexdigest(),
    }
    if any(stream.documents is not None for stream in order.streams):
        parts["permute"] = "documents"
    return " ".join(f"{name}={value}" for name, value in parts.items())


def check(stored: str, found: str) -> None:
    """Compare the fingerprint stored in a checkpoint with that of the present data and configuration.

    Raises DatasetError that names what has changed, with the old and the new value.
    """
    was, now = (dict(part.partition("=")[::2] for part in text.split()) for text in (stored, found))
    changed = [
        f"{meaning} ({name} was {was.get(name, 'missing')}, is {now.get(name, 'missing')})"
        for name, meaning in _MEANINGS.items()
        if was.get(name) != now.get(name)
    ]
    if changed:
        raise DatasetError(
            f"this run cannot resume with other data than it started with; changed: {'; '.join(changed)}. "
            "Restore its data and configuration, or start a new run in another folder"
        )
