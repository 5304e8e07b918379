"""The content of a checkpoint: modules, optimizers and other parts as named tensors, saved and loaded.

A state maps names to parts. A part is a module; a list of the optimizers of the state's module; an object
with state_dict and load_state_dict; a tensor; or nested dicts of tensors. Loading changes parts in place,
however they are sharded. Moments of optimizers are saved under their parameters' names, so that they match
on any number of ranks. Learning rates and other settings are not saved; they come from the configuration.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, ReadItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer
from torch.serialization import get_crc32_options, set_crc32_options

from corpus.errors import Signal
from trainer import contents


class StateError(Signal):
    """A checkpoint does not match the state it is loaded into; the message says how they differ."""


def collect(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors and values of a state, by name: not copies, so that they can be loaded into."""
    return {name: _content(part, state) for name, part in state.items()}


def staged(content: Any) -> Any:
    """Copy the result of `collect` to host memory, so that training may change the originals."""
    copied = _copied(content)
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # the copies to pinned memory are asynchronous
    return copied


def size(content: Any) -> int:
    """Return the bytes of all tensors, over all ranks together."""
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()  # for a DTensor: of the whole tensor
    if isinstance(content, Mapping):
        return sum(size(each) for each in content.values())
    return 0


def write(folder: Path, content: dict[str, Any], group: dist.ProcessGroup | None) -> None:
    """Write staged content into a folder, by all ranks of the group together; flushed to disk."""
    _expect_no_group()
    writer = FileSystemWriter(folder, sync_files=True)
    before = get_crc32_options()
    set_crc32_options(False)  # it takes 3/4 of the write time; Checkpoints has checksums of whole files
    try:
        save(content, storage_writer=writer, process_group=group, no_dist=group is None)
    finally:
        set_crc32_options(before)


def read(folder: Path, state: Mapping[str, Any], group: dist.ProcessGroup | None) -> None:
    """Load a folder into a state, in place; nothing in the folder can run code.

    Raises torch's CheckpointException, from a StateError if the folder does not match, and ContentsError for
    an invalid table of contents.
    """
    _expect_no_group()
    reader = _Reader(folder)
    held = reader.read_metadata().state_dict_metadata
    for name, part in state.items():
        if _optimizers(part):
            _prepare(part, begun=any(key.startswith(f"{name}.") for key in held))
    content = collect(state)
    load(content, storage_reader=reader, planner=_Planner(), process_group=group, no_dist=group is None)
    for name, part in state.items():
        if _optimizers(part):
            _restore(part, content[name], _names(state))
        elif not isinstance(part, nn.Module) and hasattr(part, "load_state_dict"):
            part.load_state_dict(content[name])
        # A module's tensors and plain ones were loaded in place.


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


def _content(part: Any, state: Mapping[str, Any]) -> Any:
    """Return the tensors and values of one part."""
    if isinstance(part, nn.Module):
        return _once(part)
    if _optimizers(part):
        names = _names(state)
        return {
            names[parameter]: dict(values)
            for optimizer in part
            for parameter, values in optimizer.state.items()
            if values
        }
    return part.state_dict() if hasattr(part, "state_dict") else part


def _once(module: nn.Module) -> dict[str, Any]:
    """Return a module's parameters and buffers by name; tied weights by the first of their names."""
    content = module.state_dict()  # called first: FSDP returns to its shards
    first = {name for name, _ in module.named_parameters()}
    every = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return {name: value for name, value in content.items() if name not in every - first}


def _optimizers(part: Any) -> bool:
    """Return whether a part is a list of optimizers."""
    return isinstance(part, list) and all(isinstance(each, Optimizer) for each in part)


def _names(state: Mapping[str, Any]) -> dict[Tensor, str]:
    """Return the names of the parameters of a state's module."""
    modules = [part for part in state.values() if isinstance(part, nn.Module)]
    assert len(modules) == 1, "optimizers are saved and loaded together with the module that they train"
    return {parameter: name for name, parameter in modules[0].named_parameters()}


def _prepare(optimizers: Sequence[Optimizer], *, begun: bool) -> None:
    """Let optimizers create moments to load into, or remove them if the checkpoint has none.

    Only an optimizer knows the shapes and shards of its moments, and it creates them in its first step: here
    one with zero gradients at a learning rate of zero. Everything that it changes is loaded afterwards.
    """
    for optimizer in optimizers:
        if not begun:
            optimizer.state.clear()
        elif not optimizer.state:
            rates = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                group["lr"] = 0.0
                for parameter in group["params"]:
                    parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


def _restore(
    optimizers: Sequence[Optimizer], content: Mapping[str, Any], names: Mapping[Tensor, str]
) -> None:
    """Set the values of optimizers that are not tensors; the tensors were loaded in place."""
    for optimizer in optimizers:
        for parameter, values in optimizer.state.items():
            values.update(content[names[parameter]])


def _copied(content: Any) -> Any:
    """Return a copy of nested tensors in host memory, and of all other values."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True, non_blocking=True)
    if isinstance(content, Mapping):
        return {name: _copied(each) for name, each in content.items()}
    return copy.deepcopy(content)


def _expect_no_group() -> None:
    """Silence torch's warning about a single process."""
    warnings.filterwarnings("ignore", "torch.distributed is disabled")
