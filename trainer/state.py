"""The content of a checkpoint: modules, optimizers and other parts of a run as named tensors.

A state maps names to parts. A part is a module; a list of the optimizers of the state's module; an object
with state_dict and load_state_dict; a tensor; or nested dicts of tensors. Loading changes parts in place,
however they are sharded. Moments of optimizers are saved under their parameters' names, so that they match
on any number of ranks. Learning rates and other settings are not saved; they come from the configuration.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from corpus.errors import Signal


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


def _copied(content: Any) -> Any:
    """Return a copy of nested tensors in host memory, and of all other values."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True, non_blocking=True)
    if isinstance(content, Mapping):
        return {name: _copied(each) for name, each in content.items()}
    return copy.deepcopy(content)
