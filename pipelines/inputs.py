"""Facts about a stage's inputs, remembered between builds: checksums, and how large files are cut."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from corpus import files
from corpus.items import Piece
from pipelines.sweep import INPUTS

_AT_ONCE = 8  # files that are hashed, or requests to stores, at the same time
_SETTLED_NS = 2_000_000_000  # as coarse as the times of a file system may be

_Stamp = list[int]


class Checksums:
    """Identifies the content of files; a local file is read only if its size, times or inode changed.

    What is remembered is in the stage's folder; `save` writes it. A file that has just been written is hashed
    again the next time: it could change without a change of its times.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            found = files.read_json(folder, INPUTS)
        except ValueError:  # damaged: hash all files again
            found = None
        self._before: dict[str, Any] = found if isinstance(found, dict) else {}
        self._now: dict[str, list[Any]] = {}
        self._bytes: dict[str, int] = {}

    def of(self, paths: Sequence[str]) -> list[str]:
        """Return the checksums of files, in their order. Raises OSError with the name of one that fails."""
        found = {path: self._remembered(path) for path in paths if files.is_local(path)}
        unknown = [path for path in paths if not found.get(path)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found.update(zip(unknown, pool.map(self._read, unknown), strict=True))
        return [found[path] for path in paths]

    def bytes(self, path: str) -> int:
        """Return the length of a file whose checksum was asked for."""
        if path not in self._bytes:
            self._bytes[path] = files.size("", path) or 0
        return self._bytes[path]

    def pieces(self, path: str, key: str, cut: Callable[[], tuple[Piece, ...]]) -> tuple[Piece, ...]:
        """Return how a file whose checksum was asked for is cut; `key` names what else decides that.

        It is cut again only if the file or the key changed.
        """
        known = self._now.get(path)
        with suppress(ValueError, TypeError, LookupError):  # damaged: cut it again
            if known is not None and known[2:] and known[2][0] == key:
                return tuple(Piece(*map(int, numbers)) for numbers in known[2][1])
        pieces = cut()
        if known is not None:
            known[2:] = [[key, [[piece.start, piece.end, piece.row, piece.bytes] for piece in pieces]]]
        return pieces

    def keep_whole(self, path: str, key: str) -> None:
        """Remember that a file cannot be cut after all."""
        if (known := self._now.get(path)) is not None:
            known[2:] = [[key, []]]

    def _remembered(self, path: str) -> str:
        """Return the checksum of a local file that did not change; "" if it has to be read."""
        stamp = self._stamp(path)
        known = self._before.get(path)
        if not (isinstance(known, list) and len(known) >= 2 and known[0] == stamp):
            return ""
        self._now[path] = known
        return str(known[1])

    def _read(self, path: str) -> str:
        try:
            if not files.is_local(path):
                checksum, self._bytes[path] = files.told(path)
                return checksum
            stamp = self._stamp(path)
            checksum = files.checksum(path)
            is_known = _is_settled(stamp) and self._stamp(path) == stamp
            before = self._before.get(path)
            cuts = before[2:] if isinstance(before, list) and before[1:2] == [checksum] else []
            self._now[path] = [stamp if is_known else [], checksum, *cuts]
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), path) from error
        return checksum

    def _stamp(self, path: str) -> _Stamp:
        """Return what changes with a local file's content, as `files.stamp`, and note its length."""
        found = os.stat(path)
        self._bytes[path] = found.st_size
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]

    @property
    def has_changed(self) -> bool:
        """Return whether there is something to `save`."""
        return self._now != self._before

    def save(self) -> None:
        """Write the facts about the files that were asked for, and no others."""
        # Not indented, unlike other JSON: a hundred thousand files would take seconds.
        files.write_bytes(self._folder, INPUTS, json.dumps(self._now, sort_keys=True).encode() + b"\n")


def _is_settled(stamp: _Stamp) -> bool:
    return time.time_ns() - max(stamp[1], stamp[2]) > _SETTLED_NS
