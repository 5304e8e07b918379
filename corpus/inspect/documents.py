"""Documents to read: some of a language, at random, by id or words, dropped by a rule, or rejected."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from corpus import dataset
from corpus.errors import NotThereError
from corpus.inspect import rows
from corpus.inspect import tokens as token_shards
from corpus.inspect.build import Build, Stage, open_build
from corpus.inspect.rows import Condition, Place, Pool
from corpus.schema import COPIES, CUT

DEDUPE = "dedupe."  # before the kind of a removed document: dedupe.near is a rule like any other

Where = Literal["shards", "parts", "tokens"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to show: what it is, its file (below the root) and row, and its columns.

    A removed document carries the columns of its document, and `rule`, `survivor`, `jaccard`; one
    of the token shards its `text`, decoded, and its number of `tokens`, with `ids` and `pieces` on request.
    """

    kind: Literal["document", "dropped", "removed", "rejected", "tokens"]
    path: str
    row: int
    values: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; times as ISO 8601."""
        plain = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in self.values.items()
        }
        return {"kind": self.kind, "path": self.path, "row": self.row, **plain}


def documents(
    root: str,
    *,
    language: str | None = None,
    random: int | None = None,
    seed: int = 0,
    limit: int = 5,
    stage: Where | None = None,
    rule: str | None = None,
    rejected: bool = False,
    id: str | None = None,
    find: str | None = None,
    ids: bool = False,
) -> list[Entry]:
    """Return documents of a build's output folder, the first `limit` or `random` ones drawn with a seed.

    `stage` is where kept documents are looked for: shards, parts (of filter) or token shards; None takes the
    shards, the parts where there are none, and token shards where there is nothing else. `ids` adds the ids
    and pieces of token shards. `rule` asks instead for what was dropped by the rules that start with it;
    `dedupe.` and a kind of removal (`schema.COPIES`, `schema.CUT`) is a rule too. `id` is an id or its first
    digits, looked for among the kept, the removed and the dropped, or in the `stage` that is named. `find`
    asks for words in the text, whatever their case (i, ı, I and İ are one letter). The draw is uniform over
    all rows that fulfil the rest; texts are read only of what is shown, and where `find` must.

    Raises DatasetError for an absent stage, an unknown language, rule or id, and for options that
    exclude each other.
    """
    _refuse_contradictions(
        rejected=rejected, rule=rule, id=id, language=language, find=find, stage=stage, random=random
    )
    build = open_build(root)

    def choose(pools: Iterator[Pool]) -> list[Place]:
        return rows.first(pools, limit) if random is None else rows.draw(pools, random, seed)

    if stage == "tokens" or (stage is None and build.stages() == [build.get("tokenize")]):
        return _from_tokens(build, choose, language, id, find, ids)
    conditions = _conditions(language, find)
    if rejected:
        build.need_last("rejected", "show rejected records")
        pools = (pool for home in build.holding("rejected") for pool in _pools(home, "rejected", ()))
        return _entries(build, choose(pools), "rejected")
    if id is not None:
        return _by_id(build, id, limit, stage)
    if rule is not None:
        _check_rule(build, rule)
        dropped = _dropped_pools(build, rule, conditions)
        found = _dropped_entries(build, choose(dropped))
        if not found and language is not None:
            _check_language(language, _dropped_pools(build, rule, ()), build)
        return found
    home, kind = _home(build, stage)
    found = _entries(build, choose(_pools(home, kind, conditions, language)), "document")
    if not found and language is not None:
        _check_language(language, _pools(home, kind, ()), build)
    return found


def _refuse_contradictions(**options: Any) -> None:
    given = [name for name, value in options.items() if value not in (None, False)]
    alone = {
        "rejected": {"random"},  # a rejected record has neither text nor language nor id
        "id": {"stage"},
        "rule": {"language", "find", "random"},
    }
    for name, company in alone.items():
        wrong = [other for other in given if other not in company | {name}]
        if name in given and wrong:
            raise NotThereError(
                f"{name} and {wrong[0]} cannot be asked for together; "
                f"{name} goes with {', '.join(sorted(company)) or 'nothing else'}"
            )


def _home(build: Build, stage: Where | None) -> tuple[Stage, str]:
    if stage == "parts" or (stage is None and build.last("shard") is None):
        return build.need_last("documents", "show documents"), "documents"
    return build.need_last("shard", "show documents of the shards"), "shard"


def _conditions(language: str | None, find: str | None) -> list[Condition]:
    conditions = []
    if language is not None:
        conditions.append(Condition("language", lambda column: pc.equal(column, language)))
    if find is not None:
        pattern = search_pattern(find)
        conditions.append(Condition("text", lambda column: pc.match_substring_regex(column, pattern)))
    return conditions


def search_pattern(words: str) -> str:
    """Make the RE2 pattern that finds words in either case, across line ends, the four Turkish i as one."""
    pieces = []
    for letter in unicodedata.normalize("NFC", " ".join(words.split())):
        if letter == " ":
            pieces.append(r"\s+")
        elif letter in "iıIİ":
            pieces.append("[iıIİ]")
        else:
            cases = dict.fromkeys(case for case in (letter, letter.lower(), letter.upper()) if len(case) == 1)
            pieces.append("(?:" + "|".join(re.escape(case) for case in cases) + ")")
    return "".join(pieces)


def _pools(
    stage: Stage, kind: str, conditions: Sequence[Condition], language: str | None = None
) -> Iterator[Pool]:
    """Yield the rows of a stage's files; a file that says its language is skipped or taken without a look."""
    for file in stage.manifest.files(kind):
        needed = conditions
        if language is not None and file.language:
            if file.language != language:
                continue
            needed = [condition for condition in conditions if condition.column != "language"]
        yield from rows.matching(stage.folder, file, needed)


def _dropped_pools(build: Build, rule: str, conditions: Sequence[Condition]) -> Iterator[Pool]:
    """Yield rows of dropped files, then of removed files whose document fulfils the conditions."""
    build.need_last("dropped", "show what was dropped")
    by_rule = Condition("rule", lambda column: pc.starts_with(column, rule))
    if not rule.startswith(DEDUPE):
        for home in build.holding("dropped"):
            yield from _pools(home, "dropped", [by_rule, *conditions])
    kinds = pa.array([kind for kind in (*COPIES, *CUT) if (DEDUPE + kind).startswith(rule)], pa.string())
    dedupe = build.get("dedupe")
    if dedupe is not None and len(kinds):
        parts = build.need_last("documents", "show what dedupe removed")
        by_kind = Condition("kind", lambda column: pc.is_in(column, value_set=kinds))
        for pool in _pools(dedupe, "removed", [by_kind]):
            yield _narrowed(parts, pool, conditions) if conditions and len(pool) else pool


def _narrowed(home: Stage, pool: Pool, conditions: Sequence[Condition]) -> Pool:
    """Keep the removed rows whose document, read from its part, fulfils the conditions."""
    assert pool.rows is not None
    where = rows.take(pool.folder, pool.file.path, pool.rows, ["part", "row"])
    parts, inside = where.column("part").to_numpy(zero_copy_only=False), where.column("row").to_numpy()
    files = home.manifest.by_unit("documents")
    columns = list(dict.fromkeys(condition.column for condition in conditions))
    keep: list[int] = []
    for part in sorted(set(parts.tolist())):
        mine = (parts == part).nonzero()[0]
        found = rows.take(home.folder, part_file(home.name, files, part).path, inside[mine], columns)
        keep += mine[rows.fulfils(found, conditions)].tolist()
    return Pool(pool.folder, pool.file, pool.rows[sorted(keep)])


def _entries(
    build: Build, places: list[Place], kind: Literal["document", "dropped", "rejected", "tokens"]
) -> list[Entry]:
    found = rows.read(places)
    return [
        Entry(kind, _path(build, place), place.row, values)
        for place, values in zip(places, found, strict=True)
    ]


def _dropped_entries(build: Build, places: list[Place]) -> list[Entry]:
    """Read dropped and removed documents, in the order of their places."""
    removed = _removed_entries(build, [place for place in places if place.file.kind == "removed"])
    dropped = _entries(build, [place for place in places if place.file.kind == "dropped"], "dropped")
    queues = {"removed": iter(removed), "dropped": iter(dropped)}
    return [next(queues[place.file.kind]) for place in places]


def _removed_entries(build: Build, places: list[Place]) -> list[Entry]:
    home = build.need_last("documents", "show what dedupe removed")
    files = home.manifest.by_unit("documents")
    entries = []
    removals = rows.read(places)
    texts = [
        Place(home.folder, part_file(home.name, files, removal["part"]), removal["row"])
        for removal in removals
    ]
    for removal, place, values in zip(removals, texts, rows.read(texts), strict=True):
        if values["id"] != removal["id"]:
            raise NotThereError(
                f"dedupe/ removed {removal['id']} at part {removal['part']}, row {removal['row']}, but there "
                f"{home.name}/ has {values['id']}: dedupe was made from an earlier state; run the build again"
            )
        fate = {"rule": DEDUPE + removal["kind"]}
        fate |= {name: removal[name] for name in ("survivor", "jaccard")}
        entries.append(Entry("removed", _path(build, place), place.row, {**fate, **values}))
    return entries


def part_file(home: str, files: Mapping[str, dataset.File], part: str) -> dataset.File:
    """Return the file of a part by its fingerprint; NotThereError where folder `home` has no such part."""
    if part not in files:
        raise NotThereError(
            f"dedupe/ names part {part}, but none of the {len(files)} parts in {home}/ is that one: dedupe "
            f"was made from an earlier state; run the build again"
        )
    return files[part]


def _path(build: Build, place: Place) -> str:
    below = place.folder[len(build.root.rstrip("/")) :].strip("/")
    return f"{below}/{place.file.path}" if below else place.file.path


def _from_tokens(
    build: Build,
    choose: Callable[[Iterator[Pool]], list[Place]],
    language: str | None,
    id: str | None,
    find: str | None,
    ids: bool,
) -> list[Entry]:
    """Return rows of token shards, decoded."""
    home = build.need("tokenize", "show tokens")
    pieces = token_shards.model(home)
    conditions = _conditions(language, None)
    conditions += [_begins(id)] if id is not None else []
    conditions += [token_shards.holds(pieces, search_pattern(find))] if find is not None else []
    pools = (pool for kind in token_shards.KINDS for pool in _pools(home, kind, conditions, language))
    found = _entries(build, choose(pools), "tokens")
    if not found and id is not None:
        raise _no_such_id(id, build.root, [home])
    if not found and language is not None:
        _check_language(language, (p for kind in token_shards.KINDS for p in _pools(home, kind, ())), build)
    return [replace(entry, values=token_shards.readable(entry.values, pieces, ids)) for entry in found]


def _begins(id: str) -> Condition:
    return Condition("id", lambda column: pc.starts_with(column, id.lower()))


def _by_id(build: Build, id: str, limit: int, stage: Where | None) -> list[Entry]:
    """Look for an id among the kept, then among what dedupe removed, then among the dropped.

    Only among the kept where a stage is named.
    """
    wanted = [_begins(id)]
    if stage is not None:
        home, kind = _home(build, stage)
        if not (places := rows.first(_pools(home, kind, wanted), limit)):
            raise _no_such_id(id, build.root, [home])
        return _entries(build, places, "document")
    found: list[Entry] = []
    dedupe, parts = build.get("dedupe"), build.last("documents")
    if dedupe is not None and parts is not None:
        found += _removed_entries(build, rows.first(_pools(dedupe, "removed", wanted), limit))
    gone = {(entry.path, entry.row) for entry in found}
    if build.last("shard") is not None or parts is not None:
        home, kind = _home(build, None)
        kept = _entries(build, rows.first(_pools(home, kind, wanted), limit + len(gone)), "document")
        found = [entry for entry in kept if (entry.path, entry.row) not in gone] + found
    for dropping in build.holding("dropped"):
        found += _entries(build, rows.first(_pools(dropping, "dropped", wanted), limit), "dropped")
    if not found:
        raise _no_such_id(
            id, build.root, [home for home in build.stages() if home is not build.get("tokenize")]
        )
    return found[:limit]


def _no_such_id(id: str, root: str, homes: Sequence[Stage]) -> NotThereError:
    return NotThereError(
        f"no document of {root} has an id that starts with {id!r}; looked in "
        f"{', '.join(f'{home.name}/' for home in homes)}; "
        f"an id is 32 hexadecimal digits, and its first digits are enough"
    )


def _check_rule(build: Build, rule: str) -> None:
    build.need_last("dropped", "show what was dropped")
    known: dict[str, int] = {}
    for stage in build.stages():
        known |= stage.manifest.counts().dropped
    if any(name.startswith(rule) for name in known):
        return
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{name} {number:,}" for name, number in ranked) or "none"
    missing = "" if build.get("dedupe") is not None else "; there is no dedupe/ stage yet"
    raise NotThereError(
        f"no rule that starts with {rule!r} dropped anything in {build.root}; "
        f"rules that did: {listed}{missing}"
    )


def _check_language(language: str, pools: Iterator[Pool], build: Build) -> None:
    """Raise DatasetError, listing the existing languages, unless this one is among them."""
    there: set[str] = set()
    for pool in pools:
        if pool.file.language:
            there.add(pool.file.language)
        elif pool.file.kind == "removed":
            home = build.need_last("documents", "know the languages of removed documents")
            for file in home.manifest.files("documents"):
                there |= _languages(home.folder, file)
        elif pool.rows is None or len(pool):
            there |= _languages(pool.folder, pool.file)
    if language not in there:
        raise NotThereError(
            f"no document in language {language!r}; there are: {', '.join(sorted(there)) or 'none'}"
        )


def _languages(folder: str, file: dataset.File) -> set[str]:
    found: set[str] = set()
    for batch in dataset.batches(folder, file.path, ["language"]):
        found |= set(pc.unique(batch.column("language")).to_pylist())
    return found
