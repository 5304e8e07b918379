"""A stage's files compared with its manifest."""

from __future__ import annotations

import pyarrow.compute as pc

from corpus import chain, dataset, files
from corpus.dataset import ARCHIVES, File, Unit, open_arrow, read_batch
from corpus.errors import CountsError, DatasetError
from corpus.schema import KINDS


def find_faults(folder: str) -> list[str]:
    """Compare every file of a stage with its manifest and return a line for each fault, none if all is well.

    Length and SHA-256 of each file; schema, fingerprint and number of rows where it is Arrow; and the sums of
    each unit's counts.
    """
    manifest = dataset.load(folder)
    found = [fault for path, digest in manifest.beside.items() for fault in _content(folder, path, digest)]
    for unit in manifest.units:
        try:
            unit.counts.check(f"unit {unit.name}")
        except CountsError as error:
            found.append(str(error))
        for file in unit.files:
            found += _file_faults(folder, file, unit.fingerprint)
        found += _row_faults(manifest.stage, unit)
    return found


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


def _file_faults(folder: str, file: File, fingerprint: str) -> list[str]:
    length = files.size(folder, file.path)
    if length is None:
        return [f"{file.path}: missing"]
    if length != file.bytes:
        return [f"{file.path}: {length} bytes, the manifest says {file.bytes}"]
    if wrong := _content(folder, file.path, file.sha256):
        return wrong
    if file.kind in ARCHIVES:
        return []
    with open_arrow(folder, file.path) as reader:
        rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
        schema = reader.schema
    faults = _batch_faults(folder, file) if file.batches is not None else []
    if rows != file.rows:
        faults.append(f"{file.path}: {rows} rows, the manifest says {file.rows}")
    if not KINDS[file.kind].describes(schema):
        faults.append(f"{file.path}: its columns are not those of a {file.kind} file")
    stamped = (schema.metadata or {}).get(b"derlem.fingerprint", b"").decode()
    if stamped != fingerprint:
        faults.append(f"{file.path}: made by unit {stamped or 'unknown'}, the manifest says {fingerprint}")
    return faults


def _content(folder: str, path: str, digest: str) -> list[str]:
    if files.size(folder, path) is None:
        return [f"{path}: missing"]
    found = files.sha256(files.join(folder, path))
    return [f"{path}: content has SHA-256 {found}, the manifest says {digest}"] if found != digest else []


def _batch_faults(folder: str, file: File) -> list[str]:
    """Read every record batch by its place and compare what it holds with what the manifest says."""
    assert file.batches is not None
    index = file.batches
    faults = []
    for number, (documents, tokens) in enumerate(zip(index.documents, index.tokens, strict=True)):
        try:
            batch = read_batch(folder, file, number)
        except DatasetError as error:
            faults.append(str(error))
            continue
        found = batch.num_rows, pc.sum(pc.list_value_length(batch["tokens"])).as_py()
        if found != (documents, tokens):
            faults.append(
                f"{file.path}: batch {number} holds {found[0]} documents and {found[1]} tokens, "
                f"the manifest says {documents} and {tokens}"
            )
    if sum(index.documents) != file.rows:
        faults.append(f"{file.path}: {sum(index.documents)} rows in its batches, {file.rows} in the manifest")
    return faults
