"""Clusters of copies, printed for a person: two members side by side with their differences marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from commands.render.formats import bar, beginning, many, percent, row, safe, say, table
from commands.render.tables import Table
from corpus.inspect.clusters import Cluster, Clusters, Member, SizeClass
from corpus.inspect.differ import Piece

PASSAGES = 8  # differing passages of a pair
_CONTEXT = 8  # words shown before and after them
_PASSAGE = 400  # characters of one side of a differing passage


def render_clusters(found: Clusters, console: Console, passages: int = PASSAGES) -> None:
    """Print the cluster sizes, then each large cluster with two members and where they differ, side by side.

    Where there is no colour, differing words stand in [-…-] and {+…+}.
    """
    say(
        console,
        f"{many(found.clusters, 'cluster')} of copies; "
        f"{found.removed:,} of {many(found.documents, 'document')} removed"
        f"{percent(found.removed, found.documents)}",
        "bold",
    )
    if found.sizes:
        console.print(_sizes(found.sizes))
    if found.along_threshold:
        pairs = ", ".join(f"{each.threshold:g}: {each.documents:,}" for each in found.along_threshold)
        say(console, f"largest cluster if the threshold were {pairs}", "dim")
    console.print()
    for number, cluster in enumerate(found.largest, 1):
        console.print(
            Rule(f"cluster {number} of {len(found.largest)}: {cluster.size:,} documents", align="left")
        )
        _print_cluster(cluster, console, passages)
        console.print()


def _sizes(sizes: Sequence[SizeClass]) -> Table:
    shown = table("documents in a cluster", "clusters")
    shown.add_column("")
    most = max(each.clusters for each in sizes)
    for each in sizes:
        label = f"{each.low:,}" if each.low == each.high else f"{each.low:,} to {each.high:,}"
        row(shown, label, f"{each.clusters:,}", bar(each.clusters, most))
    return shown


def _print_cluster(cluster: Cluster, console: Console, passages: int) -> None:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in cluster.kinds.items())
    say(console, f"one survives; removed {kinds}")
    hosts = ", ".join(f"{safe(host) or '(no URL)'} {number:,}" for host, number in cluster.hosts[:5])
    more = f" and {len(cluster.hosts) - 5:,} more" if len(cluster.hosts) > 5 else ""
    of = f" (of {cluster.members_looked_up:,} members)" if cluster.members_looked_up < cluster.size else ""
    say(console, f"hosts{of}: {hosts}{more}")
    pair = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, expand=True)
    pair.add_column(ratio=1, overflow="fold")
    pair.add_column(ratio=1, overflow="fold")
    row(pair, "survivor", _relation(cluster), style="bold")
    row(pair, _member(cluster.survivor), _member(cluster.other), style="dim")
    marked = console.color_system is None
    left, right = _Side("left", "red", "[-{}-]", marked), _Side("right", "green", "{{+{}+}}", marked)
    for hunk in hunks(cluster.comparison.pieces, passages):
        row(pair, "", "")
        pair.add_row(left.text(hunk), right.text(hunk))
    console.print(pair)
    differing = len(cluster.comparison.differing())
    if not differing:
        say(console, "the texts are the same", "dim")
    elif differing > passages:
        say(console, f"… {many(differing - passages, 'more differing passage')}", "dim italic")
    if cluster.comparison.cut:
        say(console, "only the first words of these long texts were compared", "dim italic")


def _relation(cluster: Cluster) -> str:
    other = cluster.other
    if other.kind != "near" or other.jaccard is None:
        return f"{other.kind} copy"
    return f"near copy, similarity {other.jaccard:.2f}"


def _member(member: Member) -> str:
    size = f"{member.language}, {many(member.words, 'word')}, {many(member.bytes, 'byte')}"
    return "\n".join(line for line in (member.id, safe(member.url), size) if line)


def hunks(pieces: Sequence[Piece], passages: int) -> Iterator[Sequence[Piece]]:
    """Yield the first differing passages with the common ones around them, near neighbours in one hunk."""
    differing = [number for number, piece in enumerate(pieces) if not piece.same][:passages]
    start = 0
    for n, number in enumerate(differing):
        following = differing[n + 1] if n + 1 < len(differing) else None
        if following is None or len(pieces[number + 1].left.split()) > 2 * _CONTEXT:
            yield pieces[max(0, differing[start] - 1) : number + 2]
            start = n + 1


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a pair: which text of a piece it shows, and how it sets off what differs."""

    name: str
    colour: str
    marks: str
    marked: bool

    def text(self, hunk: Sequence[Piece]) -> Text:
        """Write a hunk; of the common passages at its ends only the words next to a difference."""
        written: list[Text] = []
        for number, piece in enumerate(hunk):
            words = safe(piece.left if self.name == "left" else piece.right).split()
            if piece.same:
                if number == 0 and len(words) > _CONTEXT:
                    words = ["…", *words[-_CONTEXT:]]
                elif number == len(hunk) - 1 and len(words) > _CONTEXT:
                    words = [*words[:_CONTEXT], "…"]
                written.append(Text(" ".join(words), style="dim"))
            else:
                written.append(self._changed(" ".join(words)))
        return Text(" ").join(written)

    def _changed(self, text: str) -> Text:
        if not text:
            return Text("∅", style="dim")
        if len(text) > _PASSAGE:
            shown = beginning(text, _PASSAGE)
            text = f"{shown} … {len(text) - len(shown):,} more characters"
        return Text(self.marks.format(text) if self.marked else text, style=f"bold {self.colour}")
