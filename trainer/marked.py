"""Texts with sentinels, written by the names of their pieces: what a model of spans reads and writes."""

from __future__ import annotations

import re
from itertools import groupby

from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import SENTINELS

_NAMES = re.compile("(" + "|".join(map(re.escape, SENTINELS)) + ")")


class Marked(Tokenizer):
    """A tokenizer that takes `<|reserved_0|>` … of a text for sentinels, and writes them so."""

    def __init__(self, model: bytes) -> None:
        super().__init__(model)
        ids = {name: self.control(name) for name in SENTINELS}
        self._ids = {name: id for name, id in ids.items() if id is not None}
        self.written = tuple(self._ids.values())

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text and of the sentinels in it."""
        ids: list[int] = []
        for part in _NAMES.split(text):
            ids += [self._ids[part]] if part in self._ids else super().encode(part)
        return ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids, sentinels by their names."""
        names = {id: name for name, id in self._ids.items()}
        return "".join(
            "".join(names[id] for id in run) if marked else super(Marked, self).decode(list(run))
            for marked, run in groupby(ids, names.__contains__)
        )
