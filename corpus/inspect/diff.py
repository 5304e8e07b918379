"""What changed between two builds, text by text, and the settings and versions that differ."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus.filters import GIVEN, NAMED
from corpus.inspect import rows
from corpus.inspect.build import Build, open_build
from corpus.inspect.differ import compare
from corpus.inspect.texts import Texts

ONLY_A, ONLY_B, NOW_KEPT, NOW_DROPPED, OTHER_RULE, OTHER_TEXT = (
    "only in the first", "only in the second", "now kept", "now dropped", "dropped by another rule",
    "text changed",
)  # fmt: skip
"""What can have happened to a text; one whose rule and text are the same is not counted among them."""
_PASSAGES = 5  # of an example
_LONG = 200  # characters of a setting that are kept


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, a version of a stage or of a library, that differs between the builds."""

    stage: str
    key: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Change:
    """How many texts went one way; `before` and `after` are the rules that dropped them, empty where kept."""

    what: str
    before: str
    after: str
    texts: int
    words: int


@dataclass(frozen=True, slots=True)
class Example:
    """One text that changed, by its number in the first build (None: not in it): what differs in it."""

    what: str
    before: str
    after: str
    url: str
    number: int | None
    differing: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences of two builds; `same` texts have the same rule and text in both."""

    first: str
    second: str
    same: int
    changes: tuple[Change, ...]
    settings: tuple[Setting, ...]
    examples: tuple[Example, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self)


def diff(first: str, second: str, examples: int = 3, seed: int = 0) -> Diff:
    """Compare two builds text by text; a text is known by its URL, or where it has none by its place.

    Texts of one URL are compared in their order. `examples` of each way are drawn. Memory grows by about 50
    bytes a text. Raises NotThereError where a build has no finished filter stage.
    """
    a, b = (_Known.of(Texts(open_build(root))) for root in (first, second))
    _, mine, theirs = np.intersect1d(a.keys, b.keys, assume_unique=True, return_indices=True)
    ways: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    words: Counter[tuple[str, str, str]] = Counter()

    def add(way: tuple[str, str, str], left: int, right: int) -> None:
        ways.setdefault(way, []).append((left, right))
        words[way] += int(b.words[right] if right >= 0 else a.words[left])

    same = 0
    for left, right in zip(mine.tolist(), theirs.tolist(), strict=True):
        before, after = a.names[a.rules[left]], b.names[b.rules[right]]
        if before == after and (before or a.ids[left] == b.ids[right]):
            same += 1
            continue
        add((_what(before, after), before, after), left, right)
    for left in np.setdiff1d(np.arange(a.keys.size), mine).tolist():
        add((ONLY_A, a.names[a.rules[left]], ""), left, -1)
    for right in np.setdiff1d(np.arange(b.keys.size), theirs).tolist():
        add((ONLY_B, "", b.names[b.rules[right]]), -1, right)
    ranked = sorted(ways, key=lambda way: (-len(ways[way]), way))
    draw = random.Random(seed)
    shown = [
        _example(way, a, b, *pair)
        for way in ranked
        for pair in draw.sample(ways[way], min(examples, len(ways[way])))
    ]
    changes = tuple(Change(*way, texts=len(ways[way]), words=words[way]) for way in ranked)
    builds = a.texts.build, b.texts.build
    return Diff(first, second, same, changes, tuple(settings_of(*builds)), tuple(shown))


def _what(before: str, after: str) -> str:
    if before and after:
        return OTHER_RULE
    return NOW_KEPT if before else NOW_DROPPED if after else OTHER_TEXT


@dataclass(frozen=True, slots=True)
class _Known:
    """The texts of a build in the order of their numbers: 64-bit keys, ids, rules (by number) and words."""

    texts: Texts
    keys: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    rules: NDArray[np.uint16]
    names: list[str]
    words: NDArray[np.uint32]

    @staticmethod
    def of(texts: Texts) -> _Known:
        keys, ids = np.empty(texts.count, np.uint64), np.empty(texts.count, np.uint64)
        rules, words = np.empty(texts.count, np.uint16), np.empty(texts.count, np.uint32)
        numbers: dict[str, int] = {}
        at = 0
        for home, facts in zip((home for home in texts.files if home.file.rows), texts.facts(), strict=True):
            origins, own = texts.identities(home)
            for origin, id in zip(origins.to_pylist(), own, strict=True):
                name = origin["url"] or f"{origin['source']} {origin['file']} {origin['offset']}"
                keys[at] = xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace"))
                ids[at] = int(id[:16], 16)
                at += 1
            inside = slice(home.first, home.first + home.file.rows)
            rules[inside] = [numbers.setdefault(rule, len(numbers)) for rule in facts["rule"].to_pylist()]
            words[inside] = facts["words"].to_numpy()
        return _Known(texts, _numbered(keys), ids, rules, list(numbers), words)

    def read(self, number: int) -> dict[str, Any]:
        """Return URL and text of a text, as it was extracted."""
        place = self.texts.place(number)
        home = place.home
        (row,) = rows.read([rows.Place(home.stage.folder, home.file, place.row)], ["url", "text"])
        return row


def _numbered(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return keys in which the second, third … of equal ones is another, the same in every build."""
    order = np.argsort(keys, kind="stable")
    is_first = np.ones(keys.size, dtype=bool)
    is_first[1:] = keys[order][1:] != keys[order][:-1]
    starts = np.flatnonzero(is_first)
    rank = np.arange(keys.size) - np.repeat(starts, np.diff([*starts, keys.size]))
    numbered = keys.copy()
    numbered[order] += rank.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return numbered


def _example(way: tuple[str, str, str], a: _Known, b: _Known, left: int, right: int) -> Example:
    one = a.read(left) if left >= 0 else None
    other = b.read(right) if right >= 0 else None
    differing: list[tuple[str, str]] = []
    if one is not None and other is not None:
        found = compare(one["text"], other["text"]).differing()
        differing = [(piece.left.strip(), piece.right.strip()) for piece in found[:_PASSAGES]]
    url = (one or other or {}).get("url") or ""
    return Example(*way, url=url, number=left if left >= 0 else None, differing=tuple(differing))


def settings_of(first: Build, second: Build) -> Iterator[Setting]:
    """Yield what differs in the versions and settings of the stages that both builds have."""
    for name, stage in first.finished.items():
        other = second.get(name)
        if other is None:
            continue
        sides = [
            _flat({"version": each.manifest.version, **each.manifest.settings}) for each in (stage, other)
        ]
        for key in sorted({*sides[0], *sides[1]}):
            one, two = (side.get(key, "") for side in sides)
            if one != two and key.split(".")[0] not in (GIVEN, NAMED):
                yield Setting(name, key, one[:_LONG], two[:_LONG])


def _flat(settings: Mapping[str, object], above: str = "") -> dict[str, str]:
    """Return nested settings as one level, their keys joined by points."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = str(value)
    return found
