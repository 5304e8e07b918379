"""Labels that a person gives while reading: a JSON line each, the last one of a document counts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from corpus.errors import DatasetError

LABELS = ("good", "bad")
REASONS = (
    "boilerplate",
    "machine translation",
    "spam",
    "list",
    "fragment",
    "wrong language",
    "harm",
    "other",
)
"""Why a document is bad, in one word; the key of each is its position, from 1."""


@dataclass(frozen=True, slots=True)
class Label:
    """A person's verdict on a document; `rule` is what had dropped it, empty where it was kept."""

    id: str
    label: str
    reason: str
    rule: str
    url: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Precision:
    """Of the labelled documents that a rule dropped (empty: that were kept), how many are bad."""

    rule: str
    labelled: int
    bad: int


class Labels:
    """The labels of a file, to which every new one is appended at once."""

    def __init__(self, path: Path) -> None:
        """Read the file where there is one; DatasetError where a line of it is not a label."""
        self.path = path
        self._lock = Lock()
        self.of: dict[str, Label] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                label = Label(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise DatasetError(
                    f"{path}, line {number}: expected a label of `derlem view` ({error})"
                ) from None
            self.of[label.id] = label

    def add(self, label: Label) -> None:
        """Append a label and force it to the disk."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(label), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
            self.of[label.id] = label

    def precision(self) -> list[Precision]:
        """Return for each rule what the labels say of its drops, most labels first."""
        by_rule: dict[str, list[Label]] = {}
        for label in self.of.values():
            by_rule.setdefault(label.rule, []).append(label)
        found = [
            Precision(rule, len(labels), sum(label.label == "bad" for label in labels))
            for rule, labels in by_rule.items()
        ]
        return sorted(found, key=lambda each: (-each.labelled, each.rule))
