"""What units are named by holds no defaults: so a default that changes must change its stage's version.

When this fails: raise VERSION of the stage, since units made by the old default must be made again, and write
the new version and default into KNOWN. A new option is written there as it is; it needs no new version. Empty
defaults (no list, no text, false) are not written.
"""

from __future__ import annotations

from typing import Any

import pytest

from corpus import chain
from corpus.config import Dedupe, Extract, Filter, Shard, Source, Tokenizer
from corpus.settings import Section, changed
from pipelines import dedupe, extract, filter, furniture, shard, tokenize

SOURCE = Source(name="a", format="jsonl", paths=("a",))
DECIDES_NO_BYTE = {
    "extract": {"max_unreadable_files", "unit_mb"},
    "tokenize": set(Tokenizer.model_fields) - tokenize.DECIDE,
}
MADE = {
    "extract": (extract.VERSION, {"extract": Extract(), "source": SOURCE}),
    "furniture": (furniture.VERSION, {}),
    "filter": (filter.VERSION, {"filter": Filter()}),
    "dedupe": (dedupe.VERSION, {"dedupe": Dedupe()}),
    "shard": (shard.VERSION, {"shard": Shard()}),
    "tokenize": (tokenize.VERSION, {"tokenizer": Tokenizer()}),
}
KNOWN: dict[str, tuple[int, dict[str, Any]]] = {
    "extract": (
        11,
        {
            "extract.extractor": "derlem",
            "extract.extractor_timeout_s": 5.0,
            "extract.record_timeout_s": 30.0,
            "extract.separate_languages": True,
            "extract.max_rejected": 0.5,
            "source.text_column": "text",
            "source.url_column": "url",
            "source.date_column": "date",
            "source.text_unit": "file",
            "source.max_record_mb": 32.0,
        },
    ),
    "furniture": (1, {}),
    "filter": (
        9,
        {
            "filter.presets.tur_Latn": "derlem-tur",
            "filter.presets.eng_Latn": "fineweb",
            "filter.default": "fineweb-any",
            "filter.language.keep": ["tur_Latn"],
            "filter.language.min_score": 0.65,
            "filter.language.min_scores.tur_Latn": 0.7,
            "filter.privacy.redact": ["email", "ip", "phone", "tckn", "vkn", "iban", "card"],
        },
    ),
    "dedupe": (
        8,
        {
            "dedupe.threshold": 0.75,
            "dedupe.urls": True,
            "dedupe.max_cluster_share": 0.05,
            "dedupe.max_source_loss": 1.0,
            "dedupe.max_links_in_memory": 50_000_000,
            "dedupe.substrings.fill": 0.95,
            "dedupe.substrings.least_bytes": 200,
            "dedupe.paragraphs.count": "documents",
            "dedupe.paragraphs.length": 100,
            "dedupe.paragraphs.least_bytes": 200,
        },
    ),
    "shard": (
        8,
        {
            "shard.target_mb": 256.0,
            "shard.group_mb": 8192.0,
            "shard.seed": 1,
        },
    ),
    "tokenize": (3, {"tokenizer.bos": True}),
}


def defaults(stage: str) -> dict[str, Any]:
    """Return every default that decides what a stage writes and is not empty, by its dotted key."""
    found: dict[str, Any] = {}
    for name, section in MADE[stage][1].items():
        dump = section.model_dump(mode="json", exclude=DECIDES_NO_BYTE.get(stage, set()))
        found |= flat(name, dump)
    return {
        key: value
        for key, value in found.items()
        if value and key not in ("source.name", "source.format", "source.paths")
    }


def flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: each for inner, held in value.items() for key, each in flat(f"{name}.{inner}", held).items()}


@pytest.mark.parametrize("stage", MADE)
def test_a_default_changes_with_its_stages_version(stage: str) -> None:
    assert (MADE[stage][0], defaults(stage)) == KNOWN[stage], "see the head of this file"


def test_every_stage_is_guarded() -> None:
    assert set(MADE) == set(chain.names())


class Old(Section):
    limit: float = 1.0
    words: tuple[str, ...] = ()


class Inner(Section):
    share: float | None = None


class New(Old):
    other: float | None = None
    inner: Inner = Inner()


def test_a_new_option_that_nobody_uses_changes_no_settings() -> None:
    assert changed(New()) == changed(Old()) == {}
    assert changed(New(limit=2.0)) == changed(Old(limit=2.0)) == {"limit": 2.0}


def test_an_option_that_is_used_changes_them() -> None:
    assert changed(New(other=3.0)) == {"other": 3.0}
    assert changed(New(inner=Inner(share=0.5))) == {"inner": {"share": 0.5}}
    assert changed(New(words=("a",), limit=2.0), exclude={"limit"}) == {"words": ["a"]}
    assert changed(New(words=("a",), limit=2.0), include={"limit"}) == {"limit": 2.0}
