"""Train on several ranks: start under torchrun, wrap the model, agree on numbers and on stopping.

Ranks see different rows of a step's batch, and the gradient of a wrapped model is the SUM over ranks (and
over micro-batches): nothing is divided by the number of ranks or micro-batches. So a loss that is a sum
over targets, divided by the number of targets of the whole global batch (`World.total`), gives the same
gradient for every division of the batch, also if ranks have unequal numbers of targets.

Call a wrapped model as `model(tokens, documents, targets)`; for everything else (optimizers, averages,
checkpoints, names of parameters) use the model that was wrapped. Other methods bypass what FSDP does
before and after a call.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from corpus.errors import ConfigError
from trainer import config

Kind = Literal["alone", "ddp", "fsdp"]

_LAUNCH = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a run, seen from one of them; with `size` 1 there is no process group."""

    rank: int
    size: int
    local_rank: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Return whether this is the rank that writes what is written once."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum numbers over ranks, element by element, in float64; the same bits on every rank."""
        sums = values.detach().to(torch.float64, copy=True)
        if self.size > 1:
            dist.all_reduce(sums, dist.ReduceOp.SUM)
        return sums

    def agree(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank: the same answer on all, without a device sync."""
        if self.size == 1:
            return flag
        found = torch.tensor(int(flag), dtype=torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.agree(False)


def start(run: config.Run) -> World:
    """Join the ranks that torchrun started; without torchrun, return a world of one rank.

    Raises ConfigError if torchrun's environment is incomplete, or if the device does not exist.
    """
    rank, size, local_rank = _launched(os.environ)
    device = _device(run.device, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size > 1:
        if os.environ["MASTER_ADDR"] in ("127.0.0.1", "localhost", "::1"):
            # Otherwise Gloo looks up this machine's name, which fails or hangs without a name server.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        # Numbers on the host (flags, checkpoints' plans) go through gloo, also with GPUs.
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, device_id=device if device.type == "cuda" else None)
    return World(rank, size, local_rank, device)


def ranks() -> int:
    """Return the number of ranks that torchrun started, without joining them; raises as `start` does."""
    return _launched(os.environ)[1]


def finish(world: World) -> None:
    """Leave the ranks; afterwards neither a wrapped model nor a World may be used."""
    if world.size > 1:
        dist.destroy_process_group()


def kind(run: config.Run, world: World) -> Kind:
    """Return how a model will be wrapped: "alone" for one rank, whatever the configuration says."""
    if world.size == 1:
        return "alone"
    return "fsdp" if run.parallel == "fsdp" else "ddp"


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
            forward = partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)
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
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
        model.set_is_last_backward(last)
    yield


class Stop:
    """Inside the block SIGTERM and Ctrl-C set a flag instead of ending the process; a second Ctrl-C ends it.

    Torchrun passes a signal on to every rank, and they may be at different steps: stop when
    `world.agree(stop.requested)`. It kills them 30 seconds later (its option --shutdown-timeout). Works only
    in the main thread.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Return whether a signal came."""
        return self.signal is not None

    def __enter__(self) -> Stop:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


def _launched(environment: Mapping[str, str]) -> tuple[int, int, int]:
    """Read rank, number of ranks and rank on this machine from torchrun's variables."""
    if "WORLD_SIZE" not in environment and "RANK" not in environment:
        return 0, 1, 0
    numbers = {}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        value = environment.get(name)
        if value is not None and not value.isdecimal():
            raise ConfigError(f"environment: {name} is {value!r}, expected a number; start with torchrun")
        numbers[name] = int(value) if value is not None else 0
    size = numbers["WORLD_SIZE"] if "WORLD_SIZE" in environment else 0
    if size == 1:
        return 0, 1, 0
    if missing := [name for name in ("WORLD_SIZE", *_LAUNCH) if not environment.get(name)]:
        found = "RANK" if "RANK" in environment else f"WORLD_SIZE={size}"
        raise ConfigError(
            f"environment: {found} is set, but not {', '.join(missing)}; start several ranks with "
            "`torchrun --nproc-per-node N`, or unset it to train in one process"
        )
    if numbers["RANK"] >= size:
        raise ConfigError(f"environment: RANK is {numbers['RANK']}, expected less than WORLD_SIZE={size}")
    return numbers["RANK"], size, numbers["LOCAL_RANK"]


def _device(wanted: str, local_rank: int) -> torch.device:
    """Return this rank's device."""
    count = torch.cuda.device_count()
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return torch.device("cpu")
    if count == 0:
        raise ConfigError("run.device is cuda, but torch finds no CUDA device here; use cpu or auto")
    if local_rank >= count:
        raise ConfigError(
            f"local rank {local_rank} has no GPU: this machine has {count}; "
            f"start torchrun with --nproc-per-node {count}"
        )
    return torch.device("cuda", local_rank)


def _loopback() -> str:
    """Return the name of the loopback interface."""
    return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "lo")


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the modules that are compiled, recomputed and gathered one by one."""
    blocks = model.blocks
    assert isinstance(blocks, nn.ModuleList)
    return list(blocks)


def _ddp(model: nn.Module) -> DistributedDataParallel:
    """Keep all weights on every rank; sum gradients."""
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
    wrapped.register_comm_hook(None, lambda _, bucket: _sum(bucket.buffer()))
    return wrapped


def _sum(gradients: Tensor) -> Any:
    """Sum gradients over ranks; DDP's default is the mean. Return a future."""
    work: Any = dist.all_reduce(gradients, dist.ReduceOp.SUM, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def _fsdp(model: nn.Module, blocks: list[nn.Module], world: World) -> None:
    """Shard every block, and the rest of the model, over all ranks; sum gradients in float32."""
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
