"""What optimizers need of parameters that may be sharded over ranks (FSDP2's DTensors)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard


def local(tensor: Tensor) -> Tensor:
    """Give this rank's part of a tensor; changes to it change the tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def summed(part: Tensor, like: Tensor) -> Tensor:
    """Sum over the ranks what each computed from its part of `like`, which may be all of it."""
    if not isinstance(like, DTensor):
        return part
    kinds = [Partial() if isinstance(each, Shard) else Replicate() for each in like.placements]
    return DTensor.from_local(part, like.device_mesh, kinds, run_check=False).full_tensor()


def whole(part: Tensor, like: Tensor) -> Tensor:
    """Gather the tensor of which each rank has the part that it has of `like`: a new tensor, or `part`."""
    if not isinstance(like, DTensor):
        return part
    gathered = DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return gathered.full_tensor()


def own(full: Tensor, like: Tensor) -> Tensor:
    """Give the part of a whole tensor that this rank has of `like`."""
    if not isinstance(like, DTensor):
        return full
    everywhere = [Replicate()] * like.device_mesh.ndim
    placed = DTensor.from_local(full, like.device_mesh, everywhere, run_check=False)
    return placed.redistribute(like.device_mesh, like.placements).to_local()


def counter() -> Tensor:
    """Make a step counter at 0: on the CPU, so that reading it never waits for a device."""
    return torch.zeros((), dtype=torch.float32)
