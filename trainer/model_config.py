"""The configuration of a model: its keys, their meaning and their values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from corpus.settings import Section, WrongValueError

Base = Annotated[float, Field(gt=1.0)]
"""The type of a base of rotary position embeddings."""


class Experts(Section):
    """A mixture of experts in place of the feed-forward network of every layer."""

    count: int = Field(0, ge=0, description="Experts in a layer; 0: no experts, one feed-forward network.")
    active: int = Field(2, ge=1, description="Experts that the router chooses for a token.")
    shared: int = Field(1, ge=0, description="Experts that every token passes besides; they have no router.")
    hidden: int | None = Field(
        None,
        ge=8,
        description="Width of an expert, a multiple of 8; unset: the width of the feed-forward layer divided "
        "by the experts that a token passes, so that it costs what it costs without experts.",
    )
    scores: Literal["sigmoid", "softmax"] = Field(
        "sigmoid",
        description="Scores of the router: sigmoid, exported as GLM-4-MoE, or softmax, exported as "
        "Qwen3-MoE, which has neither shared experts nor balance.",
    )
    balance: float = Field(
        0.001, ge=0.0, description="What a step adds to or takes from the bias of an expert; 0: no balance."
    )


class Model(Section):
    """A transformer; sizes that are not set follow from `depth`."""

    kind: Literal["decoder", "encoder", "encoder-decoder"] | None = Field(
        None, description="encoder-decoder: for span-corruption; unset: encoder for masked, else decoder."
    )
    depth: int = Field(
        4, ge=1, description="Number of layers; of an encoder-decoder, on each of its two sides."
    )
    width: int | None = Field(None, ge=8, description="Width of the residual stream; 64 × depth unless set.")
    head: int = Field(64, ge=8, description="Head dimension; must divide model.width.")
    kv_heads: int | None = Field(
        None, ge=1, description="Number of key/value heads; must divide the number of heads (default: all)."
    )
    hidden: int | None = Field(
        None,
        ge=16,
        description="Width of the feed-forward layer; 8/3 (swiglu) or 4 (relu2) × width unless set.",
    )
    activation: Literal["swiglu", "relu2"] = Field(
        "swiglu", description="Activation of the feed-forward layer."
    )
    tied: bool = Field(False, description="Tie the output layer to the embedding.")
    qk_norm: bool = Field(True, description="Normalise queries and keys.")
    rope_base: Base = Field(10_000.0, description="Base of the rotary position embedding (theta).")
    yarn: int = Field(
        0,
        ge=0,
        description="Window (tokens) from which YaRN stretches rotary positions to those of phases with "
        "longer ones; 0: none.",
    )
    soft_cap: float = Field(0.0, ge=0.0, description="Cap logits smoothly at ± this value; 0: no cap.")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of activations set to zero in training; for scarce data."
    )
    experts: Experts = Experts()

    @model_validator(mode="after")
    def _experts_fit(self) -> Model:
        experts = self.experts
        if not experts.count:
            if experts != Experts():
                raise WrongValueError(
                    self, "experts.count", "other keys of experts need it, the number of experts"
                )
            return self
        if experts.active >= experts.count:
            raise WrongValueError(
                self,
                "experts.active",
                f"expected less than experts.count = {experts.count}; for a layer in which every token "
                "passes every expert, set hidden instead",
            )
        if experts.hidden and self.hidden:
            raise WrongValueError(self, "experts.hidden", f"hidden = {self.hidden}: set only one of them")
        if self.activation != "swiglu":
            raise WrongValueError(self, "activation", 'expected "swiglu", which experts are')
        if experts.scores == "softmax" and (experts.shared or experts.balance):
            raise WrongValueError(
                self,
                "experts.scores",
                "set experts.shared = 0 and experts.balance = 0, as Qwen3-MoE has neither; or choose sigmoid",
            )
        return self
