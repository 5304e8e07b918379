"""The output folder of a build: which stages are there, and the manifest of each."""

from __future__ import annotations

from dataclasses import dataclass

from corpus import files
from corpus.dataset import MANIFEST, Manifest, NotThereError, load

# The folder of each stage and the kinds of file that tell it.
FOLDERS = {
    "clean": ("documents", "dropped", "rejected"),
    "dedupe": ("removed",),
    "shards": ("shard",),
    "tokens": ("tokens16", "tokens32"),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage: where it lies, what it is called in paths shown to people, and its manifest."""

    folder: str
    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Build:
    """The finished stages below one folder, None for those that are not there."""

    root: str
    clean: Stage | None = None
    dedupe: Stage | None = None
    shards: Stage | None = None
    tokens: Stage | None = None

    def stages(self) -> list[Stage]:
        """Return the stages that are there, in the order in which a build makes them."""
        there = (self.clean, self.dedupe, self.shards, self.tokens)
        return [stage for stage in there if stage is not None]

    def need_clean(self, purpose: str) -> Stage:
        """Return the clean stage; DatasetError where it is not there."""
        return _need(self.clean, self.root, "clean", purpose)

    def need_dedupe(self, purpose: str) -> Stage:
        """Return the dedupe stage; DatasetError where it is not there."""
        return _need(self.dedupe, self.root, "dedupe", purpose)

    def need_shards(self, purpose: str) -> Stage:
        """Return the shard stage; DatasetError where it is not there."""
        return _need(self.shards, self.root, "shards", purpose)

    def need_tokens(self, purpose: str) -> Stage:
        """Return the tokenize stage; DatasetError where it is not there."""
        return _need(self.tokens, self.root, "tokens", purpose)


def open_build(root: str) -> Build:
    """Find the stages of a build's output folder, or take `root` itself as the folder of one stage.

    Raises DatasetError where there is neither.
    """
    if files.size(root, MANIFEST) is not None:
        manifest = load(root)
        kinds = {file.kind for unit in manifest.units for file in unit.files}
        for name, telling in FOLDERS.items():
            if kinds & set(telling):
                return Build(root, **{name: Stage(root, name, manifest)})
        raise NotThereError(
            f"{root} is the folder of stage {manifest.stage!r} with files of kind {sorted(kinds) or 'none'}; "
            f"expected a stage that holds documents ({', '.join(FOLDERS)}) or the output folder of a build"
        )
    found = {
        name: Stage(folder, name, load(folder))
        for name in FOLDERS
        if files.size(folder := files.join(root, name), MANIFEST) is not None
    }
    if not found:
        raise NotThereError(
            f"{root} holds no finished stage: none of {', '.join(f'{name}/{MANIFEST}' for name in FOLDERS)} "
            f"is there; give the output folder of a build, or run the build until its first stage is done"
        )
    return Build(root, **found)


def _need(stage: Stage | None, root: str, name: str, purpose: str) -> Stage:
    if stage is None:
        how = "`derlem build --until tokenize`" if name == "tokens" else f"the build until {name} is done"
        raise NotThereError(
            f"{root} has no finished stage {name}/, which is needed to {purpose}; give the output folder of "
            f"the whole build, or run {how}"
        )
    return stage
