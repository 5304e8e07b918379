"""Counts of documents by fate, which must add up, for units and their sums."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import CountsError

_FIELDS: set[str] = set()


class Counts(BaseModel):
    """Documents that came in, stayed, were dropped by rule and were rejected by cause.

    `skipped` counts records that are not documents (requests, images); they are not part of `seen`.
    `noted` holds further counts by topic that explain the result, such as languages or repairs.
    """

    model_config = ConfigDict(extra="forbid")

    def model_post_init(self, context: object) -> None:
        """Forget which fields were given, which is never used: a corpus has many counts."""
        object.__setattr__(self, "__pydantic_fields_set__", _FIELDS)

    seen: int = 0
    kept: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    rejected: dict[str, int] = Field(default_factory=dict)
    skipped: dict[str, int] = Field(default_factory=dict)
    noted: dict[str, dict[str, int]] = Field(default_factory=dict)

    def drop(self, rule: str, number: int = 1) -> None:
        """Count documents dropped by a rule."""
        self.dropped[rule] = self.dropped.get(rule, 0) + number

    def reject(self, cause: str) -> None:
        """Count a record that could not be read."""
        self.rejected[cause] = self.rejected.get(cause, 0) + 1

    def skip(self, kind: str) -> None:
        """Count a record that is not a document."""
        self.skipped[kind] = self.skipped.get(kind, 0) + 1

    def note(self, topic: str, name: str, number: int = 1) -> None:
        """Add a further count under a topic."""
        names = self.noted.setdefault(topic, {})
        names[name] = names.get(name, 0) + number

    def add(self, other: Self) -> None:
        """Add another unit's counts to these."""
        self.seen += other.seen
        self.kept += other.kept
        pairs = [
            (self.dropped, other.dropped),
            (self.rejected, other.rejected),
            (self.skipped, other.skipped),
            *((self.noted.setdefault(topic, {}), names) for topic, names in other.noted.items()),
        ]
        for mine, theirs in pairs:
            for name, number in theirs.items():
                if number:
                    mine[name] = mine.get(name, 0) + number

    def check(self, where: str) -> None:
        """Raise CountsError unless seen = kept + dropped + rejected."""
        dropped, rejected = sum(self.dropped.values()), sum(self.rejected.values())
        if self.seen != self.kept + dropped + rejected:
            raise CountsError(
                f"{where}: counts do not add up: {self.seen} seen, but {self.kept} kept + {dropped} dropped "
                f"+ {rejected} rejected; this is a defect of derlem, please report it"
            )
