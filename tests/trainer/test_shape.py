from typing import Any

import pytest
import torch

from corpus.errors import ConfigError
from trainer.config import Model
from trainer.model import Transformer
from trainer.shape import flops, shape

SMALL: dict[str, Any] = {"depth": 2, "width": 48, "head": 16}


def test_the_depth_sets_every_size() -> None:
    sizes = shape(Model(depth=6), 4096)
    assert (sizes.layers, sizes.width, sizes.heads, sizes.kv_heads, sizes.head) == (6, 384, 6, 6, 64)
    assert sizes.hidden == 1024


@pytest.mark.parametrize(
    ("width", "activation", "hidden"),
    [
        (192, "swiglu", 512),
        (320, "swiglu", 896),
        (1024, "swiglu", 2816),
        (2048, "swiglu", 5504),
        (192, "relu2", 768),
    ],
)
def test_both_activations_have_as_many_parameters_in_round_sizes(
    width: int, activation: Any, hidden: int
) -> None:
    assert shape(Model(width=width, activation=activation), 300).hidden == hidden


def test_named_sizes_are_taken() -> None:
    sizes = shape(Model(depth=3, width=96, head=24, kv_heads=2, hidden=100), 300)
    assert (sizes.layers, sizes.width, sizes.heads, sizes.kv_heads, sizes.hidden) == (3, 96, 4, 2, 100)


@pytest.mark.parametrize(("vocabulary", "rows"), [(2, 128), (128, 128), (129, 256), (32_768, 32_768)])
def test_the_vocabulary_is_padded_to_a_multiple_of_128(vocabulary: int, rows: int) -> None:
    assert shape(Model(), vocabulary).rows == rows


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(width=200), r"model\.width = 200, model\.head = 64"),
        (Model(width=192, kv_heads=2), r"model\.kv_heads = 2: expected a divisor of the number of heads, 3"),
        (Model(width=99, head=9), r"model\.head = 9: expected an even number"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(model: Model, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shape(model, 300)


@pytest.mark.parametrize("activation", ["swiglu", "relu2"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_model_has_the_parameters_that_are_counted(activation: Any, tied: bool, qk_norm: bool) -> None:
    sizes = shape(Model(**SMALL, kv_heads=1, activation=activation, tied=tied, qk_norm=qk_norm), 300)
    with torch.device("meta"):
        model = Transformer(sizes)
    assert sizes.parameters == sum(parameter.numel() for parameter in model.parameters())
    matrices = sum(parameter.numel() for parameter in model.blocks.parameters() if parameter.ndim == 2)
    assert sizes.non_embedding_parameters == matrices
    assert sizes.matmul_parameters == matrices + model.output.numel()


@pytest.mark.parametrize(("count", "active", "shared"), [(2, 1, 0), (6, 2, 1), (8, 3, 2)])
def test_of_experts_all_are_counted_and_those_that_a_token_passes(
    count: int, active: int, shared: int
) -> None:
    experts = {"count": count, "active": active, "shared": shared, "hidden": 24}
    sizes = shape(Model.model_validate({**SMALL, "experts": experts}), 300)
    with torch.device("meta"):
        model = Transformer(sizes)
    assert sizes.parameters == sum(parameter.numel() for parameter in model.parameters())
    idle = sum(
        (count - active) * parameter[0].numel() for parameter in model.parameters() if parameter.ndim == 3
    )
    assert sizes.active_parameters == sizes.parameters - idle
    matrices = sum(parameter.numel() for parameter in model.blocks.parameters() if parameter.ndim > 1)
    assert sizes.non_embedding_parameters == matrices - idle
    assert sizes.matmul_parameters == matrices - idle + model.output.numel()
    assert flops(sizes, 0) == 6 * sizes.matmul_parameters


@pytest.mark.parametrize(("active", "shared"), [(1, 0), (2, 0), (3, 1)])
def test_a_token_costs_with_experts_what_it_costs_without(active: int, shared: int) -> None:
    """But for the router."""
    dense = shape(Model(depth=4), 300)
    experts = {"count": 8, "active": active, "shared": shared}
    sizes = shape(Model.model_validate({"depth": 4, "experts": experts}), 300)
    assert sizes.active_parameters == dense.active_parameters + 4 * 8 * 256 == dense.parameters + 4 * 8 * 256
    assert sizes.parameters > 2 * dense.parameters - 4 * 8 * 256 - 2 * 384 * 256 or active > 2


@pytest.mark.parametrize(
    ("layers", "width", "millions", "full", "real"),
    [(12, 768, 110, 887, 774), (24, 1024, 336, 2617, 2315), (24, 2048, 1275, 8858, 8254)],
)
@pytest.mark.parametrize("activation", ["relu2", "swiglu"])
def test_published_sizes_cost_what_is_published(
    layers: int, width: int, millions: int, full: int, real: int, activation: Any
) -> None:
    hidden = {"relu2": 4 * width, "swiglu": 8 * width / 3}[activation]
    model = Model(depth=layers, width=width, head=128, activation=activation, hidden=round(hidden))
    sizes = shape(model, 32_768)
    assert sizes.matmul_parameters / 1e6 == pytest.approx(millions, abs=0.6)
    assert flops(sizes, keys=2048) / 1e6 == pytest.approx(full, rel=5e-4)
    assert flops(sizes, keys=(2048 + 1) / 2) / 1e6 == pytest.approx(real, rel=5e-4)
