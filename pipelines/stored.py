"""Grams and paragraphs that a corpus keeps, so that newer ones look in it without its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup.store import ROW_BITS, document_numbers
from corpus.schema import Kind
from pipelines import handover, settling

Make = Callable[[NDArray[np.uint64], pa.RecordBatch], NDArray[np.void]]
"""Returns rows of the documents with some numbers, of which it is given columns."""


Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class Place(Generic[Settings]):
    """What the steps of a search for text that stands twice need to know."""

    folder: str
    number: int  # of the pass whose decisions count
    settings: Settings
    sources: tuple[str, ...]
    partitions: int
    is_sent: bool
    home: str  # folder of the stage


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of documents: the kind of the files that hold them, their type, and the columns they are made of.

    The type has the columns of the kind, but the number of the document (`document`) in place of its row.
    """

    folder: str
    home: str  # folder of the stage
    number: int  # of the pass whose decisions count
    kind: Kind
    type: np.dtype[Any]
    columns: tuple[str, ...]

    def of_run(self, run: int, make: Make) -> Iterator[NDArray[np.void]]:
        """Yield the rows of the kept documents of a run: stored by an older corpus, or made and stored."""
        gone, parts = settling.gone(self.folder, self.number, run), handover.parts_of(self.folder)
        written = []
        for part in handover.runs_of(self.folder)[run]:
            if part < parts.older:
                yield from self._of_older(part, getattr(parts, self.kind.name)[part], gone, make)
                continue
            fingerprint = self.folder.rstrip("/").rpartition("/")[2]
            path = f"{self.kind.name}-{parts.names[part]}-{fingerprint}.arrow"
            with dataset.create(self.home, path, self.kind, fingerprint) as slot:
                for found in self._made(part, gone, make):
                    slot.arrow.write(self._batch(found))
                    yield found
            assert slot.file is not None
            written.append(slot.file.model_dump(mode="json"))
        handover.write_list(self.folder, self._listed(run), written)

    def files(self) -> list[dataset.File]:
        """Return the files that were written."""
        listed = [
            handover.read_list(self.folder, self._listed(run)) for run in handover.new_runs(self.folder)
        ]
        return [dataset.File.model_validate(file) for files in listed for file in files or []]

    def _listed(self, run: int) -> str:
        return f"{self.kind.name}/stored/{run:05d}.json"

    def _made(self, part: int, gone: NDArray[np.uint64], make: Make) -> Iterator[NDArray[np.void]]:
        return (make(*some) for some in settling.kept(self.folder, part, gone, list(self.columns)))

    def _of_older(
        self, part: int, path: str, gone: NDArray[np.uint64], make: Make
    ) -> Iterator[NDArray[np.void]]:
        if not path:
            yield from self._made(part, gone, make)
            return
        folder, _, name = path.rpartition("/")
        for batch in dataset.batches(folder, name):
            found = np.empty(batch.num_rows, self.type)
            for column in batch.schema.names:
                if column != "row":
                    found[column] = batch.column(column).to_numpy()
            found["document"] = document_numbers(part, batch.column("row").to_numpy())
            yield found[~np.isin(found["document"], gone)]

    def _batch(self, found: NDArray[np.void]) -> pa.RecordBatch:
        columns = {name: found[name] for name in self.kind.schema().names if name != "row"}
        row = (found["document"] & np.uint64((1 << ROW_BITS) - 1)).astype(np.uint32)
        return pa.RecordBatch.from_pydict({"row": row, **columns}, schema=self.kind.schema())
