"""The viewer's pages as HTML: each function asks its questions and fills one template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

import jinja2
import numpy as np
from markupsafe import Markup

from corpus.errors import DerlemError
from corpus.filters import RULES
from corpus.inspect.diff import Diff
from corpus.inspect.documents import documents as show
from corpus.inspect.funnel import Funnel, Step, funnel
from corpus.inspect.tokens import totals
from corpus.view import document as documents
from corpus.view.labels import REASONS, Labels
from corpus.view.questions import FACETS, Questions, Selection
from corpus.whatif import what_if

MENU = (
    ("", "Funnel"),
    ("documents", "Documents"),
    ("hosts", "Hosts"),
    ("sources", "Sources"),
    ("languages", "Languages"),
    ("what-if", "What if"),
    ("tokens", "Tokens"),
)
STATIC = ("", "hosts", "sources", "languages", "tokens")
"""The pages that can be exported: those that need no question."""
SHOWN = 100_000  # characters of a text, unless the whole is asked for
GROUPS = 100
_BARS = 60
_EXAMPLES = 20
_ORDER_NAMES = {
    "n": "as stored", "words": "shortest", "-words": "longest", "score": "least sure language",
    "-copies": "most copies", "-fetched": "newest", "fetched": "oldest", "host": "host", "random": "random",
}  # fmt: skip

Steps = Callable[[int], list[dict[str, Any]]]
"""Returns the rows that a training step reads, with their passages; ValueError if there is no such step."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """What pages are made from; `static` pages link to files beside them and ask nothing.

    `changes` are those to another build, `steps` returns what a step of a training run reads.
    """

    questions: Questions
    labels: Labels | None = None
    static: bool = False
    changes: Diff | None = None
    steps: Steps | None = None

    def render(self, template: str, here: str, **values: Any) -> str:
        """Fill a template; every value is escaped."""
        menu = [page for page in MENU if not self.static or page[0] in STATIC]
        extra = (
            ("changes", "Changes", self.changes),
            ("steps", "Steps", self.steps),
            ("labels", "Labels", self.labels),
        )
        menu += [(path, name) for path, name, held in extra if held is not None]
        link = (
            (lambda path: path if "." in path else f"{path or 'index'}.html") if self.static else "/{}".format
        )
        root = self.questions.texts.build.root
        return _environment.get_template(template).render(
            root=root, menu=menu, here=here, link=link, static=self.static, **values
        )


def _percent(part: int | None, whole: int) -> str:
    return f"{100 * (part or 0) / whole:.1f} %" if whole else "–"


def _bar(part: int, whole: int, kind: str) -> Markup:
    width = 100 * part / whole if whole else 0
    return Markup(
        '<svg aria-hidden="true"><rect class="{}" width="{:.2f}%" height="100%" rx="2"></rect></svg>'
    ).format(kind, width)


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


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("corpus.view"), autoescape=True, undefined=jinja2.StrictUndefined
)
_environment.globals.update(percent=_percent, bar=_bar, histogram=_histogram)


def funnel_page(viewer: Viewer) -> str:
    """Return the first page: where the records went, read from the manifests alone."""
    found = funnel(viewer.questions.texts.build)
    whole = found.steps[0].documents if found.steps else 0
    return viewer.render("funnel.html", "", funnel=_linked(found), whole=whole)


def _linked(found: Funnel) -> dict[str, Any]:
    """Return a funnel as plain values, each number of documents with the query that shows them."""

    def loss(step: Step, why: str) -> str:
        if step.verb == "rejected":
            return f"rejected?{urlencode({'cause': why})}"
        return f"documents?{Selection(rule=why).query()}" if step.verb in ("dropped", "removed") else ""

    steps = [
        {
            **asdict(step),
            "losses": [{**asdict(each), "link": loss(step, each.why)} for each in step.losses],
            "link": f"documents?{Selection(state='kept').query()}" if step.name == "surviving" else "",
        }
        for step in found.steps
    ]
    return {"steps": steps, "faults": found.faults}


def documents_page(viewer: Viewer, chosen: Selection) -> str:
    """Return a page of the table of documents, with its facets."""
    questions = viewer.questions
    facets = [(name, questions.facet(name, chosen)) for name in FACETS]
    by_rule = chosen.order.removeprefix("-")
    orders = list(_ORDER_NAMES.items()) + [
        (sign + name, f"{name}, {'highest' if sign else 'lowest'} first")
        for name in questions.rules
        for sign in ("", "-")
    ]
    return viewer.render(
        "documents.html",
        "documents",
        chosen=_Chosen(chosen),
        facets=facets,
        page=questions.page(chosen),
        orders=orders,
        by_rule=by_rule if by_rule in questions.rules else "",
    )


class _Chosen:
    """A selection for templates, which ask for values by name."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.query = selection.query

    def __getitem__(self, name: str) -> str:
        return str(getattr(self._selection, name))


def document_page(viewer: Viewer, number: int, chosen: Selection, whole: bool) -> str:
    """Return the page of one document; NotThereError where there is none."""
    questions = viewer.questions
    found = documents.read(questions.texts, number)
    spans, cut = _shortened(found.spans, len(found.row["text"]) if whole else SHOWN)
    causes = list(dict.fromkeys(span.cause for span in spans if span.cause))
    fate = _fate(found)
    same_way = questions.by_rule.get(found.rule, 0)
    names = (
        "id",
        "source",
        "file",
        "offset",
        "fetched",
        "encoding",
        "truncated",
        "language",
        "language_score",
    )
    origin = [(name, found.row[name]) for name in names if found.row.get(name) not in (None, "")]
    label = viewer.labels.of.get(found.row["id"]) if viewer.labels else None
    return viewer.render(
        "document.html",
        "documents",
        doc=found,
        spans=spans,
        cut=cut,
        causes=causes,
        fate=fate,
        same_way=same_way,
        origin=origin,
        chosen=_Chosen(replace(chosen, start="")),
        before=questions.beside(chosen, number, -1),
        after=questions.beside(chosen, number, 1),
        has_page=bool(found.row["url"]) and ".warc" in found.row["file"],
        labels=viewer.labels,
        label=label,
        reasons=REASONS,
    )


def _shortened(spans: list[documents.Span], limit: int) -> tuple[list[documents.Span], int]:
    """Return the first `limit` characters of some spans, and how many are omitted."""
    kept, left = [], limit
    for span in spans:
        if left > 0:
            kept.append(replace(span, text=span.text[:left]))
        left -= len(span.text)
    return kept, max(0, -left)


def _fate(found: documents.Document) -> str:
    if not found.rule:
        return "Kept."
    if found.rule.startswith("dedupe."):
        return (
            f"Removed by {found.rule}: another document was kept instead (similarity {found.value or 0:.2f})."
        )
    if found.value is None or found.limit is None:
        return f"Dropped by {found.rule}{': ' + found.reason if found.reason else ''}"
    side = "below" if found.value < found.limit else "above"
    return f"Dropped by {found.rule}: {found.value:.4g} is {side} the limit {found.limit:.4g}"


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
    return documents.filters_of(questions.texts).in_force.preset(language).bounds


def _values(questions: Questions, rule: str, language: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of a rule in the texts of a language; outliers are set to the 0.1 % quantiles."""
    found = questions.ask("SELECT value FROM texts WHERE language = ? AND NOT isnan(value)", [language], rule)
    values = np.array([value for (value,) in found], dtype=np.float64)
    if values.size < _BARS:
        return values
    low, high = np.quantile(values, [0.001, 0.999], method="inverted_cdf")
    return np.clip(values, low, high)


def groups_page(viewer: Viewer, name: str, order: str = "texts", limit: int = GROUPS) -> str:
    """Return the table of hosts, sources or languages."""
    title = {"host": "Hosts", "source": "Sources", "language": "Languages"}[name]
    rows = viewer.questions.groups(name, order, limit + 1)
    columns = [
        ("name", name), ("texts", "texts"), ("kept", "kept"), ("share", "share kept"),
        ("words", "words kept"), ("", "rule that drops most"),
    ]  # fmt: skip
    return viewer.render(
        "groups.html",
        title.lower(),
        title=title,
        name=name,
        order=order,
        columns=columns,
        rows=rows[:limit],
        more=10 * limit if len(rows) > limit else 0,
    )


def tokens_page(viewer: Viewer, language: str = "") -> str:
    """Return the token shards: fertility by language and source, and some documents in pieces."""
    build = viewer.questions.texts.build
    stage = build.get("tokenize")
    if stage is None:
        text = "There are no token shards yet: derlem build … --until tokenize makes them."
        return viewer.render("message.html", "tokens", title="Tokens", text=text)
    words = _words(viewer)
    found = totals(stage)
    languages = Counter({total.language: 0 for total in found})
    for total in found:
        languages[total.language] += total.tokens
    fertility = {name: tokens / words[name] for name, tokens in languages.items() if words.get(name)}
    first = language or (found[0].language if found else "")
    entries = []
    if first in languages and not viewer.static:
        entries = [
            entry.values for entry in show(build.root, stage="tokens", language=first, limit=2, ids=True)
        ]
    shown = [(total, fertility.get(total.language)) for total in found]
    return viewer.render("tokens.html", "tokens", totals=shown, entries=entries)


def _words(viewer: Viewer) -> dict[str, int]:
    sql = "SELECT language, sum(words)::BIGINT FROM texts WHERE rule = '' GROUP BY language"
    return dict(viewer.questions.ask(sql))


def labels_page(viewer: Viewer) -> str:
    """Return what the labels given so far say of each rule."""
    assert viewer.labels is not None
    found = viewer.questions.page(Selection(order="random", seed="1")).rows
    return viewer.render(
        "labels.html",
        "labels",
        number=len(viewer.labels.of),
        path=str(viewer.labels.path),
        precision=viewer.labels.precision(),
        first=found[0].n if found else 0,
    )


def message_page(viewer: Viewer, title: str, text: str) -> str:
    """Return a page with a message."""
    return viewer.render("message.html", "", title=title, text=text)
