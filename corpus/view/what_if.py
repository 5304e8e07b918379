"""The page that tries another limit of a rule: what is measured, what comes back or goes, and which texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from corpus.errors import DerlemError
from corpus.filters import RULES
from corpus.view.document import filters_of
from corpus.view.pages import Viewer
from corpus.view.questions import Questions, Selection
from corpus.whatif import what_if

_BARS = 60
_EXAMPLES = 20


def what_if_page(viewer: Viewer, query: Mapping[str, str]) -> str:
    """Return the page that tries another limit of a rule for a language."""
    questions = viewer.questions
    languages = [name for name, _, _ in questions.facet("language", Selection(), 200)]
    rules = [rule.name for rule in RULES if rule.name in questions.rules]
    rules += [name for name in questions.rules if name.startswith("plugin.")]
    if not languages or not rules:
        return viewer.render(
            "message.html", "what-if", title="What if", text="No values of rules are stored."
        )
    rule = query.get("rule", "") if query.get("rule") in rules else rules[0]
    language = query.get("language", "") if query.get("language") in languages else languages[0]
    limit, wrong = _limit(query.get("limit", ""))
    bound = next((b for b in _bounds(questions, language) if b.rule == rule), None)
    direction = next((each.direction for each in RULES if each.name == rule), "above") or "above"
    current = None if bound is None else bound.low if direction == "below" else bound.high
    values = _values(questions, rule, language)
    low, high = (float(values.min()), float(values.max())) if values.size else (None, None)
    if low is not None and low == high:
        high = low + 1.0
    override = f'filter.limits."{language}"."{rule}"={limit:g}' if limit is not None else ""
    found, changes = None, []
    if override and not wrong:
        try:
            found = what_if(questions.texts.build.root, [override], examples=_EXAMPLES)
            changes = [
                c for c in found.changes.values() if c.documents != c.new_documents or c.words != c.new_words
            ]
        except DerlemError as error:
            return viewer.render(
                "message.html", "what-if", title="This limit cannot be tried", text=str(error)
            )
    shown = limit if limit is not None else current
    bars = []
    if low is not None and high is not None:
        bars = np.histogram(values, _BARS, (low, high))[0].tolist()
    return viewer.render(
        "what-if.html",
        "what-if",
        rules=rules,
        languages=languages,
        rule=rule,
        language=language,
        low=low,
        high=high,
        step=_step(values),
        bars=bars,
        limit=shown,
        current=current,
        direction=direction,
        measured=int(values.size),
        override=f"--set '{override}'",
        found=found,
        changes=changes,
        histogram=_histogram,
    )


def _step(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return the distance of two positions of the slider: 1 where a rule counts."""
    counts = not values.size or bool((values == np.rint(values)).all())
    return 1 if counts else float(values.max() - values.min() or 1) / 500


def _limit(text: str) -> tuple[float | None, bool]:
    try:
        value = float(text.replace(",", ".")) if text else None
    except ValueError:
        return None, True
    return (value, False) if value is None or np.isfinite(value) else (None, True)


def _bounds(questions: Questions, language: str) -> Any:
    return filters_of(questions.texts).in_force.preset(language).bounds


def _values(questions: Questions, rule: str, language: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of a rule in the texts of a language; outliers are set to the 0.1 % quantiles."""
    found = questions.ask("SELECT value FROM texts WHERE language = ? AND NOT isnan(value)", [language], rule)
    values = np.array([value for (value,) in found], dtype=np.float64)
    if values.size < _BARS:
        return values
    low, high = np.quantile(values, [0.001, 0.999], method="inverted_cdf")
    return np.clip(values, low, high)


def _histogram(bars: list[int], limit: float | None, low: float, high: float, direction: str) -> Markup:
    """Draw how many texts have which value; those that the limit drops have the colour of a loss."""
    top = max(bars, default=0) or 1
    width = (high - low) / len(bars)
    drawn = []
    for at, number in enumerate(bars):
        middle = low + (at + 0.5) * width
        out = limit is not None and (middle < limit if direction == "below" else middle > limit)
        tall = 100 * number / top
        drawn.append(
            Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"></rect>').format(
                "lost" if out else "plain", 100 * at / len(bars), 100 - tall, 90 / len(bars), tall
            )
        )
    if limit is not None and low <= limit <= high:
        x = 100 * (limit - low) / (high - low)
        drawn.append(
            Markup('<line class="limit" x1="{0:.2f}" x2="{0:.2f}" y1="0" y2="100"></line>').format(x)
        )
    return Markup(
        '<svg class="histogram" viewBox="0 0 100 100" preserveAspectRatio="none" role="img">{}</svg>'
    ).format(Markup("").join(drawn))
