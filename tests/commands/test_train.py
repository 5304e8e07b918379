"""What the trainer's commands say beside their output."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.train import _say_beyond
from trainer.config import Config, Data, Phase
from trainer.load_run import LoadedRun


def test_texts_beyond_the_longest_window_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    data = Data(length=4, batch=1, tokens=100, phases=(Phase(tokens=8, length=8), Phase(tokens=8)))
    window = LoadedRun.window.fget(cast(Any, SimpleNamespace(config=Config(data=data))))  # type: ignore[attr-defined]
    assert window == 8
    model = cast(Any, SimpleNamespace(window=window, tokenizer=SimpleNamespace(encode=str.split)))
    _say_beyond(model, ["a b c d e f g h"])
    assert capsys.readouterr().err == ""
    _say_beyond(model, ["a b c d e f g h i", "a", "a b c d e f g h i j"])
    assert (
        capsys.readouterr().err.count("this text has 10 tokens, but the model was trained on windows of 8")
        == 1
    )
