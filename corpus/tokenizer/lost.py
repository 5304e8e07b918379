"""What a tokenizer lost of a corpus: documents that do not come back from their tokens, `<unk>` tokens."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.assignment import TRAIN, VALIDATION
from corpus.counts import Counts

TOO_LOW = "too low: the tokenizer loses text"
"""The remark beside bits per byte that lost text makes too low."""

_CHANGED, _UNKNOWN = "documents that do not come back", "<unk> tokens"


@dataclass(frozen=True, slots=True)
class Lost:
    """Documents, how many of them encoding and decoding `changed`; tokens, how many are `unknown`."""

    documents: int
    changed: int
    tokens: int
    unknown: int

    @property
    def nothing(self) -> bool:
        """True if every document comes back as it was."""
        return not self.changed and not self.unknown

    def __str__(self) -> str:
        return (
            f"{self.changed:,} of {self.documents:,} documents do not come back from their tokens, and "
            f"{self.unknown:,} of {self.tokens:,} tokens are <unk>"
        )


def note(counts: Counts, split: str, language: str, changed: int, unknown: int) -> None:
    """Count what was lost of some documents of a split and language."""
    counts.note(f"{split} {_CHANGED}", language, changed)
    counts.note(f"{split} {_UNKNOWN}", language, unknown)


def lost(counts: Counts) -> Lost:
    """Return what was lost by the counts of the tokenize stage."""

    def total(topic: str) -> int:
        return sum(
            number
            for split in (TRAIN, VALIDATION)
            for number in counts.noted.get(f"{split} {topic}", {}).values()
        )

    return Lost(counts.kept, total(_CHANGED), total("tokens"), total(_UNKNOWN))
