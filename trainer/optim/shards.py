"""Helpers of optimizers for parameters that may be sharded over ranks (FSDP2's DTensors)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor, Replicate, Shard


def sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    """Return whether a tensor is a DTensor, without importing that class, which takes a second.

    Where its module is not imported, none exists.
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """Return this rank's part of a tensor; changes to it change the tensor."""
    return tensor.to_local() if sharded(tensor) else tensor


def sum_over_ranks(part: Tensor, like: Tensor) -> Tensor:
    """Return the sum over ranks of what each computed from its part of `like`, which may be all of it."""
    if not sharded(like):
        return part
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

    kinds = [Partial() if isinstance(each, Shard) else Replicate() for each in like.placements]
    return DTensor.from_local(part, like.device_mesh, kinds, run_check=False).full_tensor()


def gather(stack: Tensor, like: Tensor) -> Tensor:
    """Gather whole parameters [n, *shape]; each rank passes the parts that it has of `like`."""
    if not sharded(like):
        return stack
    from torch.distributed.tensor import DTensor

    placed = DTensor.from_local(
        stack,
        like.device_mesh,
        _behind(like),
        run_check=False,
        shape=torch.Size((len(stack), *like.shape)),
        stride=(like.numel(), *like.stride()),
    )
    return placed.full_tensor()


def my_shard(stack: Tensor, like: Tensor) -> Tensor:
    """Return this rank's parts of whole parameters [n, *shape], sharded as `like` is; no communication."""
    if not sharded(like):
        return stack
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * like.device_mesh.ndim
    placed = DTensor.from_local(stack, like.device_mesh, everywhere, run_check=False)
    return placed.redistribute(like.device_mesh, _behind(like)).to_local()


def _behind(like: DTensor) -> list[Shard | Replicate]:
    """Return the placements of a stack of tensors that are placed as `like` is."""
    from torch.distributed.tensor import Replicate, Shard

    return [Shard(each.dim + 1) if isinstance(each, Shard) else Replicate() for each in like.placements]


def counter(like: Tensor) -> Tensor:
    """Return a step counter at 0, on the device of a parameter, which alone knows what steps are skipped."""
    return torch.zeros((), dtype=torch.float32, device=like.device)
