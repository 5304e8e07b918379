"""A kind of file: its columns, each with its Arrow type and its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

INSTANT = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its Arrow type and what it means."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: its columns in order, and the version that changes when they do."""

    name: str
    version: int
    columns: tuple[Column, ...]
    is_open: bool = False  # whether a file may have further columns after these

    def with_columns(self, columns: Iterable[Column]) -> Kind:
        """Return the kind of a file of an open kind that has further columns."""
        return replace(self, columns=(*self.columns, *columns))

    def describes(self, schema: pa.Schema) -> bool:
        """Return whether a file with this schema is of the kind."""
        own = self.schema()
        if self.is_open and len(schema) >= len(own):
            schema = pa.schema([schema.field(number) for number in range(len(own))])
        return bool(schema.equals(own))

    def schema(self, fingerprint: str = "") -> pa.Schema:
        """Return the Arrow schema, stamped with kind, version and the fingerprint of the writing unit."""
        fields = [pa.field(c.name, c.type, metadata={"meaning": c.meaning}) for c in self.columns]
        stamp = {
            "derlem.kind": self.name,
            "derlem.version": str(self.version),
            "derlem.fingerprint": fingerprint,
        }
        return pa.schema(fields, metadata=stamp)
