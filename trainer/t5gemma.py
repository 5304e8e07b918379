"""An encoder-decoder as T5Gemma (2504.06225) in the names, shapes and scales of `transformers`."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from trainer.encoder_decoder import EncoderDecoder

_SIDES = ("encoder", "decoder")
_NAMES = {
    ("attention", "norm"): "pre_self_attn_layernorm",
    ("attention", "out"): "self_attn.o_proj",
    ("attention", "after_norm"): "post_self_attn_layernorm",
    ("cross", "norm"): "pre_cross_attn_layernorm",
    ("cross", "query"): "cross_attn.q_proj",
    ("cross", "out"): "cross_attn.o_proj",
    ("cross", "after_norm"): "post_cross_attn_layernorm",
    ("feed", "norm"): "pre_feedforward_layernorm",
    ("feed", "down"): "mlp.down_proj",
    ("feed", "after_norm"): "post_feedforward_layernorm",
}


def config(common: dict[str, Any], start: int) -> dict[str, Any]:
    """Return the content of config.json from what all exports state; `start` comes before what is written."""
    ids = {"bos_token_id": start, **{name: common[name] for name in ("eos_token_id", "pad_token_id")}}
    kept = (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_parameters"),
        *("attention_bias", "attention_dropout", "initializer_range", "use_cache", "dtype"),
    )
    side = {
        "model_type": "t5_gemma_module",
        **{name: common[name] for name in kept},
        **ids,
        "hidden_activation": "silu",
        "query_pre_attn_scalar": common["head_dim"],
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "sliding_window": common["max_position_embeddings"],  # no layer has it, but it must be a number
        "layer_types": ["full_attention"] * common["num_hidden_layers"],
        "tie_word_embeddings": False,
    }
    return {
        "architectures": common["architectures"],
        "model_type": common["model_type"],
        "is_encoder_decoder": True,
        "encoder": {**side, "is_decoder": False},
        "decoder": {**side, "is_decoder": True},
        **ids,
        "decoder_start_token_id": start,
        "vocab_size": common["vocab_size"],
        "dropout_rate": 0.0,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,  # its embedding is scaled, its output layer is not
        "dtype": common["dtype"],
    }


def weights(model: EncoderDecoder) -> dict[str, Tensor]:
    """Return the weights under their names.

    T5Gemma multiplies embeddings by √width and norms by 1 + weight, and has an embedding for each side.
    """
    shape = model.shape
    named: dict[str, Tensor] = {}
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    for name, weight in model.state_dict().items():
        match name.split("."):
            case ["embedding", _]:
                for side in _SIDES:  # each a tensor of its own, as the format of the file needs it
                    scaled = weight[: shape.vocabulary] / math.sqrt(shape.width)
                    named[f"model.{side}.embed_tokens.weight"] = scaled
            case ["norm" | "encoder_norm" as kind, _]:
                named[f"model.{'decoder' if kind == 'norm' else 'encoder'}.norm.weight"] = weight - 1
            case ["blocks", number, part, kind, _]:
                decoder, layer = divmod(int(number), shape.layers)
                prefix = f"model.{_SIDES[decoder]}.layers.{layer}"
                if (part, kind) == ("attention", "qkv"):
                    for letter, rows in zip("qkv", weight.split([queries, keys, keys]), strict=True):
                        named[f"{prefix}.self_attn.{letter}_proj.weight"] = rows
                elif (part, kind) == ("cross", "kv"):
                    for letter, rows in zip("kv", weight.chunk(2), strict=True):
                        named[f"{prefix}.cross_attn.{letter}_proj.weight"] = rows
                elif (part, kind) == ("feed", "gate_up"):
                    for word, rows in zip(("gate", "up"), weight.chunk(2), strict=True):
                        named[f"{prefix}.mlp.{word}_proj.weight"] = rows
                else:
                    moved = weight - 1 if kind.endswith("norm") else weight
                    named[f"{prefix}.{_NAMES[part, kind]}.weight"] = moved
            case ["head", _]:
                pass
            case _:
                raise AssertionError(f"no name for {name} in transformers")
    named["lm_head.out_proj.weight"] = model.output[: shape.vocabulary]
    return named
