"""How the next token is chosen from logits: settings, penalties, truncation, and sampling."""

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

# Keys that only one method reads. With another method they would be ignored silently.
_OF_METHOD = {
    "sample": ("temperature", "top_k", "top_p", "min_p", "seed"),
    "greedy": (),
    "beam": ("beams", "length_penalty"),
    "contrastive": ("candidates", "alpha"),
}


class Sampling(Section):
    """How text is generated: a method, its settings, and settings for all methods.

    The order is fixed: repetition penalty, bias, temperature, top_k, top_p, min_p; each works on the result
    of the one before.
    """

    method: Literal["sample", "greedy", "beam", "contrastive"] = Field(
        "sample",
        description="sample; greedy: likeliest token; beam: likeliest text; contrastive: no repetition.",
    )
    tokens: int = Field(256, ge=1, description="Largest number of generated tokens.")
    temperature: float = Field(1.0, gt=0.0, allow_inf_nan=False, description="sample: divide logits by this.")
    top_k: int = Field(0, ge=0, description="sample: keep this many likeliest tokens; 0: all.")
    top_p: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description="sample: keep the fewest tokens whose probabilities sum to at least this.",
    )
    min_p: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="sample: keep tokens with at least this share of the likeliest token's probability.",
    )
    seed: int = Field(0, ge=0, description="sample: random seed.")
    beams: int = Field(4, ge=1, description="beam: beam width.")
    length_penalty: float = Field(
        1.0,
        ge=0.0,
        allow_inf_nan=False,
        description="beam: length penalty; log-probability ÷ tokens to this power counts.",
    )
    candidates: int = Field(4, ge=2, description="contrastive: number of candidates for each token.")
    alpha: float = Field(0.6, ge=0.0, le=1.0, description="contrastive: weight of the similarity penalty.")
    repetition_penalty: float = Field(
        1.0,
        gt=0.0,
        allow_inf_nan=False,
        description="Repetition penalty: above 1, used tokens get less likely.",
    )
    bias: dict[int, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict, description="Values added to the logits of these ids."
    )

    @model_validator(mode="after")
    def _of_one_method(self) -> Sampling:
        for method, keys in _OF_METHOD.items():
            named = [key for key in keys if key in self.model_fields_set]
            if named and method != self.method:
                its = ", ".join(_OF_METHOD[self.method]) or "no settings of its own"
                raise ValueError(
                    f'{" and ".join(named)}: only for method = "{method}", but method is "{self.method}", '
                    f"which has {its}"
                )
        return self


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens that occur already less likely: logits [..., V], seen bool [..., V].

    Keskar et al. 2019 (CTRL, arXiv:1909.05858, §4.1) divide the logits of seen tokens by the penalty.
    Negative logits are multiplied by it here, as in `transformers`: dividing would make them more likely.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def truncate(logits: Tensor, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Set the logits of unlikely tokens to -inf: [..., V]; at least one token stays.

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
        kept &= likely.cumsum(-1) - likely < top_p  # the token that reaches p belongs to the set
    kept &= ordered > -torch.inf
    kept[..., 0] = True
    return logits.masked_fill(~torch.zeros_like(kept).scatter(-1, order, kept), -torch.inf)


def draws(prompts: Sequence[Sequence[int]], seed: int, number: int) -> np.ndarray:
    """Return uniform numbers in [0, 1) for each prompt: float64 [prompts, number].

    They depend only on the seed, the prompt, and the number of equal prompts before it: not on the other
    prompts, nor on how many numbers are requested.
    """
    rows, before = [], Counter[bytes]()
    for prompt in prompts:
        name = np.asarray(prompt, dtype="<i8").tobytes()
        key = hashlib.blake2b(name, salt=before[name].to_bytes(16, "little"), digest_size=16).digest()
        rows.append(np.random.default_rng([seed, int.from_bytes(key, "little")]).random(number))
        before[name] += 1
    return np.stack(rows)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return the ids [B] that uniform numbers [B] select from softmax(logits [B, V]), by its running sum.

    In order of ids, so that a rounding error in a logit moves the borders a little and rarely changes an id.
    """
    total = logits.double().softmax(-1).cumsum(-1)
    # The sum is 1 except for rounding; stay below it, so that the last token found has a probability.
    end = total[:, -1]
    place = torch.minimum(uniform.to(total) * end, torch.nextafter(end, torch.zeros_like(end)))
    return torch.searchsorted(total, place.unsqueeze(-1), right=True).squeeze(-1)
