"""What inspection found, printed for a person: tables and texts that read well from 60 columns on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from corpus.inspect.clusters import Cluster, Clusters, Member, SizeClass
from corpus.inspect.differ import Piece
from corpus.inspect.documents import Entry
from corpus.inspect.funnel import Funnel
from corpus.inspect.overview import Overview

CHARACTERS = 1_500  # of a text, unless all of it is asked for
PASSAGES = 6  # differing passages of a pair
ROWS = 12  # rows of a table before the rest becomes one line
_WIDEST = 100  # lines of prose beyond this are hard to read
_CONTEXT = 8  # words shown before and after a differing passage
_PASSAGE = 320  # characters of one side of a differing passage
_BAR = 16

# Directions may not be overridden and no escape sequence may reach the terminal from a web page.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSAFE = {code: "\ufffd" for code in _CONTROLS if code not in (0x09, 0x0A)}


def size(number: float) -> str:
    """Write a number of bytes with three digits and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1000 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.3g} {unit}"


def count(number: float) -> str:
    """Write a number in full below ten million and with three digits beyond, so that columns stay narrow."""
    if number < 10_000_000:
        return f"{number:,.0f}"
    return f"{number / 1e6:.3g} M" if number < 999.5e6 else f"{number / 1e9:,.4g} G"


def render_overview(found: Overview, console: Console, rows: int = ROWS) -> None:
    """Print an overview; tables longer than `rows` end with a line for the rest."""
    console.print(_title(found.root), highlight=False)
    if found.stage:
        _print_totals(found, console)
        console.print(_languages(found, rows))
        console.print(_quantiles(found))
        _print_origins(found, console)
    _print_funnel(found.funnel, console, rows)


def render_documents(found: Sequence[Entry], console: Console, characters: int | None = CHARACTERS) -> None:
    """Print documents, each under a line that says what it is; None as `characters` prints whole texts."""
    if not found:
        console.print("nothing matches")
    for number, entry in enumerate(found, 1):
        console.print(_heading(entry, number, len(found)), highlight=False)
        console.print(_origin(entry), highlight=False, soft_wrap=False)
        text = entry.values.get("text")
        if text is not None:
            console.print()
            console.print(_prose(text, console, characters), highlight=False)
        console.print()


def render_clusters(found: Clusters, console: Console, passages: int = PASSAGES) -> None:
    """Print the cluster sizes, then each large cluster with two members and where they differ, side by side.

    Where there is no colour, differing words stand in [-…-] and {+…+}.
    """
    console.print(
        f"{_many(found.clusters, 'cluster')} of copies; "
        f"{found.removed:,} of {_many(found.documents, 'document')} removed"
        f"{_percent(found.removed, found.documents)}",
        style="bold",
        highlight=False,
    )
    if found.sizes:
        console.print(_sizes(found.sizes))
    if found.along_threshold:
        pairs = ", ".join(f"{each.threshold:g}: {each.documents:,}" for each in found.along_threshold)
        console.print(f"largest cluster if the threshold were {pairs}", style="dim", highlight=False)
    console.print()
    for number, cluster in enumerate(found.largest, 1):
        console.print(
            Rule(f"cluster {number} of {len(found.largest)}: {cluster.size:,} documents", align="left")
        )
        _print_cluster(cluster, console, passages)
        console.print()


def _title(text: str) -> Text:
    return Text(text, style="bold")


def _percent(part: float, whole: float) -> str:
    if not whole:
        return ""
    share = 100 * part / whole
    return f" ({share:.1f} %)" if share >= 0.05 or not part else " (< 0.1 %)"


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _share(part: float, whole: float) -> str:
    return _percent(part, whole).strip(" ()")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _print_totals(found: Overview, console: Console) -> None:
    where = "in shards" if found.stage == "shards" else "kept by clean, copies not yet removed"
    console.print(
        f"{_many(found.documents, 'document')} {where}: {found.words:,} words, {size(found.bytes)} of text, "
        f"{size(found.disk_bytes)} on disk in {_many(found.files, 'file')}",
        highlight=False,
    )
    console.print()


def _languages(found: Overview, rows: int) -> RenderableType:
    split = any(total.train or total.validation for total in found.languages)
    table = _table("language", "documents", "words", "text", "share", "disk", "score")
    if split:
        table.add_column("validation", justify="right", no_wrap=True)
    for total in found.languages[:rows]:
        cells = [
            total.language,
            count(total.documents),
            count(total.words),
            size(total.bytes),
            _share(total.bytes, found.bytes),
            size(total.disk_bytes),
            f"{total.mean_score:.3f}",
        ]
        table.add_row(*cells, *([count(total.validation)] if split else []))
    rest = found.languages[rows:]
    if rest:
        table.add_row(
            f"… {len(rest)} more",
            count(sum(total.documents for total in rest)),
            count(sum(total.words for total in rest)),
            size(sum(total.bytes for total in rest)),
            _share(sum(total.bytes for total in rest), found.bytes),
            style="dim",
        )
    return Padding(table, (0, 0, 1, 0), expand=False)


def _quantiles(found: Overview) -> RenderableType:
    table = _table("a document", *(_quantile_name(q) for q in next(iter(found.quantiles.values()), {})))
    labels = {"bytes": "bytes", "words": "words", "language_score": "language score"}
    for name, label in labels.items():
        values = found.quantiles.get(name, {}).values()
        table.add_row(label, *(f"{v:.3f}" if name == "language_score" else count(v) for v in values))
    if found.quantiles_every == 1:
        return Padding(table, (0, 0, 1, 0), expand=False)
    note = Text(f"from every {found.quantiles_every:,}th document", style="dim")
    return Padding(Group(table, note), (0, 0, 1, 0), expand=False)


def _quantile_name(q: str) -> str:
    return {"0": "least", "0.5": "median", "1": "most"}.get(q, f"{100 * float(q):g} %")


def _print_origins(found: Overview, console: Console) -> None:
    for label, pairs in (("host", found.hosts), ("source", found.sources)):
        table = _table(f"top {label}s" if label == "host" else "source", "documents", "share")
        for name, number in pairs:
            table.add_row(_safe(name) or "(no URL)", f"{number:,}", _share(number, found.documents))
        if label == "host" and found.hosts_total > len(pairs):
            rest = found.documents - sum(number for _, number in pairs)
            more = f"… {found.hosts_total - len(pairs):,} more"
            table.add_row(more, f"{rest:,}", _share(rest, found.documents), style="dim")
        console.print(table)
        if label == "host" and found.hosts_uncertain:
            console.print(f"a host may have up to {found.hosts_uncertain:,} documents more", style="dim")
        console.print()
    console.print(
        f"personal data: {_many(found.redactions, 'piece')} replaced "
        f"in {_many(found.redacted_documents, 'document')}"
        f"{_percent(found.redacted_documents, found.documents)}",
        highlight=False,
    )
    for topic, names in found.noted.items():
        ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{name} {number:,}" for name, number in ranked[:8])
        console.print(
            f"clean noted {topic}: {listed}{', …' if len(ranked) > 8 else ''}", style="dim", highlight=False
        )
    console.print()


def _print_funnel(funnel: Funnel, console: Console, rows: int) -> None:
    whole = funnel.steps[0].documents if funnel.steps else 0
    table = _table("from records to shards", "number", "share")
    table.add_column("")
    for step in funnel.steps:
        bar = "█" * round(_BAR * step.documents / whole) if whole else ""
        table.add_row(step.name, f"{step.documents:,}", _share(step.documents, whole), bar, style="bold")
        for loss in step.losses[:rows]:
            name = f"  {step.verb} {_safe(loss.why)}"
            table.add_row(name, f"{loss.documents:,}", _share(loss.documents, whole))
        rest = sum(loss.documents for loss in step.losses[rows:])
        if rest:
            more = f"  {step.verb} … {len(step.losses) - rows} more"
            table.add_row(more, f"{rest:,}", _share(rest, whole), style="dim")
    console.print(table)
    if not funnel.faults:
        console.print("every record is accounted for", style="green")
    for fault in funnel.faults:
        console.print(Text(f"does not add up: {fault}", style="bold red"))


def _heading(entry: Entry, number: int, of: int) -> Rule:
    values = entry.values
    what = {
        "document": "",
        "dropped": "dropped",
        "removed": "removed as a copy",
        "rejected": "rejected record",
    }
    parts = [f"{number}/{of}", what[entry.kind]]
    if values.get("language"):
        parts += [values["language"], f"{values['language_score']:.3f}"]
    return Rule(Text(" ".join(part for part in parts if part), style="bold"), align="left")


def _origin(entry: Entry) -> RenderableType:
    values = entry.values
    lines: list[tuple[str, str]] = []
    if entry.kind == "dropped":
        lines.append(("dropped by", f"{values['rule']}: {values['value']:.4g}, limit {values['limit']:.4g}"))
    if entry.kind == "removed":
        alike = f", similarity {values['jaccard']:.2f}" if values["jaccard"] is not None else ""
        lines += [("removed by", f"{values['rule']}{alike}"), ("survivor", values["survivor"])]
        if values["witness"] and values["witness"] != values["survivor"]:
            lines.append(("witness", values["witness"]))
    if entry.kind == "rejected":
        lines.append(("cause", f"{values['cause']}: {values['detail']}"))
    if values.get("id"):
        lines.append(("id", values["id"]))
    if values["url"]:
        lines.append(("url", values["url"]))
    fetched = f", fetched {values['fetched']:%Y-%m-%d}" if values["fetched"] is not None else ""
    lines.append(("from", f"{values['source']}: {values['file']} at {values['offset']}{fetched}"))
    if "text" in values:
        extra = [f", {_many(values['redactions'], 'redaction')}"] if values["redactions"] else []
        extra += [f", stands for {values['copies']:,} documents"] if values.get("copies", 1) > 1 else []
        lines.append(
            ("size", f"{_many(values['words'], 'word')}, {_many(values['bytes'], 'byte')}{''.join(extra)}")
        )
    return _labelled(lines)


def _labelled(lines: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in lines:
        table.add_row(label, Text(_safe(value).replace("\n", " ")))
    return table


def _prose(text: str, console: Console, characters: int | None) -> RenderableType:
    shown = text if characters is None else _beginning(text, characters)
    body = Text(_safe(shown), overflow="fold")
    left = len(text) - len(shown)
    pieces: list[RenderableType] = [body]
    if left:
        pieces.append(Text(f"… {left:,} more characters", style="dim italic"))
    return Padding(Group(*pieces), (0, max(0, console.width - _WIDEST), 0, 0), expand=False)


def _beginning(text: str, characters: int) -> str:
    """Cut a text after so many characters, at the space before if there is one near."""
    if len(text) <= characters:
        return text
    space = max(text.rfind(" ", 0, characters), text.rfind("\n", 0, characters))
    return text[: space if space > 0.8 * characters else characters].rstrip()


def _safe(text: str) -> str:
    return text.replace("\r\n", "\n").translate(_UNSAFE)


def _sizes(sizes: Sequence[SizeClass]) -> Table:
    table = _table("documents in a cluster", "clusters")
    table.add_column("")
    most = max(each.clusters for each in sizes)
    for each in sizes:
        label = f"{each.low:,}" if each.low == each.high else f"{each.low:,} to {each.high:,}"
        table.add_row(label, f"{each.clusters:,}", "█" * max(1, round(_BAR * each.clusters / most)))
    return table


def _print_cluster(cluster: Cluster, console: Console, passages: int) -> None:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in cluster.kinds.items())
    console.print(f"one survives; removed {kinds}", highlight=False)
    hosts = ", ".join(f"{_safe(host) or '(no URL)'} {number:,}" for host, number in cluster.hosts[:5])
    more = f" and {len(cluster.hosts) - 5:,} more" if len(cluster.hosts) > 5 else ""
    of = f" (of {cluster.members_looked_up:,} members)" if cluster.members_looked_up < cluster.size else ""
    console.print(f"hosts{of}: {hosts}{more}", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text("survivor", style="bold"), Text(_relation(cluster), style="bold"))
    table.add_row(_member(cluster.survivor), _member(cluster.other), style="dim")
    differing = cluster.comparison.differing()
    colour = console.color_system is not None
    for left, right in _hunks(cluster.comparison.pieces, passages, colour):
        table.add_row("", "")
        table.add_row(left, right)
    console.print(table)
    if not differing:
        console.print("the texts are the same", style="dim")
    elif len(differing) > passages:
        console.print(f"… {len(differing) - passages:,} more differing passages", style="dim italic")
    if cluster.comparison.cut:
        console.print("only the beginnings of these long texts were compared", style="dim italic")


def _relation(cluster: Cluster) -> str:
    other = cluster.other
    if other.kind != "near" or other.jaccard is None:
        return f"{other.kind} copy"
    witness = "" if other.witness == cluster.survivor.id else f" to {other.witness[:8]}"
    return f"near copy, similarity {other.jaccard:.2f}{witness}"


def _member(member: Member) -> Text:
    lines = [
        member.id,
        _safe(member.url),
        f"{member.language}, {_many(member.words, 'word')}, {_many(member.bytes, 'byte')}",
    ]
    return Text("\n".join(line for line in lines if line))


def _hunks(pieces: Sequence[Piece], passages: int, colour: bool) -> list[tuple[Text, Text]]:
    """Give both sides of each differing passage between some words of what is common."""
    hunks: list[tuple[Text, Text]] = []
    for number, piece in enumerate(pieces):
        if piece.same or len(hunks) == passages:
            continue
        before = pieces[number - 1] if number else None
        after = pieces[number + 1] if number + 1 < len(pieces) else None
        sides = []
        for mine, side, marks in (("left", "red", "[-{}-]"), ("right", "green", "{{+{}+}}")):
            text = Text()
            text.append(_end(getattr(before, mine)) if before else "", style="dim")
            changed = _safe(" ".join(getattr(piece, mine).split()))
            if len(changed) > _PASSAGE:
                shown = _beginning(changed, _PASSAGE)
                changed = f"{shown} … {len(changed) - len(shown):,} more characters"
            if changed:
                text.append(changed if colour else marks.format(changed), style=f"bold {side}")
            else:
                text.append("∅", style="dim")
            text.append(_start(getattr(after, mine)) if after else "", style="dim")
            sides.append(text)
        hunks.append((sides[0], sides[1]))
    return hunks


def _end(text: str) -> str:
    words = _safe(text).split()
    return ("… " if len(words) > _CONTEXT else "") + " ".join(words[-_CONTEXT:]) + " "


def _start(text: str) -> str:
    words = _safe(text).split()
    return " " + " ".join(words[:_CONTEXT]) + (" …" if len(words) > _CONTEXT else "")
