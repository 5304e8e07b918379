"""The benchmark of GPUs runs from end to end on a CPU, so that its first job on a GPU is to measure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from token_shards import tokenizer, write

from benchmarks import gpu

TINY = ["model.depth=1", "model.width=32", "model.head=16", "data.length=32", "data.batch=4"]


@pytest.mark.parametrize("changes", [[], ["model.experts.count=4"]])
def test_it_prints_every_number_of_a_tiny_model(
    changes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    documents = [[(start + place) % 300 + 3 for place in range(40)] + [2] for start in range(40)]
    write(tmp_path, {"tur_Latn/web": [documents]}, model=tokenizer())
    words = ["--presets=124m", "--steps=3", "--warm=1", f"--corpus={tmp_path}"]
    every = [*TINY, *changes, "run.micro_batch=64", "run.device=cpu"]
    gpu.main([*words, *(f"--set={each}" for each in every)])
    said = capsys.readouterr().out
    loss, cosine = re.findall(r"loss (\S+), cosine of gradients (\S+)", said)[0]
    assert float(loss) < 0.01
    assert float(cosine) > 0.99
    numbers = dict(re.findall(r"'(\w+)': (None|[-\d.]+)", said))
    assert numbers.keys() == {
        "tokens_per_second", "tflops", "mfu", "mfu_full", "waited", "compile_seconds", "gib"
    }  # fmt: skip
    assert float(numbers["tokens_per_second"]) > 0
    assert numbers["mfu"] == "None"  # no share of a CPU's peak
