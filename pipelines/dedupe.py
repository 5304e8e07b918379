"""The dedupe stage: all parts together, one unit whose work is itself a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from corpus import dataset, files
from corpus.config import Dedupe as Settings
from corpus.counts import Counts
from corpus.dedup import removals as removal_list
from corpus.dedup.bands import GRID
from corpus.dedup.removals import KINDS
from corpus.errors import PercolationError
from corpus.settings import changed
from pipelines import cutting, handover, linking, losses, older, paragraphs, settling, substrings
from pipelines.cutting import Cut
from pipelines.options import Runner
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit
from pipelines.sweep import UNITS

NAME = "dedupe"
VERSION = 8

# In fewer documents a large cluster does not show that the threshold percolates.
_LARGE_CORPUS = 10_000
_ROWS_A_WORKER = 50_000  # documents that are linked while a worker starts


@dataclass(frozen=True, slots=True)
class Task:
    """What the work needs: the parts by fingerprint, the files of signatures and of texts, and their rows."""

    parts: tuple[str, ...]
    signatures: tuple[str, ...]
    texts: tuple[str, ...]
    rows: tuple[int, ...]
    text_bytes: int  # of all documents
    older: older.Parts


def plan(context: Context) -> Stage:
    """Plan the stage from the manifest of the parts; DatasetError where it is missing."""
    config = context.config
    home = context.input_of(NAME, "signatures")
    # Sorted, so that the order of the input stage's units has no effect.
    manifest = dataset.load(home)
    parts, texts = sorted(manifest.by_unit("signatures").items()), manifest.by_unit("documents")
    inputs = tuple(dataset.Input(name=file.path, checksum=file.sha256) for _, file in parts)
    # Of copies the document of the earlier source is kept: only here the order of sources matters.
    sources = tuple(source.name for source in config.source)
    # Older corpora are among the inputs, by their contents and not by their folders.
    settings = {**changed(config.dedupe, exclude={"against"}), "sources": list(sources)}
    known = older.parts(config.dedupe)
    task = Task(
        parts=tuple(fingerprint for fingerprint, _ in parts),
        signatures=tuple(files.join(home, file.path) for _, file in parts),
        texts=tuple(files.join(home, texts[fingerprint].path) for fingerprint, _ in parts),
        rows=tuple(file.rows for _, file in parts),
        older=known,
        text_bytes=sum(unit.counts.noted.get("text", {}).get("bytes", 0) for unit in manifest.units),
    )
    weight = sum(file.bytes for _, file in parts)
    unit = plan_unit(NAME, VERSION, settings, "all parts", (*known.inputs, *inputs), task, weight)
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings=settings,
        units=(unit,),
        work=partial(dedupe_unit, config.dedupe, sources, context.runner),
        rules=tuple(f"{NAME}.{kind}" for kind in KINDS.values()),
        spread=False,
    )


def dedupe_unit(
    settings: Settings, sources: Sequence[str], runner: Runner, unit: Planned, folder: str, beat: Beat
) -> Outcome:
    """Find the copies, and write which documents are removed and which are kept instead."""
    task: Task = unit.task
    known = task.older
    parts = handover.Parts(
        (*known.signatures, *task.signatures),
        (*known.rows, *task.rows),
        (*known.names, *task.parts),
        texts=(*known.texts, *task.texts),
        older=len(known.names),
        grams=known.grams,
        paragraphs=known.paragraphs,
    )
    total = sum(task.rows)
    useful = min(len(parts.paths), -(-sum(parts.rows) // _ROWS_A_WORKER))
    runner = replace(runner, workers=max(1, min(runner.workers, useful)))
    scratch = files.join(folder, UNITS, unit.fingerprint)
    older.save_gone(scratch, known, parts)
    copies = linking.find_copies(
        parts, scratch, settings.threshold, settings.urls, settings.max_links_in_memory, runner, sources
    )
    decided, cut = copies.settled, None
    if settings.substrings.length or settings.paragraphs.most:
        text_bytes = task.text_bytes + known.text_bytes
        cut = _cut(settings, sources, runner, (scratch, folder), decided, text_bytes)
        decided += 1
    decides = linking.decides(parts, runner)
    listed = settling.write_list(scratch, decided, folder, unit.fingerprint, decides, cut is not None)
    written = [dataset.File.model_validate(file) for run in listed for file in run.files]
    index = [row for run in listed for row in run.index]
    written.append(removal_list.write_index(folder, unit.fingerprint, index))
    written += cut.written if cut is not None else []
    counts = Counts(seen=total)
    for kind in KINDS.values():
        if number := sum(run.kinds.get(kind, 0) for run in listed):
            counts.drop(f"{NAME}.{kind}", number)
    counts.kept = total - sum(counts.dropped.values())
    lost = losses.losses(scratch, [losses.Taken(**row) for run in listed for row in run.taken])
    facts = _facts(copies, listed, lost, cut)
    losses.check(lost, settings.max_source_loss)
    _check_percolation(max(run.largest for run in listed), total, settings, facts)
    return Outcome(written, counts, facts=facts)


@dataclass(frozen=True, slots=True)
class _Text:
    """What was cut from documents that stay, by kind, and what other numbers of places would cut."""

    cut: list[Cut]
    along: dict[int, int]  # bytes of paragraphs, about, by the number of places that keep them
    written: list[dataset.File]  # for corpora that are compared with this one

    def facts(self) -> dict[str, object]:
        spans, bytes_ = (sum(getattr(each, name) for each in self.cut) for name in ("spans", "bytes"))
        along = [{"most": most, "bytes": number} for most, number in self.along.items()]
        return {
            "spans": spans,
            "span_bytes": bytes_,
            "spans_by_kind": [asdict(each) for each in self.cut if each.spans],
            **({"paragraph_bytes": along} if along else {}),
        }

    def remarks(self) -> Iterator[str]:
        for each in self.cut:
            if each.spans:
                yield (
                    f"removed by {each.kind}: spans {each.spans:,}, bytes {each.bytes:,}, "
                    f"from documents {each.documents:,}"
                )
        if self.along:
            along = ", ".join(f"{number:,} at {most:,}" for most, number in self.along.items())
            yield f"bytes that dedupe.paragraphs.most would remove: {along}"


def _cut(
    settings: Settings,
    sources: Sequence[str],
    runner: Runner,
    folders: tuple[str, str],
    decided: int,
    text_bytes: int,
) -> _Text:
    """Cut what stands elsewhere from the documents that pass `decided` kept.

    The folders are that of the work and that of the stage.
    """
    matched, written, along = list[str](), list[dataset.File](), dict[int, int]()
    if settings.substrings.length:
        how = settings.substrings
        paths, made = substrings.match(*folders, decided, how, text_bytes, runner, sources)
        matched, written = [*matched, *paths], [*written, *made]
    if settings.paragraphs.most:
        many = settings.paragraphs
        paths, made, along = paragraphs.match(*folders, decided, many, text_bytes, runner, sources)
        matched, written = [*matched, *paths], [*written, *made]
    return _Text(cutting.cut(folders[0], decided, settings, matched, runner), along, written)


def _facts(
    copies: linking.Copies,
    listed: Sequence[settling.Listed],
    lost: Sequence[losses.Loss],
    cut: _Text | None,
) -> dict[str, object]:
    """The facts about clusters in the report: sizes, the largest by threshold, crowded buckets, spans."""
    grid = dict.fromkeys(GRID, 0)
    for part in copies.resolved:
        for threshold, size in part.largest:
            grid[threshold] = max(grid[threshold], size)
    sizes: Counter[tuple[int, int]] = Counter()
    for run in listed:
        sizes.update({(low, high): number for low, high, number in run.sizes})
    clusters, largest = sum(sizes.values()), max(run.largest for run in listed)
    for_older = sum(run.for_older for run in listed)
    not_compared = sum(linked.unlinked for linked in copies.linked)
    along = ", ".join(f"{size:,} at {threshold:.2f}" for threshold, size in grid.items())
    return {
        "clusters": clusters,
        "cluster_sizes": [
            {"from": low, "to": high, "clusters": number} for (low, high), number in sorted(sizes.items())
        ],
        "largest_cluster": largest,
        "largest_component": [
            {"threshold": threshold, "documents": size} for threshold, size in grid.items()
        ],
        "buckets": sum(linked.buckets for linked in copies.linked),
        "largest_bucket": max((linked.largest_bucket for linked in copies.linked), default=0),
        "documents_not_compared": not_compared,
        "sources": losses.facts(lost),
        "pairs_refuted": copies.refuted,
        "passes": copies.passes,
        "documents_not_settled": copies.open,
        "removed_for_older": for_older,
        **(cut.facts() if cut is not None else {}),
        "remarks": [
            f"{clusters:,} clusters of copies, the largest of {largest:,} documents",
            f"largest component by threshold: {along}",
            *losses.remarks(lost),
            *([f"{copies.refuted:,} pairs were refuted by their texts"] if copies.refuted else []),
            *(cut.remarks() if cut is not None else ()),
            *([f"{for_older:,} documents are copies of older corpora's"] if for_older else []),
            *([f"{not_compared:,} documents of crowded buckets were not compared"] if not_compared else []),
            *(
                [f"{copies.open:,} kept documents may be copies of each other after {copies.passes} passes"]
                if copies.open
                else []
            ),
        ],
    }


def _check_percolation(largest: int, total: int, settings: Settings, facts: dict[str, object]) -> None:
    if total >= _LARGE_CORPUS and largest > settings.max_cluster_share * total:
        raise PercolationError(
            f"one cluster holds {largest:,} of {total:,} documents; dedupe.max_cluster_share allows "
            f"{settings.max_cluster_share:.1%}. Largest component: {facts['largest_component']}. "
            f"Raise dedupe.threshold to where it falls, or allow the share if these really are copies"
        )
