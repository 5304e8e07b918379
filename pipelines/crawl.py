"""The crawl: rounds, each a stage whose units are buckets of origins, and the frontier between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import dataset, files, forgotten, temporary
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.connection import check_client
from corpus.crawl.state import collect, journal, layout
from corpus.crawl.state.layout import Bucket, Plan, Start
from corpus.crawl.state.status import Watch
from corpus.crawl.unit import Task, Unit
from corpus.crawl.urls import frontier
from corpus.crawl.urls.scope import Boundary
from corpus.errors import ConfigError, DatasetError
from corpus.schema import FETCHES, FRONTIER, ORIGINS, OUTLINKS, Kind
from corpus.teller import Teller
from corpus.web.url import normal_form
from pipelines import options, stage
from pipelines.lock import alone
from pipelines.progress import Beat

NAME = "crawl"
VERSION = 2
_URLS_PER_WORKER = 1_000  # fewer are not worth a worker process, which takes seconds to start


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a run of the crawl ended; finished rounds, fetched pages and waiting URLs at that time."""

    why: str
    rounds: int
    pages: int
    waiting: int


def run(
    folder: str,
    settings: Crawl,
    seeds: Sequence[str],
    runner: options.Runner,
    teller: Teller,
    earlier: str = "",
) -> Ended:
    """Crawl into `folder`, or resume the crawl there, until a limit is reached or nothing is left.

    New `seeds` join an existing crawl. `earlier` is the folder of another crawl, whose pages are requested
    again and stored if they have changed. Raises ConfigError without a contact or without seeds.
    """
    if not settings.agent.contact:
        raise ConfigError(
            "agent.contact is empty: every crawl identifies its operator; give a page or a mail address "
            "where site owners reach you, such as --contact https://example.org/crawler"
        )
    check_client()
    with alone(folder):
        start = _start(folder, _normalized(seeds), earlier)
        gone = forgotten.forgotten(forgotten.read(folder).requests)
        boundary = Boundary(start.seeds, settings.scope, gone)
        number = 0
        while True:
            number = layout.finished_rounds(folder, number) + 1
            plan = _plan(folder, number, settings, start, runner)
            state = number - 1, plan.pages, plan.waiting + plan.due
            if not plan.due:
                return Ended(_why(plan, settings), *state)
            if number > settings.limits.rounds:
                return Ended(f"limits.rounds = {settings.limits.rounds} is reached", *state)
            said = f"due {plan.due:,}, origins {plan.origins:,}, waiting {plan.waiting:,}"
            teller.say(f"round {number}: {said}")
            planned = _stage(folder, number, plan, settings, boundary)
            if lost := layout.gap(folder, number):
                _check_same(planned, lost)
                said = f"{lost}: the URLs of its unit are requested again"
                teller.say(said, style="yellow")
            manifest = stage.run(planned, runner, teller)
            if not _has_moved(manifest):
                why = "all remaining origins ask for a longer pause; run the same command again later"
                return Ended(why, number, *state[1:])


def _normalized(seeds: Sequence[str]) -> list[str]:
    """Return normalized seeds, an origin or a URL per line; ConfigError names the first invalid line."""
    found = []
    for number, line in enumerate(seeds, start=1):
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        url = normal_form(text if "://" in text else f"https://{text}")
        if url is None:
            raise ConfigError(
                f"seed {number}: {text!r} is not a URL; expected https://example.org/ or example.org"
            )
        found.append(url)
    return list(dict.fromkeys(found))


def _start(folder: str, seeds: list[str], earlier: str) -> Start:
    """Read the start of a crawl, or create it; new seeds are added, after those of an earlier crawl."""
    start = layout.start(folder)
    if start is None:
        if not seeds and not earlier:
            raise ConfigError(
                f"no seeds, and no crawl in {folder}: name a file with one URL or host per line"
            )
        before = layout.start(earlier) if earlier else None
        if earlier and before is None:
            raise ConfigError(f"{earlier} does not hold a crawl whose pages could be fetched again")
        began = datetime.now(UTC).isoformat(timespec="seconds")
        start = Start(seeds=before.seeds if before is not None else (), earlier=earlier, began=began)
    if earlier and earlier != start.earlier:
        raise ConfigError(f"{folder} has a crawl already: one that follows {earlier} needs a new folder")
    start = start.model_copy(update={"seeds": tuple(dict.fromkeys((*start.seeds, *seeds)))})
    files.write_json(folder, layout.START, start.model_dump(), sweeps=True)
    return start


# ---------------------------------------------------------------- a round's plan


def _plan(folder: str, number: int, settings: Crawl, start: Start, runner: options.Runner) -> Plan:
    """Read or make the plan of a round. One without due URLs is not stored, because limits may be raised."""
    made = layout.plan(folder, number)
    if made is not None:
        return made
    known, origins = _frontier(folder, number, start)
    pages = dict(zip(origins["origin"].to_pylist(), origins["pages"].to_pylist(), strict=True))
    fetched = sum(pages.values())
    columns = ["origin", "outcome", "cause", "status"]
    last = _tables(folder, number - 1, FETCHES, columns) if number > 1 else []
    silent = frontier.given_up(last, settings.limits.host_round_pages) if last else set()
    table = frontier.mark_due(known, pages, settings.limits, settings.limits.pages - fetched, silent)
    due = table.filter(table["due"])
    counts = Plan(
        due=len(due),
        waiting=len(table) - len(due),
        origins=pc.count_distinct(due["origin"]).as_py(),
        pages=fetched,
    )
    if not counts.due:
        return counts
    home, name = files.join(folder, layout.FRONTIER), layout.plan_name(number)
    buckets = settings.limits.buckets or max(1, min(runner.workers, counts.due // _URLS_PER_WORKER))
    parts = zip(frontier.by_bucket(table, buckets), frontier.by_bucket(origins, buckets), strict=True)
    stored = (_bucket(home, f"{name.removesuffix('.json')}-b{n:04}", *one) for n, one in enumerate(parts))
    plan = counts.model_copy(update={"buckets": tuple(stored)})
    files.write_json(home, name, plan.model_dump(), sweeps=True)
    return plan


def _bucket(home: str, name: str, urls: pa.Table, origins: pa.Table) -> Bucket:
    """Write the URLs and the origins of a unit."""
    return Bucket(
        name=name,
        due=pc.sum(urls["due"]).as_py() or 0,
        frontier=_write(home, f"{name}.arrow", FRONTIER, urls),
        origins=_write(home, f"{name}-origins.arrow", ORIGINS, origins),
    )


def _write(home: str, path: str, kind: Kind, table: pa.Table) -> dataset.Input:
    with dataset.create(home, path, kind, files.fingerprint(path)) as slot:
        slot.arrow.write(table.cast(kind.schema()))
    files.sweep(home, lambda name: name == path)
    assert slot.file is not None
    return dataset.Input(name=path, checksum=f"sha256:{slot.file.sha256}")


def _frontier(folder: str, number: int, start: Start) -> tuple[pa.Table, pa.Table]:
    """Return the state before a round: URLs not yet fetched [FRONTIER], and origins [ORIGINS]."""
    if number == 1:
        earlier = _kept(start.earlier) if start.earlier else None
        return frontier.from_seeds(start.seeds, earlier), ORIGINS.schema().empty_table()
    seeds = frontier.as_outlinks(frontier.from_seeds(start.seeds))  # some may have joined since
    home = files.join(folder, layout.FRONTIER)
    before = layout.plan(folder, number - 1)
    if before is None:
        missing = files.join(home, layout.plan_name(number - 1))
        raise DatasetError(f"{missing} is gone, which lists the URLs left to fetch: {layout.RESTORE}")
    waiting = [dataset.table(home, bucket.frontier.name) for bucket in before.buckets]
    origins = [dataset.table(home, bucket.origins.name) for bucket in before.buckets]
    done = [
        frontier.keys_of(table, frontier.FINAL)
        for one in range(1, number)
        for table in _tables(folder, one, FETCHES, ["key", "outcome"])
    ]
    table = frontier.following(
        pa.concat_tables(waiting),
        pa.concat_tables(_tables(folder, number - 1, FETCHES)),
        pa.concat_tables([*_tables(folder, number - 1, OUTLINKS), seeds]),
        np.unique(np.concatenate(done)),
    )
    return table, frontier.latest([*origins, *_tables(folder, number - 1, ORIGINS)])


def _tables(folder: str, number: int, kind: Kind, columns: list[str] | None = None) -> list[pa.Table]:
    home = layout.round_folder(folder, number)
    return [dataset.table(home, file.path, columns) for file in dataset.load(home).files(kind.name)]


def _kept(folder: str) -> pa.Table:
    """Return the pages of a crawl that were kept or found unchanged [FETCHES]."""
    rounds = range(1, layout.rounds(folder) + 1)
    if lost := next(filter(None, (layout.gap(folder, number) for number in rounds)), ""):
        raise DatasetError(
            f"{lost}: restore it, or run the crawl of {folder} again, which fetches what is lost"
        )
    tables = [table for number in rounds for table in _tables(folder, number, FETCHES)]
    if not tables:
        raise ConfigError(f"{folder} does not hold a finished round of a crawl: nothing to fetch again")
    pages = pa.concat_tables(tables)
    return pages.filter(pc.is_in(pages["outcome"], value_set=pa.array(["kept", "unchanged"])))


# ---------------------------------------------------------------- a round's work


def _stage(folder: str, number: int, plan: Plan, settings: Crawl, boundary: Boundary) -> stage.Stage:
    """Return the stage of a round.

    A unit's fingerprint depends on its URLs alone, not on the settings: a page is not fetched again because a
    delay has changed. Changed settings apply from the next request.
    """
    home = files.join(folder, layout.FRONTIER)
    watch = cache(partial(Watch, folder))  # made on first use: it reads all rounds
    redirects = partial(_redirects, folder, number, settings.limits.redirects)
    units = [
        stage.plan_unit(
            NAME,
            VERSION,
            {},
            bucket.name,
            (bucket.frontier, bucket.origins),
            Task(
                home,
                bucket.frontier.name,
                bucket.origins.name,
                settings,
                boundary,
                redirects(dataset.table(home, bucket.frontier.name)),
            ),
            bucket.due,
        )
        for bucket in plan.buckets
        if bucket.due
    ]
    return stage.Stage(
        name=NAME,
        version=VERSION,
        folder=layout.round_folder(folder, number),
        settings=settings.model_dump(mode="json"),
        units=tuple(units),
        work=crawl_bucket,
        worker_bytes=0,
        say=lambda: watch().look().line(),
    )


def _redirects(folder: str, number: int, limit: int, urls: pa.Table) -> dict[str, str]:
    """Return the redirects of the rounds before `number` that led to the due URLs of a bucket."""
    columns = ["url", "outcome", "location"]
    done = (table for one in range(1, number) for table in _tables(folder, one, FETCHES, columns))
    return frontier.redirects(done, urls.filter(urls["due"]), limit)


def _check_same(planned: stage.Stage, lost: str) -> None:
    """Raise DatasetError if a round that lost a file consists of other units than would be planned now.

    Otherwise all of its files would be replaced, also the intact ones.
    """
    written = [unit.fingerprint for unit in dataset.load(planned.folder).units]
    if written != [unit.fingerprint for unit in planned.units]:
        raise DatasetError(f"{lost}, and another derlem wrote it: {layout.RESTORE}")


def crawl_bucket(unit: stage.Planned, folder: str, beat: Beat) -> stage.Outcome:
    """Fetch the due URLs of a bucket of origins, or the rest of them after a kill."""
    with _home(folder, unit.fingerprint) as home, journal.held(home):
        archives = collect.closed(home)
        if archives is None:
            working = Unit(unit.task, home, f"{unit.name}-{unit.fingerprint}")
            try:
                asyncio.run(working.crawl(beat))
            except ExceptionGroup as group:  # of concurrent visits; the first to fail ended the others
                raise group.exceptions[0] from group
            archives = working.close()
        made, counts = collect.gather(home, folder, unit.name, unit.fingerprint)
        made += collect.put(home, archives, folder)
    return stage.Outcome(made, counts)


@contextmanager
def _home(folder: str, fingerprint: str) -> Iterator[Path]:
    """Yield a unit's working folder, which survives a kill if the stage's folder is on this machine."""
    if files.is_local(folder):
        yield Path(files.filesystem(layout.home(folder, fingerprint))[1])
        return
    with temporary.folder("crawl") as scratch:
        yield scratch


def _has_moved(manifest: dataset.Manifest) -> bool:
    """Return whether a round settled or requested any URL."""
    counts = manifest.counts()
    return bool(counts.seen or counts.skipped or counts.noted.get("further requests"))


def _why(plan: Plan, settings: Crawl) -> str:
    if not plan.waiting:
        return "nothing is left to fetch"
    if plan.pages >= settings.limits.pages:
        return f"limits.pages = {settings.limits.pages:,} is reached"
    return f"limits.host_pages = {settings.limits.host_pages:,} is reached on every origin with waiting URLs"
