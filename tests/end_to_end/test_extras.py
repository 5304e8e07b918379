"""Where the packages of an extra are not installed, a command that needs them says what installs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from token_shards import write

HIDDEN = ("torch", "safetensors", "duckdb", "jinja2", "markupsafe", "starlette", "uvicorn")
CODE = """
import json, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # importing them fails
from typer.testing import CliRunner
from derlem import app
answers = []
for words in json.loads(sys.argv[2]):
    answer = CliRunner().invoke(app, words, env={"COLUMNS": "400", "NO_COLOR": "1"})
    known = answer.exception is None or isinstance(answer.exception, SystemExit)
    answers.append([answer.exit_code, " ".join(answer.stderr.split()) if known else repr(answer.exception)])
print(json.dumps(answers))
"""


def test_every_command_that_lacks_a_package_names_what_installs_it(tmp_path: Path) -> None:
    write(
        tmp_path / "corpus", {"tur_Latn/web": [[[5, 6, 2]] * 9]}, validation={"tur_Latn/web": [[[5, 6, 2]]]}
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x").touch()
    (tmp_path / "runs.csv").write_text("N,D,loss\n1,2,3\n")
    (tmp_path / "study.toml").write_text('output = "study"\n[corpora]\na = "corpus"\n')
    (tmp_path / "mix.toml").write_text('output = "mix"\ncorpus = "corpus"\n')
    table = ["runs.csv", "--loss", "loss", "--params", "N", "--tokens", "D"]
    training = [
        ["train", "corpus", "-o", "new"],
        ["evaluate", "run", "corpus"],
        ["generate", "run", "--prompt", "x"],
        ["export", "run", "new"],
        ["data", "order", "corpus", "--step", "1"],
        ["scale", "corpus", "-o", "new"],
        ["scale", "study.toml"],
        ["fit", *table],
        ["report", *table],
        ["abilities", "run"],
        ["compare", "corpus", "corpus", "-o", "new"],
        ["mix", "mix.toml"],
    ]
    commands = [*training, ["view", "corpus"]]
    answer = subprocess.run(
        [sys.executable, "-c", CODE, ",".join(HIDDEN), json.dumps(commands)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {" ".join(words): told for words, told in zip(commands, json.loads(answer.stdout), strict=True)}
    for words, (status, said) in found.items():
        if "which is not installed" in said:
            extra = "view" if words.startswith("view") else "train"
            assert (status, f"-c constraints.txt '.[{extra}]'" in said) == (1, True), (words, said)
        else:  # it refuses its input, or needs no such package
            assert status in (0, 2), (words, said)
    assert sum("torch, which is not installed" in said for _, said in found.values()) >= 7, found
    assert "duckdb, which is not installed" in found["view corpus"][1]
