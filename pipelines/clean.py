"""The clean stage: an input file, or a run of small ones, becomes a part with its signatures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from corpus import chain, dataset, files, filters, language, sources
from corpus.clean import Cleaner, Document, Overtime
from corpus.config import Clean, Config, Source
from corpus.counts import Counts
from corpus.part import PartWriter
from corpus.settings import ConfigError
from corpus.sources import Item, Items, RawDocument, Rejected, Skipped, Unreadable
from corpus.sources.inputs import expand
from pipelines.errors import StageError
from pipelines.inputs import Checksums
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, is_foreign, plan_unit
from pipelines.sweep import UNITS

NAME = "clean"
VERSION = 4

# Small consecutive input files share a unit: a folder of 100,000 short texts is not 100,000 units.
_SMALL_BYTES = 1 << 20
_UNIT_BYTES = 8 << 20
_BATCH = 64  # items that go through the cleaning steps together
_BATCH_BYTES = 8 << 20
_MANY = 100  # records from which a share of unreadable ones means something
_BY_BYTES = frozenset({"warc", "wet", "text"})  # formats whose offsets are bytes of the file
_UNREADABLE = "unreadable files"  # topic of the counts, by name
_NAMED = 10  # files, rules or causes that a message names


class TooManyRejectedError(ValueError):
    """More of an input is unreadable than the configuration allows."""


def plan(context: Context) -> Stage:
    """Plan the stage: find and name every input.

    Raises ConfigError where a pattern matches nothing, or a file cannot be read or is the build's own.
    """
    config, base = context.config, context.base
    settings = _settings(config.clean)
    folder = context.folder(NAME)
    known = Checksums(folder)
    units: list[Planned] = []
    for source in config.source:
        reading = source.model_dump(mode="json", exclude={"paths"})
        own: dict[str, object] = {"clean": settings, "source": reading}
        paths = expand(source, str(base))
        _refuse_own(source, paths, config.output)
        checksums = dict(zip(paths, _checksums(source, paths, known), strict=True))
        for group, weight in _groups(paths):
            named = [(_name(path, base), path) for path in group]
            inputs = tuple(dataset.Input(name=name, checksum=checksums[path]) for name, path in named)
            label = named[0][0] if len(named) == 1 else f"{named[0][0]} and {len(named) - 1} more"
            task = (source, named)
            units.append(plan_unit(NAME, VERSION, own, label, inputs, task, weight))
    if not is_foreign(folder):
        known.save()
    return Stage(
        name=NAME,
        version=VERSION,
        folder=folder,
        settings=settings,
        units=tuple(units),
        work=partial(clean_unit, config.clean),
        rules=_rules(config.clean),
        check=partial(_check_stage, config, [unit.task[0].name for unit in units]),
    )


def _rules(settings: Clean) -> tuple[str, ...]:
    """Return the families of rules that these settings put to work."""
    chosen = [filters.load(name) for name in (*settings.filters.presets.values(), settings.filters.default)]
    at_work = {
        "url": bool(settings.filters.blocked_hosts or settings.filters.blocked_url_words),
        "gopher": any(preset.gopher_quality or preset.gopher_repetition for preset in chosen),
        "c4": any(preset.c4 for preset in chosen),
        "fineweb": any(preset.fineweb for preset in chosen),
    }
    return ("text.empty", "language", *(family for family, works in at_work.items() if works))


def _settings(settings: Clean) -> dict[str, object]:
    """Return all that cleaning reads: the configuration, and what it names (presets, models) by content."""
    chosen = {*settings.filters.presets.values(), settings.filters.default}
    dump = settings.model_dump(mode="json", exclude={"max_unreadable_files"})  # decides no byte
    # A model is known by its content: a corpus that moves with its configuration is not cleaned anew.
    dump["language"]["model"] = Path(settings.language.model).name
    return {
        **dump,
        "preset_limits": {name: filters.load(name).model_dump(mode="json") for name in sorted(chosen)},
        "models": [files.checksum(str(path)) for path in language.model_paths(settings.language.model)],
    }


def _refuse_own(source: Source, paths: list[str], output: str) -> None:
    """Raise ConfigError where a source reads what the build itself writes, and may remove."""
    own = tuple(files.join(files.real(files.join(output, name)), "") for name in (*chain.folders(), UNITS))
    for path in paths:
        folder, _, name = path.rpartition("/")
        if files.real(path).startswith(own) or files.join(files.real(folder), name).startswith(own):
            raise ConfigError(
                f"source {source.name!r}: {path} lies in the build's own output {output!r}; "
                f"name another output"
            )


def _checksums(source: Source, paths: list[str], known: Checksums) -> list[str]:
    try:
        return known.of(paths)
    except OSError as error:
        raise ConfigError(
            f"source {source.name!r}: {error.filename} cannot be read: {error.strerror}"
        ) from None


def _name(path: str, base: Path) -> str:
    """Name an input as seen from the configuration, so that moving both together changes nothing.

    Bytes of the name that are no UTF-8, as old archives have them, become escapes (`\\udcfe`).
    """
    if not files.is_local(path):
        return path
    if os.path.commonpath([path, base]) != os.sep:
        path = Path(os.path.relpath(path, base)).as_posix()
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _groups(paths: list[str]) -> list[tuple[list[str], int]]:
    """Put consecutive small files together until they hold `_UNIT_BYTES`; give each group with its bytes."""
    groups: list[tuple[list[str], int]] = []
    is_open = False  # whether the last group takes more small files
    for path in paths:
        size = files.size("", path) or 0
        small = size < _SMALL_BYTES
        if is_open and small and groups[-1][1] + size <= _UNIT_BYTES:
            groups[-1][0].append(path)
            groups[-1] = (groups[-1][0], groups[-1][1] + size)
        else:
            groups.append(([path], size))
        is_open = small
    return groups


def clean_unit(settings: Clean, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Clean every record of a unit's files and write its part."""
    source, named = unit.task
    cleaner = Cleaner(settings)
    counts = Counts()
    with PartWriter(folder, unit.fingerprint) as part:
        for number, (name, path) in enumerate(named):
            size = (files.size("", path) or 0) if source.format in _BY_BYTES else 0
            for items in _batches(sources.read(source, path)):
                raws = [item for item in items if isinstance(item, RawDocument)]
                cleaned = iter(cleaner.clean(raws))
                for item in items:
                    if isinstance(item, Skipped):
                        counts.skip(item.kind)
                        continue
                    if isinstance(item, Unreadable):
                        counts.note(_UNREADABLE, f"{name} ({item.cause}: {item.detail[:200]})")
                        continue
                    counts.seen += 1
                    if isinstance(item, Rejected):
                        counts.reject(item.cause)
                        part.reject(item, item.cause, item.detail, source.name, name)
                        continue
                    _settle(next(cleaned), part, counts, (source.name, name))
                last = items[-1]
                share = min(1.0, last.offset / size) if size and not isinstance(last, Unreadable) else 0.0
                beat(counts.seen, counts.kept, (number + share) / len(named))
        _check_rejected(counts, settings.max_rejected, source, unit.name)
    return Outcome(part.files, counts, cleaner.seconds)


def _batches(items: Items) -> Iterator[list[Item]]:
    """Put items together until they are `_BATCH` or hold `_BATCH_BYTES`."""
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


def _settle(document: Document, part: PartWriter, counts: Counts, origin: tuple[str, str]) -> None:
    """Write a cleaned document where it belongs, and count it."""
    source, name = origin
    if document.failure:
        failure = document.failure
        cause = "timeout" if isinstance(failure, Overtime) else f"extractor-{failure.cause}"
        counts.reject(cause)
        part.reject(document.raw, cause, str(document.failure), source, name)
        return
    if document.language:
        counts.note("languages", document.language)
    if document.drop is not None:
        counts.drop(document.drop.rule)
        part.drop(document, document.drop, source, name)
        return
    counts.kept += 1
    counts.note("text", "bytes", part.keep(document, source, name))
    counts.note("text", "words", document.words)
    if lost := document.text.count("\ufffd"):
        counts.note("text", "replacement_characters", lost)  # bytes that no encoding could read
    topics = (("repaired", document.repaired), ("lines", document.lines), ("redacted", document.redacted))
    for topic, names in topics:
        for kind, times in names.items():
            counts.note(topic, kind, times)


def _check_rejected(counts: Counts, limit: float, source: Source, unit: str) -> None:
    rejected = sum(counts.rejected.values())
    if counts.seen >= _MANY and rejected > limit * counts.seen:
        worst = max(counts.rejected, key=counts.rejected.__getitem__)
        raise TooManyRejectedError(
            f"{rejected} of {counts.seen} records of {unit} (source {source.name!r}, read as "
            f"{source.format}) could not be read, most for {worst!r}; clean.max_rejected allows {limit:.0%}: "
            f"check that the format is right, or raise the limit"
        )


def _check_stage(config: Config, sources: list[str], manifest: dataset.Manifest) -> None:
    """Raise StageError where too many files could not be read, or where nothing was kept.

    `sources` are the names of the units' sources.
    """
    counts = manifest.counts()
    unreadable = list(counts.noted.get(_UNREADABLE, ()))
    files_read = sum(len(unit.inputs) for unit in manifest.units)
    limit = config.clean.max_unreadable_files
    if len(unreadable) > limit * files_read:
        more = f"; and {len(unreadable) - _NAMED} more" if len(unreadable) > _NAMED else ""
        raise StageError(
            f"{len(unreadable)} of {files_read} input files could not be read: "
            f"{'; '.join(unreadable[:_NAMED])}{more}\n"
            f"clean.max_unreadable_files allows {limit:.0%}: leave these files out, correct their source's "
            f"format, or raise the limit"
        )
    for source in dict.fromkeys(sources):
        own = Counts()
        for name, unit in zip(sources, manifest.units, strict=True):
            if name == source:
                own.add(unit.counts)
        if own.seen and own.rejected.get("missing-text") == own.seen:
            raise StageError(_no_text_column(config, source, own.seen))
    if not counts.kept:
        raise StageError(f"nothing was kept: {_fates(counts)}")


def _no_text_column(config: Config, source: str, seen: int) -> str:
    column = next(each.text_column for each in config.source if each.name == source)
    return (
        f"source {source!r}: text_column {column!r} is a key of none of its {seen} lines; "
        f"`derlem show {config.output} --rejected` lists the keys that there are"
    )


def _fates(counts: Counts) -> str:
    """Return in words where all documents went, the most common rule or cause first."""
    fates = [(number, f"dropped by {rule}") for rule, number in counts.dropped.items()]
    fates += [(number, f"rejected as {cause}") for cause, number in counts.rejected.items()]
    fates += [(number, f"skipped as {kind} (not a document)") for kind, number in counts.skipped.items()]
    if not fates:
        return "the inputs hold no record"
    fates.sort(key=lambda fate: (-fate[0], fate[1]))
    words = ", ".join(f"{number:,} {what}" for number, what in fates[:_NAMED])
    return f"of {counts.seen:,} documents, {words}"
