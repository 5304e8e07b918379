"""Is the warning of trainer/limits.py right? Public curves are replayed, point by point.

    python -m benchmarks.limits

A curve is the runs, or checkpoints, of one size on one corpus. Each of its points in turn is the present, and
only the points before it are known. What is true was fixed before any result was seen, from the measured
losses alone: they are interpolated linearly over the logarithms of parameters, tokens and unique tokens, not
beyond the runs (a point without neighbours on all sides is left out). The gain of data is the fall of the
loss, in percent, with tokens and unique tokens doubled; that of size, with parameters doubled. Neither limits
where both are under 1 %; else the larger gain names the limit. Where one is within a quarter of the other,
either answer would be right, and the point is left out. The width of the unsure band, and the rule that two
published decays must agree, were chosen after a first replay; the last line takes the width that the other
tables choose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.interpolate import LinearNDInterpolator

from benchmarks.reproduce import TABLES, datablations, gadre, gemstones
from trainer.limits import LITTLE, UNSURE, Limit, Outlook, Point, outlook
from trainer.scaling.runs import Runs

TIE = 1.25
GOAL = 0.9
BANDS = (1.0, 1.5, 2.0, 3.0, 4.0)
LIMITS: tuple[Limit, ...] = ("data", "size", "neither")
Replayed = tuple[Outlook, Limit | None, float, float]
"""What was said, the true limit, and the measured loss after another epoch and with fresh text (or NaN)."""


class Measured:
    """The losses of a table, interpolated; NaN beyond its runs."""

    def __init__(self, data: Runs) -> None:
        found = [data.columns[name] for name in ("params", "tokens")]
        unique = data.columns.get("unique", data.columns["tokens"])
        self._repeats = bool((unique < data.columns["tokens"]).any())
        places = np.log([*found, unique] if self._repeats else found).T
        places, which = np.unique(places.round(6), axis=0, return_inverse=True)
        losses = np.bincount(which.ravel(), np.log(data.loss)) / np.bincount(which.ravel())
        self._at = LinearNDInterpolator(places, losses, rescale=True)

    def loss(self, size: float, tokens: float, unique: float) -> float:
        """Return the loss of this many parameters after tokens of which `unique` are different."""
        if not self._repeats and unique < tokens:
            return float("nan")
        place = np.log([size, tokens, unique] if self._repeats else [size, tokens])
        return float(np.exp(self._at(place)[0]))


def tables() -> dict[str, Runs]:
    """Return the tables by name."""
    return {
        "Muennighoff": datablations(TABLES / "datablations"),
        **{
            f"Gemstones {name}": gemstones(TABLES / "gemstones", name)
            for name in ("cool_end", "hot", "lr_ablation_hot")
        },
        **{
            f"Gadre {name}": gadre(TABLES / "gadre_overtraining", name)[0]
            for name in ("c4_original", "rpj", "rw_original")
        },
    }


def curves(data: Runs) -> Iterator[tuple[float, list[Point], int]]:
    """Yield parameters, points and the first to judge; a curve that repeats text begins with fresh runs."""
    sizes, tokens = data.columns["params"], data.columns["tokens"]
    unique = data.columns.get("unique", tokens)
    groups: dict[tuple[float, str], list[Point]] = defaultdict(list)
    shapes = data.group if len(set(data.group)) < len(data) else sizes.astype(str)
    for size, shape, *point in zip(sizes, shapes, tokens, unique, data.loss, strict=True):
        groups[float(size), str(shape)].append(Point(*map(float, point)))
    for (size, _), points in groups.items():
        points.sort(key=lambda point: point.tokens)
        fresh = [point for point in points if point.tokens <= 1.001 * point.unique]
        yield size, fresh, 0
        for count in sorted({point.unique for point in points if point not in fresh}):
            before = [point for point in fresh if point.tokens <= 1.001 * count]
            repeated = [point for point in points if point.unique == count and point not in fresh]
            yield size, before + repeated, len(before)


def replay(data: Runs, unsure: float) -> Iterator[Replayed]:
    """Yield what was said and what is true at each point of each curve of a table."""
    measured = Measured(data)
    for size, points, first in curves(data):
        for end in range(first + 1, len(points) + 1):
            now = points[end - 1]
            after = now.tokens + now.unique
            said = outlook(now, points[:end], int(size), unsure)
            epoch = measured.loss(size, after, now.unique)
            yield said, truth(measured, size, now), epoch, measured.loss(size, after, 2 * now.unique)


def truth(measured: Measured, size: float, now: Point) -> Limit | None:
    """Return the limit that measured losses show, None where they do not decide."""
    data = 1 - measured.loss(size, 2 * now.tokens, 2 * now.unique) / now.loss
    larger = 1 - measured.loss(2 * size, now.tokens, now.unique) / now.loss
    if np.isnan(data) or np.isnan(larger):
        return None
    if max(data, larger) < LITTLE:
        return "neither"
    if data > TIE * larger:
        return "data"
    return "size" if larger > TIE * data else None


def main() -> None:
    """Print the share that is right by table and by truth, at several widths of the unsure band."""
    data = tables()
    found = {unsure: {name: list(replay(each, unsure)) for name, each in data.items()} for unsure in BANDS}
    shown = Table(
        "table", "true", "answered", "right", "misses (true → said)", "epoch, error", "fresh, error"
    )
    for name, rows in found[UNSURE].items():
        shown.add_row(name, *_cells(rows))
    shown.add_row("all", *_cells(_together(found[UNSURE])))
    console = Console(width=170)
    console.print(shown)
    for unsure, by_table in found.items():
        console.print(f"unsure within {unsure:g}:", *_cells(_together(by_table))[:4])
    # The width that the other tables choose: the smallest at which they are right nine times in ten.
    crossed: list[Replayed] = []
    for name in data:
        others = {band: _together(by, without=name) for band, by in found.items()}
        band = min((band for band in BANDS if _right(others[band]) >= GOAL), default=max(BANDS))
        crossed += found[band][name]
    console.print("by the width that the other tables choose:", *_cells(crossed)[:4])


def _together(by_table: dict[str, list[Replayed]], without: str = "") -> list[Replayed]:
    return [row for name, rows in by_table.items() if name != without for row in rows]


def _right(rows: list[Replayed]) -> float:
    said = [(said.limit, true) for said, true, *_ in rows if said.limit and true]
    return float(np.mean([limit == true for limit, true in said])) if said else 0.0


def _cells(rows: list[Replayed]) -> tuple[str, ...]:
    decided = [(true, said.limit) for said, true, *_ in rows if true is not None]
    answered = [pair for pair in decided if pair[1] is not None]
    counts = Counter(true for true, _ in decided)
    right = Counter(true for true, said in answered if true == said)
    given = Counter(true for true, _ in answered)
    misses = Counter(f"{true} → {said}" for true, said in answered if true != said)
    kinds = ", ".join(f"{kind} {right[kind]}/{given[kind]}" for kind in LIMITS if given[kind])
    return (
        ", ".join(f"{kind} {counts[kind]}" for kind in LIMITS if counts[kind]),
        f"{len(answered)} of {len(decided)}",
        f"{_right(rows):.0%}: {kinds}",
        ", ".join(f"{kind}: {count}" for kind, count in misses.most_common()),
        _error([(said.epoch, epoch) for said, _, epoch, _ in rows]),
        _error([(said.fresh, fresh) for said, *_, fresh in rows]),
    )


def _error(pairs: list[tuple[float | None, float]]) -> str:
    errors = [abs(said / true - 1) for said, true in pairs if said is not None and not np.isnan(true)]
    return f"{np.median(errors):.1%} ({len(errors)})" if errors else ""


if __name__ == "__main__":
    main()
