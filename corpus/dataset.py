"""A stage's folder of Arrow files, or of archives, with its manifest: write atomically, read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa
import pyarrow.ipc as ipc
import xxhash
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus import files, garbage, stores
from corpus.batches import Batches, Digests, Numbers
from corpus.counts import Counts
from corpus.errors import DatasetError, NotThereError
from corpus.schema import KINDS, Kind

MANIFEST = "manifest.json"
REPORT = "report.json"
FORMAT = 1
ARCHIVES = ("warc", "wet")
"""Kinds of files that are not Arrow: `.warc.gz` and `.warc.wet.gz`, whose rows are their records."""


_FIELDS: set[str] = set()
_UNITS, _UNITS_END = b',\n "units": [\n', b"\n ]\n}\n"  # around the units of a manifest, each a line


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_post_init(self, context: object) -> None:
        """Forget which fields were given: nothing asks for that, and it is half of an object's memory."""
        object.__setattr__(self, "__pydantic_fields_set__", _FIELDS)


class Input(_Record):
    """An input of a unit: its name as the configuration gives it, and what it holds."""

    name: str
    checksum: str


class File(_Record):
    """A file of the dataset: `kind` names its schema in `corpus.schema`, or is one of `ARCHIVES`."""

    kind: str
    path: str
    rows: int
    bytes: int
    sha256: str
    language: str = ""
    split: str = ""
    source: str = ""  # of a token shard, which holds documents of one source
    repeats: int = 0  # of a token shard by copies: how often its documents should be read; 0: not said
    batches: Batches | None = None  # of a token shard


class Unit(_Record):
    """A finished unit of work: its inputs and its files."""

    name: str
    fingerprint: str
    inputs: tuple[Input, ...]
    files: tuple[File, ...]
    counts: Counts


class Manifest(_Record):
    """The files of a finished stage. It is written last: a folder without one is unfinished."""

    format: int = FORMAT
    stage: str
    version: int
    settings: dict[str, object]
    units: tuple[Unit, ...]
    facts: dict[str, object] = Field(default_factory=dict)
    beside: dict[str, str] = Field(default_factory=dict)  # SHA-256 of files that belong to the whole stage

    def pieces(self) -> Iterator[bytes]:
        """Yield what is written of it, JSON with a unit a line: equal manifests are equal bytes."""
        head = json.dumps(self.model_dump(mode="json", exclude={"units"}), indent=1, ensure_ascii=False)
        yield head.removesuffix("\n}").encode() + _UNITS
        for number, unit in enumerate(self.units):
            yield (b",\n" if number else b"") + unit.model_dump_json().encode()
        yield _UNITS_END

    def files(self, kind: str) -> list[File]:
        """Return the files of one kind, in unit order."""
        return [file for unit in self.units for file in unit.files if file.kind == kind]

    def by_unit(self, kind: str) -> dict[str, File]:
        """Return the file of one kind of each unit that has one, by the unit's fingerprint."""
        return {unit.fingerprint: file for unit in self.units for file in unit.files if file.kind == kind}

    def counts(self) -> Counts:
        """Sum the counts of all units."""
        total = Counts()
        for unit in self.units:
            total.add(unit.counts)
        return total


class ArrowWriter:
    """An open Arrow IPC file: takes tables and counts their rows."""

    def __init__(self, sink: files.Sink, schema: pa.Schema, compression: str | None) -> None:
        options = ipc.IpcWriteOptions(compression=compression)
        self._sink = sink
        self._writer = ipc.new_file(sink, schema, options=options)
        self._places: list[tuple[int, int, int, int, str]] = []
        self.rows = 0

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append the rows of one batch."""
        self._writer.write(batch)
        self.rows += batch.num_rows

    def write_tokens(self, batch: pa.RecordBatch) -> None:
        """Append a record batch of a token shard, uncompressed, and note its place."""
        self.write(batch)
        data = batch.serialize()  # the bytes that have just gone to the end of the file
        tokens = len(batch["tokens"].flatten())
        self._places.append(
            (self._sink.bytes - data.size, data.size, batch.num_rows, tokens, xxhash.xxh3_64_hexdigest(data))
        )

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    def batches(self) -> Batches | None:
        """Return the places of the batches of tokens; None where there are none."""
        if not self._places:
            return None
        *numbers, digests = zip(*self._places, strict=True)
        offset, length, documents, tokens = (Numbers(Numbers.pack(column)) for column in numbers)
        xxh3 = Digests(Digests.pack(digests))
        return Batches(offset=offset, length=length, documents=documents, tokens=tokens, xxh3=xxh3)


class Slot:
    """The place of one file in a dataset: write through `arrow`; `file` describes it once it is whole."""

    def __init__(self, arrow: ArrowWriter) -> None:
        self.arrow = arrow
        self.file: File | None = None


@contextmanager
def create(
    folder: str,
    path: str,
    kind: Kind,
    fingerprint: str,
    compression: str | None = "zstd",
    language: str = "",
    split: str = "",
    source: str = "",
    repeats: int = 0,
) -> Iterator[Slot]:
    """Write one Arrow IPC file of a kind under `folder/path`; it appears whole or not at all."""
    with files.create(folder, path) as pending:
        slot = Slot(ArrowWriter(pending.sink, kind.schema(fingerprint), compression))
        yield slot
        slot.arrow.close()
    done = pending.written
    assert done is not None
    slot.file = File(
        kind=kind.name,
        path=path,
        rows=slot.arrow.rows,
        bytes=done.bytes,
        sha256=done.sha256,
        language=language,
        split=split,
        source=source,
        repeats=repeats,
        batches=slot.arrow.batches(),
    )


def load(folder: str) -> Manifest:
    """Read a stage's manifest; DatasetError where there is none or derlem cannot read it."""
    try:
        data = files.read_bytes(folder, MANIFEST)
    except IsADirectoryError as error:
        raise _damaged(folder, error) from None
    if data is None:
        raise NotThereError(
            f"{folder} has no {MANIFEST}: the stage did not finish, or this is not a derlem dataset; "
            f"run the build again to resume it"
        )
    try:
        with garbage.none():
            manifest = _parsed(data)
    except ValidationError as error:
        _check_format(folder, _format(data))
        raise _damaged(folder, error) from None
    _check_format(folder, manifest.format)
    return manifest


def _parsed(data: bytes) -> Manifest:
    """Return the manifest that JSON holds, read a unit at a time where it is laid out so by `pieces`.

    As a whole, the tree that JSON is would take as much memory as the units.
    """
    begin = data.find(_UNITS)
    if begin >= 0 and data.endswith(_UNITS_END):
        with suppress(ValidationError):  # written by hand, or damaged
            manifest = Manifest.model_validate_json(data[:begin] + _UNITS + _UNITS_END)
            units = tuple(map(Unit.model_validate_json, _lines(data, begin + len(_UNITS))))
            return manifest.model_copy(update={"units": units})
    return Manifest.model_validate_json(data)


def _lines(data: bytes, start: int) -> Iterator[bytes]:
    """Yield the lines of the units from `start` on, without their commas; one is copied at a time."""
    last = len(data) - len(_UNITS_END)
    while start < last:
        end = data.find(b"\n", start)
        yield data[start:end].removesuffix(b",")
        start = end + 1


def _format(data: bytes) -> object:
    """Return the format of a manifest that is not one of this derlem's."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # damaged, of whatever format
        return FORMAT
    return value.get("format") if isinstance(value, dict) else None


def _check_format(folder: str, form: object) -> None:
    if form != FORMAT:
        raise DatasetError(f"{folder}/{MANIFEST} has format {form!r}; this derlem reads {FORMAT}")


def _damaged(folder: str, error: Exception) -> DatasetError:
    first = " ".join(line.strip() for line in str(error).splitlines()[:3])
    return DatasetError(
        f"{folder}/{MANIFEST} is damaged ({first}): run the build again, which writes it from its units"
    )


def save(folder: str, manifest: Manifest) -> None:
    """Write the manifest, last of all."""
    with files.create(folder, MANIFEST) as pending:
        for piece in manifest.pieces():
            pending.sink.write(piece)


def is_saved(folder: str, manifest: Manifest) -> bool:
    """Return whether the manifest of a folder is this one, to the byte."""
    try:
        with files.open_bytes(files.join(folder, MANIFEST)) as file:
            same = all(file.read(len(piece)) == piece for piece in manifest.pieces())
            return same and not file.read(1)
    except OSError:
        return False


@contextmanager
def open_arrow(
    folder: str, path: str, columns: list[str] | None = None, size: int | None = None
) -> Iterator[ipc.RecordBatchFileReader]:
    """Open an Arrow IPC file: memory-mapped locally, streamed from elsewhere.

    Where columns are named, the others are neither read nor decompressed; they come in the file's order.
    Who knows the `size` in bytes saves a store the question. Raises DatasetError where the file is gone or
    damaged.
    """
    url = files.join(folder, path)
    fs, target = files.filesystem(url)
    with _told_of_damage(url):
        source = pa.memory_map(target) if files.is_local(url) else stores.reading(fs, target, size)
    with source:
        with _told_of_damage(url):
            reader = _reader(source, columns)
        yield reader


@contextmanager
def _told_of_damage(url: str) -> Iterator[None]:
    """Raise DatasetError with what to do where a file of a stage is gone, damaged or not readable."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        cause = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise DatasetError(
            f"{url}: {cause}; expected the Arrow file that the manifest names: remove it and run its stage "
            "again, or put it back (`derlem verify` names every such file)"
        ) from error


def _reader(source: object, columns: list[str] | None) -> ipc.RecordBatchFileReader:
    reader = ipc.open_file(source)
    if columns is None:
        return reader
    fields = [reader.schema.get_field_index(name) for name in columns]
    return ipc.open_file(source, options=ipc.IpcReadOptions(included_fields=fields))


def batches(
    folder: str, path: str, columns: list[str] | None = None, size: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read an Arrow file batch by batch, only the named columns where given; see `open_arrow`."""
    with open_arrow(folder, path, columns, size) as reader:
        for number in range(reader.num_record_batches):
            with _told_of_damage(files.join(folder, path)):
                batch = reader.get_batch(number)
            yield batch.select(columns) if columns is not None else batch


def read_batch(folder: str, file: File, number: int) -> pa.RecordBatch:
    """Read one record batch of a token shard by its place in the manifest: one ranged read, no footer.

    Raises DatasetError where its bytes are not those that the manifest names.
    """
    assert file.batches is not None
    index = file.batches
    url = files.join(folder, file.path)
    with _told_of_damage(url):
        data = files.read_range(url, index.offset[number], index.length[number])
    found = xxhash.xxh3_64_hexdigest(data)
    if found != index.xxh3[number]:
        raise DatasetError(
            f"{file.path}: batch {number} ({len(data)} bytes from {index.offset[number]}) has XXH3 {found}, "
            f"the manifest of {folder} says {index.xxh3[number]}: remove the file and tokenize again"
        )
    return ipc.read_record_batch(ipc.read_message(pa.py_buffer(data)), KINDS[file.kind].schema())


def table(folder: str, path: str, columns: list[str] | None = None, size: int | None = None) -> pa.Table:
    """Read an Arrow file whole, only the named columns where given; see `open_arrow`."""
    with open_arrow(folder, path, columns, size) as reader, _told_of_damage(files.join(folder, path)):
        whole = reader.read_all()
    return whole.select(columns) if columns is not None else whole
