"""A study of mixes trains what is missing, and advises the stream that the held-out text is like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from token_shards import tokenizer, write
from typer.testing import CliRunner

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from derlem import app
from trainer import config as training
from trainer.mix import config
from trainer.mix.swarm import draw, plan

STUDY = """output = "mix"
corpus = "corpus"
tokens = 5_000
runs = 10
test = 3
workers = 1
target = { "tur_Latn/counted" = 1 }
[train]
model = { depth = 1, width = 16, head = 8 }
data = { length = 16, batch = 4, tokens = 2_048 }
evaluate = { documents = 5 }
optimizer = { lr = 0.05 }
run = { device = "cpu", log = [] }
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams: one whose tokens count upwards, one of random tokens; and a study of their mixes."""
    folder = tmp_path_factory.mktemp("mix")
    rng, size = np.random.default_rng(0), Tokenizer(tokenizer()).vocabulary
    counted = [
        [*((np.arange(30) + start) % (size - 20) + 10).tolist(), 2] for start in rng.integers(size, size=110)
    ]
    noise = [[*rng.integers(10, size - 10, 30).tolist(), 2] for _ in range(110)]
    train = {"tur_Latn/counted": [counted[:100]], "tur_Latn/noise": [noise[:100]]}
    held = {"tur_Latn/counted": [counted[100:]], "tur_Latn/noise": [noise[100:]]}
    write(folder / "corpus", train, validation=held, model=tokenizer())
    (folder / "mix.toml").write_text(STUDY)
    return folder


def test_the_mix_that_the_held_out_text_is_like_is_advised(study: Path) -> None:
    found = CliRunner().invoke(app, ["mix", str(study / "mix.toml"), "--json"])
    assert found.exit_code == 0, found.output
    twin = json.loads((study / "mix" / "mix.json").read_text())
    shares = {stream["name"]: stream["best"] for stream in twin["streams"]}
    # 3,100 tokens four times over are more than the 5,000 of the run: the caps leave the choice free.
    assert shares["tur_Latn/counted"] > 0.95
    assert twin["best"]["estimate"] < twin["natural"]["estimate"]
    assert twin["best_measured"] < twin["natural_measured"]
    assert twin["test"]["rank"] == 1.0
    table = study / "mix" / "mix.toml"
    weights = training.load(str(table)).data.weights
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-3)
    before = (study / "mix" / "runs" / "mix-000" / "done.json").stat().st_mtime_ns
    runs = len(list((study / "mix" / "runs").iterdir()))
    capped = ["mix", str(study / "mix.toml"), "--set", "epochs=1", "--set", "train.evaluate.documents=4"]
    again = CliRunner().invoke(app, capped)
    assert again.exit_code == 0, again.output
    assert (study / "mix" / "runs" / "mix-000" / "done.json").stat().st_mtime_ns == before
    # Other held-out documents only score them again; another best mix is another run.
    assert len(list((study / "mix").glob("held-out-*.arrow"))) == 2
    assert len(list((study / "mix" / "runs").iterdir())) == runs + 1
    shares = {s["name"]: s for s in json.loads((study / "mix" / "mix.json").read_text())["streams"]}
    assert shares["tur_Latn/counted"]["epochs"] == pytest.approx(1.0, abs=1e-6)


def test_mixes_read_no_stream_more_often_than_the_cap(study: Path) -> None:
    mix = config.load(study / "mix.toml", ("epochs=1.0", "runs=40"))
    held = np.array([1_500, 1_000])
    shares = draw(mix, held)
    assert shares.shape == (43, 2)
    assert np.allclose(shares.sum(1), 1.0)
    assert (shares * 2_048 <= held).all()
    assert shares[:, 0].min() < 0.55 < 0.7 < shares[:, 0].max()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("tokens=99_999", "4 epochs of all streams are only"),
        ('target={ "eng_Latn/books" = 1 }', "no held-out documents of eng_Latn/books; there are tur_Latn/c"),
        ("train.data.unique=100", "expected none: the study sets"),
        ("train.data.epochs=2", "expected none: the study sets"),
        ("train.data.tokens=60_000", "no mixes were found that read every stream at most"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_change(study: Path, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(config.load(study / "mix.toml", (key,)))
