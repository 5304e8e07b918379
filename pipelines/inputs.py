"""The checksums of a stage's inputs, remembered from one build to the next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from corpus import files
from pipelines.sweep import INPUTS

_AT_ONCE = 8  # files that are hashed, or stores that are asked, side by side
_SETTLED_NS = 2_000_000_000  # as coarse as the times of a file system may be


class Checksums:
    """Names the content of files, and hashes a local one only where it does not look as it did.

    What is remembered is in the stage's folder; `save` writes it. Of a file that has just been written
    nothing is: it could change again without a change of its times.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            found = files.read_json(folder, INPUTS)
        except ValueError:  # damaged: all is hashed again
            found = None
        self._before: dict[str, Any] = found if isinstance(found, dict) else {}
        self._now: dict[str, list[object]] = {}

    def of(self, paths: Iterable[str]) -> list[str]:
        """Return the checksums of files, in their order. Raises OSError with the name of one that fails."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._of, paths))

    def _of(self, path: str) -> str:
        if not files.is_local(path):
            return files.checksum(path)
        try:
            stamp = files.stamp(path)
            known = self._before.get(path)
            is_known = isinstance(known, list) and len(known) == 2 and known[0] == stamp
            checksum = str(self._before[path][1]) if is_known else files.checksum(path)
            settled = time.time_ns() - max(stamp[1], stamp[2]) > _SETTLED_NS
            if settled and (is_known or files.stamp(path) == stamp):
                self._now[path] = [stamp, checksum]
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), path) from error
        return checksum

    def save(self) -> None:
        """Remember what was asked for, and nothing else."""
        if self._now != self._before:
            files.write_json(self._folder, INPUTS, self._now)
