"""A classifier's answers are those of fastText's own predictor, whatever the model and the line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fasttext_models import SKIPGRAM, Recipe, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus import classifier, classifier_file, language

fasttext = pytest.importorskip("fasttext", reason="fasttext-predict is a development dependency")

RECIPES = {
    "softmax": Recipe(),
    "hierarchical": Recipe(loss=1, labels=9),
    "negative sampling": Recipe(loss=2),
    "one against all": Recipe(loss=4),
    "one label": Recipe(loss=1, labels=1),
    "two labels": Recipe(loss=1, labels=2),
    "words alone": Recipe(shortest=0, longest=0, buckets=0),
    "n-grams of words": Recipe(word_ngrams=3, words=("bir", "iki", "üç")),
    "n-grams of words alone": Recipe(word_ngrams=2, shortest=0, longest=0),
    "single letters": Recipe(shortest=1, longest=3),
    "long n-grams": Recipe(shortest=3, longest=6, buckets=1000),
    "no end of line": Recipe(words=("bir", "kitap")),
    "quantised": Recipe(quantised=True),
    "quantised without norms": Recipe(quantised=True, norms=False),
    "quantised, odd": Recipe(quantised=True, dim=7),
    "quantised output": Recipe(quantised=True, quantised_output=True, loss=1),
    "pruned": Recipe(quantised=True, buckets=1000, pruned=130),
    "pruned to nothing": Recipe(quantised=True, buckets=1000, pruned=0),
    "old": Recipe(version=11),
}
LINES = [
    "",
    " ",
    "bir kitap",
    "Bir ağaç, iki ağaç; bir kitap!",
    "__label__l1 bir",
    "__label__ bir",
    "__label bir",
    "bir </s> kitap",
    "a\tb\vc\fd\re\0f\x85g\u2028h",
    "日本語 ελληνικά العربية 🙂",
    "ı" * 700,
]

Answer = list[tuple[str, float]]


def theirs(path: Path, line: str, k: int) -> Answer:
    found = zip(*_theirs(str(path)).predict(line, k=k), strict=True)
    return [(label.removeprefix("__label__"), score) for label, score in found]


@cache
def _theirs(path: str) -> fasttext.FastText._FastText:
    return fasttext.load_model(path)


@cache
def _ours(path: str) -> classifier.Classifier:
    return classifier.load(path)


def check(path: Path, line: str) -> None:
    """Compare all labels, whose order among equals is nobody's, and the best three."""
    model = _ours(str(path))
    every = model.predict(line, -1)
    assert dict(every) == pytest.approx(dict(theirs(path, line, -1)), abs=1e-6)
    for k in (1, 3):
        some = model.predict(line, k)
        assert some == every[:k]
        assert [score for _, score in some] == pytest.approx(
            [score for _, score in theirs(path, line, k)], abs=1e-6
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: write(folder / f"{n}.bin", recipe) for n, (name, recipe) in enumerate(RECIPES.items())}


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_of_any_kind_answers_as_fasttext_does(made: dict[str, Path], name: str) -> None:
    for line in LINES:
        check(made[name], line)


@pytest.mark.parametrize("path", language.model_paths(), ids=["lid.176", "turkic", "cyrillic"])
@settings(max_examples=300)
@given(line=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=400))
@example("Bugün hava çok güzel")
@example("__label__tr Bugün </s> hava")
@example("")
def test_the_packaged_models_answer_as_fasttext_does(path: str, line: str) -> None:
    check(Path(path), line)


@pytest.mark.parametrize("path", language.model_paths(), ids=["lid.176", "turkic", "cyrillic"])
def test_real_sentences_get_the_same_scores_to_the_bit(path: str, shared_data: Callable[[str], Path]) -> None:
    with gzip.open(shared_data("lid") / "udhr" / "udhr-paragraphs.jsonl.gz", "rt", encoding="utf-8") as rows:
        lines = [" ".join(json.loads(row)["text"].split()) for row in rows][::20]
    assert len(lines) > 1000
    for line in lines:
        assert dict(_ours(path).predict(line, -1)) == dict(theirs(Path(path), line, -1))


@settings(max_examples=100)
@given(
    recipe=st.builds(
        Recipe,
        words=st.lists(
            st.sampled_from(["a", "ağ", "bir", "</s>", "de", "x" * 30]), min_size=1, unique=True
        ).map(tuple),
        labels=st.integers(1, 12),
        loss=st.integers(1, 4),
        shortest=st.integers(1, 3),
        longest=st.integers(3, 5),
        word_ngrams=st.integers(1, 3),
        buckets=st.integers(64, 200),
        pruned=st.sampled_from([-1, 0, 1, 63, 64]),
        dim=st.integers(2, 17),
        quantised=st.just(True),
        quantised_output=st.booleans(),
        norms=st.booleans(),
        seed=st.integers(0, 1000),
    ),
    line=st.text(st.sampled_from("abdeğixr \t<>/s"), max_size=60),
)
def test_any_model_answers_any_line_as_fasttext_does(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, line: str
) -> None:
    check(write(tmp_path_factory.mktemp("any") / "model.bin", recipe), line)


def test_labels_are_read_without_the_rest(made: dict[str, Path]) -> None:
    assert classifier_file.read_labels(str(made["softmax"])) == ("l0", "l1", "l2", "l3", "l4")


@pytest.mark.parametrize("line", ["a\nb", "\ud800"])
def test_what_is_no_line_is_refused(made: dict[str, Path], line: str) -> None:
    with pytest.raises(ValueError, match=r"line break|surrogates"):
        classifier.load(str(made["softmax"])).predict(line, 1)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe(kind=SKIPGRAM), "kind 2; expected 3"),
        (Recipe(version=13), "793712314, 13; expected 793712314 and at most 12"),
        (Recipe(labels=0), "4 words before 0 labels"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path: Path, recipe: Recipe, said: str) -> None:
    path = write(tmp_path / "model.bin", recipe)
    with pytest.raises(ValueError, match=f"model.bin: no classifier of fastText: .*{said}"):
        classifier.load(str(path))


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_model_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    recipe = data.draw(st.sampled_from([Recipe(), Recipe(quantised=True, buckets=100, pruned=20, loss=1)]))
    path = write(tmp_path_factory.mktemp("damaged") / "model.bin", recipe)
    content = bytearray(path.read_bytes())
    end = data.draw(st.integers(0, len(content)))
    at = data.draw(st.integers(0, min(400, max(end - 1, 0))))
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(content[: data.draw(st.sampled_from([end, len(content)]))])
    refused = ""
    try:
        classifier.load(str(path)).predict("bir kitap ağaç", 2)
    except ValueError as error:
        refused = str(error)
    assert not refused or "no classifier of fastText" in refused
