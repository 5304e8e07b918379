"""What another configuration of the filters would change, printed for a person."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from commands.render.formats import beginning, count, row, safe, say, table
from corpus.whatif import Moved, WhatIf

_CHARACTERS = 600  # of a document that is shown


def render_what_if(found: WhatIf, console: Console) -> None:
    """Print documents and words by source and language, the rules, and the documents that were drawn."""
    shown = table("source", "language", "documents", "change", "words", "change")
    for change in found.changes.values():
        if change.documents or change.new_documents:
            documents, words = change.new_documents - change.documents, change.new_words - change.words
            row(
                shown,
                *(change.source, change.language),
                *(count(change.documents), _signed(documents), count(change.words), _signed(words)),
            )
    console.print(shown)
    say(console, f"given back: {_rules(found.given_back)}")
    say(console, f"taken: {_rules(found.taken)}")
    if found.still_dropped:
        say(console, f"dropped by another rule instead: {_rules(found.still_dropped)}")
    if found.judged_again:
        say(console, f"{found.judged_again:,} texts were judged again: more than limits differ", style="dim")
    if found.extracted_again:
        say(
            console,
            f"{found.extracted_again:,} texts in several languages would be cut to another part; here they "
            "count as they are stored",
            style="dim",
        )
    say(console, "dedupe still removes copies among these documents", style="dim")
    for moved_document in found.examples:
        _example(moved_document, console)


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "-"


def _rules(numbers: Mapping[str, int]) -> str:
    ranked = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{rule} {number:,}" for rule, number in ranked) or "none"


def _example(moved: Moved, console: Console) -> None:
    fate = f"taken by {moved.new_rule}" if moved.new_rule else f"given back by {moved.rule}"
    console.print()
    console.print(Text(f"{fate} · {moved.language} · {moved.source} · {moved.words:,} words", style="bold"))
    if moved.url:
        console.print(Text(safe(moved.url), style="dim"), soft_wrap=True)
    console.print(Text(safe(beginning(moved.text, _CHARACTERS))))
