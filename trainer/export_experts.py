"""Experts as `transformers` has them: softmax scores as Qwen3-MoE, sigmoid scores with biases as GLM-4-MoE.

Both compute the same as `trainer/experts.py`: normalised weights of the chosen experts, and in GLM-4-MoE a
bias that counts in the choice alone and shared experts that have no gate. Other models with shared experts
have a gate (Qwen2-MoE) or another attention (DeepSeek-V3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from corpus.errors import ConfigError
from trainer.shape import Shape

BIAS = "e_score_correction_bias"
"""The name of the biases, which stay float32 in any export: rounded, they would choose other experts."""


def family(shape: Shape) -> tuple[str, str]:
    """Return the model type and the class of a model with experts; ConfigError if none fits."""
    if shape.scores == "softmax":
        if not shape.qk_norm:
            raise ConfigError(
                "model.qk_norm = false: cannot be exported with softmax experts, as Qwen3-MoE normalises "
                "queries and keys; train with model.qk_norm = true"
            )
        return "qwen3_moe", "Qwen3MoeForCausalLM"
    if not shape.shared:
        raise ConfigError(
            "model.experts.shared = 0: cannot be exported with sigmoid scores, as GLM-4-MoE has a shared "
            "expert; train with model.experts.shared = 1, or as Qwen3-MoE: model.experts.scores = "
            '"softmax" and model.experts.balance = 0'
        )
    return "glm4_moe", "Glm4MoeForCausalLM"


def settings(shape: Shape) -> dict[str, Any]:
    """Return what the configuration states of the experts; every layer has them."""
    both = {
        "moe_intermediate_size": shape.hidden,
        "num_experts_per_tok": shape.active,
        "norm_topk_prob": True,
        "output_router_logits": False,
    }
    if shape.scores == "softmax":
        own = {"num_experts": shape.experts, "decoder_sparse_step": 1, "mlp_only_layers": []}
        return {**both, **own, "router_aux_loss_coef": 0.0}
    return {
        **both,
        "n_routed_experts": shape.experts,
        "n_shared_experts": shape.shared,
        "routed_scaling_factor": 1.0,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 0,
        "num_nextn_predict_layers": 0,
        "use_qk_norm": shape.qk_norm,
        "partial_rotary_factor": 1.0,
    }


def named(prefix: str, name: Sequence[str], weight: Tensor, shape: Shape) -> dict[str, Tensor]:
    """Return the weights of a parameter or buffer of `Experts` under their names in a layer."""
    match name:
        case ["router", "weight"]:
            return {f"{prefix}.gate.weight": weight}
        case ["router", "bias"]:  # with softmax scores it is zero
            return {} if shape.scores == "softmax" else {f"{prefix}.gate.{BIAS}": weight}
        case ["shared", part, _]:
            return _parts(f"{prefix}.shared_experts", part, weight)
        case [part, _]:
            experts = [_parts(f"{prefix}.experts.{e}", part, each) for e, each in enumerate(weight)]
            return {name: each for parts in experts for name, each in parts.items()}
    raise AssertionError(f"no name for {name} in transformers")


def described(shape: Shape) -> str:
    """Return the experts of a layer, for people."""
    shared = f" and {shape.shared} shared" if shape.shared else ""
    return f"{shape.experts} experts of width {shape.hidden} in each, {shape.active} active{shared}"


def _parts(prefix: str, part: str, matrix: Tensor) -> dict[str, Tensor]:
    """Return the matrices of a feed-forward network: gate and up are one of ours."""
    if part == "down":
        return {f"{prefix}.down_proj.weight": matrix}
    gate, up = matrix.chunk(2)
    return {f"{prefix}.gate_proj.weight": gate, f"{prefix}.up_proj.weight": up}
