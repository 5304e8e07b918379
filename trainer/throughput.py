"""The speed of a run: tokens per second, and the share of the device's peak that they use.

Time is wall time: waiting for data, logging and the optimizer count. Evaluation and pauses for checkpoints
do not count (`Throughput.excluded`), nor do the first steps in the rate of the whole run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from trainer.shape import Shape, flops

CONVENTION = (
    "wall clock with data wait, logging and optimizer; without evaluation and checkpoint stalls; "
    "recomputation never counts; mfu counts attended keys, mfu_full whole windows"
)
"""The meaning of the numbers, to print and store with them."""

PEAKS = {
    "B200": 2250e12,  # HGX B200 datasheet: 36 PFLOP/s of 8, sparse
    "GB200": 2500e12,  # GB200 NVL72 datasheet: 360 PFLOP/s of 72, sparse
    "H200": 989.4e12,  # H200 datasheet, SXM: 1,979 sparse
    "H200 NVL": 835.5e12,  # H200 datasheet, NVL: 1,671 sparse
    "GH200": 989.4e12,  # GH200 datasheet: 1,979 sparse
    "H100": 989.4e12,  # H100 datasheet, SXM: 1,979 sparse
    "H100 PCIE": 756.5e12,  # H100 PCIe product brief: 1,513 sparse
    "H100 NVL": 835.5e12,  # H100 datasheet, NVL: 1,671 sparse
    "H20": 148e12,  # H20 datasheet
    "A100": 312e12,  # A100 datasheet, SXM and PCIe alike
    "A800": 312e12,  # as the A100
    "A40": 149.7e12,  # A40 datasheet
    "A30": 165e12,  # A30 datasheet
    "A10": 125e12,  # A10 datasheet
    "L40S": 362.05e12,  # L40S datasheet
    "L40": 181.05e12,  # L40 datasheet
    "L4": 121e12,  # L4 datasheet: 242 sparse
    "RTX 5090": 209.5e12,  # RTX Blackwell architecture paper, sums in float32
    "RTX 4090": 165.2e12,  # Ada architecture paper, sums in float32
    "RTX 3090": 71e12,  # GA102 architecture paper, sums in float32
    "RTX A6000": 154.8e12,  # GA102 architecture paper: 309.7 sparse
    "RTX 6000 ADA": 364.2e12,  # RTX 6000 Ada datasheet: 1,457 in FP8, sparse
    "MI250X": 383e12,  # AMD Instinct MI250X datasheet, both of its dies
    "MI300X": 1307.4e12,  # AMD Instinct MI300X datasheet
    "MI325X": 1307.4e12,  # AMD Instinct MI325X datasheet
}
"""Dense bfloat16 products, FLOP/s, by the words of the device's name; half of the figure if stated sparse."""

HALF_PEAKS = {
    "V100": 125e12,  # V100 datasheet, SXM2
    "V100 PCIE": 112e12,  # V100 datasheet, PCIe
    "T4": 65e12,  # T4 datasheet
}
"""Devices whose tensor cores support float16 but not bfloat16."""

_OTHERWISE = {"MIG", "GRID", "LAPTOP", "MAX", "D", "TI", "SUPER"}  # a part of a device, or another device


def peak(device: str, dtype: str) -> float | None:
    """Return the FLOP/s of dense products that the maker states for a device of this name, in this dtype.

    None if it is not known, and for float32: no share of the peak is better than that of another device.
    """
    words = set(re.split(r"[^A-Z0-9]+", device.upper()))
    known = {"bfloat16": PEAKS, "float16": PEAKS | HALF_PEAKS}.get(dtype, {})
    fitting = [name for name in known if words.issuperset(name.split())]
    if not fitting or words & _OTHERWISE:
        return None
    return known[max(fitting, key=lambda name: len(name.split()))]


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of some steps. `tokens_per_second` is for all devices together, other numbers per device.

    `tflops` and `mfu` count attended keys; `mfu_full` counts whole windows, as most projects publish. The
    two shares are None for a device whose peak is not known. `waited` is the share of the time spent waiting
    for data.
    """

    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    tflops: float
    mfu: float | None
    mfu_full: float | None
    waited: float


@dataclass(slots=True)
class _Sums:
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    attended_flops: float = 0.0
    full_flops: float = 0.0


class Throughput:
    """Sum up steps by wall time; return the rate since the last request, and that of the whole run.

    `device` is its name as the driver reports it, `dtype` that of the products, `devices` their number.
    `settle` waits until the devices have finished their work, before time that does not count.
    """

    def __init__(
        self,
        shape: Shape,
        device: str,
        dtype: str,
        devices: int = 1,
        warmup: int = 10,
        settle: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.peak = peak(device, dtype)
        self._shape, self._devices, self._warmup = shape, devices, warmup
        self._settle, self.clock = settle, clock
        self._recent, self._whole, self._steps = _Sums(), _Sums(), 0
        self._last = clock()

    def step(
        self,
        tokens: int,
        attended: int,
        length: int,
        waited: float = 0.0,
        encoded: int = 0,
        at: float | None = None,
    ) -> None:
        """End a step: the tokens that all devices read together, the keys that they attended to (of each
        document, tokens · (tokens + 1) / 2), the windows' length, the seconds that this one waited for data,
        and of the tokens those that an encoder read. It ended `at` this time of the clock, or now.
        """
        now = self.clock() if at is None else at
        self._steps += 1
        share = encoded / tokens if tokens else 0.0
        attended_flops = tokens * flops(self._shape, attended / tokens, share) if tokens else 0.0
        for sums in (self._recent, self._whole)[: 1 if self._steps <= self._warmup else 2]:
            sums.steps += 1
            sums.tokens += tokens
            sums.seconds += now - self._last
            sums.waited += waited
            sums.attended_flops += attended_flops
            sums.full_flops += tokens * flops(self._shape, length, share)
        self._last = now

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Exclude the time spent inside the block: evaluation, and pauses for a checkpoint."""
        self._settle()
        begin = self.clock()
        try:
            yield
        finally:
            self._last += self.clock() - begin

    def recent(self) -> Rate:
        """Return the rate of the steps since the last call."""
        sums, self._recent = self._recent, _Sums()
        return self._rate(sums)

    def whole(self) -> Rate:
        """Return the rate of all steps after the first `warmup`, in which kernels compile and caches fill."""
        return self._rate(self._whole)

    def _rate(self, sums: _Sums) -> Rate:
        each = sums.seconds * self._devices
        attended, full = (f / each if each else 0.0 for f in (sums.attended_flops, sums.full_flops))
        return Rate(
            steps=sums.steps,
            tokens=sums.tokens,
            seconds=sums.seconds,
            tokens_per_second=sums.tokens / sums.seconds if sums.seconds else 0.0,
            tflops=attended / 1e12,
            mfu=None if self.peak is None else attended / self.peak,
            mfu_full=None if self.peak is None else full / self.peak,
            waited=sums.waited / sums.seconds if sums.seconds else 0.0,
        )
