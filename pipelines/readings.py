"""The inputs of a corpus as units of work: groups of small files, files, and pieces of large ones."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import chain, dataset, files, sources, usercode
from corpus.config import Source
from corpus.errors import ConfigError
from corpus.items import Items, Piece
from corpus.sources import pieces
from corpus.sources.grouping import groups
from corpus.sources.inputs import expand
from corpus.usercode import UserFunction
from pipelines.inputs import Checksums
from pipelines.sweep import UNITS

_CUT_VERSION = 1  # of the bounds of pieces


@dataclass(frozen=True, slots=True)
class Reading:
    """What one unit reads: files of one source by (name, path), or a piece of one."""

    source: Source
    named: tuple[tuple[str, str], ...]
    piece: Piece | None = None
    reader: UserFunction | None = None

    def items(self, path: str) -> Items:
        """Yield what one of the files holds, or the piece of it."""
        return sources.read(self.source, path, self.piece, self.reader)

    @property
    def label(self) -> str:
        """The unit's name in messages."""
        first = self.named[0][0]
        if self.piece is not None:
            return f"{first} [{self.piece.start}:{self.piece.end}]"
        return first if len(self.named) == 1 else f"{first} and {len(self.named) - 1} more"

    @property
    def identity(self) -> dict[str, object]:
        """The settings that decide the unit's items, beside the content of its files; without defaults.

        A reader of the user's own is known by the content of its file, wherever that is.
        """
        found: dict[str, object] = self.source.model_dump(
            mode="json", exclude={"paths", "licence"}, exclude_defaults=True
        )
        if self.reader is not None:
            found["format"] = [self.reader.name, self.reader.sha256]
        if self.piece is not None:
            found["piece"] = [self.piece.start, self.piece.end]
        return found


@dataclass(frozen=True, slots=True)
class Input:
    """A reading, the checksums of its files, and how many bytes it reads."""

    reading: Reading
    inputs: tuple[dataset.Input, ...]
    bytes: int


def find(
    source: Source, base: Path, output: str, known: Checksums, unit: int, uncut: Container[str] = ()
) -> Iterator[Input]:
    """Yield what the units of a source read, of about `unit` bytes each; files of `uncut` are not cut.

    Raises ConfigError where a pattern matches nothing, a file cannot be read or is the build's own, or a
    reader of the user's own cannot be loaded.
    """
    reader = usercode.find(source.format, base) if usercode.is_spec(source.format) else None
    paths = expand(source, str(base))
    _refuse_own(source, paths, output)
    try:
        checksums = known.of(paths)
    except OSError as error:
        raise _unreadable(source, error) from None
    named = list(zip(_names(paths, base), paths, strict=True))
    sizes = [known.bytes(path) for path in paths]
    for group in groups([name for name, _ in named], sizes, unit):
        of_group = tuple(named[index] for index in group)
        inputs = tuple(dataset.Input(name=named[index][0], checksum=checksums[index]) for index in group)
        path = of_group[0][1]
        cut = _pieces(source, path, known, unit, path in uncut) if len(group) == 1 and reader is None else ()
        for piece in cut:
            yield Input(Reading(source, of_group, piece), inputs, piece.bytes)
        if not cut:
            yield Input(Reading(source, of_group, None, reader), inputs, sum(sizes[index] for index in group))


def _pieces(source: Source, path: str, known: Checksums, unit: int, whole: bool) -> tuple[Piece, ...]:
    key = f"{_CUT_VERSION} {source.format} {source.text_unit} {unit}"
    if whole:
        known.keep_whole(path, key)
        return ()
    try:
        return known.pieces(path, key, lambda: pieces.cut(source, path, unit))
    except OSError as error:
        raise _unreadable(source, error) from None


def _unreadable(source: Source, error: OSError) -> ConfigError:
    return ConfigError(f"source {source.name!r}: {error.filename} cannot be read: {error.strerror or error}")


def _refuse_own(source: Source, paths: Sequence[str], output: str) -> None:
    """Raise ConfigError where a source reads what the build itself writes, and may remove."""
    own = tuple(files.join(files.real(files.join(output, name)), "") for name in (*chain.folders(), UNITS))
    folders: dict[str, str] = {}  # each checked once, however many files it has
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = files.real(folder)
        inside = files.join(folders[folder], name).startswith(own)
        if inside or (
            (not files.is_local(path) or os.path.islink(path)) and files.real(path).startswith(own)
        ):
            raise ConfigError(
                f"source {source.name!r}: {path} is in the build's own output {output!r}; name another output"
            )


def _names(paths: Sequence[str], base: Path) -> Iterator[str]:
    """Name inputs as seen from the configuration, so that moving both together changes nothing.

    Bytes of a name that are not UTF-8, as in old archives, become escapes (`\\udcfe`).
    """
    folders: dict[str, str] = {}  # each named once, however many files it has
    for path in paths:
        if not files.is_local(path):
            yield path
            continue
        folder, name = os.path.split(path)
        if folder not in folders:
            is_near = os.path.commonpath([folder, base]) != os.sep
            seen = os.path.relpath(folder, base) if is_near else folder
            folders[folder] = "" if seen == "." else seen
        yield os.path.join(folders[folder], name).encode("utf-8", "backslashreplace").decode("utf-8")
