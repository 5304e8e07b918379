"""The texts that models of quality are trained on: of files, or of the shards of a build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import PurePath

from corpus import chain, dataset, files, sources
from corpus.config import Source
from corpus.errors import ConfigError, NotThereError
from corpus.items import RawDocument
from corpus.sources import inputs
from corpus.text.repair import repair
from corpus.tokenizer.train import balanced

_FORMATS = {"jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet", "arrow": "arrow", "txt": "text"}
_MIB = 1 << 20


def sample(places: Sequence[str], size_mb: float, column: str = "text") -> list[str]:
    """Return texts of about `size_mb` MiB: of each place in turn one, until all are read or there are enough.

    A place is a file or glob (JSON lines, Parquet, Arrow, or text with a document a file), or a build's
    output folder, whose train shards are drawn from. Raises ConfigError for a place that is neither, and
    NotThereError where there is no text.
    """
    streams = [_texts(place, size_mb, column) for place in places]
    found: list[str] = []
    left = size_mb * _MIB
    for texts in zip_longest(*streams):
        for text in texts:
            if text and left > 0:
                found.append(text)
                left -= len(text.encode("utf-8", "surrogatepass"))
        if left <= 0:
            break
    if not found:
        raise NotThereError(f"{', '.join(places)}: no text there; expected the key {column!r} to hold it")
    return found


def _texts(place: str, size_mb: float, column: str) -> Iterator[str]:
    form = _format(place)
    if not form:
        shards = files.join(place, chain.find("shard").folder)
        yield from (text for _, text in balanced(shards, int(size_mb * _MIB), seed=1))
        return
    source = Source(name="texts", format=form, paths=(place,), text_column=column)
    for path in inputs.expand(source, ""):
        for item in sources.read(source, path):
            if isinstance(item, RawDocument):
                raw = item.content
                text = repair(raw if isinstance(raw, str) else raw.decode("utf-8", "replace")).text.strip()
                if text:
                    yield text


def _format(place: str) -> str:
    """Return the format that a name ends in, before a compression's ending; empty for a build's folder."""
    endings = [ending.removeprefix(".") for ending in PurePath(place).suffixes[-2:]]
    for ending in reversed(endings):
        if ending in _FORMATS:
            return _FORMATS[ending]
    if files.size(files.join(place, chain.find("shard").folder), dataset.MANIFEST) is not None:
        return ""
    raise ConfigError(
        f"{place}: neither a finished build's folder nor a file whose name ends in "
        f"{', '.join('.' + ending for ending in _FORMATS)} (compressed or not)"
    )
