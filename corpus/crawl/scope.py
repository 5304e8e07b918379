"""Which addresses belong to a crawl."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.crawl.config import Scope


class Boundary:
    """The boundary of a crawl, drawn around its seeds; picklable."""

    def __init__(self, seeds: Sequence[str], settings: Scope) -> None:
        raise NotImplementedError

    def refusal(self, url: str, depth: int) -> str | None:
        """Say why a normalised address is outside (scope.host, scope.deny, trap.deep ...); None inside."""
        raise NotImplementedError
