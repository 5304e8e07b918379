"""docs/after-pretraining.md, run as it stands: further training and scores of an export by other libraries.

Skipped unless DERLEM_TEST_HANDOVER is set, as CI does: the libraries take a minute or more to install.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from anywhere import environments
from anywhere.conftest import made
from safetensors.torch import load_file
from support import ROOT, texts

from corpus.tokenizer import Tokenizer
from corpus.tokenizer.train import fit
from trainer.config import Config, Data, Model
from trainer.export import export
from trainer.load_run import LoadedRun
from trainer.model import build
from trainer.shape import shape
from trainer.tasks.likelihood import by_token, options
from trainer.tasks.questions import load

pytestmark = pytest.mark.skipif(
    not os.environ.get("DERLEM_TEST_HANDOVER"),
    reason="it installs TRL, PEFT, lm_eval and gguf: set DERLEM_TEST_HANDOVER=1",
)
PAGE = (ROOT / "docs" / "after-pretraining.md").read_text(encoding="utf-8")
LIMIT_S = 600
TEXTS = [text[:200] for _, text in texts()[:4]]
QUESTIONS = [
    {"prompt": "Türkiye'nin başkenti", "options": [" Ankara'dır.", " İzmir'dir."], "answer": 0},
    {"prompt": "Bir yılda", "options": [" on iki ay vardır.", " beş ay vardır."], "answer": 0},
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def call(folder: Path, python: Path, *words: str) -> str:
    """Run a program of the libraries' environment in a folder; return what it printed."""
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"PATH": path, "PYTHONPATH": environments.cloud_path(), "HF_HUB_OFFLINE": "1"}
    own |= {"HF_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        words, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture(scope="module")
def python() -> Path:
    return made(environments.handover)


@pytest.fixture(scope="module")
def run() -> LoadedRun:
    """A run whose weights are random, with a window that holds every text."""
    pieces = Tokenizer(fit((text for _, text in texts()), "unigram", 600))
    config = Config(model=Model(depth=2, width=48, head=12, kv_heads=2, hidden=40), data=Data(length=256))
    model = build(shape(config.model, pieces.vocabulary), 0, "cpu", torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return LoadedRun(Path(), config, "", 0, model.eval(), pieces, True, None)


@pytest.fixture(scope="module")
def folder(run: LoadedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export and the files that the page names."""
    folder = tmp_path_factory.mktemp("handover")
    target = folder / "my" / "model"
    export(run.model, run.tokenizer, target, length=run.window, dtype="float32", card={}, bos=run.bos)
    asked = [turn("user", f"{number} artı bir kaç eder?") for number in range(4)]
    right = [turn("assistant", f"{number + 1} eder.") for number in range(4)]
    wrong = turn("assistant", "Bilmem.")
    both = list(zip(asked, right, strict=True))
    write(folder / "texts.jsonl", [{"text": text} for text in TEXTS])
    write(folder / "questions.jsonl", QUESTIONS)
    write(folder / "chats.jsonl", [{"messages": [*user, *answer]} for user, answer in both])
    write(folder / "preferences.jsonl", [{"prompt": u, "chosen": a, "rejected": wrong} for u, a in both])
    write(folder / "prompts.jsonl", [{"prompt": asked[0]}])
    (folder / "tasks").mkdir()
    for block in blocks("yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(block, encoding="utf-8")
    return folder


def test_the_pages_training_runs_and_changes_the_weights(folder: Path, python: Path) -> None:
    code = "\n".join(blocks("python"))
    assert code.count("Trainer(") == 5
    call(
        folder,
        python,
        "python",
        "-c",
        code.replace("output_dir=", 'use_cpu=True, report_to="none", output_dir='),
    )
    before = {name: load_file(folder / "my" / name / "model.safetensors") for name in ("model", "chat")}
    for name, start in (("field", "model"), ("chat", "model"), ("preferred", "chat"), ("rewarded", "chat")):
        after = load_file(folder / "my" / name / "model.safetensors")
        assert after.keys() == before[start].keys(), name
        projection = "model.layers.0.self_attn.q_proj.weight"
        assert not torch.equal(after[projection].float(), before[start][projection].float()), name
    assert "score.weight" in load_file(folder / "my" / "reward" / "model.safetensors")


def test_lm_eval_and_ours_agree_on_log_likelihoods(folder: Path, python: Path, run: LoadedRun) -> None:
    for line in re.findall("^lm_eval --model .*", PAGE, flags=re.MULTILINE):
        call(folder, python, *shlex.split(line))
    found = {}
    for path in (folder / "my" / "scores").rglob("samples_*.jsonl"):
        rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
        found["questions" in path.name] = sorted(rows, key=lambda row: row["doc_id"])
    theirs = [[float(each[0][0]) for each in row["resps"]] for row in found[True]]
    ours = options(run, load(str(folder / "questions.jsonl")).questions)
    assert len(theirs) == len(QUESTIONS)
    for one, other in zip(theirs, ours, strict=True):
        assert one == pytest.approx(other.total.tolist(), rel=1e-4)
    for text, row in zip(TEXTS, found[False], strict=True):
        assert float(row["resps"][0][0]) == pytest.approx(by_token(run, text).log_likelihood, rel=1e-4)


NAMES_OF_GGUF = """
import json, sys
from gguf import MODEL_ARCH_NAMES, get_tensor_name_map
from safetensors import safe_open
architecture = json.load(open("config.json"))
(number,) = [each for each, name in MODEL_ARCH_NAMES.items() if name == architecture["model_type"]]
known = get_tensor_name_map(number, architecture["num_hidden_layers"])
names = list(safe_open("model.safetensors", "pt").keys())
print(json.dumps({name: known.get_name(name, try_suffixes=(".weight", ".bias")) for name in names}))
"""


@pytest.mark.parametrize("norms", [True, False])
def test_gguf_has_a_name_for_every_tensor(tmp_path: Path, python: Path, run: LoadedRun, norms: bool) -> None:
    """What llama.cpp's converter, which has no package, asks of a model first; of Qwen3 and of Llama."""
    settings = run.config.model.model_copy(update={"qk_norm": norms})
    model = build(shape(settings, run.tokenizer.vocabulary), 0, "cpu", torch.float32)
    export(model, run.tokenizer, tmp_path / "model", length=64, dtype="float32", card={}, bos=True)
    found = json.loads(call(tmp_path / "model", python, "python", "-c", NAMES_OF_GGUF))
    assert len(found) == 2 + 1 + 2 * (9 + 2 * norms)  # embedding and head, norm, and those of two blocks
    assert None not in found.values()
    assert len(set(found.values())) == len(found)
