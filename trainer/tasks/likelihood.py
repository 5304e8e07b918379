"""Log-likelihoods under a run's model: of many texts, of continuations of prompts, of one text by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.attention import Documents
from trainer.evaluate import Document, Sample, evaluate, windows
from trainer.load_run import LoadedRun
from trainer.tasks.questions import Question

Floats = NDArray[np.float64]


def nats(trained: LoadedRun, texts: Sequence[Sequence[int]]) -> Floats:
    """Return the nats of all tokens of each text; its end (EOS) is not scored.

    A text starts with BOS if the model knows it; else its first token costs ln(vocabulary).
    """
    pieces, device = trained.tokenizer, trained.model.embedding.weight.device
    begin = [pieces.bos] if trained.bos else []
    documents = tuple(
        Document("", "", str(number), 1, np.array([*begin, *ids], np.int64))
        for number, ids in enumerate(texts)
    )
    sample = Sample(documents, pieces.vocabulary, trained.bos)
    return evaluate(trained.decoder(), sample, trained.config.data.length, device).nll


@dataclass(frozen=True, slots=True)
class Options:
    """Log-likelihoods of the options of a question, whole (nats) and by UTF-8 byte."""

    total: Floats
    by_byte: Floats


def options(trained: LoadedRun, questions: Sequence[Question]) -> list[Options]:
    """Return the log-likelihoods of every question's options after its prompt.

    Prompt and option are cut into tokens together, as in training; the option's tokens are those after the
    last one that the prompt alone has in common with both.
    """
    pieces = trained.tokenizer
    texts: dict[tuple[int, ...], int] = {}
    made = []
    for question in questions:
        before = pieces.encode(question.prompt) if question.prompt else []
        places = []
        for option in question.options:
            both = pieces.encode(question.prompt + option)
            same = 0
            while same < min(len(before), len(both) - 1) and before[same] == both[same]:
                same += 1
            places.append([texts.setdefault(tuple(ids), len(texts)) for ids in (both, both[:same])])
        made.append(np.array(places))
    found = nats(trained, list(texts))
    totals = [found[places[:, 1]] - found[places[:, 0]] for places in made]
    return [
        Options(total, total / np.array([len(option.encode()) for option in question.options]))
        for question, total in zip(questions, totals, strict=True)
    ]


@dataclass(frozen=True)
class Text:
    """A text under a model: its tokens and the nats of each, NaN for a first token that is not predicted.

    `nats` leaves the end of the text open: EOS is not scored.
    """

    text: str
    tokens: tuple[str, ...]
    nats: Floats

    @property
    def log_likelihood(self) -> float:
        """Return the log-likelihood in nats."""
        return -float(np.nansum(self.nats))

    @property
    def perplexity(self) -> float:
        """Return the exponential of the mean nats per predicted token."""
        known = self.nats[np.isfinite(self.nats)]
        return math.exp(float(known.mean())) if known.size else 1.0

    @property
    def bits_per_byte(self) -> float:
        """Return bits per UTF-8 byte of the text."""
        return -self.log_likelihood / math.log(2) / len(self.text.encode())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; null for the nats of a token that is not predicted."""
        return {
            "log_likelihood": self.log_likelihood,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "tokens": list(self.tokens),
            "nats": [None if math.isnan(each) else each for each in self.nats.tolist()],
        }


@torch.inference_mode()
def by_token(trained: LoadedRun, text: str) -> Text:
    """Return the nats of every token of a text, in windows as an evaluation reads them; ValueError if empty.

    The first token is predicted from BOS if the model knows it.
    """
    pieces, length = trained.tokenizer, trained.config.data.length
    ids = pieces.encode(text)
    if not ids:
        raise ValueError("the text is empty")
    whole = torch.tensor([*([pieces.bos] if trained.bos else []), *ids])
    model = trained.decoder()
    device = model.embedding.weight.device
    found = np.full(len(whole), math.nan)
    for _, start, size, first in windows(np.array([len(whole)]), length).tolist():
        inputs, targets = whole[start : start + size], whole[start + 1 : start + size + 1]
        _, scored = model(inputs[None].to(device), Documents.whole(1, size, device), targets[None].to(device))
        found[start + first + 1 : start + size + 1] = scored[0, first:].double().cpu().numpy()
    return Text(text, tuple(pieces.decode([i]) or pieces.piece(i) for i in ids), found[trained.bos :])
