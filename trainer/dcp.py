"""The files of a checkpoint, by torch.distributed.checkpoint: written and read by all ranks, run no code.

Imported where a checkpoint is written or loaded, not before: it takes a second of processor time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, ReadItem, SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future
from torch.serialization import get_crc32_options, set_crc32_options

from trainer import contents
from trainer import state as states
from trainer.contents import ContentsError
from trainer.state import StateError


def write(folder: Path, content: dict[str, Any], group: dist.ProcessGroup | None) -> None:
    """Write staged content into a folder, by all ranks of the group together; flushed to disk.

    Raises StateError where it cannot be written.
    """
    _expect_no_group()
    writer = _Writer(folder, sync_files=True)
    before = get_crc32_options()
    set_crc32_options(False)  # it takes 3/4 of the write time; Checkpoints has checksums of whole files
    try:
        save(content, storage_writer=writer, process_group=group, no_dist=group is None)
    except CheckpointException as error:
        raise StateError(_cause(error)) from error
    finally:
        set_crc32_options(before)


def read(folder: Path, state: Mapping[str, Any], group: dist.ProcessGroup | None) -> None:
    """Load a folder into a state, in place; nothing in the folder can run code.

    Raises StateError if the folder does not match or cannot be read, and ContentsError for an invalid table
    of contents.
    """
    _expect_no_group()
    reader = _Reader(folder)
    held = reader.read_metadata().state_dict_metadata
    content = states.prepare(state, held)
    try:
        load(content, storage_reader=reader, planner=_Planner(), process_group=group, no_dist=group is None)
    except CheckpointException as error:
        raise StateError(_cause(error)) from error
    states.restore(state, content)


class _Writer(FileSystemWriter):
    """Write a file for each part of the state: the model can then be read and verified without the rest."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        parts: dict[str, list[Any]] = {}
        for item in plan.items:
            parts.setdefault(item.index.fqn.partition(".")[0], []).append(item)
        files: SimpleQueue[Any] = SimpleQueue()
        for number, items in enumerate(parts.values()):
            name = f"{plan.storage_data.prefix}{number}.distcp"
            files.put((self.fs.concat_path(self.path, name), name, items))
        return self._write_data(planner, files)  # type: ignore[arg-type]


class _Reader(FileSystemReader):
    """Read the table of contents as data; torch's own reader would unpickle anything."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        found = contents.read(Path(self.path))
        assert found.storage_meta is not None
        found.storage_meta.load_id = self.load_id
        return found


class _Planner(DefaultLoadPlanner):
    """Refuse to load if names, shapes or dtypes differ; torch's own would convert dtypes silently."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Load a value that is not a tensor; torch's own planner would unpickle anything."""
        plain = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), plain)
        plain.seek(0)
        super().load_bytes(read_item, plain)

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        held = self.metadata.state_dict_metadata
        wrong = []
        for name, wanted in self.state_dict.items():
            found, expected = _description(held.get(name)), _description(wanted)
            if found != expected:
                wrong.append(f"{name}: found {found}, expected {expected}")
        parts = tuple(f"{part}." for part in self.original_state_dict)
        wrong += [
            f"{name}: found {_description(found)}, expected nothing"
            for name, found in held.items()
            if name not in self.state_dict and name.startswith(parts)
        ]
        if wrong:
            more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise StateError(f"it differs from this run's state: {'; '.join(wrong[:3])}{more}")
        return super().create_local_plan()


def _description(value: Any) -> str:
    """Describe a value in memory or in a checkpoint's table of contents."""
    match value:
        case None:
            return "nothing"
        case TensorStorageMetadata():
            return f"{value.properties.dtype} {list(value.size)}"
        case Tensor():
            return f"{value.dtype} {list(value.shape)}"
    return "a value"


def _expect_no_group() -> None:
    """Silence torch's warning about a single process."""
    warnings.filterwarnings("ignore", "torch.distributed is disabled")


def _cause(error: CheckpointException) -> str:
    """Return the first of the ranks' errors, in one line."""
    rank, (first, _) = next(iter(sorted(error.failures.items())))
    said = (
        str(first) if isinstance(first, (StateError, ContentsError)) else f"{type(first).__name__}: {first}"
    )
    return f"rank {rank}: {said}" if len(error.failures) == 1 and rank else said
