"""Steps with a shuffle between them: plain functions that Beam calls, or this process where that is enough.

What crosses a shuffle is packed: a value is the bytes of an array of many rows, its key a small number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from pipelines import handover, installed, options

Keyed = tuple[int, bytes]
Grouped = tuple[int, Iterable[bytes]]
Record = dict[str, Any]
Step = tuple[str, Callable[[Any], Iterator[Keyed]]]
"""The name of a step in a job, and what makes keyed blocks of an item of the source, or of a group."""


def run(
    runner: options.Runner,
    folder: str,
    job: str,
    source: Sequence[Any],
    steps: Sequence[Step],
    last: tuple[str, Callable[[Any], Record]],
    listed: str,
) -> list[Record]:
    """Take every item of `source` through the steps, by key from one to the next; return the last's records.

    They are in an order that no scheduling decides, and are written as the list `listed` below `folder`: of a
    driver that was ended, the next one finds them and does nothing again. One local worker needs no Beam,
    whose import takes a second.
    """
    known = handover.read_list(folder, listed)
    if known is None:
        if runner.is_local and runner.workers == 1:
            handover.write_list(folder, listed, _here(source, steps, last[1]))
        else:
            _by_beam(runner, folder, job, source, steps, last, listed)
        known = handover.read_list(folder, listed)
        assert known is not None, f"{folder}/{listed} was not written"
    return known


def itself(key: int) -> Iterator[Keyed]:
    """Yield a key with nothing: the step before a last one that needs no more."""
    yield key, b""


def _here(source: Iterable[Any], steps: Sequence[Step], last: Callable[[Any], Record]) -> list[Record]:
    items = iter(source)
    for _, do in steps:
        items = _grouped(chain.from_iterable(map(do, items)))
    return [last(item) for item in items]


def _grouped(blocks: Iterable[Keyed]) -> Iterator[Grouped]:
    """Yield the blocks of each key; they are let go with their group."""
    groups: dict[int, list[bytes]] = {}
    for key, block in blocks:
        groups.setdefault(key, []).append(block)
    for key in sorted(groups):
        yield key, groups.pop(key)


def _by_beam(
    runner: options.Runner,
    folder: str,
    job: str,
    source: Sequence[Any],
    steps: Sequence[Step],
    last: tuple[str, Callable[[Any], Record]],
    listed: str,
) -> None:
    import apache_beam as beam

    from pipelines import metrics

    (first, begin), *others = steps
    if not runner.is_local:
        begin = partial(_checked, installed.here(), begin)
    fingerprint = folder.rstrip("/").rpartition("/")[2]  # of the unit whose working folder this is
    with options.pipeline(runner, folder, job, fingerprint) as pipeline:
        found = pipeline | "Source" >> beam.Create(source) | "Spread" >> beam.Reshuffle()
        for name, do in ((first, begin), *others):
            blocks = found | name >> beam.FlatMap(do).with_output_types(Keyed)
            found = blocks | f"{name}: by key" >> beam.GroupByKey()
        records = found | last[0] >> beam.Map(last[1])
        records = records | f"{last[0]}: count" >> beam.Map(metrics.count_partition)
        write = beam.Map(_write, folder, listed)
        _ = records | "All records" >> beam.combiners.ToList() | "Write list" >> write


def _checked(driver: Mapping[str, str], do: Callable[[Any], Iterator[Keyed]], item: Any) -> Iterator[Keyed]:
    """Do a step on a worker that has the versions of the driver; StageError on any other."""
    installed.check(driver)
    yield from do(item)


def _write(records: list[Record], folder: str, listed: str) -> None:
    handover.write_list(folder, listed, records)
