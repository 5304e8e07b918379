"""Export a model as a Hugging Face directory, for everything done with a model after pretraining."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from corpus import temporary
from corpus.errors import ConfigError, NotThereError
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.reserved import END, MASK, ROLES
from trainer import export_experts, fast_tokenizer, t5gemma
from trainer.encoder_decoder import EncoderDecoder
from trainer.generate import controls
from trainer.layers import EPSILON
from trainer.marked import Marked
from trainer.model import Transformer
from trainer.rope import Rope
from trainer.sentencepiece_file import UNKNOWN, read
from trainer.shape import Shape

FILES = (
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    MODEL,
)
CHAT = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""The chat template: BOS if texts start with it, roles and the end of a turn as reserved pieces. What the
assistant says is marked, so that further training can score it alone."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

DType = Literal["float32", "bfloat16"]


def export(
    model: Transformer,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    length: int,
    dtype: DType,
    card: dict[str, str],
    bos: bool,
    encoder: bool = False,
) -> None:
    """Write a directory that `transformers`, vLLM and others load without code of ours.

    It is a LlamaForCausalLM, or a Qwen3ForCausalLM if queries and keys are normalised; an `encoder`, which
    learned masked tokens, is a EuroBertForMaskedLM, and an encoder-decoder a T5GemmaForConditionalGeneration;
    with experts it is what `export_experts.family` says. `length` is the window it was trained with, `card`
    are facts for README.md, `bos` says whether texts start with BOS. Padding rows of the embedding are not
    written. An earlier export's directory is replaced whole.

    Raises ConfigError for a model or tokenizer that cannot be expressed so, and DatasetError if the folder
    holds anything else.
    """
    config = _config(model, tokenizer, length, dtype, bos, encoder)
    pieces = fast_tokenizer.convert(tokenizer, bos)
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder(f".{folder.name}", folder.parent) as scratch:  # the next export removes its remains
        new = scratch / "new"
        new.mkdir()
        save_file(weights(model, _DTYPES[dtype]), new / "model.safetensors", metadata={"format": "pt"})
        pair = isinstance(model, EncoderDecoder)
        _write_json(new / "config.json", t5gemma.config(config, tokenizer.bos) if pair else config)
        if not encoder:
            _write_json(new / "generation_config.json", _generation(tokenizer, bos, pair))
        _write_json(new / "tokenizer.json", pieces)
        _write_json(
            new / "tokenizer_config.json", _tokenizer_config(tokenizer, length, bos, config["model_type"])
        )
        (new / MODEL).write_bytes(tokenizer.model)
        mixture = {"experts": export_experts.described(model.shape)} if model.shape.experts else {}
        written = _card(folder.name, config, tokenizer, length, mixture | card)
        (new / "README.md").write_text(written, "utf-8")
        if folder.exists():
            os.rename(folder, scratch / "old")
        os.rename(new, folder)


def weights(model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights under the names that their class has in `transformers`."""
    named = t5gemma.weights(model) if isinstance(model, EncoderDecoder) else _weights(model)
    exact = export_experts.BIAS
    return {
        name: weight.detach().to("cpu", torch.float32 if name.endswith(exact) else dtype).contiguous()
        for name, weight in named.items()
    }


def _weights(model: Transformer) -> dict[str, Tensor]:
    """Return the weights of a decoder or encoder: Llama, Qwen3 and EuroBERT name them alike."""
    shape, named = model.shape, {}
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    for name, weight in model.state_dict().items():
        match name.split("."):
            case ["embedding", _]:
                named["model.embed_tokens.weight"] = weight[: shape.vocabulary]
            case ["head", _]:
                named["lm_head.weight"] = weight[: shape.vocabulary]
            case ["norm", _]:
                named["model.norm.weight"] = weight
            case ["blocks", layer, "attention", "qkv", _]:
                for part, rows in zip("qkv", weight.split([queries, keys, keys]), strict=True):
                    named[f"model.layers.{layer}.self_attn.{part}_proj.weight"] = rows
            case ["blocks", layer, "feed", *rest] if shape.experts and rest[0] != "norm":
                named |= export_experts.named(f"model.layers.{layer}.mlp", rest, weight, shape)
            case ["blocks", layer, "feed", "gate_up", _]:
                for part, rows in zip(("gate", "up"), weight.chunk(2), strict=True):
                    named[f"model.layers.{layer}.mlp.{part}_proj.weight"] = rows
            case ["blocks", layer, part, kind, _]:
                named[f"model.layers.{layer}.{_NAMES[part, kind]}.weight"] = weight
            case _:
                raise AssertionError(f"no name for {name} in transformers")
    return named


_NAMES = {
    ("attention", "norm"): "input_layernorm",
    ("attention", "out"): "self_attn.o_proj",
    ("attention", "q_norm"): "self_attn.q_norm",
    ("attention", "k_norm"): "self_attn.k_norm",
    ("feed", "norm"): "post_attention_layernorm",
    ("feed", "down"): "mlp.down_proj",
}


def check(shape: Shape, encoder: bool = False) -> tuple[str, str]:
    """Return the model type and the class of `transformers`; ConfigError for a shape that none has."""
    if shape.activation != "swiglu":
        raise ConfigError(
            f'model.activation = "{shape.activation}": cannot be exported, Llama and Qwen3 have only swiglu'
        )
    if shape.soft_cap:
        raise ConfigError(
            f"model.soft_cap = {shape.soft_cap:g}: cannot be exported, Llama and Qwen3 do not cap logits"
        )
    if encoder and shape.qk_norm:
        raise ConfigError(
            "model.qk_norm = true: cannot be exported as an encoder, EuroBERT has no such norms"
        )
    if encoder:
        return "eurobert", "EuroBertForMaskedLM"
    if shape.kind == "encoder-decoder":
        return "t5gemma", "T5GemmaForConditionalGeneration"
    if shape.experts:
        return export_experts.family(shape)
    return ("qwen3", "Qwen3ForCausalLM") if shape.qk_norm else ("llama", "LlamaForCausalLM")


def _config(
    model: Transformer, tokenizer: Tokenizer, length: int, dtype: DType, bos: bool, encoder: bool
) -> dict[str, Any]:
    shape = model.shape
    kind, architecture = check(shape, encoder)
    if tokenizer.vocabulary != shape.vocabulary:
        raise ConfigError(
            f"the model has a vocabulary of {shape.vocabulary} and the tokenizer one of "
            f"{tokenizer.vocabulary}: expected the tokenizer that the model was trained with"
        )
    return {
        "architectures": [architecture],
        "model_type": kind,
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        **(export_experts.settings(shape) if shape.experts else {}),
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "hidden_act": "silu",
        "max_position_embeddings": length,
        "rms_norm_eps": EPSILON,
        **_positions(model.rope),
        "tie_word_embeddings": shape.tied,
        "attention_bias": False,
        "attention_dropout": 0.0,
        **({} if shape.qk_norm else {"mlp_bias": False}),
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": tokenizer.bos if bos else None,
        "eos_token_id": tokenizer.eos,
        "pad_token_id": _unknown(tokenizer),
        **({"mask_token_id": tokenizer.control(MASK)} if encoder else {}),
        "torch_dtype": dtype,  # read by transformers 4, the next line by 5
        "dtype": dtype,
    }


def _positions(rope: Rope) -> dict[str, Any]:
    """Return the positions of the phase that trained the model last, for transformers 4 and, last, for 5."""
    if rope.factor == 1:
        return {
            "rope_theta": rope.base,
            "rope_parameters": {"rope_type": "default", "rope_theta": rope.base},
        }
    stretched = {
        "rope_type": "yarn",
        "factor": rope.factor,
        "original_max_position_embeddings": rope.window,
        "attention_factor": rope.temperature,
    }
    return {
        "rope_theta": rope.base,
        "rope_scaling": stretched,
        "rope_parameters": {**stretched, "rope_theta": rope.base},
    }


def _generation(tokenizer: Tokenizer, bos: bool, pair: bool) -> dict[str, Any]:
    if pair:
        return {
            "decoder_start_token_id": tokenizer.bos,
            "eos_token_id": tokenizer.eos,
            "pad_token_id": _unknown(tokenizer),
            "suppress_tokens": list(controls(Marked(tokenizer.model))),  # it writes sentinels
            "do_sample": True,
        }
    chat = [id for name in (*ROLES, END) if (id := tokenizer.control(name)) is not None]
    return {
        "bos_token_id": tokenizer.bos if bos else None,
        "eos_token_id": [tokenizer.eos, *chat[-1:]],  # the end of a text, and of a turn in a chat
        "pad_token_id": _unknown(tokenizer),
        # They were never a target; those of chats are one after further training.
        "suppress_tokens": [id for id in controls(tokenizer) if id not in chat],
        "do_sample": True,
    }


def _tokenizer_config(tokenizer: Tokenizer, length: int, bos: bool, kind: str) -> dict[str, Any]:
    chats = kind not in ("eurobert", "t5gemma") and tokenizer.control(END) is not None
    unknown = tokenizer.piece(_unknown(tokenizer))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.piece(tokenizer.bos) if bos else None,
        "eos_token": tokenizer.piece(tokenizer.eos),
        "unk_token": unknown,
        # Not EOS: a loss that masks padding would mask EOS too, and the model would never end a text.
        "pad_token": unknown,
        "model_max_length": length,
        "model_input_names": ["input_ids", "attention_mask"],
        **({"mask_token": MASK} if kind == "eurobert" else {}),
        **({"chat_template": CHAT} if chats else {}),
        "clean_up_tokenization_spaces": False,
    }


def _unknown(tokenizer: Tokenizer) -> int:
    return next(id for id, piece in enumerate(read(tokenizer.model).pieces) if piece.kind == UNKNOWN)


_USES = {
    "eurobert": ("EuroBERT", "fill-mask", "AutoModelForMaskedLM"),
    "t5gemma": ("T5Gemma", "text2text-generation", "AutoModelForSeq2SeqLM"),
    "qwen3": ("Qwen3", "text-generation", "AutoModelForCausalLM"),
    "llama": ("Llama", "text-generation", "AutoModelForCausalLM"),
    "qwen3_moe": ("Qwen3-MoE", "text-generation", "AutoModelForCausalLM"),
    "glm4_moe": ("GLM-4-MoE", "text-generation", "AutoModelForCausalLM"),
}
_ABOUT = {
    "text2text-generation": "An encoder-decoder, pretrained with derlem by span corruption, to be trained "
    "further; it writes the spans of a text that are marked `<|reserved_0|>`, `<|reserved_1|>` …",
    "fill-mask": "An encoder, pretrained with derlem by masked language modelling, to be trained further.",
    "text-generation": "A base language model, pretrained with derlem; it continues texts and does not "
    "follow instructions.",
}


def _card(name: str, config: dict[str, Any], tokenizer: Tokenizer, length: int, facts: dict[str, str]) -> str:
    """Return the model card: what the model is, what it was trained on and how, its scores and its limits."""
    kind, task, loader = _USES[config["model_type"]]
    rows = {
        "architecture": f"{kind}, {config['num_hidden_layers']} layers of width {config['hidden_size']}",
        "vocabulary": f"{config['vocab_size']:,} pieces",
        "window": f"{length:,} tokens",
        **facts,
        "tokenizer (sha256)": tokenizer.sha256,
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    chats = (
        "\nThe tokenizer has a chat template, for further training on chats; this model has not seen one.\n"
        if task == "text-generation" and tokenizer.control(END) is not None
        else ""
    )
    return f"""---
library_name: transformers
pipeline_tag: {task}
---

# {name}

{_ABOUT[task]}

| | |
|---|---|
{table}

```python
from transformers import {loader}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = {loader}.from_pretrained("{name}")
```

## Limits

It has read pages of the web and repeats what is in them: errors, prejudices, and names of people that a
filter missed. It was not trained to refuse anything, and nothing that it writes is checked. It reads at most
{length:,} tokens. Scores are those of held-out documents of its own corpus; other texts may be harder.

## Tokenizer

The tokenizer gives the ids that the model was trained with, except in two cases. A text that contains the
name of a control piece, such as `{tokenizer.piece(tokenizer.eos)}`, gets that piece, as chat templates need
it; for texts from strangers pass `split_special_tokens=True`. And where two ways to cut a long text differ
only by rounding, it may take the other one, because SentencePiece adds up scores in 32 bits: one token in
40,000 where it was measured. `{MODEL}` is the original.
{chats}
Padding is `{tokenizer.piece(_unknown(tokenizer))}`, which no text gives; it is not the end of a text, which a
model in further training must keep learning.
"""


def _refuse_foreign(folder: Path) -> None:
    """Raise unless an export wrote everything in a folder that is to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise NotThereError(f"{folder} is a file: expected a folder to write the model to, or none")
    foreign = sorted(set(os.listdir(folder)) - set(FILES)) if folder.exists() else []
    if foreign:
        raise NotThereError(
            f"{folder} holds {foreign[0]}, which no export wrote and one would remove: name another folder"
        )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")
