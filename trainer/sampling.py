"""How the next token is chosen from logits: settings, penalties, truncation, and the draw itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from corpus.settings import Section

# The keys that one method alone reads. Named together with another method they would be ignored in silence.
_OF_METHOD = {
    "sample": ("temperature", "top_k", "top_p", "min_p", "seed"),
    "greedy": (),
    "beam": ("beams", "length_penalty"),
    "contrastive": ("candidates", "alpha"),
}


class Sampling(Section):
    """How text is made: a method, its own settings, and what holds for all of them.

    The order is fixed: repetition penalty, bias, temperature, top_k, top_p, min_p; each works on what the one
    before has left.
    """

    method: Literal["sample", "greedy", "beam", "contrastive"] = Field(
        "sample", description="Draw, take the likeliest token, search the likeliest text, or avoid likeness."
    )
    tokens: int = Field(256, ge=1, description="Most tokens that are made.")
    temperature: float = Field(
        1.0, gt=0.0, allow_inf_nan=False, description="sample: logits are divided by it."
    )
    top_k: int = Field(0, ge=0, description="sample: among so many likeliest tokens; 0: all.")
    top_p: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description="sample: among the fewest tokens that together are so likely.",
    )
    min_p: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="sample: among tokens so likely, as a share of the likeliest.",
    )
    seed: int = Field(0, ge=0, description="sample: of the draws.")
    beams: int = Field(4, ge=1, description="beam: texts followed at once.")
    length_penalty: float = Field(
        1.0,
        ge=0.0,
        allow_inf_nan=False,
        description="beam: log-probability ÷ tokens to this power counts.",
    )
    candidates: int = Field(4, ge=2, description="contrastive: tokens tried at each place.")
    alpha: float = Field(0.6, ge=0.0, le=1.0, description="contrastive: weight of unlikeness.")
    repetition_penalty: float = Field(
        1.0, gt=0.0, allow_inf_nan=False, description="Above 1: tokens of the text so far become less likely."
    )
    bias: dict[int, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict, description="Added to the logits of these ids."
    )

    @model_validator(mode="after")
    def _of_one_method(self) -> Sampling:
        for method, keys in _OF_METHOD.items():
            named = [key for key in keys if key in self.model_fields_set]
            if named and method != self.method:
                its = ", ".join(_OF_METHOD[self.method]) or "no settings of its own"
                raise ValueError(
                    f'{" and ".join(named)}: only for method = "{method}", but it is "{self.method}", '
                    f"which has {its}"
                )
        return self


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens that occur less likely: logits [..., V], seen bool [..., V].

    Keskar et al. 2019 (CTRL, arXiv:1909.05858, §4.1) divide seen logits by the penalty. Negative
    ones are multiplied by it here, as `transformers` does: dividing would make them more likely.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def truncate(logits: Tensor, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Set the logits of unlikely tokens to -inf: [..., V]; one token at least stays.

    top_k (Fan et al. 2018, arXiv:1805.04833): the k likeliest. top_p (Holtzman et al. 2020,
    arXiv:1904.09751): of these the smallest set whose probabilities, made to sum to 1, reach p. min_p (Nguyen
    et al. 2024, arXiv:2407.01082): those with at least min_p times the probability of the likeliest. Of
    equally likely tokens, top_k and top_p keep the lower ids; min_p keeps all or none.
    """
    if not (0 < top_k < logits.shape[-1]) and top_p >= 1 and min_p <= 0:
        return logits
    ordered, order = logits.double().sort(dim=-1, descending=True, stable=True)
    if top_k:
        ordered[..., top_k:] = -torch.inf
    likely = ordered.softmax(-1)
    kept = likely >= min_p * likely[..., :1]
    if top_p < 1:
        kept &= likely.cumsum(-1) - likely < top_p  # the one that reaches p is of the set
    kept &= ordered > -torch.inf
    kept[..., 0] = True
    return logits.masked_fill(~torch.zeros_like(kept).scatter(-1, order, kept), -torch.inf)


def draws(prompts: Sequence[Sequence[int]], seed: int, number: int) -> np.ndarray:
    """Return uniform numbers of [0, 1) for each prompt: float64 [prompts, number].

    They hang on the seed, the prompt, and how many equal ones come before it: not on what else is made at the
    same time, nor on how many are asked for.
    """
    rows, before = [], Counter[bytes]()
    for prompt in prompts:
        name = np.asarray(prompt, dtype="<i8").tobytes()
        key = hashlib.blake2b(name, salt=before[name].to_bytes(16, "little"), digest_size=16).digest()
        rows.append(np.random.default_rng([seed, int.from_bytes(key, "little")]).random(number))
        before[name] += 1
    return np.stack(rows)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return the ids that uniform numbers [B] choose from softmax(logits [B, V]), by its running sum: [B].

    In order of ids, so that a rounding error in a logit moves the borders a little and changes hardly a draw.
    """
    total = logits.double().softmax(-1).cumsum(-1)
    # Its end is 1 but for rounding; below it, so that the last token found has a probability.
    end = total[:, -1]
    place = torch.minimum(uniform.to(total) * end, torch.nextafter(end, torch.zeros_like(end)))
    return torch.searchsorted(total, place.unsqueeze(-1), right=True).squeeze(-1)
