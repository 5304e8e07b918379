"""A drafted study fits the tokens of its corpus and the time, and its file reads back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from token_shards import write

from corpus.errors import ConfigError, DatasetError
from trainer.scaling import config, draft
from trainer.scaling.plan import Plan, plan

SPEED = 2e9
"""FLOP/s of the machine that these tests suppose."""


def cost(made: Plan) -> float:
    """Return the seconds of all cells' whole training, more than their trunks take."""
    return sum(cell.compute for cell in made.cells()) / SPEED


def corpus(folder: Path, documents: int) -> str:
    """Write a corpus of documents of 100 tokens, and a validation of ten."""
    text = [*range(10, 109), 2]
    write(folder, {"tur_Latn/web": [[text] * documents]}, validation={"tur_Latn/web": [[text] * 10]})
    return str(folder)


@pytest.mark.parametrize("documents", [300, 3_000, 30_000])
@pytest.mark.parametrize("hours", [0.01, 0.1, 2.0])
def test_a_draft_keeps_to_the_time_and_to_the_corpus(tmp_path: Path, documents: int, hours: float) -> None:
    found = plan(draft.draft(corpus(tmp_path / "c", documents), tmp_path / "study", hours, cost))
    cells = found.cells()
    assert cost(found) <= 1.3 * hours * 3600
    assert all(cell.tokens <= documents * 100 for cell in cells)
    counted = [size.shape.matmul_parameters for size in found.sizes]
    assert len(counted) == 4
    assert counted[-1] > 3 * counted[0]
    assert found.sizes[-1].tokens <= 20.5 * counted[-1]
    trunks = {cell.trunk.name for cell in cells}
    assert len(trunks) >= 12  # enough for intervals that resample them


def test_more_time_and_more_text_give_larger_models(tmp_path: Path) -> None:
    def largest(documents: int, hours: float) -> int:
        folder = corpus(tmp_path / f"{documents}-{hours}", documents)
        return draft.draft(folder, tmp_path / "study", hours, cost).sizes.largest

    assert largest(100_000, 0.1) < largest(100_000, 10.0)
    assert largest(30_000, 10.0) < largest(100_000, 10.0)


def test_what_the_models_would_have_to_repeat_is_said_and_not_planned(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"at least [\d,]+ tokens, and the corpus has 600.*vocabulary"):
        draft.draft(corpus(tmp_path / "c", 6), tmp_path / "study", 1.0, cost)
    with pytest.raises(ConfigError, match=r"takes at least [\d.]+ hours.*--hours"):
        draft.draft(corpus(tmp_path / "d", 30_000), tmp_path / "study", 0.01, lambda made: 5_000 * cost(made))


def test_its_file_reads_back_as_the_study(tmp_path: Path) -> None:
    study = draft.draft(corpus(tmp_path / "my" / "corpus", 3_000), tmp_path / "study", 0.1, cost)
    assert list(study.corpora) == ["my"]
    path = draft.write(study, 0.1)
    assert path == tmp_path / "study" / "study.toml"
    assert config.load(path) == study
    assert path.read_text().startswith("# Drafted for about 0.1 hours")


def test_a_folder_without_tokens_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="derlem tokenize"):
        draft.draft(str(tmp_path), tmp_path / "study", 1.0, cost)
