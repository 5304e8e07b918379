"""The viewer's pages as HTML: each function asks its questions and fills one template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from corpus import forgotten
from corpus.filters.meanings import meaning
from corpus.inspect.diff import Diff
from corpus.inspect.documents import documents as show
from corpus.inspect.funnel import Funnel, Step, funnel
from corpus.inspect.tokens import totals
from corpus.view import document as documents
from corpus.view.labels import REASONS, Labels
from corpus.view.questions import FACETS, Questions, Selection

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


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("corpus.view"), autoescape=True, undefined=jinja2.StrictUndefined
)
_environment.globals.update(percent=_percent, bar=_bar)


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
    page = questions.page(chosen)
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
        page=page,
        absent=_absent(questions, chosen) if chosen.address and not page.rows and not page.next else (),
        orders=orders,
        by_rule=by_rule if by_rule in questions.rules else "",
    )


def _absent(questions: Questions, chosen: Selection) -> list[str]:
    """Return what is known of a page that no text is from: forgotten, rejected, or not in the inputs."""
    root, address = questions.texts.build.root, chosen.address
    url = address if "://" in address else f"https://{address}"
    for request in forgotten.read(root).requests:
        if forgotten.forgotten([request]).has_url(url):
            return [f"The page was forgotten on {request.date}. {request.reason}"]
    for batch in questions.texts.build.batches("rejected", ["url", "cause", "detail"]):
        for row in batch.to_pylist():
            if row["url"] and forgotten.of_url(row["url"]) == forgotten.of_url(url):
                return [f"Its record was rejected as {row['cause']}: {row['detail']}"]
    if replace(chosen, address="") != Selection():
        return ["Perhaps it is outside of what else is chosen: remove that and look again."]
    return ["No input has a record of this address: it was not fetched, or another source has it."]


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
        "register",
        "register_score",
        "page_kind",
        "page_kind_score",
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
        meaning=meaning(found.rule),
        meaning_of=meaning,
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
        alike = f" (similarity {found.value:.2f})" if found.value is not None else ""
        return f"Removed by {found.rule}: {meaning(found.rule)}{alike}."
    if found.value is None or found.limit is None:
        return f"Dropped by {found.rule}{': ' + found.reason if found.reason else ''}"
    side = "below" if found.value < found.limit else "above"
    return f"Dropped by {found.rule}: {found.value:.4g} is {side} the limit {found.limit:.4g}"


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
