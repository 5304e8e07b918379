"""The rate that a run reports is tokens by the wall clock; its share of a peak is that of its own device."""

from __future__ import annotations

import contextlib

import pytest

from trainer.config import Model
from trainer.shape import flops, shape
from trainer.throughput import CONVENTION, PEAKS, Throughput, peak

SHAPE = shape(Model(depth=12, head=128), 32_768)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def throughput(clock: Clock, device: str = "NVIDIA H200", **settings: object) -> Throughput:
    return Throughput(SHAPE, device, "bfloat16", clock=clock, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H200 NVL", 835.5),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA GH200 480GB", 989.4),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L4", 121),
        ("NVIDIA L40", 181.05),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA B200", 2250),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 3090", 71),
        ("NVIDIA RTX 6000 Ada Generation", 364.2),
        ("AMD Instinct MI300X", 1307.4),
    ],
)
def test_a_device_is_known_by_the_words_of_its_name(name: str, tera: float) -> None:
    assert peak(name, "bfloat16") == pytest.approx(tera * 1e12)
    assert peak(name, "float16") == peak(name, "bfloat16")


@pytest.mark.parametrize(
    "name",
    [
        *("", "CPU", "NVIDIA A10G", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA Something 9000"),
        *("NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 3090 Ti"),
    ],
)
def test_a_device_of_nearly_the_same_name_is_not_known(name: str) -> None:
    assert peak(name, "bfloat16") is None


def test_a_peak_is_that_of_the_dtype() -> None:
    assert peak("NVIDIA H200", "float32") is None
    assert peak("Tesla V100-SXM2-16GB", "bfloat16") is None
    assert peak("Tesla V100-SXM2-16GB", "float16") == 125e12
    assert peak("Tesla V100-PCIE-16GB", "float16") == 112e12
    assert peak("Tesla T4", "float16") == 65e12


def test_an_h200_does_not_pass_for_an_a100() -> None:
    clock = Clock()
    measured = throughput(clock, warmup=0)
    clock.now += 1
    measured.step(600_000, 600_000 * 2049 // 2, 2048)
    rate = measured.recent()
    # facts of the 124M shape: 887M and 774M operations a token
    assert flops(SHAPE, 2048) == pytest.approx(887e6, rel=0.01)
    assert flops(SHAPE, 2049 / 2) == pytest.approx(774e6, rel=0.01)
    assert rate.tokens_per_second == 600_000
    assert rate.mfu == pytest.approx(600_000 * flops(SHAPE, 2049 / 2) / 989.4e12, rel=1e-4)
    assert rate.mfu == pytest.approx(0.469, abs=0.002)
    assert rate.mfu_full == pytest.approx(0.538, abs=0.002)
    assert rate.tflops == pytest.approx(rate.mfu * 989.4)
    assert PEAKS["H200"] / PEAKS["A100"] == pytest.approx(3.17, abs=0.01)


def test_an_unknown_device_has_a_rate_and_no_share_of_a_peak() -> None:
    clock = Clock()
    measured = throughput(clock, device="CPU")
    clock.now += 2
    measured.step(1000, 1000 * 100, 2048)
    rate = measured.recent()
    assert (rate.tokens_per_second, rate.mfu, rate.mfu_full) == (500, None, None)
    assert rate.tflops == pytest.approx(500 * flops(SHAPE, 100) / 1e12)


def test_each_device_is_compared_with_its_own_peak() -> None:
    rates = []
    for devices in (1, 8):
        clock = Clock()
        measured = throughput(clock, devices=devices)
        clock.now += 1
        measured.step(100_000 * devices, 100_000 * devices * 500, 2048)
        rates.append(measured.recent())
    assert rates[1].tokens_per_second == 8 * rates[0].tokens_per_second
    assert rates[1].mfu == pytest.approx(rates[0].mfu)
    assert rates[1].tflops == pytest.approx(rates[0].tflops)


def test_the_recent_rate_begins_anew_and_the_whole_one_goes_on() -> None:
    clock = Clock()
    measured = throughput(clock, warmup=2)
    for seconds, tokens in ((60.0, 10), (5.0, 10), (1.0, 10), (1.0, 30)):
        clock.now += seconds
        measured.step(tokens, tokens, 2048)
    assert measured.recent().tokens_per_second == pytest.approx(60 / 67)
    assert measured.recent().tokens_per_second == 0.0  # no step since, and nothing divided by it
    clock.now += 2
    measured.step(10, 10, 2048)
    assert measured.recent().tokens_per_second == 5
    whole = measured.whole()
    assert (whole.steps, whole.tokens, whole.seconds) == (3, 50, 4)  # without the two steps of warmup


def test_waiting_logging_and_the_optimizer_count() -> None:
    clock = Clock()
    measured = throughput(clock, warmup=0)
    for _ in range(4):
        clock.now += 0.5  # waits for data
        clock.now += 1.0  # computes
        measured.step(3000, 3000, 2048, waited=0.5)
        clock.now += 0.5  # logs
    clock.now += 1.5
    measured.step(3000, 3000, 2048)
    rate = measured.whole()
    assert rate.seconds == 9.5
    assert rate.tokens_per_second == pytest.approx(15_000 / 9.5)
    assert rate.waited == pytest.approx(2 / 9.5)


def test_evaluation_and_checkpoints_do_not_count_and_it_says_so() -> None:
    clock, settled = Clock(), []

    def settle() -> None:
        settled.append(clock.now)
        clock.now += 0.25  # the device finishes the step: that belongs to the step

    measured = throughput(clock, warmup=0, settle=settle)
    clock.now += 1
    measured.step(100, 100, 2048)
    with measured.excluded():
        clock.now += 100
    with contextlib.suppress(KeyboardInterrupt), measured.excluded():
        clock.now += 100
        raise KeyboardInterrupt
    clock.now += 0.5
    measured.step(100, 100, 2048)
    assert measured.whole().seconds == pytest.approx(2)
    assert len(settled) == 2
    assert "without evaluation and checkpoint" in CONVENTION


def test_windows_of_another_length_are_counted_by_their_own() -> None:
    clock = Clock()
    measured = throughput(clock, device="NVIDIA A100-SXM4-40GB")
    clock.now += 1
    measured.step(1000, 1000 * 64, 128)
    measured.step(1000, 1000 * 512, 1024)
    rate = measured.recent()
    assert rate.mfu_full == pytest.approx(1000 * (flops(SHAPE, 128) + flops(SHAPE, 1024)) / 312e12)
    assert rate.mfu == pytest.approx(1000 * (flops(SHAPE, 64) + flops(SHAPE, 512)) / 312e12)
