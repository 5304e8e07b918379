"""A stage's files compared with its manifest, each byte read once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import xxhash

from corpus import chain, dataset, files
from corpus.batches import Batches
from corpus.dataset import ARCHIVES, File, Manifest, Unit
from corpus.errors import CountsError
from corpus.schema import KINDS

_BLOCK = 1 << 20
_MAGIC = 8  # bytes before the stream of messages that an Arrow file is, up to its footer


@dataclass(frozen=True, slots=True)
class Verified:
    """A stage's manifest, and a line for each fault that was found; none if all is well."""

    manifest: Manifest
    faults: list[str]


def find_faults(folder: str) -> list[str]:
    """Return a line for each fault of a stage's files, none if all is well."""
    return verify(folder).faults


def verify(folder: str) -> Verified:
    """Compare every file of a stage with its manifest; each is read once, from start to end.

    Length and SHA-256 of each file; schema, fingerprint and number of rows where it is Arrow; place, digest
    and contents of each record batch that the manifest names; and the sums of each unit's counts. Raises
    DatasetError where the manifest is missing or damaged.
    """
    manifest = dataset.load(folder)
    lengths = {name: stamp[0] for name, stamp in files.listing(folder).items()}
    faults: list[str] = []
    for path, digest in manifest.beside.items():
        faults += _content(folder, path, digest) if path in lengths else [f"{path}: missing"]
    for unit in manifest.units:
        try:
            unit.counts.check(f"unit {unit.name}")
        except CountsError as error:
            faults.append(str(error))
        for file in unit.files:
            faults += _file_faults(folder, file, unit.fingerprint, lengths)
        faults += _row_faults(manifest.stage, unit)
    return Verified(manifest, faults)


def _row_faults(stage: str, unit: Unit) -> list[str]:
    """Compare the rows of each kind of file with the count that the chain says they must equal."""
    expected = chain.find(stage).files if stage in chain.names() else {}
    rows: dict[str, int] = {}
    for file in unit.files:
        rows[file.kind] = rows.get(file.kind, 0) + file.rows
    return [
        f"unit {unit.name}: {rows[kind]} rows in its {kind} files, its counts say {said}"
        for kind, count in expected.items()
        if kind in rows and rows[kind] != (said := chain.number(unit.counts, count))
    ]


def _file_faults(folder: str, file: File, fingerprint: str, lengths: Mapping[str, int]) -> list[str]:
    length = lengths.get(file.path)
    if length is None:
        return [f"{file.path}: missing"]
    if length != file.bytes:
        return [f"{file.path}: {length} bytes, the manifest says {file.bytes}"]
    if file.kind in ARCHIVES:
        return _content(folder, file.path, file.sha256)
    with files.open_bytes(files.join(folder, file.path)) as opened:
        once = _Once(opened)
        try:
            faults = list(_arrow_faults(once, file, fingerprint))
        except (pa.ArrowException, OSError) as error:
            faults = [f"{file.path}: not the Arrow file that it was: {error}"]
        # What is wrong in a changed file follows from the change.
        return once.faults(file.path, file.sha256) or faults


def _content(folder: str, path: str, digest: str) -> list[str]:
    with files.open_bytes(files.join(folder, path)) as opened:
        return _Once(opened).faults(path, digest)


class _Once:
    """An open file that is read from start to end, and hashed on the way."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._piece = xxhash.xxh3_64()
        self._from = self._at = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        self._piece.update(data)
        self._at += len(data)
        return data

    def cut(self) -> tuple[int, int, str]:
        """Return the place, length and XXH3 of what was read since the last cut."""
        found = self._from, self._at - self._from, self._piece.hexdigest()
        self._piece.reset()
        self._from = self._at
        return found

    def faults(self, path: str, digest: str) -> list[str]:
        """Read the rest, and compare all of it with a digest."""
        while self.read(_BLOCK):
            pass
        found = self._digest.hexdigest()
        return [] if found == digest else [f"{path}: content has SHA-256 {found}, the manifest says {digest}"]


def _arrow_faults(once: _Once, file: File, fingerprint: str) -> Iterable[str]:
    """Read the messages of an Arrow file in their order and compare them with what the manifest says."""
    once.read(_MAGIC)
    rows = number = 0
    with ipc.open_stream(pa.PythonFile(once, "r")) as reader:
        once.cut()
        for batch in reader:
            place = once.cut()
            if file.batches is not None:
                yield from _batch_faults(file.path, file.batches, number, batch, place)
            rows, number = rows + batch.num_rows, number + 1
        schema = reader.schema
    if file.batches is not None and (named := sum(file.batches.documents)) != file.rows:
        yield f"{file.path}: {named} rows in its batches, {file.rows} in the manifest"
    if rows != file.rows:
        yield f"{file.path}: {rows} rows, the manifest says {file.rows}"
    if not KINDS[file.kind].describes(schema):
        yield f"{file.path}: its columns are not those of a {file.kind} file"
    stamped = (schema.metadata or {}).get(b"derlem.fingerprint", b"").decode()
    if stamped != fingerprint:
        yield f"{file.path}: made by unit {stamped or 'unknown'}, the manifest says {fingerprint}"


def _batch_faults(
    path: str, index: Batches, number: int, batch: pa.RecordBatch, place: tuple[int, int, str]
) -> Iterable[str]:
    """Compare a record batch, and the place where it was found, with what the manifest says of it."""
    if number >= len(index.offset):
        yield f"{path}: batch {number} is not in the manifest"
        return
    named = index.offset[number], index.length[number], index.xxh3[number]
    if place != named:
        yield (
            f"{path}: batch {number} has {place[1]} bytes from {place[0]} with XXH3 {place[2]}, "
            f"the manifest says {named[1]} from {named[0]} with {named[2]}"
        )
    found = batch.num_rows, pc.sum(pc.list_value_length(batch["tokens"])).as_py()
    said = index.documents[number], index.tokens[number]
    if found != said:
        yield (
            f"{path}: batch {number} holds {found[0]} documents and {found[1]} tokens, "
            f"the manifest says {said[0]} and {said[1]}"
        )
