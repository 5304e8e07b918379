"""Checkpoints of a run: written during the training, published whole or not at all, for any number of ranks.

A checkpoint is a folder, `0000001000` for step 1,000: the files of torch.distributed.checkpoint and
`facts.json`, which names its run and data and holds every file's length and checksum. It is written under a
hidden name, flushed to disk, and renamed. So a folder with a number for its name is complete, and a process
killed at any moment leaves the earlier checkpoints unchanged.

The saved state must be the same on every rank, except for DTensors. A rank copies to host memory, and writes,
its part of each DTensor and its share of the rest. Ranks on several machines need one common folder. Object
stores cannot rename a folder atomically, so the folder must be on a local or network file system, from which
finished checkpoints may be copied. Loading a checkpoint runs no code from it (`trainer.contents`).
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
import xxhash
from torch import Tensor

from corpus.errors import CheckpointError, DerlemError, ElsewhereError, PeerError
from trainer import contents
from trainer import state as states
from trainer.contents import ContentsError
from trainer.world import World

FACTS = "facts.json"

_T = TypeVar("_T")
_CHUNK = 1 << 24  # bytes hashed at once
_SLOWEST_DISK = timedelta(hours=4)  # longest wait for a rank that writes


class Copy(Protocol):
    """A copy of the checkpoints elsewhere (`trainer.mirror`)."""

    def upload(self, step: int) -> None: ...

    def needs(self, step: int) -> bool: ...


class Checkpoints:
    """The checkpoints of one run, in one folder; at most one is being written, during the training.

    `keep`: number of latest checkpoints to keep; multiples of `keep_every` are kept too (0: none). With
    several ranks, each has one such object and calls `save`, `wait` and `load` as the others do. Only one run
    at a time may save into a folder, in a `with` block; any number of processes may read. `copy` receives
    each finished checkpoint on the first rank; those that it still needs are kept.
    """

    def __init__(
        self,
        folder: str | Path,
        keep: int = 1,
        keep_every: int = 0,
        world: World | None = None,
        copy: Copy | None = None,
    ) -> None:
        if re.match(r"\w{2,}:/", str(folder)):  # a Path keeps only one of a URL's slashes
            raise CheckpointError(
                f"{folder}: checkpoints need a file system that renames folders; name a local or network "
                "folder, and the URL as checkpoint.mirror to have them copied there"
            )
        self.folder = Path(folder)
        self._keep, self._keep_every, self._copy = keep, keep_every, copy
        self._world = world
        self._rank, self._size = (world.rank, world.size) if world is not None else (0, 1)
        # A separate group: the training's messages must not mix with those of the writing thread.
        self._group = dist.new_group(backend="gloo", timeout=_SLOWEST_DISK) if self._size > 1 else None
        device = world.device if world is not None else torch.device("cpu")
        self._thread = ThreadPoolExecutor(1, "checkpoint", partial(_use, device))
        self._writing: Future[None] | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the checkpoint being written before the ranks part, also if training has failed."""
        try:
            self.wait()
        except (CheckpointError, ElsewhereError, PeerError):
            if error is None:
                raise

    def steps(self) -> list[int]:
        """Return the steps of finished checkpoints, ascending."""
        if not self.folder.is_dir():
            return []
        named = [path for path in self.folder.iterdir() if re.fullmatch(r"\d{10,}", path.name)]
        return sorted(int(path.name) for path in named if (path / FACTS).exists())

    def latest(self) -> int | None:
        """Return the step of the latest finished checkpoint."""
        return max(self.steps(), default=None)

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.folder / f"{step:010d}"

    def facts(self, step: int) -> dict[str, Any]:
        """Return the facts of a checkpoint: those it was saved with, its step, versions and files.

        Raises CheckpointError if it does not exist or is damaged.
        """
        try:
            facts = json.loads((self.path(step) / FACTS).read_bytes())
        except FileNotFoundError:
            held = ", ".join(map(str, self.steps())) or "none"
            raise CheckpointError(
                f"{self.folder}: no checkpoint of step {step}; existing ones: {held}"
            ) from None
        except OSError as error:
            raise self._damaged(step, f"{FACTS} cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise self._damaged(step, f"{FACTS} is not JSON ({error})") from None
        if not isinstance(facts, dict) or not _listed(facts.get("files")):
            raise self._damaged(step, f"{FACTS} lists no files with lengths and checksums")
        return facts

    def fact(self, step: int, name: str) -> str:
        """Return one fact of a checkpoint, a string; CheckpointError if it is missing."""
        found = self.facts(step).get(name)
        if not isinstance(found, str):
            raise self._damaged(step, f"{FACTS} has no {name}")
        return found

    def save(self, step: int, state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Copy what this rank writes to host memory and write it in a thread: training may continue at once.

        `state`: see trainer.state. `facts` are JSON: the run and data that the state belongs to. Waits for
        the previous checkpoint; raises CheckpointError if that one could not be written.
        """
        self.wait()
        content = states.collect(state)
        staged = states.staged(content, self._rank, self._size)
        size = states.size(content)
        self._writing = self._thread.submit(self._write, step, staged, size, json.loads(json.dumps(facts)))

    def wait(self) -> None:
        """Wait until the checkpoint being written is on disk.

        Raises CheckpointError if writing failed, PeerError if another rank ended meanwhile.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def load(self, step: int, state: Mapping[str, Any]) -> None:
        """Load a checkpoint into `state`, in place, sharded over ranks as the state is.

        The state may have fewer parts than the checkpoint: the model without optimizers, for example. Raises
        CheckpointError if the checkpoint is damaged, or differs from the state.
        """
        self.wait()
        self._together(lambda: self.verify(step, self._rank, self._size))
        from trainer import dcp

        try:
            dcp.read(self.path(step), state, self._group)
        except (states.StateError, ContentsError) as error:
            raise self._failed(f"{self.path(step)}: {_cause(error)}") from error

    def _write(self, step: int, staged: dict[str, Any], size: int, facts: dict[str, Any]) -> None:
        """Write, hash and publish a checkpoint of `size` bytes over all ranks; runs in the thread."""
        from trainer import dcp

        hidden = self.folder / f".{step:010d}.partial"
        try:
            self._together(lambda: self._prepare(step, size))
            dcp.write(hidden, staged, self._group)
            files = self._together(lambda: self._hashes(hidden))
            merged = {name: each for part in files for name, each in sorted(part.items())}
            found = {"derlem": version("derlem"), "torch": torch.__version__, "ranks": self._size}
            self._together(
                lambda: self._publish(step, hidden, {**facts, "step": step, **found, "files": merged})
            )
        except Exception as error:  # any error: raised again where training waits
            if self._rank == 0:
                shutil.rmtree(hidden, ignore_errors=True)
            finished = ", ".join(map(str, self.steps())) or "none"
            if self._world is not None and (lost := self._world.lost(error)):
                raise PeerError(f"{lost} while step {step:,} was saved; checkpoints: {finished}") from error
            raise self._failed(
                f"{self.path(step)}: not written: {_cause(error)}; {self._free()}, finished checkpoints "
                f"are unchanged: {finished}"
            ) from error

    def _prepare(self, step: int, size: int) -> None:
        """Remove what killed processes left, and check that `size` bytes can be written."""
        if self._rank:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if re.fullmatch(r"\.\d{10,}\.(partial|removed)", path.name):
                shutil.rmtree(path)
        if self.path(step).exists():
            raise CheckpointError("a checkpoint of this step already exists; remove it to write another")
        if size > shutil.disk_usage(self.folder).free:
            raise CheckpointError(f"it needs {size:,} bytes")

    def _hashes(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Return length and checksum of the files that this rank wrote, still in the page cache."""
        mine = [path for path in folder.iterdir() if path.name.startswith(f"__{self._rank}_")]
        if self._rank == 0:
            mine.append(folder / contents.NAME)
        return {path.name: {"bytes": path.stat().st_size, "xxh3": _checksum(path)} for path in mine}

    def _publish(self, step: int, hidden: Path, facts: dict[str, Any]) -> None:
        """Rename the written checkpoint to its final name, then remove those that are not kept."""
        if self._rank:
            return
        with (hidden / FACTS).open("x") as file:
            json.dump(facts, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        _flush(hidden)
        hidden.rename(self.path(step))
        _flush(self.folder)
        if self._copy is not None:
            self._copy.upload(step)
        for old in self.steps()[: -self._keep]:
            if self._copy is not None and self._copy.needs(old):
                continue
            if not self._keep_every or old % self._keep_every:
                removed = self.path(old).rename(self.folder / f".{old:010d}.removed")
                shutil.rmtree(removed, ignore_errors=True)  # what is left is removed before the next one

    def verify(self, step: int, rank: int = 0, ranks: int = 1, only: Collection[str] | None = None) -> None:
        """Compare one rank's share of a checkpoint's files, or `only` these, with lengths and checksums.

        Raises CheckpointError for the first that differs.
        """
        files = sorted(self.facts(step)["files"].items())
        for name, expected in files[rank::ranks]:
            if only is not None and name not in only:
                continue
            path = self.path(step) / name
            try:
                length = path.stat().st_size
            except FileNotFoundError:
                raise self._damaged(step, f"{name} is missing") from None
            if length != expected["bytes"]:
                raise self._damaged(step, f"{name} has {length:,} bytes, expected {expected['bytes']:,}")
            if (found := _checksum(path)) != expected["xxh3"]:
                raise self._damaged(step, f"{name} has checksum {found}, expected {expected['xxh3']}")

    def tensors(self, step: int, part: str) -> dict[str, Tensor]:
        """Return the tensors of one part of a checkpoint, whole and in host memory, by their names in it.

        It needs no state to load into, no other rank and no torch.distributed. Only files that hold these
        tensors are read and verified. Raises CheckpointError if they are missing or damaged.
        """
        self.facts(step)
        try:
            pieces = [each for each in contents.pieces(self.path(step)) if each.name.startswith(f"{part}.")]
            if not pieces:
                raise ContentsError(f"it has no {part}")
            self.verify(step, only={piece.file for piece in pieces} | {contents.NAME})
            found: dict[str, Tensor] = {}
            for piece in pieces:
                with (self.path(step) / piece.file).open("rb") as file:
                    file.seek(piece.begin)
                    held = torch.load(io.BytesIO(file.read(piece.bytes)), weights_only=True)
                whole = found.setdefault(piece.name.removeprefix(f"{part}."), held)
                if tuple(whole.shape) != piece.shape:
                    whole = found[piece.name.removeprefix(f"{part}.")] = held.new_empty(piece.shape)
                place = tuple(
                    slice(at, at + size) for at, size in zip(piece.offsets, held.shape, strict=True)
                )
                if whole is not held:
                    whole[place] = held
            return found
        except (ContentsError, pickle.UnpicklingError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.path(step)}: {_cause(error)}") from None

    def _damaged(self, step: int, what: str) -> CheckpointError:
        """Return an error that says what is wrong with a checkpoint, and which one can be used instead."""
        earlier = [each for each in self.steps() if each < step]
        rest = f"resume from step {earlier[-1]}" if earlier else "start again: there is no earlier one"
        return CheckpointError(f"{self.path(step)}: damaged: {what}; remove this folder to {rest}")

    def _free(self) -> str:
        """Return a phrase about the free space."""
        try:
            return f"{shutil.disk_usage(self.folder).free:,} bytes are free"
        except OSError as error:
            return f"the folder cannot be read ({error})"

    def _failed(self, message: str) -> DerlemError:
        """Return the error of all ranks: the first one reports it."""
        if self._rank == 0:
            return CheckpointError(message)
        return ElsewhereError(message, CheckpointError.status)

    def _together(self, function: Callable[[], _T]) -> list[_T]:
        """Call a function on every rank; return all results on all ranks, or raise the error of one."""
        if self._group is None:
            return [function()]
        mine: tuple[_T | None, str | None]
        try:
            mine = function(), None
        except Exception as error:  # any error: the other ranks wait for an answer
            mine = None, _cause(error)
        answers: list[Any] = [None] * self._size
        dist.all_gather_object(answers, mine, self._group)
        for _, failure in answers:
            if failure is not None:
                raise self._failed(failure)
        return [result for result, _ in answers]


def _cause(error: BaseException) -> str:
    """Return the cause in one line."""
    expected = isinstance(error, (CheckpointError, ElsewhereError, states.StateError, ContentsError))
    return str(error) if expected else f"{type(error).__name__}: {error}"


def _listed(held: object) -> bool:
    """Return whether an object maps file names to lengths and checksums."""
    return isinstance(held, dict) and all(
        isinstance(each, dict) and isinstance(each.get("bytes"), int) and isinstance(each.get("xxh3"), str)
        for each in held.values()
    )


def _checksum(path: Path) -> str:
    """Return the hash of a file (XXH3, 64 bits)."""
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    """Flush the names in a folder to disk, so that they survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _use(device: torch.device) -> None:
    """Set a thread's GPU to its rank's: torch would otherwise use the first one, and take memory there."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
