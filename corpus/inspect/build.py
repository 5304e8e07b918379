"""The output folder of a build: its finished stages, and the manifest of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from corpus import chain, files
from corpus.dataset import MANIFEST, Manifest, batches, load
from corpus.errors import NotThereError
from corpus.schema import KINDS


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage: its folder, the folder's name in paths shown to people, and its manifest."""

    folder: str
    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Build:
    """The finished stages below one folder, by their names in `corpus.chain`, in its order."""

    root: str
    finished: Mapping[str, Stage] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """Return the finished stages in the order of the chain."""
        return list(self.finished.values())

    def get(self, name: str) -> Stage | None:
        """Return the stage called `name`, None where it is not finished."""
        return self.finished.get(name)

    def need(self, name: str, purpose: str) -> Stage:
        """Return the stage called `name`; NotThereError, saying what for, where it is not finished."""
        stage = self.finished.get(name)
        if stage is None:
            raise NotThereError(
                f"{self.root} has no finished stage {chain.find(name).folder}/, which is needed to "
                f"{purpose}; give the output folder of the whole build, or run `derlem build --until {name}`"
            )
        return stage

    def last(self, kind: str) -> Stage | None:
        """Return the last finished stage that writes files of `kind`, None where there is none."""
        found = self.holding(kind)
        return found[-1] if found else None

    def holding(self, kind: str) -> list[Stage]:
        """Return the finished stages that write files of `kind`, in the order of the chain."""
        return [self.finished[stage.name] for stage in chain.writes(kind) if stage.name in self.finished]

    def batches(self, kind: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all files of `kind`, batch by batch, only the named columns where given.

        `kind` is one of `corpus.schema.KINDS`: extracted, documents, dropped, rejected, removed, shard ….
        Raises NotThereError where no finished stage has such files.
        """
        for stage in self._need_holding(kind):
            for file in stage.manifest.files(kind):
                yield from batches(stage.folder, file.path, columns)

    def table(self, kind: str, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of all files of `kind` as one table, which Polars takes as it is; see `batches`."""
        found = list(self.batches(kind, columns))
        schema = found[0].schema if found else KINDS[kind].schema()
        names = schema.names if columns is None else columns
        return pa.Table.from_batches(found, pa.schema([schema.field(name) for name in names]))

    def _need_holding(self, kind: str) -> list[Stage]:
        holding = self.holding(kind)
        if not holding:
            kinds = dict.fromkeys(kind for stage in chain.STAGES for kind in stage.files)
            raise NotThereError(
                f"{self.root} has no files of kind {kind!r}; there are: "
                f"{', '.join(kind for kind in kinds if self.holding(kind)) or 'none'}"
            )
        return holding

    def need_last(self, kind: str, purpose: str) -> Stage:
        """Return the last finished stage that writes files of `kind`; NotThereError where there is none."""
        return self.last(kind) or self.need(chain.writes(kind)[-1].name, purpose)


def open_build(root: str) -> Build:
    """Find the stages of a build's output folder, or take `root` itself as the folder of one stage.

    Raises NotThereError where there is neither.
    """
    if files.size(root, MANIFEST) is not None:
        manifest = load(root)
        if manifest.stage not in chain.names():
            raise NotThereError(
                f"{root} is the folder of stage {manifest.stage!r}, expected one of "
                f"{', '.join(chain.names())}, or the output folder of a build"
            )
        name = manifest.stage
        return Build(root, {name: Stage(root, chain.find(name).folder, manifest)})
    found = {
        stage.name: Stage(folder, stage.folder, load(folder))
        for stage in chain.STAGES
        if files.size(folder := files.join(root, stage.folder), MANIFEST) is not None
    }
    if not found:
        listed = ", ".join(f"{stage.folder}/{MANIFEST}" for stage in chain.STAGES)
        raise NotThereError(
            f"{root} holds no finished stage: none of {listed} exists; give the output folder of a build, "
            f"or run the build until its first stage is done"
        )
    return Build(root, found)
