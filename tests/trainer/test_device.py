"""A run trains on the device that it says, and refuses what a GPU cannot do before the first step."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch
from torch.nn.attention import _registry, current_flash_attention_impl, restore_flash_attention_impl

from corpus.errors import ConfigError
from trainer import config, device
from trainer.shape import shape

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, as its kernel shows it, that torch cannot use."""
    monkeypatch.setattr(device, "glob", lambda _: ["/dev/nvidia0"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("built", "said"), [(None, "built without CUDA"), ("12.8", r"\(CUDA 12.8\) cannot use them: the driver")]
)
def test_a_gpu_that_torch_cannot_use_is_not_left_in_silence(
    gpu: None, monkeypatch: pytest.MonkeyPatch, built: str | None, said: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(ConfigError, match=rf"1 NVIDIA GPU, but .*{said}.*run\.device = \"cpu\""):
        device.choose("auto")
    assert device.choose("cpu") == CPU


def test_a_gpu_that_the_user_hid_is_not_missed(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device.choose("auto") == CPU


def test_the_dtype_follows_the_device() -> None:
    assert device.dtype("auto", CPU) == device.dtype("float32", CUDA) == torch.float32
    assert device.dtype("auto", CUDA) == device.dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("head", "capability", "said"),
    [
        (20, (9, 0), r"model\.head = 20: .*multiple of 8"),
        (264, (9, 0), r"model\.head = 264: .*at most 256"),
        (64, (7, 5), r"T4 has compute capability 7\.5.* needs 8\.0"),
    ],
)
def test_what_a_gpus_kernels_do_not_take_is_refused_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch, head: int, capability: tuple[int, int], said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    made = shape(config.Model(depth=1, width=2 * head, head=head), 300)
    with pytest.raises(ConfigError, match=said):
        device.check(made, CUDA, torch.bfloat16)
    device.check(made, CUDA, torch.float32)
    device.check(made, CPU, torch.bfloat16)


@pytest.mark.parametrize(
    ("flash", "capability", "said"),
    [
        ("FA3", (10, 0), r"B200 has compute capability 10\.0, .* need 9\.x;"),
        ("FA4", (8, 0), r"B200 has compute capability 8\.0, .* need 9\.x or 10\.x;"),
        ("FA3", (9, 0), "no package flash_attn_interface here"),
        ("FA4", (9, 0), r"no package flash_attn\.cute here"),
    ],
)
def test_other_attention_kernels_are_refused_where_they_are_missing_or_do_not_run(
    monkeypatch: pytest.MonkeyPatch, flash: device.Flash, capability: tuple[int, int], said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "B200")
    monkeypatch.setattr(device, "find_spec", lambda _: None)
    made = shape(config.Model(depth=1, width=128, head=64), 300)
    with pytest.raises(ConfigError, match=rf'run\.flash = "{flash}": .*{said}'):
        device.check(made, CUDA, torch.bfloat16, flash)
    with pytest.raises(ConfigError, match="only a GPU"):
        device.check(made, CPU, torch.bfloat16, flash)
    device.check(made, CPU, torch.bfloat16, "FA2")
    monkeypatch.setattr(device, "find_spec", lambda _: object())
    if capability == (9, 0):
        device.check(made, CUDA, torch.bfloat16, flash)


def test_the_kernels_that_are_wanted_are_activated_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package, in torch's own registry."""
    monkeypatch.setattr(_registry, "_FLASH_ATTENTION_IMPLS", {"FA4": Kernels})
    device.activate("FA2")
    assert current_flash_attention_impl() is None
    device.activate("FA4")
    assert current_flash_attention_impl() == "FA4"
    restore_flash_attention_impl()
    assert current_flash_attention_impl() is None


class Kernels:
    """The handle of registered kernels, as torch wants it."""

    def remove(self) -> None:
        """Do nothing: none was registered."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's builds of torch use libgomp")
def test_threads_that_wait_for_each_other_sleep_soon_unless_the_user_says_otherwise() -> None:
    def spins(**own: str) -> str:
        shown = {"OMP_DISPLAY_ENV": "VERBOSE", **own}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
        command = [sys.executable, "-c", "import trainer, torch"]
        done = subprocess.run(command, env=kept | shown, capture_output=True, text=True, check=True)
        return re.search(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr).group(1)  # type: ignore[union-attr]

    assert spins() == "1000"
    assert spins(GOMP_SPINCOUNT="7") == "7"
