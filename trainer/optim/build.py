"""From a model and its configuration: named groups of parameters, and the optimizers that change them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from corpus.plural import plural
from trainer import config, recipe
from trainer.optim.adafactor import Adafactor
from trainer.optim.lamb import Lamb
from trainer.optim.lion import Lion
from trainer.optim.muon import Muon

_MATRIX = (
    r"blocks\.\d+\.(attention\.(?:qkv|out)|cross\.(?:query|kv|out)"
    r"|feed\.(?:router|(?:shared\.)?(?:gate_up|up|down)))"
)
_WRAPPERS = re.compile(r"(_orig_mod|_checkpoint_wrapped_module)\.")


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters changed by one rule; `rows` are the rows of the matrices fused in each parameter, if any."""

    name: str
    rule: str
    peak: float
    weight_decay: float
    parameters: dict[str, nn.Parameter]
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        numbers = sum(parameter.numel() for parameter in self.parameters.values())
        parts = f", in parts of {', '.join(map(str, self.rows))} rows" if self.rows else ""
        return (
            f"{self.name}: {self.rule}, {plural(len(self.parameters), 'tensor')}, {numbers:,} parameters, "
            f"lr {self.peak:g}, weight decay {self.weight_decay:g}{parts}"
        )


def groups(model: nn.Module, settings: config.Optimizer) -> list[Group]:
    """Put every trainable parameter into exactly one group: by its name, not by its number of dimensions.

    Raises ValueError for a parameter whose name does not tell its part of the model.
    """
    members: dict[str, dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():  # a tied head is not named twice
        if parameter.requires_grad:
            members.setdefault(_part(name), {})[name] = parameter
    found = []
    for part, parameters in sorted(members.items()):
        rule = "adamw" if settings.name == "muon" and "." not in part else settings.name
        peak, decay = recipe.rate(settings, part), recipe.decay(settings, part)
        found.append(Group(part, rule, peak, decay, parameters, _rows(model, part) if rule == "muon" else ()))
    _assert_partition(model, found)
    return found


def build(
    model: nn.Module,
    settings: config.Optimizer,
    device: torch.device,
    group: dist.ProcessGroup | None = None,
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model's groups, one per rule.

    Loading a checkpoint restores moments and step counters; rates, decay and betas stay as configured here.

    The parameters may be DTensors (after FSDP2); for DDP pass the wrapped module's inner module. `group`: the
    ranks that have the same gradients (DDP), among which Muon shares its work; with FSDP2 Muon uses the
    parameters' own mesh.
    """
    optimizers: list[torch.optim.Optimizer] = []
    found = groups(model, settings)
    for rule in sorted({each.rule for each in found}):
        members = [
            {
                "name": each.name,
                "params": list(each.parameters.values()),
                "lr": each.peak,
                "peak": each.peak,
                "weight_decay": each.weight_decay,
                **({"rows": each.rows} if rule == "muon" else {}),
            }
            for each in found
            if each.rule == rule
        ]
        optimizers.append(_configured(_optimizer(rule, members, settings, device, group)))
    return optimizers


def describe(found: Sequence[Group]) -> list[str]:
    """Return a line about each group, printed when a run starts."""
    return [str(each) for each in found]


def set_rate(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Set every group's learning rate to a share, in [0, 1], of its peak."""
    for optimizer in optimizers:
        for members in optimizer.param_groups:
            members["lr"] = members["peak"] * share


def set_momentum(optimizers: Sequence[torch.optim.Optimizer], momentum: float) -> None:
    """Set the momentum of Muon's groups; no other optimizer changes it."""
    for optimizer in optimizers:
        if isinstance(optimizer, Muon):
            for members in optimizer.param_groups:
                members["momentum"] = momentum


def _optimizer(
    rule: str,
    members: list[dict[str, object]],
    settings: config.Optimizer,
    device: torch.device,
    group: dist.ProcessGroup | None,
) -> torch.optim.Optimizer:
    """Return the optimizer of a rule."""
    match rule:
        case "adamw":
            return torch.optim.AdamW(members, betas=settings.betas, eps=settings.eps, fused=True)
        case "muon":
            dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
            return Muon(
                members,
                momentum=settings.momentum,
                dtype=dtype,
                group=group,
                normalize=settings.normalize,
                cautious=settings.cautious,
            )
        case "lion":
            return Lion(members, betas=settings.betas)
        case "lamb":
            return Lamb(members, betas=settings.betas, eps=settings.eps)
        case "adafactor":
            return Adafactor(members)
    raise AssertionError(rule)


def _configured(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Keep the configured settings of groups when a state is loaded; torch would take the loaded ones."""
    settings = [{k: v for k, v in each.items() if k != "params"} for each in optimizer.param_groups]

    def restore(loaded: torch.optim.Optimizer) -> None:
        for members, own in zip(loaded.param_groups, settings, strict=True):
            members.update(own)

    optimizer.register_load_state_dict_post_hook(restore)
    return optimizer


def _part(name: str) -> str:
    """Return the part of the model that a parameter belongs to; "blocks.x.y" is a matrix of all blocks."""
    plain = _WRAPPERS.sub("", name).removesuffix(".weight")
    if plain in ("embedding", "head"):
        return plain
    if plain == "norm" or plain.endswith(("norm", "_norm")):
        return "norms"
    if matrix := re.fullmatch(_MATRIX, plain):
        return matrix[1]
    raise ValueError(
        f"{name}: no optimizer group for this parameter; expected an embedding, a head, a norm, or "
        "attention.{qkv,out}, cross.{query,kv,out}, feed.{router,gate_up,up,down} of a block; add its name "
        "to trainer/optim/build.py"
    )


def _rows(model: nn.Module, part: str) -> tuple[int, ...]:
    """Return the rows of the matrices fused in one parameter, which Muon orthogonalises one by one."""
    shape = getattr(model, "shape")  # noqa: B009 (nn.Module types attributes as tensors)
    if part == "attention.qkv":
        return (shape.heads * shape.head, shape.kv_heads * shape.head, shape.kv_heads * shape.head)
    if part == "cross.kv":
        return (shape.kv_heads * shape.head, shape.kv_heads * shape.head)
    if part == "feed.gate_up":
        return (shape.hidden, shape.hidden)
    if part == "feed.shared.gate_up":
        return (shape.shared * shape.hidden, shape.shared * shape.hidden)
    return ()


def _assert_partition(model: nn.Module, found: Sequence[Group]) -> None:
    """Check that every trainable parameter is in exactly one group."""
    listed: list[Tensor] = [p for each in found for p in each.parameters.values()]
    wanted = {id(p) for p in model.parameters() if p.requires_grad}
    assert len(listed) == len(wanted)
    assert {id(p) for p in listed} == wanted
