"""What each kind of removal means, in the words of docs/filters.md."""

from __future__ import annotations

from corpus.filters.families import RULES
from corpus.filters.preset import CONTAMINATION, HARM, PLUGIN, QUALITY

TABLES = {
    CONTAMINATION: "the share of a text of this evaluation set that it holds",
    HARM: "the share of its words that are on this list, or 1 for a host on it",
    QUALITY: "what this model or table of quality says of it",
    PLUGIN: "what a filter of your own says of it",
}
"""Rules that a configuration names, by the first part of their name."""

STAGES = {
    "dedupe.exact": "the same text as a document that is kept",
    "dedupe.near": "almost the same text as a document that is kept",
    "dedupe.paragraphs": "too little is left of it without paragraphs that enough other documents keep",
    "dedupe.substrings": "too little is left of it without passages that other documents keep",
    "dedupe.url": "another text from the same address as a document that is kept",
    "language.not_kept": "its language is not kept",
    "language.score": "how sure its language is, from 0 to 1",
    "text.empty": "nothing of the page is text",
    "url.blocked_host": "its host is blocked",
    "url.blocked_word": "its address has a blocked word",
}

_RULES = {each.name: each.description for each in RULES}


def meaning(rule: str) -> str:
    """Return what a rule measures or means; empty for one that this version does not know."""
    return _RULES.get(rule, "").rstrip(".") or STAGES.get(rule) or TABLES.get(rule.partition(".")[0], "")
