"""The furniture stage: which lines each host repeats, from what extract counted unit by unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from corpus import dataset, furniture
from corpus.counts import Counts
from corpus.inspect import rows
from corpus.plural import plural
from corpus.schema import EXTRACTED, FURNITURE, HOSTS, LINES
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit

NAME = "furniture"
VERSION = 1

_LIMITS = (furniture.PAGES, furniture.SHARE, furniture.TEXT, furniture.EDGE, furniture.AT_EDGE)
_ROWS = 50_000_000  # counts that are judged at a time, those of some hosts: 3 GB


@dataclass(frozen=True, slots=True)
class Counted:
    """The files of one unit of extract: its texts, the counts of their lines, and its hosts."""

    fingerprint: str
    texts: str
    lines: str
    hosts: str
    rows: int


def plan(context: Context) -> Stage:
    """Plan the stage from the counts of extract; DatasetError where its manifest is missing."""
    home = context.input_of(NAME, EXTRACTED.name)
    manifest = dataset.load(home)
    texts, lines, hosts = (manifest.by_unit(kind.name) for kind in (EXTRACTED, LINES, HOSTS))
    # Sorted, so that the order of the units has no effect.
    counted = tuple(
        Counted(unit, texts[unit].path, lines[unit].path, hosts[unit].path, lines[unit].rows)
        for unit in sorted(lines)
    )
    inputs = tuple(dataset.Input(name=file.path, checksum=file.sha256) for _, file in sorted(lines.items()))
    settings: dict[str, object] = {"limits": list(_LIMITS)}
    weight = sum(file.bytes for file in lines.values())
    unit = plan_unit(NAME, VERSION, settings, "all hosts", inputs, counted, weight)
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings=settings,
        units=(unit,),
        work=partial(furniture_unit, home, manifest.counts().kept),
        spread=False,
    )


def furniture_unit(home: str, documents: int, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Judge the lines of all hosts, and write for each unit of extract those of its hosts."""
    counted: tuple[Counted, ...] = unit.task
    hosts = [dataset.table(home, each.hosts) for each in counted]
    pages: dict[int, int] = {}
    names: dict[int, str] = {}
    for table in hosts:
        for host, number in zip(table["host"].to_pylist(), table["pages"].to_pylist(), strict=True):
            key = furniture.hashed(host)
            pages[key], names[key] = pages.get(key, 0) + number, host
    found = [
        row
        for arrays in _some_hosts(home, counted)
        for row in _rows(home, counted, furniture.judge(arrays, pages), names)
    ]
    by_host: dict[str, list[dict[str, object]]] = {}
    for row in found:
        by_host.setdefault(str(row["host"]), []).append(row)
    written, digests = [], {}
    for each, table in zip(counted, hosts, strict=True):
        mine = [row for host in sorted(table["host"].to_pylist()) for row in by_host.get(host, ())]
        if not mine:
            continue
        path = f"{NAME}/{NAME}-{each.fingerprint}-{unit.fingerprint}.arrow"
        with dataset.create(folder, path, FURNITURE, unit.fingerprint) as slot:
            slot.arrow.write(pa.Table.from_pylist(mine, schema=FURNITURE.schema(unit.fingerprint)))
        assert slot.file is not None
        written.append(slot.file)
        removed = "\n".join(f"{row['host']} {row['hash']}" for row in mine)
        digests[each.fingerprint] = xxhash.xxh3_128_hexdigest(removed.encode())
    beat(documents, documents, 1.0)
    remark = f"{plural(len(found), 'line')} that {len(by_host):,} of {plural(len(names), 'host')} repeat"
    facts: dict[str, object] = {"digests": digests, "remarks": [remark] if found else []}
    return Outcome(written, Counts(seen=documents, kept=documents), facts=facts)


def _some_hosts(home: str, counted: tuple[Counted, ...]) -> Iterator[list[NDArray[np.void]]]:
    """Yield the counts of all units, by groups of hosts that are judged together."""
    groups = 1 + sum(each.rows for each in counted) // _ROWS
    for group in range(groups):
        yield [_read(home, each, group, groups) for each in counted]


def _read(home: str, counted: Counted, group: int, groups: int) -> NDArray[np.void]:
    table = dataset.table(home, counted.lines)
    found = np.empty(table.num_rows, dtype=furniture.COUNTED)
    for name in furniture.COUNTED.names or ():
        found[name] = table[name].to_numpy()
    return found[found["host"] % np.uint64(groups) == group] if groups > 1 else found


def _rows(
    home: str, counted: tuple[Counted, ...], found: furniture.Found, names: dict[int, str]
) -> list[dict[str, object]]:
    """Return the furniture with an example of each line, read from the first page that has it."""
    shown: dict[int, str] = {}
    for number in np.unique(found.unit).tolist():
        inside = np.flatnonzero(found.unit == number)
        texts = rows.take(home, counted[number].texts, found.lines["row"][inside].astype(np.int64), ["text"])
        for at, text in zip(inside.tolist(), texts["text"].to_pylist(), strict=True):
            wanted = int(found.lines["line"][at])
            shown[at] = next(line for line, key in furniture.lines(text) if key == wanted)
    return [
        {
            "host": names[int(line["host"])],
            "line": shown[at],
            "hash": int(line["line"]),
            "pages": int(line["pages"]),
            "of_pages": int(found.of_host[at]),
            "hosts": int(found.others[at]),
        }
        for at, line in enumerate(found.lines)
    ]
