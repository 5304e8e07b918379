"""A mixture of experts: a router sends each token to a few of many small feed-forward networks.

Like the layer of DeepSeek-V3 (2412.19437): sigmoid scores, weights that sum to 1, shared experts that every
token passes, and a bias per expert that evens out the load without a loss of its own (2408.15664). With
softmax scores, without bias and shared experts, it is the layer of Qwen3-MoE (2505.09388).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.layers import Linear, Norm, swiglu
from trainer.optim.skip import masked
from trainer.shape import Shape
from trainer.world import World


class Experts(nn.Module):
    """The experts of a layer, which stands where a dense model has its feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.active = shape.active
        self.norm = Norm(shape.width)
        self.router = Router(shape)
        self.gate_up = Stack(shape.experts, shape.width, 2 * shape.hidden)
        self.down = Stack(shape.experts, shape.hidden, shape.width)
        self.shared = Shared(shape) if shape.shared else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the output [B, T, width] for states of that shape.

        Each token's state is copied once for each of its experts, and the copies are moved so that those of
        one expert are neighbours. They are moved by a permutation, in both directions: nothing is added by
        atomics, so a result does not depend on the order of threads. No size depends on the choices, so
        that the layer is compiled whole.
        """
        states = self.norm(x).flatten(0, 1)
        weights, chosen = self.router(states)
        ends, of, to = grouped(chosen, self.router.experts)
        self.router.load.copy_(ends.diff(prepend=ends.new_zeros(1)))
        copies = _moved(states.repeat_interleave(self.active, 0), to)
        found = _moved(self.down(swiglu(self.gate_up(copies, ends)), ends), of)
        out: Tensor = (found.view(*chosen.shape, -1) * weights[..., None]).sum(1).to(x.dtype)
        if self.shared is not None:
            out = out + self.shared(states)
        return out.view_as(x)


class Router(nn.Module):
    """The choice of experts, in float32: a choice by rounded scores would be another one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.experts, self.active = shape.experts, shape.active
        self.softmax = shape.scores == "softmax"
        self.weight = nn.Parameter(torch.empty(shape.experts, shape.width))
        self.bias = nn.Buffer(torch.zeros(shape.experts))  # no parameter: `Balance` changes it
        # The tokens that each expert had in the last forward pass. Set and not added to: a block whose
        # activations are recomputed passes twice.
        self.load = torch.zeros(shape.experts, dtype=torch.int64)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights float32 [N, active], which sum to 1, and experts int64 [N, active] of N tokens.

        The bias counts in the choice and not in the weights.
        """
        logits = functional.linear(states.float(), self.weight.float())
        scores = logits.softmax(1) if self.softmax else logits.sigmoid()
        chosen = (scores.detach() + self.bias).topk(self.active, 1).indices
        weights = scores.gather(1, chosen)
        return weights / (weights.sum(1, keepdim=True) + 1e-20), chosen


class Stack(nn.Module):
    """A matrix [out, width] for each expert, without bias, in the dtype of its input."""

    def __init__(self, experts: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, out, width))

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Multiply rows [n, width] by the matrices: those up to ends[0] by the first one, and so on.

        Torch's grouped product needs rows of whole 16 bytes (`shape.ALIGNED`) and int32 ends. On the CPU it
        is a loop over experts. On CUDA it is one kernel in bfloat16, from compute capability 8.0 on, and a
        loop that waits for the device in float32. It is compiled in bfloat16 alone. The CUDA kernel has not
        been run yet: tests/gpu/ compares it with the CPU's.
        """
        return functional.grouped_mm(x, self.weight.to(x.dtype).mT, offs=ends)


class Shared(nn.Module):
    """The shared experts of a layer, as one network of their common width."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_up = Linear(shape.width, 2 * shape.shared * shape.hidden)
        self.down = Linear(shape.shared * shape.hidden, shape.width)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.down(swiglu(self.gate_up(states)))
        return out


def grouped(chosen: Tensor, experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return how to group the choices [N, active], read row by row, by expert.

    Expert e has the places up to ends[e] int32; place i is of choice of[i]; choice j comes to place to[j].
    Choices of one expert keep their order.
    """
    ordered, of = chosen.flatten().sort(stable=True)
    every = torch.arange(experts, device=chosen.device)
    ends = torch.searchsorted(ordered, every, right=True, out_int32=True)
    return ends, of, _moved(torch.arange(len(of), device=of.device), of)


def _moved(rows: Tensor, to: Tensor) -> Tensor:
    """Move row i to place to[i], for a permutation; its gradient moves them back."""
    return torch.empty_like(rows).index_copy(0, to, rows)


class Balance:
    """The biases of all routers: after a step each rises by `speed` if its expert had less than its share of
    the tokens of all ranks, and falls if it had more (2408.15664, algorithm 1).

    `load` are the tokens of the last step by layer and expert, float64 [layers, experts].
    """

    def __init__(self, model: nn.Module, speed: float) -> None:
        self._routers = [module for module in model.modules() if isinstance(module, Router)]
        self._speed = speed
        self._sum = torch.zeros_like(self._loads())
        self.load = self._sum.double()

    def add(self) -> None:
        """Count a micro-batch, after its forward pass."""
        self._sum += self._loads()

    def end(self, world: World) -> None:
        """Sum the step's counts over ranks, without waiting for a device; start the next step's."""
        self.load = world.total(self._sum)
        self._sum.zero_()

    @torch.no_grad()
    def update(self, skip: Tensor | None = None) -> None:
        """Change the biases by the load of the step that has ended, unless `skip`, a scalar of the device."""
        missing = self.load.mean(1, keepdim=True) - self.load
        changes = masked(missing.sign().float() * self._speed, skip)
        for router, change in zip(self._routers, changes, strict=True):
            router.bias.add_(change)

    def numbers(self) -> dict[str, float]:
        """Return the evenness of the last step's load, over layers: for metrics.

        `busiest`: the largest share of a layer's choices that one expert had, `even` the share that all
        would have; `violation`: the mean over layers of (largest - mean) / mean, MaxVio of 2408.15664;
        `idle`: the share of experts that had no token.
        """
        share = self.load / self.load.sum(1, keepdim=True)
        largest, experts = share.amax(1), share.shape[1]
        return {
            "busiest": largest.max().item(),
            "even": 1 / experts,
            "violation": (largest * experts - 1).mean().item(),
            "idle": (self.load == 0).double().mean().item(),
        }

    def _loads(self) -> Tensor:
        """Return the tokens int64 [layers, experts] of the last forward pass."""
        return torch.stack([router.load for router in self._routers])
