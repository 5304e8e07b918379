"""Pages taken out of a finished build: the request, the stages that follow from it, and the proof.

`corpus.forgotten` says how, and why so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from pydantic import BaseModel

from corpus import chain, dataset, files, forgotten
from corpus.config import Config
from corpus.crawl.state import catalogue
from corpus.errors import ConfigError, NotThereError, StageError
from corpus.forgotten import Forgotten, Key, Listed, Request
from corpus.inspect.build import Build, open_build
from corpus.teller import Teller
from pipelines import build
from pipelines.lock import alone
from pipelines.options import Runner

FOLDER = "forgotten"
"""Where the proofs are, below the output folder."""

_PLACE = ["source", "file", "offset"]
_DEPTH = 6  # folders above an input in which a crawl's list is looked for

Place = tuple[str, str, int]
"""A record of an input: its source, file and offset."""


class Change(BaseModel):
    """The files of a stage that were removed, written or replaced, with their SHA-256 before and after."""

    stage: str
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    documents_before: int = 0
    documents_after: int = 0


class Proof(BaseModel):
    """What was taken out, where from, and that it is gone.

    `found` counts rows by stage and kind of file before; `documents` are the ids of the documents among them.
    `read` is how many files were searched at the end, in which nothing of it was left. `copies` are documents
    that had been removed as copies of forgotten ones, by id: whether they are in the shards now.
    `runs` are the training runs that have read the documents.
    """

    request: int
    began: str
    ended: str = ""
    found: dict[str, int] = {}
    documents: list[str] = []
    copies: dict[str, bool] = {}
    runs: list[dict[str, Any]] = []
    stages: list[Change] = []
    read: int = 0

    @property
    def path(self) -> str:
        """Its file below the output folder."""
        return f"{FOLDER}/{self.request:04d}.json"


@dataclass(slots=True)
class Found:
    """Where a build holds what is to be forgotten: records of inputs, ids, and rows by stage and kind."""

    places: set[Place] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0  # searched


Readers = Callable[[str, "set[str]"], "list[dict[str, Any]]"]
"""Returns what runs have read of the documents with some ids; takes the folder of token shards."""


def keys_of_ids(output: str, ids: Sequence[str]) -> list[Key]:
    """Return the keys of documents by their ids: their URLs, or where they have none their texts.

    Raises ConfigError for an id that the build does not have.
    """
    made, texts = open_build(output), dict[Place, str]()
    wanted: dict[str, Key | None] = dict.fromkeys(ids)
    for kind in ("documents", "dropped"):
        for stage in made.holding(kind):
            for file in stage.manifest.files(kind):
                for batch in dataset.batches(stage.folder, file.path, ["id", "url", *_PLACE]):
                    known = pc.is_in(batch["id"], value_set=pc.cast(list(ids), "string"))
                    for row in batch.filter(known).to_pylist():
                        if row["url"]:
                            wanted[row["id"]] = forgotten.of_url(row["url"])
                        else:
                            texts[row["source"], row["file"], row["offset"]] = row["id"]
    for batch in made.batches("extracted", ["text", *_PLACE]) if texts else ():
        for row, place in enumerate(_places(batch)):
            if place in texts:
                wanted[texts[place]] = forgotten.of_text(batch["text"][row].as_py())
    for id, key in wanted.items():
        if key is None:
            raise ConfigError(f"--id {id}: {output} has no document of this id; `derlem show` prints ids")
    return [key for key in wanted.values() if key is not None]


def begin(output: str, keys: Iterable[Key], reason: str, readers: Readers) -> int | None:
    """Write the first half of the proof, and add the request to the list; return the number of the request.

    An open request of the same keys is continued. None where all keys were forgotten before.
    """
    with alone(output):
        listed = forgotten.read(output)
        known = {key for request in listed.requests for key in request.keys}
        new = tuple(key for key in dict.fromkeys(keys) if key not in known)
        if not new:
            return None
        request = Request(date=time.strftime("%Y-%m-%d", time.gmtime()), reason=reason, keys=new)
        number = len(listed.requests) + 1
        proof = _first_half(output, number, forgotten.forgotten([request]), readers)
        files.write_json(output, proof.path, proof.model_dump(mode="json"), sweeps=True)
        forgotten.save(output, Listed(requests=(*listed.requests, request)))
        return number


def adopt(config: Config, readers: Readers) -> int | None:
    """Add what the lists of the local crawls that a build reads name to the build's own list.

    Return the number of the request; None where they name nothing that the list lacks.
    """
    folders = {folder for source in config.source for path in source.paths for folder in _above(path)}
    keys = [
        key
        for folder in sorted(folders - {config.output})
        if catalogue.is_crawl(folder)
        for request in forgotten.read(folder).requests
        for key in request.keys
    ]
    return begin(config.output, keys, "forgotten in a crawl that is read", readers) if keys else None


def _above(pattern: str) -> list[str]:
    """Return the folders above an input on this machine that may be a crawl's."""
    if not files.is_local(pattern):
        return []
    found = [str(each) for each in Path(pattern).parents][:_DEPTH]
    return [re.sub(r"\[([*?[])\]", r"\1", each) for each in found]  # as `glob.escape` writes them


def _first_half(output: str, number: int, gone: Forgotten, readers: Readers) -> Proof:
    proof = Proof(request=number, began=_now())
    try:
        made = open_build(output)
    except NotThereError:  # nothing is built yet: remembered for what will be
        return proof
    found = search(made, gone)
    proof.found, proof.documents = found.rows, sorted(found.ids)
    proof.copies = dict.fromkeys(sorted(_copies_of(made, found.ids)), False)
    proof.stages = [
        Change(stage=name, before=_checksums(stage.manifest), documents_before=stage.manifest.counts().kept)
        for name, stage in made.finished.items()
    ]
    if (tokens := made.get("tokenize")) is not None and found.ids:
        proof.runs = readers(tokens.folder, found.ids)
    return proof


def finish(config: Config, base: Path, runner: Runner, teller: Teller) -> list[Proof]:
    """Do what open requests ask for: make the stages again that were finished, and end the proofs.

    Raises StageError where a file still holds a forgotten page.
    """
    output = config.output
    listed = forgotten.read(output)
    waiting = [number for number, request in enumerate(listed.requests, 1) if not request.is_done]
    proofs = [_proof(output, number) for number in waiting]
    finished = {change.stage for proof in proofs for change in proof.stages}
    if finished:
        build.run(config, base, runner, teller, [name for name in chain.names() if name in finished][-1])
    for number, proof in zip(waiting, proofs, strict=True):
        if finished:
            _second_half(open_build(output), proof, forgotten.forgotten([listed.requests[number - 1]]))
        proof.ended = _now()
        files.write_json(output, proof.path, proof.model_dump(mode="json"), sweeps=True)
    done = tuple(request.model_copy(update={"is_done": True}) for request in listed.requests)
    if proofs:
        forgotten.save(output, Listed(requests=done))
    return proofs


def _second_half(made: Build, proof: Proof, gone: Forgotten) -> None:
    left = search(made, gone, set(proof.documents))
    if left.rows:
        raise StageError(f"{made.root} still holds forgotten pages: {left.rows}; run the command again")
    proof.read = left.files
    for change in proof.stages:
        if (stage := made.get(change.stage)) is None:
            continue
        after = _checksums(stage.manifest)
        same = {path for path, digest in change.before.items() if after.get(path) == digest}
        change.before = {path: digest for path, digest in change.before.items() if path not in same}
        change.after = {path: digest for path, digest in after.items() if path not in same}
        change.documents_after = stage.manifest.counts().kept
    if proof.copies and made.get("shard") is not None:
        for batch in made.batches("shard", ["id"]):
            proof.copies |= dict.fromkeys(proof.copies.keys() & set(batch["id"].to_pylist()), True)


def _proof(output: str, number: int) -> Proof:
    found = files.read_json(output, Proof(request=number, began="").path)
    return Proof(request=number, began=_now()) if found is None else Proof.model_validate(found)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _checksums(manifest: dataset.Manifest) -> dict[str, str]:
    """Return the SHA-256 of each file of a stage, by its path."""
    return {file.path: file.sha256 for unit in manifest.units for file in unit.files}


def _copies_of(made: Build, ids: set[str]) -> set[str]:
    """Return the documents that dedupe removed in favour of some others."""
    if not ids or made.get("dedupe") is None:
        return set()
    return {
        id
        for batch in made.batches("removed", ["id", "survivor"])
        for id, survivor in zip(batch["id"].to_pylist(), batch["survivor"].to_pylist(), strict=True)
        if survivor in ids and id not in ids
    }


def search(made: Build, gone: Forgotten, ids: Iterable[str] = ()) -> Found:
    """Find what is forgotten in all files of a build: by URL, by record, and by the ids of those found.

    `ids` are those of documents that an earlier search has found.
    """
    found = Found(ids=set(ids))
    for name, stage in made.finished.items():
        for kind in chain.find(name).files:
            for file in stage.manifest.files(kind):
                found.files += 1
                number = sum(_rows(stage.folder, file, gone, found))
                if number:
                    key = f"{name} {kind}"
                    found.rows[key] = found.rows.get(key, 0) + number
    return found


def _rows(folder: str, file: dataset.File, gone: Forgotten, found: Found) -> Iterator[int]:
    """Yield how many rows of each batch of a file are forgotten, and note their records and ids."""
    with dataset.open_arrow(folder, file.path) as reader:
        names = set(reader.schema.names)
    columns = [name for name in ("id", "url", *_PLACE) if name in names]
    if "url" in names and names.issuperset(_PLACE):
        columns += ["text"] if gone.texts and file.kind == "extracted" else []
        for batch in dataset.batches(folder, file.path, columns):
            rows = set(gone.rows(batch))
            rows |= {row for row, place in enumerate(_places(batch)) if place in found.places}
            if rows:
                taken = batch.take(sorted(rows))
                found.places |= set(_places(taken))
                found.ids |= set(taken["id"].to_pylist()) if "id" in names else set()
            yield len(rows)
    elif "id" in names:
        for batch in dataset.batches(folder, file.path, ["id"]):
            yield len(found.ids.intersection(batch["id"].to_pylist()))


def _places(batch: Any) -> list[Place]:
    """Return the record that each row of a batch is from."""
    return list(zip(*(batch[name].to_pylist() for name in _PLACE), strict=True))
