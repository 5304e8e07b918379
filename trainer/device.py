"""The device and the dtype of a run or an opened model, and whether this machine can use them."""

from __future__ import annotations

import os
from glob import glob
from importlib.util import find_spec
from typing import Literal

import torch

from corpus.errors import ConfigError
from trainer.shape import Shape

Device = Literal["auto", "cpu", "cuda"]
DType = Literal["auto", "float32", "bfloat16"]

Flash = Literal["FA2", "FA3", "FA4"]

_CAPABILITY = (8, 0)  # of the packed attention kernels (FlashAttention 2) and bfloat16 products
_FLOAT8 = (8, 9)  # of products of 8-bit floats
_HEAD = 256  # their largest head dimension
_MULTIPLE = 8  # which head dimensions they take
# The package of other kernels, and the generations of GPUs that torch gives them
_PACKAGES = {"FA3": ("flash_attn_interface", (9,)), "FA4": ("flash_attn.cute", (9, 10))}


def choose(wanted: Device, local_rank: int = 0) -> torch.device:
    """Return the device that is wanted; "auto": the GPU of this rank, the CPU on a machine without one.

    Raises ConfigError where the machine has GPUs that torch cannot use: nobody wants to wait for the CPU
    there unasked.
    """
    count = 0 if wanted == "cpu" else torch.cuda.device_count()
    if wanted == "cpu":
        return torch.device("cpu")
    if count == 0:
        if wanted == "auto" and not _gpus():
            return torch.device("cpu")
        raise ConfigError(f'run.device = {wanted!r}: {_no_cuda()}; run.device = "cpu" takes the CPU')
    if local_rank >= count:
        raise ConfigError(
            f"local rank {local_rank} has no GPU: this machine has {count}; "
            f"start torchrun with --nproc-per-node {count}"
        )
    return torch.device("cuda", local_rank)


def dtype(wanted: DType, device: torch.device) -> torch.dtype:
    """Return the dtype of activations; "auto": bfloat16 on CUDA, else float32."""
    if wanted == "auto":
        wanted = "bfloat16" if device.type == "cuda" else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def check(
    shape: Shape, device: torch.device, dtype: torch.dtype, flash: Flash = "FA2", fp8: bool = False
) -> None:
    """Raise ConfigError where the kernels of a GPU do not take this model, so that no step fails in them."""
    if flash != "FA2":
        _check_flash(flash, device, dtype)
    if fp8 and device.type == "cuda" and (has := torch.cuda.get_device_capability(device)) < _FLOAT8:
        raise ConfigError(
            f"run.fp8 = true: {torch.cuda.get_device_name(device)} has compute capability "
            f"{has[0]}.{has[1]}, and products of 8-bit floats need {_FLOAT8[0]}.{_FLOAT8[1]} (L4, H100 or "
            "newer); set run.fp8 = false"
        )
    if device.type != "cuda" or dtype == torch.float32:
        return
    found = torch.cuda.get_device_capability(device)
    if found < _CAPABILITY:
        raise ConfigError(
            f'run.dtype = "bfloat16": {torch.cuda.get_device_name(device)} has compute capability '
            f"{found[0]}.{found[1]}, and attention over packed documents needs 8.0 "
            '(A100 or newer); set run.dtype = "float32", which is slow'
        )
    if shape.head % _MULTIPLE or shape.head > _HEAD:
        raise ConfigError(
            f"model.head = {shape.head}: on a GPU the head dimension must be a multiple of {_MULTIPLE} and "
            f'at most {_HEAD}; change it, or set run.dtype = "float32", which is slow'
        )


def activate(flash: Flash) -> None:
    """Let torch compute attention over packed documents by these kernels, which `check` has let pass."""
    if flash != "FA2":  # torch's own
        from torch.nn.attention import activate_flash_attention_impl

        activate_flash_attention_impl(flash)


def _check_flash(flash: Flash, device: torch.device, dtype: torch.dtype) -> None:
    """Raise ConfigError where kernels other than torch's own are missing or would not be used."""
    if device.type != "cuda" or dtype == torch.float32:
        raise ConfigError(f'run.flash = "{flash}": only a GPU with run.dtype = "bfloat16" has a use for it')
    package, generations = _PACKAGES[flash]
    major, minor = torch.cuda.get_device_capability(device)
    if major not in generations:
        raise ConfigError(
            f'run.flash = "{flash}": {torch.cuda.get_device_name(device)} has compute capability '
            f"{major}.{minor}, and these kernels need {' or '.join(f'{each}.x' for each in generations)}; "
            'set run.flash = "FA2"'
        )
    if not _importable(package):
        raise ConfigError(
            f'run.flash = "{flash}": there is no package {package} here; install it, or set run.flash = "FA2"'
        )


def _importable(package: str) -> bool:
    """Return whether a package is installed, without importing it or more than the one around it."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _gpus() -> list[str]:
    """Return the NVIDIA GPUs that the kernel of this machine shows, unless the user has hidden them."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [] if hidden in ("", "-1") else sorted(glob("/dev/nvidia[0-9]*"))


def _no_cuda() -> str:
    """Return why torch finds no GPU."""
    gpus = _gpus()
    if not gpus:
        return "torch finds no CUDA device here"
    plural = f"{len(gpus)} NVIDIA GPU{'s' if len(gpus) > 1 else ''}"
    if torch.version.cuda is None:
        return f"this machine has {plural}, but this torch ({torch.__version__}) is built without CUDA"
    return (
        f"this machine has {plural}, but torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use "
        "them: the driver is older than that, or not loaded; update it, or install torch for its CUDA version"
    )
