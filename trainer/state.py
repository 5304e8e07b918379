"""The content of a checkpoint: modules, optimizers and other parts of a run as named tensors.

A state maps names to parts. A part is a module; a list of the optimizers of the state's module; an object
with state_dict and load_state_dict; a tensor; or nested dicts of tensors. Loading changes parts in place,
however they are sharded. Moments of optimizers are saved under their parameters' names, so that they match
on any number of ranks. Learning rates and other settings are not saved; they come from the configuration.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from corpus.errors import Signal
from trainer.optim.shards import sharded


class StateError(Signal):
    """A checkpoint does not match the state it is loaded into; the message says how they differ."""


def collect(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors and values of a state, by name: not copies, so that they can be loaded into."""
    return {name: _content(part, state) for name, part in state.items()}


def staged(content: Mapping[str, Any], rank: int = 0, ranks: int = 1) -> dict[str, Any]:
    """Copy what one of the ranks writes of the result of `collect` to host memory, so that training may
    change the originals: its part of every DTensor, and its share of all that each rank has whole.
    """
    writers = _writers(content, ranks)
    copied: dict[str, Any] = {}
    for path, leaf in _leaves(content):
        if writers.get(path, rank) == rank:
            *folders, name = path
            place = copied
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = _copied(leaf)
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # the copies to pinned memory are asynchronous
    return copied


def size(content: Mapping[str, Any]) -> int:
    """Return the bytes of all tensors, over all ranks together."""
    return sum(_bytes(leaf) for _, leaf in _leaves(content))


def prepare(state: Mapping[str, Any], held: Collection[str]) -> dict[str, Any]:
    """Return the content to load a checkpoint into, in place, that has the tensors and values `held`."""
    for name, part in state.items():
        if _optimizers(part):
            _prepare(part, begun=any(key.startswith(f"{name}.") for key in held))
    return collect(state)


def restore(state: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Set what was not loaded in place: values that are not tensors, and parts with a state of their own."""
    for name, part in state.items():
        if _optimizers(part):
            _restore(part, content[name], _names(state))
        elif not isinstance(part, nn.Module) and hasattr(part, "load_state_dict"):
            part.load_state_dict(content[name])


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


def _leaves(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the tensors and values of nested dicts, each with its names from the outermost on."""
    for name, each in content.items():
        if isinstance(each, Mapping):
            yield from _leaves(each, (*path, name))
        else:
            yield (*path, name), each


def _writers(content: Mapping[str, Any], ranks: int) -> dict[tuple[str, ...], int]:
    """Return the rank that writes each tensor or value that all ranks have whole: the largest first, each to
    the rank with the fewest bytes so far. All ranks find the same, without a message.
    """
    whole = {path: _bytes(leaf) for path, leaf in _leaves(content) if not sharded(leaf)}
    shares = [(0, rank) for rank in range(ranks)]
    found = {}
    for path in sorted(whole, key=lambda path: (-whole[path], path)):
        held, rank = shares[0]
        found[path] = rank
        heapq.heapreplace(shares, (held + whole[path], rank))
    return found


def _bytes(leaf: Any) -> int:
    """Return the bytes of a tensor; of a DTensor, those of the whole tensor."""
    return leaf.numel() * leaf.element_size() if isinstance(leaf, Tensor) else 0


def _copied(leaf: Any) -> Any:
    """Return a copy of a tensor in host memory, or of another value."""
    if isinstance(leaf, Tensor):
        return leaf.detach().to("cpu", copy=True, non_blocking=True)
    return copy.deepcopy(leaf)
