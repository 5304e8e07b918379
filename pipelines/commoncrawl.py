"""The stage that brings pages in from Common Crawl: captures by their byte ranges, or whole files."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from corpus import dataset, files, forgotten, temporary
from corpus.commoncrawl import downloads
from corpus.commoncrawl import plan as plans
from corpus.commoncrawl.config import Access, CommonCrawl
from corpus.commoncrawl.ranges import Read, in_order, joined
from corpus.commoncrawl.records import Fault, Hit, fault, warcinfo
from corpus.commoncrawl.sample import in_seeded_order
from corpus.commoncrawl.store import BeyondEndError, MissingError, Store, opened
from corpus.counts import Counts
from corpus.crawl.state.catalogue import COMMONCRAWL
from corpus.errors import ConfigError, TooManyRejectedError
from corpus.forgotten import NOTHING, Forgotten
from corpus.schema import REJECTED
from corpus.teller import Teller
from pipelines import stage
from pipelines.lock import alone
from pipelines.options import Runner
from pipelines.progress import Beat
from pipelines.stage import Outcome, Planned, Stage, plan_unit
from pipelines.sweep import UNITS

NAME = COMMONCRAWL
VERSION = 2  # of the files that captures are copied into
WHOLE_VERSION = 1  # of files that are fetched whole
PLANS = "plans"
_RECORD = re.compile(r"[0-9a-f]{16}\.json")

_MANY = 100  # captures below which a share of bad ones means nothing
_MAX_REJECTED = 0.5


@dataclass(frozen=True, slots=True)
class Fetched:
    """The folder of the fetched files and their kinds: warc, wet."""

    folder: str
    kinds: tuple[str, ...]


def run(config: CommonCrawl, output: str, paths: str, runner: Runner, teller: Teller) -> Fetched:
    """Fetch a selection of captures, or the files that the list `paths` names.

    Finished units are not fetched again. Raises ConfigError, StageError and ServerError.
    """
    home = files.join(output, NAME)
    with alone(output):
        with teller.waiting("looking for what to fetch"):
            gone = forgotten.forgotten(forgotten.read(output).requests)
            planned, said = list_files(config, home, paths) if paths else plan(config, home, gone)
        _refuse_loss(planned)
        teller.say(said)
        stage.run(planned, runner, teller)
    kinds = {unit.task.kind if isinstance(unit.task, downloads.Archive) else "warc" for unit in planned.units}
    return Fetched(planned.folder, tuple(sorted(kinds)))


def _refuse_loss(planned: Stage) -> None:
    """Raise ConfigError where the folder holds finished units that the plan lacks: they would be deleted."""
    found = {name for name in files.names(files.join(planned.folder, UNITS)) if _RECORD.fullmatch(name)}
    if others := found - {f"{unit.fingerprint}.json" for unit in planned.units}:
        raise ConfigError(
            f"{planned.folder} has {len(others)} finished units that are not part of this run (other "
            f"--paths, pieces.unit_mb or version of derlem), and their files would be deleted; name another "
            f"output folder"
        )


def plan(config: CommonCrawl, home: str, gone: Forgotten = NOTHING) -> tuple[Stage, str]:
    """Return the stage for captures, by the plan in `home` or a new one, and a line that describes it.

    Captures of pages that are `gone` are not fetched.
    """
    written, said = plans.ensure(files.join(home, PLANS), config)
    units = [
        plan_unit(
            NAME,
            VERSION,
            {},
            f"{written.crawl}, captures {unit.first:,} to {unit.last - 1:,}",
            (dataset.Input(name=f"{written.crawl} {unit.first}-{unit.last}", checksum=unit.checksum),),
            (written, unit.first, unit.last),
            unit.bytes,
        )
        for unit in written.units(config.pieces.unit_bytes)
    ]
    selection = config.selection.model_copy(update={"crawl": written.crawl})
    settings: dict[str, object] = {"selection": selection.model_dump(mode="json")}
    folder = files.join(home, written.crawl)
    return Stage(
        NAME, VERSION, folder, settings, tuple(units), partial(fetch_captures, config, gone), worker_bytes=1
    ), said


def fetch_captures(config: CommonCrawl, gone: Forgotten, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Copy the records of a unit's captures into a WARC file of its own, in the plan's order."""
    written, first, last = unit.task
    path = f"warc/{written.crawl}-{unit.fingerprint}-00000.warc.gz"
    counts, hits = Counts(), []
    for hit in written.hits(first, last):
        if gone.has_url(hit.url):
            counts.skip(forgotten.SKIPPED)
        else:
            hits.append(hit)
    faults: list[tuple[Hit, Fault]] = []
    started = time.monotonic()
    access = config.access
    with (
        ThreadPoolExecutor(access.connections) as pool,
        opened(access, access.base) as store,  # closed before the threads are waited for
        files.create(folder, path) as pending,
    ):
        name = path.rpartition("/")[2]
        pending.sink.write(warcinfo(name, unit.fingerprint, written.crawl, written.latest(first, last)))
        for read, records in in_order(
            pool, partial(_read, store, hits), _reads(hits, config), _ahead(config)
        ):
            for hit, record in zip(hits[read.first : read.last], records, strict=True):
                counts.seen += 1
                if isinstance(record, Fault):
                    counts.reject(record.cause)
                    faults.append((hit, record))
                else:
                    counts.kept += 1
                    counts.note("bytes", "records", hit.length)
                    pending.sink.write(record)
            counts.note("requests", "byte ranges")
            beat(counts.seen, counts.kept, counts.seen / len(hits))
        _check_rejected(counts, unit.name)
        paused = store.retry.paused_s
    whole_file = pending.written
    assert whole_file is not None
    archive = dataset.File(
        kind="warc", path=path, rows=counts.kept + 1, bytes=whole_file.bytes, sha256=whole_file.sha256
    )
    rejected = [_write_rejected(folder, unit.fingerprint, written.crawl, faults)] if faults else []
    spent = {"fetch": time.monotonic() - started, "pauses": paused}
    return Outcome([archive, *rejected], counts, spent)


def _reads(hits: list[Hit], config: CommonCrawl) -> list[Read]:
    named, offsets, lengths = (
        [hit.file for hit in hits],
        [hit.offset for hit in hits],
        [hit.length for hit in hits],
    )
    return joined(named, offsets, lengths, config.pieces.gap, config.pieces.read_bytes)


def _ahead(config: CommonCrawl) -> int:
    """Return how many reads may be in flight or waiting to be written: these are held in memory."""
    return 2 * config.access.connections


def _read(store: Store, hits: list[Hit], read: Read) -> list[bytes | Fault]:
    """Read the records of one byte range; a record that differs from the index becomes a Fault."""
    try:
        data = store.range(read.file, read.start, read.length)
    except MissingError:
        return [Fault("missing", "there is no such WARC file")] * (read.last - read.first)
    except BeyondEndError:
        return [Fault("truncated", "the file ends before the record")] * (read.last - read.first)
    records: list[bytes | Fault] = []
    for hit in hits[read.first : read.last]:
        at = hit.offset - read.start
        member = data[at : at + hit.length]
        records.append(fault(member, hit) or member)
    return records


def _write_rejected(
    folder: str, fingerprint: str, crawl: str, faults: list[tuple[Hit, Fault]]
) -> dataset.File:
    rows = [
        {
            "cause": found.cause,
            "detail": found.detail,
            "url": hit.url,
            "source": crawl,
            "file": hit.file,
            "offset": hit.offset,
        }
        for hit, found in faults
    ]
    schema = REJECTED.schema(fingerprint)
    with dataset.create(folder, f"rejected/{fingerprint}.arrow", REJECTED, fingerprint) as slot:
        slot.arrow.write(pa.Table.from_pylist(rows, schema))
    assert slot.file is not None
    return slot.file


def _check_rejected(counts: Counts, unit: str) -> None:
    rejected = sum(counts.rejected.values())
    if counts.seen >= _MANY and rejected > _MAX_REJECTED * counts.seen:
        worst = max(counts.rejected, key=counts.rejected.__getitem__)
        raise TooManyRejectedError(
            f"{rejected} of {counts.seen} records of {unit} differ from the index, most for {worst!r}: check "
            f"that access.base is the base of that crawl"
        )


def list_files(config: CommonCrawl, home: str, paths: str) -> tuple[Stage, str]:
    """Return the stage for the whole files that a list names, and a line that describes it."""
    archives = downloads.listed(config.access, paths)
    crawl = downloads.crawl_of(archives)
    if config.selection.limit:
        drawn = in_seeded_order(archives, lambda archive: archive.path, config.selection.seed)
        archives = sorted(drawn[: config.selection.limit], key=lambda archive: archive.path)
    units = [
        plan_unit(
            NAME,
            WHOLE_VERSION,
            {},
            archive.path,
            (dataset.Input(name=archive.path, checksum="path"),),
            archive,
            1,
        )
        for archive in archives
    ]
    folder = files.join(home, f"{crawl}-files")
    work = partial(fetch_file, config.access)
    said = f"{len(archives):,} files of {crawl}"
    settings: dict[str, object] = {"files": len(archives)}
    # how many bytes a file has is only known when it is fetched
    return Stage(NAME, WHOLE_VERSION, folder, settings, tuple(units), work, worker_bytes=0), said


def fetch_file(access: Access, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Fetch one whole file and check it; an interrupted fetch is resumed where the folder is local."""
    archive = unit.task
    suffix = ".warc.wet.gz" if archive.kind == "wet" else ".warc.gz"
    path = f"{archive.kind}/{archive.name}-{unit.fingerprint}-00000{suffix}"
    started = time.monotonic()
    with _parts(folder, unit.fingerprint) as part, opened(access, access.base) as store:
        downloads.fetch(store, archive.path, part, partial(beat, 0, 0))
        fetched = time.monotonic()
        records, sha256 = downloads.checked(store, archive.path, part)
        size = part.size()
        _place(part.path, folder, path)
        part.forget()
        spent = {"fetch": fetched - started, "check": time.monotonic() - fetched}
    counts = Counts(seen=records, kept=records, noted={"bytes": {archive.kind: size}})
    file = dataset.File(kind=archive.kind, path=path, rows=records, bytes=size, sha256=sha256)
    return Outcome([file], counts, spent)


@contextmanager
def _parts(folder: str, fingerprint: str) -> Iterator[downloads.Part]:
    """Yield the path of an unfinished download: beside the stage's records, or a temporary one if remote."""
    if files.is_local(folder):
        yield downloads.Part(Path(files.filesystem(folder)[1]) / UNITS / f"{fingerprint}.part")
        return
    with temporary.folder("commoncrawl") as scratch:
        yield downloads.Part(scratch / "part")


def _place(part: Path, folder: str, path: str) -> None:
    """Move a finished file to its place, whole or not at all."""
    if files.is_local(folder):
        target = Path(files.filesystem(folder)[1]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
        return
    with part.open("rb") as file, files.create(folder, path) as pending:
        shutil.copyfileobj(file, pending.sink, 1 << 20)
