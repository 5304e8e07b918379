"""The extract stage: the records of an input file, or of a group of small ones, become texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus import dataset, files, forgotten, furniture, language, parts, versions
from corpus.config import FORMATS, Config, Extract, Source
from corpus.counts import Counts
from corpus.errors import StageError, TooManyRejectedError
from corpus.extraction import Extracted, Extractor, Overtime
from corpus.forgotten import Forgotten
from corpus.items import CutError, Item, RawDocument, Rejected, Skipped, Unreadable
from corpus.rows import Rows, UnitFiles
from corpus.schema import DROPPED, EXTRACTED, HOSTS, LINES, REJECTED
from corpus.settings import changed
from pipelines import readings, records
from pipelines.filter import dropped_row
from pipelines.inputs import Checksums
from pipelines.progress import Beat
from pipelines.readings import Reading
from pipelines.stage import Context, Outcome, Planned, Stage, is_foreign, plan_unit

NAME = "extract"
VERSION = 11

_MIB = 1 << 20
_BATCH = 64  # items of one batch
_BATCH_BYTES = 8 << 20
# Libraries that decide the output of an extractor: their versions are part of fingerprints.
_EXTRACTORS = {"derlem": (), "trafilatura": ("trafilatura", "justext", "lxml")}
_READERS = {"pdf": ("pypdfium2",), "epub": ("lxml", "resiliparse"), "wikipedia": ("mwparserfromhell", "lxml")}
_MANY = 100  # records below which a share of unreadable ones means nothing
_BY_BYTES = frozenset({"warc", "wet", "text"})  # formats whose offsets are bytes of the file
_UNREADABLE = "unreadable files"  # topic of the counts, by name
_NAMED = 10  # files, rules or causes that a message names


def plan(context: Context) -> Stage:
    """Plan the stage: find and name every input.

    Raises ConfigError where a pattern matches nothing, or a file cannot be read or is the build's own.
    """
    return _plan(context, frozenset())


def _plan(context: Context, uncut: frozenset[str]) -> Stage:
    config, base = context.config, context.base
    extract = _with_languages(config)
    settings = _settings(extract)
    # Of most units no text is cut: other languages make only those again where it is (`_why_stale`).
    named = {key: value for key, value in settings.items() if key != "languages"}
    folder = context.folder(NAME)
    known = Checksums(folder)
    unit_bytes = int(config.extract.unit_mb * _MIB)
    units: list[Planned] = []
    for source in config.source:
        for found in readings.find(source, base, config.output, known, unit_bytes, uncut):
            own: dict[str, object] = {"extract": named, "source": found.reading.identity}
            if source.format in _READERS:
                own["reader"] = versions.of(*_READERS[source.format])
            label = found.reading.label
            units.append(plan_unit(NAME, VERSION, own, label, found.inputs, found.reading, found.bytes))
    if known.has_changed and not is_foreign(folder):
        known.save()
    requests = forgotten.read(config.output).requests
    asked = forgotten.forgotten([request for request in requests if not request.is_done])
    return Stage(
        name=NAME,
        version=VERSION,
        folder=folder,
        settings=settings,
        units=tuple(units),
        work=partial(extract_unit, extract, forgotten.forgotten(requests)),
        why_stale=partial(_why_stale, folder, asked, extract.languages or ()),
        rules=_rules(config.extract),
        check=partial(_check_stage, config, [unit.task.source.name for unit in units]),
        again=partial(_with_whole_files, context, uncut),
    )


def _why_stale(folder: str, asked: Forgotten, languages: Collection[str], unit: dataset.Unit) -> str:
    """Return why a unit is made again: a text is cut otherwise now, or a page is to be forgotten."""
    if not all(parts.is_same(note, languages) for note in unit.counts.noted.get(parts.NOTED, ())):
        part = (
            f"their part in {', '.join(languages)} or else the largest" if languages else "the largest part"
        )
        return f"texts in several languages now keep {part} (extract.languages, filter.language.keep)"
    return "pages are to be forgotten" if asked and asked.is_held(folder, unit) else ""


def _with_whole_files(context: Context, uncut: frozenset[str]) -> Stage | None:
    """Plan the stage without cutting files whose pieces turned out to be wrong; None where none did."""
    wrong = records.errors(context.folder(NAME), CutError) - uncut
    return _plan(context, uncut | wrong) if wrong else None


def _with_languages(config: Config) -> Extract:
    """Return the settings of extraction with the languages whose part of a text is kept before others.

    There are none where the filter keeps every language, or where texts are not separated.
    """
    languages = config.extract.languages
    if languages is None:
        languages = config.filter.language.keep
    if languages == ("*",) or not config.extract.separate_languages:
        languages = ()
    return config.extract.model_copy(update={"languages": tuple(sorted(set(languages)))})


def _settings(settings: Extract) -> dict[str, object]:
    """Return all that extraction reads: the configuration, and the models that it names by content."""
    dump = changed(settings, exclude={"max_unreadable_files", "unit_mb"})
    # A model is identified by its content: a corpus that moves with its configuration is not redone.
    if settings.language_model:
        dump["language_model"] = Path(settings.language_model).name
    libraries = ("ftfy", "resiliparse", *_EXTRACTORS[settings.extractor])
    models = [files.checksum(str(path)) for path in language.model_paths(settings.language_model)]
    return {**dump, "models": models, versions.KEY: versions.of(*libraries)}


def _rules(settings: Extract) -> tuple[str, ...]:
    """Return the rules, or families of them, that may drop records."""
    by_url = bool(settings.blocked_hosts or settings.blocked_url_words)
    return (*(("url",) if by_url else ()), "text.empty")


def extract_unit(settings: Extract, gone: Forgotten, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Extract the text of every record of a unit's files, except those of forgotten pages."""
    reading: Reading = unit.task
    source = reading.source
    extractor = Extractor(settings)
    counts = Counts()
    repeated = furniture.Counter()
    with UnitFiles(folder, unit.fingerprint) as written:
        sinks = Sinks(written.open(EXTRACTED), written.open(DROPPED), written.open(REJECTED))
        for number, (name, path) in enumerate(reading.named):
            size = (files.size("", path) or 0) if source.format in _BY_BYTES and not reading.piece else 0
            for items in _batches(gone.without(reading.items(path))):
                raws = [item for item in items if isinstance(item, RawDocument)]
                extracted = iter(extractor.extract(raws))
                for item in items:
                    if isinstance(item, Skipped):
                        counts.skip(item.kind)
                        continue
                    if isinstance(item, Unreadable):
                        counts.note(_UNREADABLE, f"{name} ({item.cause}: {item.detail[:200]})")
                        continue
                    counts.seen += 1
                    origin = {"source": source.name, "file": name}
                    if isinstance(item, Rejected):
                        sinks.reject(counts, item, item.cause, item.detail, origin)
                        continue
                    record, row = next(extracted), counts.kept
                    if record.large:  # of a text that is forgotten, too: cut otherwise it is another text
                        counts.note(parts.NOTED, parts.noted(record.large, settings.languages or ()))
                    if gone.has_text(record.raw.url, record.text):
                        counts.seen -= 1
                        counts.skip(forgotten.SKIPPED)
                        continue
                    settle(record, sinks, counts, origin)
                    if counts.kept > row:
                        repeated.add(record.raw.url, record.text, row)
                last = items[-1]
                share = min(1.0, last.offset / size) if size and not isinstance(last, Unreadable) else 0.0
                beat(counts.seen, counts.kept, (number + share) / len(reading.named))
        _check_rejected(counts, settings.max_rejected, source, unit.name)
        if repeated.hosts:
            _write_repeated(repeated, written)
    return Outcome(written.files, counts, extractor.seconds)


def _write_repeated(repeated: furniture.Counter, written: UnitFiles) -> None:
    """Write how often each host repeats its lines, from which the furniture stage finds what to remove."""
    counted = repeated.counted()
    columns = [pa.array(np.ascontiguousarray(counted[name])) for name in furniture.COUNTED.names or ()]
    written.open(LINES).slot.arrow.write(pa.RecordBatch.from_arrays(columns, schema=LINES.schema()))
    hosts = pa.RecordBatch.from_arrays(
        [pa.array(repeated.hosts, pa.string()), pa.array(repeated.hosts.values(), pa.uint32())],
        schema=HOSTS.schema(),
    )
    written.open(HOSTS).slot.arrow.write(hosts)


@dataclass(frozen=True, slots=True)
class Sinks:
    """The files of a unit."""

    extracted: Rows
    dropped: Rows
    rejected: Rows

    def reject(
        self, counts: Counts, raw: Rejected | RawDocument, cause: str, detail: str, origin: dict[str, Any]
    ) -> None:
        """Store a record that could not be read."""
        counts.reject(cause)
        fetched = raw.fetched if isinstance(raw, RawDocument) else None
        self.rejected.add(
            {
                **origin,
                "cause": cause,
                "detail": detail,
                "url": raw.url,
                "fetched": fetched,
                "offset": raw.offset,
            }
        )


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Group items until they are `_BATCH` or hold `_BATCH_BYTES`."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.content) if isinstance(item, RawDocument) else 0
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def settle(record: Extracted, sinks: Sinks, counts: Counts, origin: dict[str, Any]) -> None:
    """Write a record to the file of its kind, and count it."""
    if failure := record.failure:
        cause = "timeout" if isinstance(failure, Overtime) else f"extractor-{failure.cause}"
        sinks.reject(counts, record.raw, cause, str(failure), origin)
        return
    row = _row(record, origin)
    if drop := record.drop:
        counts.drop(drop.rule)
        sinks.dropped.add(dropped_row(row, drop))
        return
    counts.kept += 1
    counts.note("languages", record.language)
    counts.note("extracted", "bytes", row["bytes"])
    for kind, times in record.repaired.items():
        counts.note("repaired", kind, times)
    sinks.extracted.add(row)


def _row(record: Extracted, origin: dict[str, Any]) -> dict[str, Any]:
    work = record.raw.work
    return {
        **origin,
        "text": record.text,
        "url": record.raw.url,
        "fetched": record.raw.fetched,
        "offset": record.raw.offset,
        "encoding": record.encoding,
        "language": record.language,
        "language_score": record.language_score,
        "bytes": len(record.text.encode("utf-8")),
        "truncated": record.raw.truncated,
        "title": work.title or None,
        "authors": list(work.authors) or None,
        "licence": work.licence or None,
        "languages": record.languages or None,
        "page_kind": record.kind.name or None,
        "page_kind_score": record.kind.score if record.kind.name else None,
    }


def _check_rejected(counts: Counts, limit: float, source: Source, unit: str) -> None:
    rejected = sum(counts.rejected.values())
    if counts.seen >= _MANY and rejected > limit * counts.seen:
        worst = max(counts.rejected, key=counts.rejected.__getitem__)
        raise TooManyRejectedError(
            f"{rejected} of {counts.seen} records of {unit} (source {source.name!r}, read as "
            f"{source.format}) could not be read, most for {worst!r}; extract.max_rejected allows "
            f"{limit:.0%}: check that the format is right, or raise the limit"
        )


def _check_stage(config: Config, sources: list[str], manifest: dataset.Manifest) -> None:
    """Raise StageError where too many files could not be read, or where nothing was kept.

    `sources` are the names of the units' sources.
    """
    counts = manifest.counts()
    unreadable = list(counts.noted.get(_UNREADABLE, ()))
    named = zip(sources, manifest.units, strict=True)
    files_read = len({(source, each.name) for source, unit in named for each in unit.inputs})
    limit = config.extract.max_unreadable_files
    if len(unreadable) > limit * files_read:
        more = f"; and {len(unreadable) - _NAMED} more" if len(unreadable) > _NAMED else ""
        raise StageError(
            f"{len(unreadable)} of {files_read} input files could not be read: "
            f"{'; '.join(unreadable[:_NAMED])}{more}\n"
            f"extract.max_unreadable_files allows {limit:.0%}: exclude these files, correct their source's "
            f"format, or raise the limit"
        )
    by_source: dict[str, Counts] = {}
    for source, unit in zip(sources, manifest.units, strict=True):
        by_source.setdefault(source, Counts()).add(unit.counts)
    for source, own in by_source.items():
        if own.seen and own.rejected.get("missing-text") == own.seen:
            raise StageError(_no_text_column(config, source, own.seen))
    if not counts.kept:
        shown = f"; `derlem show {config.output} --rejected` lists the rejected" if counts.rejected else ""
        raise StageError(f"nothing was kept: {_fates(counts)}{shown}")


def _no_text_column(config: Config, source: str, seen: int) -> str:
    given = next(each for each in config.source if each.name == source)
    missing = f"text_column {given.text_column!r} is a key of none of its {seen} lines"
    if given.format not in FORMATS:
        missing = f"none of the {seen} rows of {given.format} has a 'text' or 'html'"
    return (
        f"source {source!r}: {missing}; "
        f"`derlem show {config.output} --rejected` lists the keys that there are"
    )


def _fates(counts: Counts) -> str:
    """Return a sentence that counts all documents by rule or cause, the most common first."""
    fates = [(number, f"dropped by {rule}") for rule, number in counts.dropped.items()]
    fates += [(number, f"rejected as {cause}") for cause, number in counts.rejected.items()]
    fates += [(number, f"skipped as {kind} (not a document)") for kind, number in counts.skipped.items()]
    if not fates:
        return "the inputs have no records"
    fates.sort(key=lambda fate: (-fate[0], fate[1]))
    words = ", ".join(f"{number:,} {what}" for number, what in fates[:_NAMED])
    return f"of {counts.seen:,} documents, {words}"
