"""Wrap a model for several ranks: DDP or FSDP2, compiled and recomputed blocks, gradients as sums.

Ranks see different rows of a step's batch, and the gradient of a wrapped model is the SUM over ranks (and
over micro-batches): nothing is divided by the number of ranks or micro-batches. So a loss that is a sum
over targets, divided by the number of targets of the whole global batch (`World.total`), gives the same
gradient for every division of the batch, also if ranks have unequal numbers of targets.

Call a wrapped model as `model(tokens, documents, targets)`; for everything else (optimizers, averages,
checkpoints, names of parameters) use the model that was wrapped. Other methods bypass what FSDP does
before and after a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from corpus.errors import ConfigError
from trainer import config
from trainer.shape import Shape
from trainer.world import World

Kind = Literal["alone", "ddp", "fsdp"]


def kind(run: config.Run, world: World) -> Kind:
    """Return how a model will be wrapped: "alone" for one rank, whatever the configuration says."""
    if world.size == 1:
        return "alone"
    return "fsdp" if run.parallel == "fsdp" else "ddp"


def compiles(run: config.Run, world: World, shape: Shape, dtype: torch.dtype) -> bool:
    """Return whether to compile; torch compiles products of experts in bfloat16 only, else ConfigError."""
    able = not shape.experts or dtype == torch.bfloat16
    if run.compile == "always" and not able:
        raise ConfigError(
            'run.compile = "always": a model with experts is compiled in bfloat16 only; set run.dtype = '
            '"bfloat16", or run.compile = "auto"'
        )
    return able and (run.compile == "always" or (run.compile == "auto" and world.device.type == "cuda"))


def wrap(
    model: nn.Module, world: World, how: Kind, *, compiled: bool = False, recompute: bool = False
) -> nn.Module:
    """Prepare a model for training on all ranks; it is changed in place, the result is what to call.

    `model` has `blocks` (an nn.ModuleList), the same weights on every rank, on world.device, and
    `compute_dtype`. `compiled`: apply torch.compile to each block. `recompute`: recompute a block's
    activations in the backward pass.
    """
    blocks = _blocks(model)
    for block in blocks:
        # The function is replaced, not the module: names of parameters stay, and FSDP's hooks, which gather
        # the weights, run outside the compiled and recomputed code.
        forward = block.forward
        if compiled:
            forward = torch.compile(forward, dynamic=False)
        if recompute:
            # The state of the generators costs a copy from the device: it is kept only where dropout draws.
            keep = any(isinstance(module, nn.Dropout) for module in block.modules())
            forward = partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=keep)
        block.forward = forward
    if how == "ddp":
        return _ddp(model)
    if how == "fsdp":
        _fsdp(model, blocks, world)
    return model


@contextmanager
def accumulate(model: nn.Module, *, last: bool) -> Iterator[None]:
    """Surround forward and backward of a micro-batch: only the last one of a step sums over ranks.

    Every rank has the same number of micro-batches per step.
    """
    if isinstance(model, DistributedDataParallel):
        if last:
            yield
        else:
            with model.no_sync():
                yield
        return
    if hasattr(model, "set_requires_gradient_sync"):  # FSDP2 gives its modules such methods
        model.set_requires_gradient_sync(last)  # type: ignore[operator]
        model.set_is_last_backward(last)  # type: ignore[operator]
    yield


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the modules that are compiled, recomputed and gathered one by one."""
    blocks = model.blocks
    assert isinstance(blocks, nn.ModuleList)
    return list(blocks)


def _ddp(model: nn.Module) -> DistributedDataParallel:
    """Keep all weights on every rank; sum gradients."""
    # Buffers are the same on every rank: the biases of routers, which all change alike.
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)
    wrapped.register_comm_hook(None, lambda _, bucket: _sum(bucket.buffer()))
    return wrapped


def _sum(gradients: Tensor) -> Any:
    """Sum gradients over ranks; DDP's default is the mean. Return a future."""
    work: Any = dist.all_reduce(gradients, dist.ReduceOp.SUM, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def _fsdp(model: nn.Module, blocks: list[nn.Module], world: World) -> None:
    """Shard every block, and the rest of the model, over all ranks; sum gradients in float32."""
    # Imported here, like all that one process does not use: these take a second of processor time.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    before = _shared(model)
    dtype = model.compute_dtype
    assert isinstance(dtype, torch.dtype)
    settings: dict[str, Any] = {
        "mesh": init_device_mesh(world.device.type, (world.size,)),
        # Inputs are not cast: documents and positions are not activations.
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=None if dtype == torch.float32 else dtype,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        ),
        # For the root too, where FSDP's default is False: weights gathered for an evaluation would
        # still be used after an average of weights was swapped in or out.
        "reshard_after_forward": True,
    }
    for block in blocks:
        fully_shard(block, **settings)
    fully_shard(model, **settings)
    for module in model.modules():
        if isinstance(module, FSDPModule):  # neither setting applies to inner modules
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    if _shared(model) != before:
        raise AssertionError(f"sharding has untied shared parameters: {before - _shared(model)}")


def _shared(model: nn.Module) -> set[tuple[str, ...]]:
    """Return the groups of names that share one parameter."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {tuple(each) for each in names.values() if len(each) > 1}
