"""Charts as SVG: colours come from the page's style; markers and dashes distinguish series too.

The one place that draws. A library would bring scripts, which the content policy of these pages forbids and
which do not run on paper; benchmarks/README.md has the sizes that were weighed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from trainer.page.formatting import Kind, tick

WIDTH, HEIGHT = 460, 300
WIDE_WIDTH, WIDE_HEIGHT = 940, 430
STYLES = 6
"""Number of different colours, dashes and markers."""
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 2", "12 4")
_LETTER = 6.7


@dataclass(frozen=True)
class Axis:
    """An axis: its name with the unit, and the format of its numbers."""

    name: str
    log: bool = False
    kind: Kind = "number"


NEUTRAL = -1


@dataclass(frozen=True)
class Series:
    """Numbers drawn as a line or as dots, with a band or whiskers if `lower` and `upper` are given.

    `guess`: drawn dashed, because it is beyond the data; `style` numbers the colour, dash and marker; NEUTRAL
    is for a background. `names` [n] appear where a pointer rests on a dot.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    style: int = 0
    guess: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A level of y, or a labelled place on x (`upright`)."""

    label: str
    at: float
    upright: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart in numbers; `alt` describes it in words; `wide`: twice as wide as others."""

    title: str
    x: Axis
    y: Axis
    alt: str
    lines: tuple[Series, ...] = ()
    dots: tuple[Series, ...] = ()
    marks: tuple[Mark, ...] = ()
    wide: bool = False


@dataclass(frozen=True)
class _Scale:
    """Map numbers to positions between two ends of the picture."""

    low: float
    high: float
    start: float
    end: float
    axis: Axis

    def __call__(self, value: float) -> float:
        low, high, value = (self._bent(v) for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def _bent(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.axis.log else value

    def ticks(self, most: int) -> list[float]:
        """Return the numbers to write: tens, 1-2-5, or even steps, depending on the range."""
        if self.axis.log and self.high / self.low >= 8:
            return _log_ticks(self.low, self.high, most)
        return _even_ticks(self.low, self.high, most)

    def written(self, most: int) -> list[tuple[float, str]]:
        """Return the ticks with their labels."""
        ticks = self.ticks(most)
        step = min((b - a for a, b in itertools.pairwise(ticks)), default=abs(ticks[0]) if ticks else 1.0)
        return [(t, tick(t, step or 1.0, self.axis.kind)) for t in ticks]


def draw(chart: Chart, name: str) -> str:
    """Draw a chart; `name` must be unique on the page."""
    width, height = (WIDE_WIDTH, WIDE_HEIGHT) if chart.wide else (WIDTH, HEIGHT)
    all_x = [x for each in (*chart.lines, *chart.dots) for x in each.x]
    span_x = [mark.at for mark in chart.marks if mark.upright]
    y_low, y_high = _range(chart)
    bottom, top = height - 44, 28
    rough = _Scale(y_low, y_high, bottom, top, chart.y)
    y_ticks = rough.written(6)
    left = 14 + _LETTER * max((len(said) for _, said in y_ticks), default=1)
    x = _Scale(*_padded(min([*all_x, *span_x]), max([*all_x, *span_x]), chart.x), left, width - 12, chart.x)
    parts = [_head(chart.title, chart.alt, name, width, height)]
    frame = f'x="{left:.1f}" y="{top}" width="{width - 12 - left:.1f}" height="{bottom - top}"'
    parts.append(f'<clipPath id="{name}-c"><rect {frame}/></clipPath>')
    parts += _grid(x, rough, y_ticks, width, bottom, top, left)
    inside = [_level(mark, rough, left, width - 12) for mark in _levels(chart)]
    inside += [_band(each, x, rough) for each in chart.lines if each.lower and len(each.x) > 1]
    inside += [_line(each, x, rough) for each in chart.lines]
    inside += [_dots(each, x, rough, many=len(all_x) > 120) for each in chart.dots]
    parts.append(f'<g clip-path="url(#{name}-c)">{"".join(inside)}</g>')
    parts += [_upright(mark, x, top, bottom) for mark in chart.marks if mark.upright]
    parts.append(_text(2, 14, chart.y.name, "name"))
    parts.append(_text(width - 12, height - 6, chart.x.name, "name", "end"))
    return "".join(parts) + "</svg>"


def legend(chart: Chart) -> str:
    """Return the key of a chart as a list; empty for one kind of series."""
    held: dict[str, list[str]] = {}
    for each in chart.lines:
        held.setdefault(each.label, []).append(
            f'<path class="line {_colour(each.style)}" d="M1 7H27"{_dash(each)}/>'
        )
    for each in chart.dots:
        held.setdefault(each.label, []).append(_marker(each.style, 14, 7, 4.2))
    labels = [(m.label, '<path class="level" d="M1 7H27"/>') for m in _levels(chart) if m.label]
    items = [(label, "".join(keys)) for label, keys in held.items()] + labels
    if len(items) < 2:
        return ""
    box = 'width="28" height="14" viewBox="0 0 28 14" aria-hidden="true"'
    rows = "".join(f"<li><svg {box}>{key}</svg>{escape(label)}</li>" for label, key in items)
    return f'<ul class="key">{rows}</ul>'


def _levels(chart: Chart) -> list[Mark]:
    return [mark for mark in chart.marks if not mark.upright]


def _upright(mark: Mark, x: _Scale, top: float, bottom: float) -> str:
    """Draw a labelled place on x, the label on the side with more room."""
    at = x(mark.at)
    left = at - x.start > x.end - at
    label = _text(at - 6 if left else at + 6, top + 12, mark.label, "strong", "end" if left else "start")
    return f'<path class="level" d="M{at:.1f} {top}V{bottom}"/>{label}'


def _head(title: str, alt: str, name: str, width: float, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(alt)}</desc>'
    )


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def _range(chart: Chart) -> tuple[float, float]:
    """Return the range of y: all lines and dots, and bands as far as they do not squeeze them."""
    kept = [y for each in (*chart.lines, *chart.dots) for y in each.y]
    kept += [mark.at for mark in _levels(chart)]
    low, high = min(kept), max(kept)
    wide = [y for each in (*chart.lines, *chart.dots) for y in (*each.lower, *each.upper) if math.isfinite(y)]
    if wide and chart.y.log:
        room = max((high / low) ** 0.5, 1.001)
        low, high = max(min([low, *wide]), low / room), min(max([high, *wide]), high * room)
    elif wide:
        room = 4 * max(high - low, 1e-12)
        low, high = max(min([low, *wide]), low - room), min(max([high, *wide]), high + room)
    return _padded(low, high, chart.y)


def _padded(low: float, high: float, axis: Axis) -> tuple[float, float]:
    """Add a little room at both ends."""
    if axis.log:
        room = (high / low) ** 0.04 if high > low else 1.1
        return low / room, high * room
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
    for each in steps:
        ticks = [s * 10.0**e for e in range(first, last + 1) for s in each if low <= s * 10.0**e <= high]
        if len(ticks) <= most + 1:
            return ticks
    stride = math.ceil(len(ticks) / most)
    return ticks[::stride]


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if m * step >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _grid(
    x: _Scale,
    y: _Scale,
    y_ticks: list[tuple[float, str]],
    width: float,
    bottom: float,
    top: float,
    left: float,
) -> list[str]:
    parts = []
    for t, said in y_ticks:
        parts.append(f'<path class="grid" d="M{left:.1f} {y(t):.1f}H{width - 12}"/>')
        parts.append(_text(left - 6, y(t) + 4, said, anchor="end"))
    last = -math.inf
    for t, said in x.written(max(3, int((width - left) / 62))):
        half = len(said) * _LETTER / 2
        if x(t) - half < last:  # no room for this label
            continue
        last = x(t) + half + 4
        parts.append(f'<path class="tick" d="M{x(t):.1f} {bottom}v5"/>')
        parts.append(_text(x(t), bottom + 18, said, anchor="middle"))
    parts.append(f'<path class="axis" d="M{left:.1f} {top}V{bottom}H{width - 12}"/>')
    return parts


def _level(mark: Mark, y: _Scale, left: float, right: float) -> str:
    kind = "zero" if mark.at == 0 else "level"
    return f'<path class="{kind}" d="M{left:.1f} {y(mark.at):.1f}H{right}"/>'


def _band(each: Series, x: _Scale, y: _Scale) -> str:
    there = [(x(a), y(b)) for a, b in zip(each.x, each.upper, strict=True)]
    back = [(x(a), y(b)) for a, b in zip(reversed(each.x), reversed(each.lower), strict=True)]
    return f'<path class="band {_colour(each.style)}" d="M{_path([*there, *back])}Z"/>'


def _line(each: Series, x: _Scale, y: _Scale) -> str:
    points = _path((x(a), y(b)) for a, b in zip(each.x, each.y, strict=True))
    return f'<path class="line {_colour(each.style)}" d="M{points}"{_dash(each)}/>'


def _dash(each: Series) -> str:
    dash = "1 5" if each.guess else _DASHES[each.style % STYLES]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _dots(each: Series, x: _Scale, y: _Scale, many: bool) -> str:
    size = 2.6 if many else 3.6
    out = [
        f'<path class="whisker {_colour(each.style)}" d="M{x(a):.1f} {y(low):.1f}V{y(high):.1f}"/>'
        for a, low, high in zip(each.x, each.lower, each.upper, strict=False)
    ]
    names = each.names or ("",) * len(each.x)
    out += [
        _named(_marker(each.style, x(a), y(b), size), name)
        for a, b, name in zip(each.x, each.y, names, strict=True)
    ]
    return "".join(out)


def _named(drawn: str, name: str) -> str:
    """Return a marker with the words that appear where a pointer rests on it."""
    return f"<g><title>{escape(name)}</title>{drawn}</g>" if name else drawn


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{max(-9999, min(9999, a)):.1f} {max(-9999, min(9999, b)):.1f}" for a, b in points)


_SHAPES: tuple[Callable[[float, float, float], str], ...] = (
    lambda x, y, r: f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r:.1f} 0a{r} {r} 0 1 0 {-2 * r:.1f} 0Z",
    lambda x, y, r: f"M{x - r:.1f} {y - r:.1f}h{2 * r:.1f}v{2 * r:.1f}h{-2 * r:.1f}Z",
    lambda x, y, r: f"M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r:.1f} {2.1 * r:.1f}h{-2.4 * r:.1f}Z",
    lambda x, y, r: (
        f"M{x:.1f} {y - 1.3 * r:.1f}"
        + "".join(f"l{a * r:.1f} {b * r:.1f}" for a, b in ((1.3, 1.3), (-1.3, 1.3), (-1.3, -1.3)))
        + "Z"
    ),
    lambda x, y, r: f"M{x:.1f} {y + 1.2 * r:.1f}l{1.2 * r:.1f} {-2.1 * r:.1f}h{-2.4 * r:.1f}Z",
    lambda x, y, r: (
        f"M{x - r:.1f} {y - r:.1f}l{2 * r:.1f} {2 * r:.1f}m0 {-2 * r:.1f}l{-2 * r:.1f} {2 * r:.1f}"
    ),
)


def _marker(style: int, x: float, y: float, size: float) -> str:
    shape = 0 if style == NEUTRAL else style % STYLES
    kind = "cross" if shape == 5 else "dot"
    drawn = _SHAPES[shape](x, y, size * 0.75 if style == NEUTRAL else size)
    return f'<path class="{kind} {_colour(style)}" d="{drawn}"/>'


def _colour(style: int) -> str:
    return "neutral" if style == NEUTRAL else f"s{style % STYLES}"
