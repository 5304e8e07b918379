"""Muon: momentum made orthogonal, for the matrices of the blocks (Jordan et al. 2024,
kellerjordan.github.io/posts/muon), by a batched polynomial iteration over all matrices of a shape.

A step of rate lr moves a matrix by lr × sqrt(max(1, rows/cols)) in the spectral norm (Jordan's scale, the
default of torch.optim.Muon; after Yang et al. 2023, arXiv 2310.17813, the change of a layer's output is
then the same for every width). So lr = 0.02 needs no retuning for another width; an AdamW step of the same
root mean square has a rate of about lr / sqrt(cols): 7e-4 at 768 columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.optimizer import Optimizer

from trainer.optim.shards import gather, local, my_shard, sharded
from trainer.optim.skip import lerp, masked, skipped, unless

Coefficients = Sequence[tuple[float, float, float]]

POLAR_EXPRESS: Coefficients = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
"""Five quintics, each the best after those before it (Amsel et al. 2025, arXiv 2505.16932; the values that
modded-nanogpt publishes, made with a safety factor of 1.02): singular values in [0.001, 1] come out
within 15 % of 1, where five times Jordan's own quintic leaves them in [0.47, 1.20]."""

_SMALLEST = 1e-7  # a norm below it is a gradient of zeros
_ROW_BETA = 0.95  # NorMuon's β2


def normalize_rows(
    updates: Tensor, variances: Tensor, share: float | Tensor = 1 - _ROW_BETA
) -> tuple[Tensor, Tensor]:
    """Divide each row of updates [n, rows, cols] by the root of the second moment of its entries; return the
    updates, and the second moments [n, rows, 1], which these updates have changed first by a `share`.

    NorMuon (Li et al. 2025, arXiv 2510.05491): rows differ in size after the iteration too, those of tall
    matrices most. Each update keeps its Frobenius norm, so the rate keeps its meaning, and moments that
    start at 0 need no correction.
    """
    found = variances.lerp(updates.to(variances.dtype).square().mean(-1, keepdim=True), share)
    rows = updates / found.sqrt().clamp_(min=_SMALLEST)
    norms, wanted = (each.norm(dim=(-2, -1), keepdim=True) for each in (rows, updates))
    return rows * (wanted / norms.clamp_(min=_SMALLEST)), found


def orthogonalize(matrices: Tensor, coefficients: Coefficients = POLAR_EXPRESS) -> Tensor:
    """Set the singular values of matrices [n, rows <= cols] to about 1, in their dtype.

    Nothing here depends on a learning rate, so a compiled version is compiled once per shape.
    """
    x: Tensor = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST)
    for a, b, c in coefficients:
        gram = x @ x.mT
        odd = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, odd, x, beta=a)
    return x


class Muon(Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay.

    A parameter is a matrix or, of experts, a stack [experts, rows, cols] of matrices, each orthogonalised on
    its own. A param group's `rows` are the rows of the matrices fused in each of its parameters (query, key
    and value; gate and up), which are orthogonalised one by one too. `dtype` is the dtype of the iteration:
    bfloat16 on CUDA. Parameters sharded by FSDP2 are gathered as updates, in that dtype. Ranks with the same
    gradients (the parameters' mesh, or `group` under DDP) share the matrices of a shape among themselves.

    `normalize`: see `normalize_rows`. `cautious`: decay only the weights that have the sign of what is
    subtracted from them (Chen et al. 2025, arXiv 2510.12402).
    """

    def __init__(
        self,
        params: Iterable[Any],
        momentum: float = 0.95,
        lr: float = 0.02,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
        coefficients: Coefficients = POLAR_EXPRESS,
        group: dist.ProcessGroup | None = None,
        normalize: bool = False,
        cautious: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "rows": ()})
        self._dtype, self._coefficients, self._group = dtype, coefficients, group
        self._normalize, self._cautious = normalize, cautious
        for members in self.param_groups:
            for p in members["params"]:
                if p.ndim not in (2, 3) or (members["rows"] and sum(members["rows"]) != p.shape[-2]):
                    raise ValueError(
                        f"Muon changes matrices; found {list(p.shape)} with parts of {members['rows']} rows"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for members in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for p in members["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for parameters in by_shape.values():
                self._update(parameters, members)

    def _update(self, parameters: list[Tensor], members: dict[str, Any]) -> None:
        """Update parameters of one shape."""
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
                if self._normalize:
                    self.state[p]["row_var"] = p.mean(-1, keepdim=True).zero_()  # sharded as p is
        weights = [local(p) for p in parameters]
        gradients = [local(p.grad) for p in parameters if p.grad is not None]
        moments = [local(self.state[p]["momentum_buffer"]) for p in parameters]
        skip = skipped(self)
        lerp(moments, gradients, unless(skip, 1 - members["momentum"], 0.0))
        ahead = torch._foreach_lerp(gradients, moments, members["momentum"])
        like = parameters[0]
        updates = gather(torch.stack(ahead).to(self._dtype), like)
        rows = list(members["rows"]) or [like.shape[-2]]
        parts = torch.split(updates.flatten(0, -3), rows, dim=1)
        directions = [self._direction(part, like) for part in parts]
        if self._normalize:
            variances = [self.state[p]["row_var"] for p in parameters]
            directions = _normalized(directions, variances, rows, unless(skip, 1 - _ROW_BETA, 0.0))
        whole = masked(torch.cat(directions, dim=1), skip).view_as(updates)
        mine = my_shard(whole, like).to(like.dtype).unbind()
        decay = members["lr"] * members["weight_decay"]
        if self._cautious:
            for weight, update in zip(weights, mine, strict=True):
                smaller = weight * update >= 0
                weight.addcmul_(weight, smaller if skip is None else smaller & ~skip, value=-decay)
        else:
            torch._foreach_mul_(weights, unless(skip, 1 - decay, 1.0))
        torch._foreach_add_(weights, mine, alpha=-members["lr"])

    def _direction(self, stack: Tensor, like: Tensor) -> Tensor:
        """Return the updates of a rate of 1 for matrices [n, rows, cols], computed by all ranks together."""
        rows, columns = stack.shape[1:]
        wide = stack if rows <= columns else stack.mT
        group = like.device_mesh.get_group() if sharded(like) else self._group
        found = _shared(lambda part: orthogonalize(part, self._coefficients), wide, group)
        return (found if rows <= columns else found.mT) * math.sqrt(max(1.0, rows / columns))


def _normalized(
    directions: list[Tensor], held: list[Tensor], rows: list[int], share: float | Tensor
) -> list[Tensor]:
    """Normalise the rows of the parts of all parameters, each [n, rows, cols].

    `held`: the parameters' second moments, changed in place by a `share`. Each rank does it for whole
    matrices.
    """
    whole = gather(torch.stack([local(each) for each in held]), held[0])
    variances = torch.split(whole.flatten(0, -3), rows, dim=1)
    pairs = [normalize_rows(*each, share) for each in zip(directions, variances, strict=True)]
    found = my_shard(torch.cat([variance for _, variance in pairs], dim=1).view_as(whole), held[0])
    torch._foreach_copy_([local(each) for each in held], list(found.unbind()))
    return [direction for direction, _ in pairs]


def _shared(function: Callable[[Tensor], Tensor], stack: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Apply a function to a stack that every rank of a group has: each rank to its share; then gather all."""
    ranks = group.size() if group is not None else 1
    share = -(-len(stack) // ranks)
    if ranks == 1 or share == len(stack):
        return function(stack)
    padded = torch.cat([stack, stack.new_zeros(ranks * share - len(stack), *stack.shape[1:])])
    mine = function(padded.narrow(0, dist.get_rank(group) * share, share)).contiguous()
    gathered = torch.empty_like(padded)
    dist.all_gather_into_tensor(gathered, mine, group)
    return gathered[: len(stack)]
