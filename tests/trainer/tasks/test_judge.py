"""A model's choices are those of its probabilities, which add up token by token."""

from __future__ import annotations

import math

import numpy as np
import pytest
from token_shards import tokenizer
from untrained import model

from corpus.tokenizer import Tokenizer
from trainer.tasks.judge import accuracy, agreement, credit, judge
from trainer.tasks.likelihood import by_token, nats, options
from trainer.tasks.questions import Question, Rated, Task

TEXT = "bir iki üç dört beş altı yedi sekiz dokuz on " * 3


@pytest.mark.parametrize("bos", [True, False])
def test_a_text_is_scored_as_an_evaluation_scores_it(bos: bool) -> None:
    found = by_token(model(bos), TEXT)
    ids = Tokenizer(tokenizer()).encode(TEXT)
    assert "".join(found.tokens) == TEXT
    assert len(ids) > 32  # several windows
    whole = float(nats(model(bos), [ids])[0])
    first = 0.0 if bos else math.log(Tokenizer(tokenizer()).vocabulary)  # not predicted without BOS
    assert -found.log_likelihood == pytest.approx(whole - first, rel=1e-5)
    assert np.isnan(found.nats).tolist() == [not bos] + [False] * (len(ids) - 1)
    assert found.bits_per_byte == pytest.approx(-found.log_likelihood / math.log(2) / len(TEXT.encode()))
    assert found.perplexity == pytest.approx(math.exp(np.nanmean(found.nats)))


def test_probabilities_of_the_next_tokens_sum_to_one() -> None:
    trained = model()
    ids = [*range(trained.tokenizer.vocabulary)]
    begun = trained.tokenizer.encode("bir iki")
    ends = nats(trained, [[*begun, each] for each in ids]) - nats(trained, [begun])[0]
    assert np.exp(-ends).sum() == pytest.approx(1.0, rel=1e-4)


def test_options_are_continuations_of_their_prompt() -> None:
    trained = model()
    asked = Question("", "bir iki", (" üç", " dört beş"), 0)
    (found,) = options(trained, [asked])
    whole = nats(trained, [trained.tokenizer.encode(asked.prompt + each) for each in asked.options])
    alone = nats(trained, [trained.tokenizer.encode(asked.prompt)])
    assert found.total == pytest.approx(alone - whole, rel=1e-5)
    assert found.by_byte == pytest.approx(found.total / [5, 11])


def test_equal_options_share_the_answer() -> None:
    assert credit(np.array([-1.0, -1.0]), 0) == 0.5
    assert credit(np.array([-1.0, -2.0]), 0) == 1.0
    assert credit(np.array([-1.0, -2.0]), 1) == 0.0


def test_intervals_are_wilsons() -> None:
    found = accuracy([1.0] * 8 + [0.0] * 2)
    assert (found.share, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert accuracy([1.0] * 10).high == pytest.approx(1.0)


def test_agreement_is_of_ranks() -> None:
    values = np.arange(20.0)
    assert agreement(values, values**3).correlation == pytest.approx(1.0)
    found = agreement(values, -values + np.where(values % 2, 8.0, 0.0))
    assert -1 < found.low < found.correlation < found.high < 0


def test_a_task_is_judged_by_group_and_with_people() -> None:
    trained = model()
    texts = ["bir", "iki üç", "dört beş altı", "yedi", "sekiz dokuz on"]
    values = -nats(trained, [trained.tokenizer.encode(each) for each in texts])
    better = int(np.argmax(values[:2]))
    pairs = tuple(Question(name, "", (texts[better], texts[1 - better]), 0) for name in ("a", "a", "b"))
    rated = tuple(Rated(each, v / len(each.encode())) for each, v in zip(texts, values, strict=True))
    found = judge(
        trained, Task("own", (*pairs, Question("b", "", (texts[1 - better], texts[better]), 0)), rated)
    )
    assert [(each.name, each.questions, each.total.share) for each in found.groups] == [
        ("a", 2, 1.0),
        ("b", 2, 0.5),
    ]
    assert found.mean.total.share == 0.75
    assert found.groups[0].probability > 0.5 == found.groups[1].probability
    assert found.agreement is not None
    assert found.agreement.correlation == pytest.approx(1.0)
