"""The page of a comparison: one self-contained HTML file, drawn from its summary alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from trainer.compare.sequential import BETTER, TIE, WORSE
from trainer.compare.summary import (
    Apart,
    Compared,
    Curve,
    Summary,
    headline,
    of_size,
    warnings,
    worth_text,
)

WIDTH, HEIGHT = 460, 300
COLOURS = 6
"""Corpora with a colour of their own; dashes differ too."""
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 2", "12 4")
_TITLES = {"set": "held-out set", "language": "language", "domain": "domain"}

STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1c2024; --soft: #59626b; --rule: #d9dce0;
  --good: #146c43; --bad: #a3331a; --wash: #f1f2ee;
  --s0: #0b6aa8; --s1: #c4500a; --s2: #0a7d5c; --s3: #9c3f7c; --s4: #6b5a00; --s5: #4b4f9e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e8eaec; --soft: #a3acb5;
  --rule: #353c43; --good: #6fcf9a; --bad: #f2977c; --wash: #20262b;
  --s0: #62b4ee; --s1: #f39a5c; --s2: #4fc9a0; --s3: #e08fc4; --s4: #d8c24f; --s5: #a9adf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { font-size: clamp(1.5rem, 4.5vw, 2.1rem); line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2rem 0 .6rem; }
p, li { max-width: 46rem; } .soft, .soft td { color: var(--soft); font-size: .9rem; }
.answers { list-style: none; padding: 0; margin: 0; }
.answers li { border-left: 4px solid var(--soft); padding: .3rem 0 .3rem .9rem; margin: 0 0 .7rem;
  font-size: clamp(1.05rem, 2.6vw, 1.25rem); }
.answers .better { border-color: var(--good); } .answers .worse { border-color: var(--bad); }
b.better { color: var(--good); } b.worse { color: var(--bad); }
.warn { background: var(--wash); padding: .6rem .9rem; border-radius: 6px; margin: 0 0 .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; min-width: 60%; }
th, td { padding: .35rem .7rem .35rem 0; text-align: right; border-top: 1px solid var(--rule);
  vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 550; }
th:first-child, td.text { text-align: left; font-weight: 550; } tr.group th { color: var(--soft); }
td { white-space: nowrap; } td.bar { min-width: 9rem; width: 40%; padding-right: 0; }
@media (max-width: 34rem) { .main :is(th, td):nth-child(2) { display: none; }
  .main th { overflow-wrap: anywhere; } td.bar { min-width: 6rem; } th, td { padding-right: .45rem; } }
.track { position: relative; height: 1.4em;
  background: linear-gradient(var(--rule), var(--rule)) 50% 0 / 1px 100% no-repeat; }
.track i { position: absolute; top: .65em; height: 2px; background: currentColor; min-width: 1px; }
.track b { position: absolute; top: .4em; width: .6em; height: .6em; margin-left: -.3em; border-radius: 50%;
  background: currentColor; }
.charts { display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; max-width: 34rem; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12.5px; }
svg .grid { stroke: var(--rule); } svg .line { fill: none; stroke: currentColor; stroke-width: 2; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); } .s3 { color: var(--s3); }
.s4 { color: var(--s4); } .s5 { color: var(--s5); }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; padding: 0; font-size: .9rem; }
.key svg { width: 28px; display: inline-block; vertical-align: middle; margin-right: .3rem; }
"""


def page(summary: Summary) -> str:
    """Return the page as HTML."""
    title = f"{', '.join(summary.corpora[1:])} against {summary.corpora[0]}"
    answers = "".join(
        f'<li class="{escape(other.apart.verdict.split()[0])}">{escape(text)}</li>'
        for other, text in zip(summary.others, headline(summary), strict=True)
    )
    notes = "".join(f'<p class="warn">{escape(text)}</p>' for text in warnings(summary))
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<ul class="answers">{answers}</ul>',
        notes,
        _main_table(summary),
        _curves(summary),
        _breakdown(summary),
        _worth(summary),
        _mix(summary),
        _method(summary),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _table(head: Sequence[str], rows: Sequence[str], kind: str = "") -> str:
    cells = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = f"<thead><tr>{cells}</tr></thead>{''.join(rows)}"
    return f'<div class="scroll"><table class="{kind}">{body}</table></div>'


def _percent(summary: Summary, value: float) -> str:
    return "–" if not math.isfinite(value) else f"{100 * value / summary.bits_per_byte:+.2f} %"


def _main_table(summary: Summary) -> str:
    """Return every corpus with its difference from the first, drawn on one axis."""
    ends = [abs(x) for o in summary.others for x in (o.apart.low, o.apart.high) if math.isfinite(x)]
    reach = max([*ends, summary.rule.tie, 1e-9])
    first = summary.corpora[0]
    rows = [
        f"<tr><th>{escape(first)}</th><td>{summary.bits_per_byte:.4f}</td><td>–</td>"
        '<td class="text">compared with</td><td class="bar"></td></tr>'
    ]
    by_name = {other.name: other for other in summary.others}
    for name in summary.order:
        if name == first:
            continue
        found = by_name[name].apart
        rows.append(
            f"<tr><th>{escape(name)}</th><td>{by_name[name].bits_per_byte:.4f}</td>"
            f"<td>{_percent(summary, found.value)}</td>"
            f'<td class="text"><b class="{found.verdict.split()[0]}">{found.verdict}</b></td>'
            f'<td class="bar">{_track(found, reach)}</td></tr>'
        )
    sets = ", ".join(summary.main)
    return (
        f"<h2>Bits per byte on {escape(sets)}</h2>"
        + _table(("corpus", "bits per byte", "difference", "verdict", f"± {reach:.3f}"), rows, "main")
        + '<p class="soft">Left of the line is better; its axis is in bits per byte. Models of '
        f"{summary.parameters[-1]:,} parameters on "
        f"{summary.tokens[-1][-1]:,} tokens, {summary.seeds} seeds. Intervals of {100 * summary.interval:.1f}"
        f" % hold together at {100 * (1 - summary.rule.error):.0f} %, at whichever seed it stops.</p>"
    )


def _track(found: Apart, reach: float) -> str:
    """Return a dot and its interval on an axis from -reach to reach."""

    def at(value: float) -> float:
        return 50 + 48 * max(-1.0, min(1.0, value / reach))

    low, high = at(found.low), at(found.high)
    colour = {BETTER: "var(--good)", WORSE: "var(--bad)", TIE: "var(--ink)"}.get(found.verdict, "var(--soft)")
    told = f"{found.value:+.4f}, {found.low:+.4f} to {found.high:+.4f}"
    return (
        f'<div class="track" style="color: {colour}" title="{told}">'
        f'<i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<b style="left:{at(found.value):.1f}%"></b></div>'
    )


def _curves(summary: Summary) -> str:
    if len(summary.tokens[0]) < 2:
        return ""
    charts = []
    for size, parameters in zip(summary.sizes, summary.parameters, strict=True):
        lines = [curve for curve in summary.curves if curve.size == size]
        charts.append(f"<figure><figcaption>{parameters:,} parameters</figcaption>{_chart(lines)}</figure>")
    key = "".join(
        f'<li><svg viewBox="0 0 28 12"><path class="line s{n % COLOURS}" d="M1 6H27"{_dash(n)}/></svg>'
        f"{escape(name)}</li>"
        for n, name in enumerate(summary.corpora)
    )
    return (
        "<h2>Bits per byte by training tokens</h2>"
        f'<ul class="key">{key}</ul><div class="charts">{"".join(charts)}</div>'
    )


def _dash(number: int) -> str:
    dashes = _DASHES[number % COLOURS]
    return f' stroke-dasharray="{dashes}"' if dashes else ""


def _chart(curves: Sequence[Curve]) -> str:
    """Return the curves of one size as SVG: log tokens to the right, bits per byte upwards."""
    tokens = curves[0].tokens
    values = [value for curve in curves for value in curve.bits_per_byte]
    low, high = min(values), max(values)
    pad = 0.06 * (high - low or 0.1)
    low, high = low - pad, high + pad
    left, right, top, bottom = 48.0, WIDTH - 30.0, 12.0, HEIGHT - 40.0

    def x(value: float) -> float:
        share = math.log(value / tokens[0]) / math.log(tokens[-1] / tokens[0])
        return left + share * (right - left)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    parts = []
    for value in (low + pad + step * (high - low - 2 * pad) / 4 for step in range(5)):
        parts.append(f'<path class="grid" d="M{left} {y(value):.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    parts += [
        f'<text x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{_short(value)}</text>'
        for value in tokens
    ]
    parts.append(f'<text x="{(left + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">tokens</text>')
    for number, curve in enumerate(curves):
        points = [(x(t), y(v)) for t, v in zip(curve.tokens, curve.bits_per_byte, strict=True)]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path class="line s{number % COLOURS}" d="M{path}"{_dash(number)}/>')
        parts += [
            f'<circle class="s{number % COLOURS}" cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="currentColor">'
            f"<title>{escape(curve.corpus)}: {v:.4f} bits per byte at {t:,} tokens</title></circle>"
            for (a, b), t, v in zip(points, curve.tokens, curve.bits_per_byte, strict=True)
        ]
    label = escape(f"bits per byte of {', '.join(curve.corpus for curve in curves)} by training tokens")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _short(tokens: int) -> str:
    for unit, sign in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if tokens >= unit:
            return f"{tokens / unit:.3g} {sign}"
    return str(tokens)


def _breakdown(summary: Summary) -> str:
    rows, kind = [], ""
    for row in summary.rows[1:]:
        if row.kind != kind:
            kind = row.kind
            rows.append(f'<tr class="group"><th colspan="9">by {_TITLES[kind]}</th></tr>')
        apart = "".join(f"<td>{_with_error(each)}</td>" for each in row.apart)
        rows.append(
            f"<tr><th>{escape(row.name)}</th><td>{row.documents:,}</td>"
            f"<td>{row.bits_per_byte:.4f}</td>{apart}</tr>"
        )
    first, *others = summary.corpora
    head = ("", "documents", first, *(f"{name} minus {first}" for name in others))
    return (
        "<h2>By held-out set, language and domain</h2>"
        + _table(head, rows)
        + '<p class="soft">Bits per byte; differences with one paired standard error over seeds and '
        "documents.</p>"
    )


def _with_error(found: Apart) -> str:
    error = math.hypot(found.seed_error, found.document_error)
    return f"{found.value:+.4f} ± {error:.4f}" if math.isfinite(error) else f"{found.value:+.4f}"


def _worth(summary: Summary) -> str:
    first = summary.corpora[0]
    rows = [_worth_row(other) for other in summary.others]
    head = (f"tokens of {first} worth one of", *(f"{n:,} parameters" for n in summary.parameters))
    told = "".join(f"<li>{escape(of_size(summary, other))}</li>" for other in summary.others)
    return f"<h2>What a token is worth</h2>{_table(head, rows)}<ul>{told}</ul>"


def _worth_row(other: Compared) -> str:
    cells = "".join(f"<td>{escape(worth_text(each))}</td>" for each in other.worth)
    return f"<tr><th>{escape(other.name)}</th>{cells}</tr>"


def _mix(summary: Summary) -> str:
    mix = summary.confounds.mix
    names = list(dict.fromkeys(name for each in mix.values() for name in each))
    rows = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{100 * each.get(name, 0.0):.1f} %</td>" for each in mix.values())
        + "</tr>"
        for name in names
    ]
    times = "".join(f"<td>{each:.2g} ×</td>" for each in summary.confounds.epochs.values())
    rows.append(f"<tr><th>read by the largest budget</th>{times}</tr>")
    return f"<h2>What the corpora hold</h2>{_table(('share of training tokens', *mix), rows)}"


def _method(summary: Summary) -> str:
    rule, seen = summary.rule, summary.power
    share = 100 * seen.smallest / seen.bits_per_byte
    return (
        "<h2>How it was decided</h2><ul>"
        f"<li>The same models, token budgets and seeds for every corpus; {summary.seeds} seeds of at most "
        f"{rule.most}. After each seed from number {rule.first} on, every corpus is tested against "
        f"{escape(summary.corpora[0])} at a level of {100 * (1 - summary.interval):.2f} %; so one of "
        f"equal corpora finds a difference with a chance of {100 * rule.error:.0f} %, counting all looks and "
        "corpora.</li>"
        f"<li>A tie is an interval within ± {100 * rule.tie / summary.bits_per_byte:.2f} % of the bits per "
        "byte.</li>"
        f"<li>A run varies by {seen.noise:.4f} bits per byte beside its seed. With {rule.most} seeds a "
        f"difference of {share:.2f} % is found with a chance of 80 %; a smaller one may stay undecided.</li>"
        "<li>Errors add the variance over seeds (noise pooled over corpora) and over held-out documents."
        "</li></ul>"
    )
