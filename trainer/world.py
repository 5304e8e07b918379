"""The ranks of a run: start under torchrun, agree on numbers, answers and errors, stop together, leave."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from corpus.errors import ConfigError, DerlemError, ElsewhereError, PeerError
from trainer import config, device

_T = TypeVar("_T")

_LAUNCH = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

_LOST = re.compile(r"gloo|nccl|Connection (closed|reset|refused)|Broken pipe|process group", re.IGNORECASE)
"""What the messages of a collective that has lost a rank say."""


_ENDING = 2.0  # seconds that the system may take to end a process whose connections are closed


@dataclass(frozen=True, slots=True)
class Peer:
    """The process of a rank: its machine, its number, and what numbers the processes there (`space`)."""

    machine: str
    space: str
    number: int

    @classmethod
    def mine(cls) -> Peer:
        """Return this process."""
        try:
            space = os.readlink("/proc/self/ns/pid")  # containers on one machine number theirs separately
        except OSError:
            space = ""
        return cls(socket.gethostname(), space, os.getpid())

    def has_ended(self) -> bool:
        """Return whether the process is gone, or dead and waits for its parent; it must be of this space."""
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        try:
            state = Path(f"/proc/{self.number}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return False  # not Linux
        return state in "ZX"


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a run, seen from one of them; with `size` 1 there is no process group.

    `peers` are the processes of all ranks, in their order.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device
    peers: tuple[Peer, ...] = ()

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

    def sums(self, *counts: int) -> list[int]:
        """Sum counts of the hosts over ranks, without a device sync."""
        if self.size == 1:
            return list(counts)
        sums = torch.tensor(counts)
        dist.all_reduce(sums, dist.ReduceOp.SUM)
        found: list[int] = sums.tolist()
        return found

    def agree(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank: the same answer on all, without a device sync."""
        if self.size == 1:
            return flag
        found = torch.tensor(int(flag), dtype=torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def decide(self, function: Callable[[], _T]) -> _T:
        """Call a function on the first rank; return its answer, which is pickled, on every rank.

        So ranks never disagree about what they see in a file system. Where the function raises, the first
        rank raises the same error, and the others an ElsewhereError, which nobody reports a second time.
        """
        if self.size == 1:
            return function()
        answer: list[Any] = [None, None]  # the result; the error's message and status
        raised: Exception | None = None
        if self.first:
            try:
                answer[0] = function()
            except Exception as error:  # any error: the other ranks wait for an answer
                raised = error
                answer[1] = (str(error), error.status if isinstance(error, DerlemError) else 1)
        dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
        if raised is not None:
            raise raised
        if answer[1] is not None:
            raise ElsewhereError(*answer[1])
        found: _T = answer[0]
        return found

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.agree(False)

    def lost(self, error: BaseException) -> PeerError | None:
        """Return what to raise for the error of a collective that has lost a rank; None for another error."""
        # Torch has no class for them.
        if self.size == 1 or not isinstance(error, RuntimeError) or isinstance(error, DerlemError):
            return None
        if not _LOST.search(str(error)):
            return None
        cause = str(error).strip().splitlines()[0]
        return PeerError(
            f"rank {self.rank}: {self._who_ended()}; its own message, if it left one, says why ({cause})"
        )

    def _who_ended(self) -> str:
        """Name the ranks whose processes have ended, as far as they can be seen from here."""
        mine = Peer.mine()
        seen = {
            rank: peer
            for rank, peer in enumerate(self.peers)
            if (peer.machine, peer.space) == (mine.machine, mine.space)
        }
        end = time.monotonic() + _ENDING
        while True:
            ended = [rank for rank, peer in seen.items() if peer.has_ended()]
            if ended or len(seen) < 2 or time.monotonic() > end:
                break
            time.sleep(0.02)
        if ended:
            return f"{' and '.join(f'rank {rank} (process {seen[rank].number})' for rank in ended)} ended"
        machines = sorted({peer.machine for rank, peer in enumerate(self.peers) if rank not in seen})
        where = f" on {' or '.join(machines)}" if machines else ""
        return f"another rank{where} ended or does not answer"


@contextmanager
def joined(run: config.Run) -> Iterator[World]:
    """Join the ranks that torchrun started, for a block; without torchrun, one rank.

    After an error the ranks are not parted: that needs all of them, and the others may wait elsewhere. A
    process of several ranks then ends by `leave`. Raises what `start` does, and PeerError where a rank has
    ended while this one waited for it.
    """
    world = start(run)
    try:
        yield world
    except RuntimeError as error:
        if lost := world.lost(error):
            raise lost from None
        raise
    finish(world)


def start(run: config.Run) -> World:
    """Join the ranks that torchrun started; without torchrun, return a world of one rank.

    Raises ConfigError if torchrun's environment is incomplete, or if the device cannot be used.
    """
    rank, size, local_rank = _launched(os.environ)
    mine = device.choose(run.device, local_rank)
    if mine.type == "cuda":
        # Segments that can grow: windows of other lengths would leave memory in pieces that none fits.
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
        torch.cuda.set_device(mine)
    if size > 1:
        if os.environ["MASTER_ADDR"] in ("127.0.0.1", "localhost", "::1"):
            # Otherwise Gloo looks up this machine's name, which fails or hangs without a name server.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        # Numbers on the host (flags, checkpoints' plans) go through gloo, also with GPUs.
        backend = "cpu:gloo,cuda:nccl" if mine.type == "cuda" else "gloo"
        dist.init_process_group(backend, device_id=mine if mine.type == "cuda" else None)
    return World(rank, size, local_rank, mine, _peers(size))


def _peers(size: int) -> tuple[Peer, ...]:
    """Return the processes of all ranks, none where this is the only one."""
    if size == 1:
        return ()
    found: list[Any] = [None] * size
    dist.all_gather_object(found, Peer.mine())
    return tuple(found)


def ranks() -> int:
    """Return the number of ranks that torchrun started, without joining them; raises as `start` does."""
    return _launched(os.environ)[1]


def finish(world: World) -> None:
    """Leave the ranks; afterwards neither a wrapped model nor a World may be used."""
    if world.size > 1:
        dist.destroy_process_group()


def leave(error: BaseException) -> None:
    """End this process at once after an error, if it is one of several ranks; torchrun then ends the others.

    Python's own end would wait for threads and destroy the process group, which may wait for other ranks. An
    error with an `exit_code` has been reported and ends with it; others are printed with their trace, and
    named to torchrun.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size in ("", "1"):
        return
    status = getattr(error, "exit_code", None)
    if status is None:
        from torch.distributed.elastic.multiprocessing.errors import ErrorHandler

        print(f"rank {os.environ.get('RANK')} of {size} failed:", file=sys.stderr)
        traceback.print_exception(error)
        ErrorHandler().record_exception(error)
    sys.stderr.flush()
    os._exit(1 if status is None else status)


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


def _loopback() -> str:
    """Return the name of the loopback interface."""
    return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "lo")
