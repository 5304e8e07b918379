"""Two curves as SVG: the sharp metric with Wilson's intervals, the smooth one with its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from trainer.abilities.verdict import Ability

_WIDTH, _HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 34, 42
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 } .axis { stroke: #999; fill: none } .grid { stroke: #ddd }
.line { fill: none; stroke: #1f5fae; stroke-width: 2 }
.bar { stroke: #1f5fae; stroke-width: 1.5 }
.dot { fill: #1f5fae }
.model { fill: none; stroke: #777 }
.other { fill: none; stroke: #c2571a; stroke-width: 2; stroke-dasharray: 5 3 }
.name { fill: #c2571a } .level { stroke: #777; stroke-dasharray: 2 3 } .back { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .back { fill: #15181c } .grid { stroke: #333 }
  .line, .bar { stroke: #7fb2f0 } .dot { fill: #7fb2f0 } .other { stroke: #f0a070 } .name { fill: #f0a070 }
}
"""

Point = tuple[float, float, float, float]
"""Scale, value, lower and upper end."""


def draw(ability: Ability, scale: str) -> str:
    """Draw a task: sizes, single models as hollow dots; dashed: exact match of independent digits."""
    independent = _independent(ability)
    sharp = [(s.scale, s.sharp, s.lower, s.upper) for s in ability.sizes]
    smooth = [(s.scale, s.smooth, s.smooth - s.noise, s.smooth + s.noise) for s in ability.sizes]
    named = (
        f"{ability.task}: {ability.sharp} and {ability.smooth} over {scale}; {ability.kind}: {ability.why}"
    )
    panels = [
        _panel(
            0,
            f"{ability.sharp} (sharp), n = {ability.items}",
            sharp,
            _models(ability, ability.sharp),
            independent,
            ability.chance,
            scale,
        ),
        _panel(
            _WIDTH, f"{ability.smooth} (smooth)", smooth, _models(ability, ability.smooth), [], None, scale
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {_HEIGHT}" role="img">'
        f"<title>{escape(named)}</title><style>{_STYLE}</style>"
        f'<rect class="back" width="{2 * _WIDTH}" height="{_HEIGHT}"/>{"".join(panels)}</svg>\n'
    )


def _independent(ability: Ability) -> list[tuple[float, float]]:
    """Return the mean over the models of each scale."""
    held: dict[float, list[float]] = {}
    for point in ability.points:
        if point.independent is not None:
            held.setdefault(point.scale, []).append(point.independent)
    return [(scale, sum(values) / len(values)) for scale, values in sorted(held.items())]


def _models(ability: Ability, name: str) -> list[tuple[float, float]]:
    """Return each model's own value, if there are several of a size."""
    if all(size.models == 1 for size in ability.sizes):
        return []
    return [(point.scale, point.metrics[name].value) for point in ability.points]


def _panel(
    left: int,
    title: str,
    points: Sequence[Point],
    models: Sequence[tuple[float, float]],
    other: Sequence[tuple[float, float]],
    level: float | None,
    scale: str,
) -> str:
    """Draw one curve over log scale."""
    values = [v for _, *three in points for v in three if math.isfinite(v)]
    values += [v for _, v in (*other, *models) if math.isfinite(v)]
    low, high = min([*values, 0.0] if min(values) >= 0 else values), max(values)
    high = high if high > low else low + 1
    first, last = math.log(points[0][0]), math.log(points[-1][0])
    span = last - first or 1.0

    def x(at: float) -> float:
        share = (math.log(at) - first) / span
        return left + _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)

    def y(value: float) -> float:
        held = min(max(value, low), high) if math.isfinite(value) else low
        return _HEIGHT - _BOTTOM - (held - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    right, bottom = left + _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [f'<text class="title" x="{left + _LEFT}" y="20">{escape(title)}</text>']
    for step in range(5):
        value = low + (high - low) * step / 4
        parts.append(f'<path class="grid" d="M{left + _LEFT} {y(value):.1f}H{right}"/>')
        parts.append(
            f'<text x="{left + _LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    if level is not None:
        parts.append(f'<path class="level" d="M{left + _LEFT} {y(level):.1f}H{right}"/>')
    parts.append(f'<path class="axis" d="M{left + _LEFT} {_TOP}V{bottom}H{right}"/>')
    every = max(1, math.ceil(len(points) / 4))
    for at, *_ in points[::every]:
        parts.append(f'<text x="{x(at):.1f}" y="{bottom + 16}" text-anchor="middle">{short(at)}</text>')
    middle = left + (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">{escape(scale)}</text>')
    if other:
        parts.append(f'<path class="other" d="M{"L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in other)}"/>')
        parts.append(
            f'<text class="name" x="{left + _LEFT + 10}" y="{_TOP + 12}">if digits were independent</text>'
        )
    parts.append(f'<path class="line" d="M{"L".join(f"{x(a):.1f} {y(b):.1f}" for a, b, *_ in points)}"/>')
    for at, value in models:
        parts.append(f'<circle class="model" cx="{x(at):.1f}" cy="{y(value):.1f}" r="3"/>')
    for at, value, under, over in points:
        parts.append(f'<path class="bar" d="M{x(at):.1f} {y(under):.1f}V{y(over):.1f}"/>')
        parts.append(f'<circle class="dot" cx="{x(at):.1f}" cy="{y(value):.1f}" r="3"/>')
    return "".join(parts)


def short(number: float) -> str:
    """Return a scale as a short number: 12k, 1.5M, 3.2e+18."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= number < 1000 * size:
            return f"{number / size:.3g}{sign}"
    return f"{number:.3g}"
