"""An overview and documents, printed for a person: tables and texts that read well in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from commands.render.formats import (
    bar,
    beginning,
    count,
    labelled,
    many,
    percent,
    row,
    safe,
    say,
    share,
    size,
    table,
)
from corpus.filters.meanings import meaning
from corpus.inspect.documents import Entry, search_pattern
from corpus.inspect.funnel import Funnel
from corpus.inspect.overview import Overview

CHARACTERS = 1_500  # of a text, unless all of it is asked for
ROWS = 12  # rows of a table before the rest becomes one line
_WIDEST = 100  # lines of prose beyond this are hard to read


def render_overview(found: Overview, console: Console, rows: int = ROWS) -> None:
    """Print an overview; tables longer than `rows` end with a line for the rest."""
    say(console, found.root, "bold")
    if found.stage:
        _print_totals(found, console)
        console.print(_languages(found, rows))
        console.print(_quantiles(found))
        _print_origins(found, console)
    if found.tokens:
        console.print(_tokens(found, rows))
    _print_funnel(found.funnel, console, rows)


def render_documents(
    found: Sequence[Entry], console: Console, characters: int | None = CHARACTERS, find: str | None = None
) -> None:
    """Print documents, each under a line that says what it is; None as `characters` prints whole texts.

    `find` are the words that were looked for: they are marked, and a long text is shown from where they are.
    """
    if not found:
        say(console, "nothing matches")
    for number, entry in enumerate(found, 1):
        console.print(_heading(entry, number, len(found)), highlight=False)
        console.print(_origin(entry), highlight=False)
        text = entry.values.get("text")
        if "ids" in entry.values:
            console.print()
            console.print(_pieces(entry.values, characters), highlight=False)
        elif text is not None:
            console.print()
            console.print(_prose(text, console, characters, find), highlight=False)
        console.print()


def _print_totals(found: Overview, console: Console) -> None:
    where = "in shards" if found.stage == "shards" else "kept by filter, copies not yet removed"
    say(
        console,
        f"{many(found.documents, 'document')} {where}: {found.words:,} words, {size(found.bytes)} of text, "
        f"{size(found.disk_bytes)} on disk in {many(found.files, 'file')}",
    )
    console.print()


def _languages(found: Overview, rows: int) -> RenderableType:
    split = any(total.train or total.validation for total in found.languages)
    shown = table("language", "documents", "words", "text", "share", "disk", "score")
    if split:
        shown.add_column("validation", justify="right")
    for total in found.languages[:rows]:
        cells = [
            total.language,
            count(total.documents),
            count(total.words),
            size(total.bytes),
            share(total.bytes, found.bytes),
            size(total.disk_bytes),
            f"{total.mean_score:.3f}",
        ]
        row(shown, *cells, *([count(total.validation)] if split else []))
    rest = found.languages[rows:]
    if rest:
        row(
            shown,
            f"… {len(rest)} more",
            count(sum(total.documents for total in rest)),
            count(sum(total.words for total in rest)),
            size(sum(total.bytes for total in rest)),
            share(sum(total.bytes for total in rest), found.bytes),
            style="dim",
        )
    return Padding(shown, (0, 0, 1, 0), expand=False)


def _tokens(found: Overview, rows: int) -> RenderableType:
    shown = table("tokens of", "split", "documents", "tokens", "share", "text", "bytes/token")
    whole = sum(total.tokens for total in found.tokens)
    for total in found.tokens[:rows]:
        repeated = f" x{total.repeats}" if total.repeats else ""
        row(
            shown,
            f"{total.language}/{total.source}{repeated}",
            total.split,
            count(total.documents),
            count(total.tokens),
            share(total.tokens, whole),
            size(total.bytes),
            f"{total.bytes / max(1, total.tokens):.3f}",
        )
    rest = found.tokens[rows:]
    lines = [(f"… {len(rest)} more", rest)] if rest else []
    lines += [("all", found.tokens)] if len(found.tokens) > 1 else []
    for name, some in lines:
        tokens, text = sum(total.tokens for total in some), sum(total.bytes for total in some)
        documents = sum(total.documents for total in some)
        cells = (
            count(documents),
            count(tokens),
            share(tokens, whole),
            size(text),
            f"{text / max(1, tokens):.3f}",
        )
        row(shown, name, "", *cells, style="dim" if some is rest else "")
    return Padding(shown, (0, 0, 1, 0), expand=False)


def _quantiles(found: Overview) -> RenderableType:
    shown = table("a document", *(_quantile_name(q) for q in next(iter(found.quantiles.values()), {})))
    labels = {"bytes": "bytes", "words": "words", "language_score": "language score"}
    for name, label in labels.items():
        values = found.quantiles.get(name, {}).values()
        row(shown, label, *(f"{v:.3f}" if name == "language_score" else count(v) for v in values))
    if found.quantiles_every == 1:
        return Padding(shown, (0, 0, 1, 0), expand=False)
    note = Text(f"from every {found.quantiles_every:,}th document", style="dim")
    return Padding(Group(shown, note), (0, 0, 1, 0), expand=False)


def _quantile_name(q: str) -> str:
    return {"0": "least", "0.5": "median", "1": "most"}.get(q, f"{100 * float(q):g} %")


def _print_origins(found: Overview, console: Console) -> None:
    for label, pairs in (("host", found.hosts), ("source", found.sources)):
        shown = table(f"top {label}s" if label == "host" else "source", "documents", "share")
        for name, number in pairs:
            row(shown, safe(name) or "(no URL)", f"{number:,}", share(number, found.documents))
        if label == "host" and found.hosts_total > len(pairs):
            rest = found.documents - sum(number for _, number in pairs)
            more = f"… {found.hosts_total - len(pairs):,} more"
            row(shown, more, f"{rest:,}", share(rest, found.documents), style="dim")
        console.print(shown)
        if label == "host" and found.hosts_uncertain:
            say(console, f"a host may have up to {found.hosts_uncertain:,} documents more", "dim")
        console.print()
    say(
        console,
        f"personal data: {many(found.redactions, 'piece')} replaced "
        f"in {many(found.redacted_documents, 'document')}"
        f"{percent(found.redacted_documents, found.documents)}",
    )
    for topic, names in found.noted.items():
        ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{name} {number:,}" for name, number in ranked[:8])
        say(console, f"{topic}: {listed}{', …' if len(ranked) > 8 else ''}", "dim")
    console.print()


def _print_funnel(funnel: Funnel, console: Console, rows: int) -> None:
    whole = funnel.steps[0].documents if funnel.steps else 0
    shown = table("from records to shards", "number", "share")
    shown.add_column("")
    for step in funnel.steps:
        row(
            shown,
            step.name,
            f"{step.documents:,}",
            share(step.documents, whole),
            bar(step.documents, whole),
            style="bold",
        )
        for loss in step.losses[:rows]:
            name = f"  {step.verb} {safe(loss.why)}"
            row(shown, name, f"{loss.documents:,}", share(loss.documents, whole))
        rest = sum(loss.documents for loss in step.losses[rows:])
        if rest:
            more = f"  {step.verb} … {len(step.losses) - rows} more"
            row(shown, more, f"{rest:,}", share(rest, whole), style="dim")
    console.print(shown)
    if not funnel.faults:
        say(console, "every record is accounted for", "green")
    for fault in funnel.faults:
        say(console, f"does not add up: {fault}", "bold red")


def _heading(entry: Entry, number: int, of: int) -> Rule:
    values = entry.values
    what = {
        "document": "",
        "dropped": "dropped",
        "removed": "removed as a copy",
        "rejected": "rejected record",
        "tokens": "",
    }
    parts = [f"{number}/{of}", what[entry.kind], values.get("language", "")]
    if "language_score" in values:
        parts.append(f"{values['language_score']:.3f}")
    return Rule(Text(" ".join(part for part in parts if part), style="bold"), align="left")


def _rule(values: dict[str, Any]) -> str:
    """Return what dropped a document: the rule with its numbers, or the language where that decided."""
    if values["value"] is None or values["limit"] is None:
        return f"{values['rule']}: {values['language']}" if values["language"] else str(values["rule"])
    return f"{values['rule']}: {values['value']:.4g}, limit {values['limit']:.4g}"


def _origin(entry: Entry) -> RenderableType:
    values = entry.values
    lines: list[tuple[str, str]] = []
    if entry.kind == "dropped":
        lines.append(("dropped by", _rule(values)))
        lines += [("reason", values["reason"])] if values.get("reason") else []
    if entry.kind == "removed":
        alike = f", similarity {values['jaccard']:.2f}" if values["jaccard"] is not None else ""
        lines += [("removed by", f"{values['rule']}{alike}"), ("survivor", values["survivor"])]
    if said := meaning(values["rule"]) if "rule" in values else "":
        lines.insert(1, ("meaning", said))
    if entry.kind == "rejected":
        lines.append(("cause", f"{values['cause']}: {values['detail']}"))
    if values.get("id"):
        lines.append(("id", values["id"]))
    if values.get("url"):
        lines.append(("url", values["url"]))
    for name in ("title", "licence", "languages", "page_kind"):
        lines += [(name, values[name])] if values.get(name) else []
    lines += [("authors", "; ".join(values["authors"]))] if values.get("authors") else []
    if entry.kind == "tokens":
        lines.append(("from", f"{values['source']}: {entry.path} row {entry.row:,}"))
    else:
        fetched = f", fetched {values['fetched']:%Y-%m-%d}" if values["fetched"] is not None else ""
        lines.append(("from", f"{values['source']}: {values['file']} at {values['offset']}{fetched}"))
    if "text" in values:
        length = many(values["tokens"], "token") if entry.kind == "tokens" else many(values["words"], "word")
        extra = [f", {many(values['redactions'], 'redaction')}"] if values.get("redactions") else []
        extra += [f", cut short ({values['truncated']})"] if values.get("truncated") else []
        extra += [f", stands for {values['copies']:,} documents"] if values.get("copies", 1) > 1 else []
        extra += [f", {many(values['spans_removed'], 'span')} removed"] if values.get("spans_removed") else []
        lines.append(("size", f"{length}, {many(values['bytes'], 'byte')}{''.join(extra)}"))
    return labelled(lines)


def _pieces(values: dict[str, Any], characters: int | None) -> Text:
    """Write pieces with their ids, about as many as fill this number of characters."""
    shown, left = Text(), characters
    for number, (piece, id) in enumerate(zip(values["pieces"], values["ids"], strict=True)):
        if left is not None and left <= 0:
            return shown.append(f"… {len(values['ids']) - number:,} more tokens", style="dim italic")
        shown.append(safe(piece)).append(f"·{id} ", style="dim")
        left = None if left is None else left - len(piece)
    return shown


def _prose(text: str, console: Console, characters: int | None, find: str | None) -> RenderableType:
    pattern = re.compile(search_pattern(find)) if find else None
    start = _start(text, characters, pattern)
    shown = text[start:] if characters is None else beginning(text[start:], characters)
    body = Text(safe(shown), overflow="fold")
    if pattern is not None:
        body.highlight_regex(pattern, "bold reverse")
    pieces: list[RenderableType] = [body]
    if start:
        pieces.insert(0, Text(f"{start:,} characters before …", style="dim italic"))
    if left := len(text) - start - len(shown):
        pieces.append(Text(f"… {left:,} more characters", style="dim italic"))
    return Padding(Group(*pieces), (0, max(0, console.width - _WIDEST), 0, 0), expand=False)


def _start(text: str, characters: int | None, pattern: re.Pattern[str] | None) -> int:
    """Return the start of an excerpt of this many characters that contains what the pattern finds."""
    match = pattern.search(text) if pattern is not None else None
    if characters is None or match is None or match.end() <= characters:
        return 0
    earliest = max(0, match.start() - characters // 4)
    return max(text.rfind(" ", 0, earliest), text.rfind("\n", 0, earliest)) + 1
