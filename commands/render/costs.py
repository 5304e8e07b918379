"""What tokenizers cost, printed for a person: the models beneath each other, language by language."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from commands.render.formats import count, row, say, table
from corpus.tokenizer.compare import Cost


def render_costs(costs: Sequence[Cost], console: Console) -> None:
    """Print a table; where texts do not come back as they were, name the model and the number."""
    shown = table("language", "documents", "bytes/token", "tokens/word", "vocabulary", "model")
    shown.columns[-1].justify = "left"
    shown.columns[-1].no_wrap = False
    for number, cost in enumerate(costs):
        first = not number or costs[number - 1].language != cost.language
        row(
            shown,
            cost.language if first else "",
            count(cost.documents) if first else "",
            f"{cost.bytes_per_token:.3f}",
            f"{cost.tokens_per_word:.3f}",
            f"{cost.vocabulary:,}",
            cost.model,
        )
    console.print(shown)
    for cost in costs:
        if cost.exact < cost.documents:
            lost = cost.documents - cost.exact
            say(
                console,
                f"{cost.model}, {cost.language}: {lost:,} of {cost.documents:,} documents come back changed",
            )
