"""The record of what a study started with, study.json: the corpora that it trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trainer import records

STUDY = "study.json"


class _Corpus(BaseModel):
    content: str
    tokens: int


class _Planned(BaseModel):
    corpora: dict[str, _Corpus]


class _Started(BaseModel):
    plan: _Planned


def corpora(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the `content` (a fingerprint) and `tokens` of each corpus; none where no study started.

    Raises ConfigError for a damaged record.
    """
    held = records.read(folder, STUDY, _Started)
    return held["plan"]["corpora"] if held is not None else {}
