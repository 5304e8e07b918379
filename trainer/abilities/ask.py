"""Ask a run's model: the probabilities of answers, many rows at once, and the text that it writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from trainer.abilities.outputs import Output
from trainer.abilities.tasks import Item
from trainer.attention import Documents
from trainer.evaluate import FORWARD_TOKENS, pack
from trainer.generate import controls, generate
from trainer.load_run import LoadedRun
from trainer.model import Transformer
from trainer.sampling import Sampling
from trainer.sentencepiece_file import BYTE, NORMAL, USER, read

ROW = 256  # tokens: several short answers share a row, each as its own document
PROMPTS = 256  # read at once when the model writes
LOGITS = 1 << 25  # at once, so that a large vocabulary does not fill the memory

_NUMBER = re.compile(r"\s*(-?\d+)")


@dataclass(frozen=True, slots=True)
class _Text:
    """Tokens of a prompt and an answer; those from `first` on are the answer's."""

    ids: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True)
class _Read:
    """What a model predicted for an answer: nats of its tokens, the likeliest ids, ln p of no digit
    after it."""

    nats: NDArray[np.float64]
    likeliest: NDArray[np.int64]
    end: float


def digits(tokenizer: Tokenizer) -> dict[int, str]:
    """Return the ids of pieces that are one digit, with or without a blank before it, and their digits."""
    found = {}
    for id, piece in enumerate(read(tokenizer.model).pieces):
        text = piece.text.removeprefix("\u2581")
        if piece.kind == BYTE:
            text = chr(int(text[3:5], 16))
        if len(text) == 1 and text in "0123456789":
            found[id] = text
    return found


def merged(tokenizer: Tokenizer) -> list[str]:
    """Return the pieces of several digits: if there are any, digits cannot be scored one by one."""
    pieces = read(tokenizer.model).pieces
    text = (p.text for p in pieces if p.kind in (NORMAL, USER))
    return [each for each in text if sum(c in "0123456789" for c in each) > 1]


def answer(trained: LoadedRun, items: Sequence[Item], model: str, scale: float) -> list[Output]:
    """Ask a model all items: probabilities of targets and options, and greedy text if the task needs it.

    The scored tokens of an answer are those that prompt and answer together have beyond the prompt's. If the
    tokenizer merges digits there are no values by digit. Raises ConfigError for items longer than the windows
    on which the model was trained.
    """
    pieces, bos = trained.tokenizer, trained.bos
    texts: dict[tuple[str, str], _Text] = {}
    for item in items:
        for ending in (*item.targets, *item.options):
            texts.setdefault((item.prompt, ending), _text(pieces, item.prompt, ending, bos))
    longest = max(len(text.ids) for text in texts.values())
    if longest > trained.config.data.length:
        raise ConfigError(
            f"{model} was trained on windows of {trained.config.data.length} tokens, but an item of "
            f"{items[0].task} has {longest}: ask with fewer --shots"
        )
    single = {} if merged(pieces) else digits(pieces)
    read_texts = dict(
        zip(
            texts,
            read_all(trained.decoder(), list(texts.values()), list(digits(pieces)), controls(pieces)),
            strict=True,
        )
    )
    written = write(trained, [item.prompt for item in items], _room(items)) if items[0].generates else []
    made = []
    for number, item in enumerate(items):
        targets = [read_texts[item.prompt, target] for target in item.targets]
        right = texts[item.prompt, item.targets[0]]
        places = [k for k, id in enumerate(right.ids[right.first :]) if id in single]
        by_digit = bool(places) and item.generates
        made.append(
            Output(
                model=model,
                scale=scale,
                task=item.task,
                id=item.id,
                target=tuple(target.strip() for target in item.targets),
                prediction=written[number] if written else None,
                options=tuple(option.strip() for option in item.options),
                gold=item.gold,
                option_nats=tuple(float(read_texts[item.prompt, o].nats.sum()) for o in item.options),
                target_nats=tuple(float(target.nats.sum()) for target in targets),
                target_tokens=len(targets[0].nats),
                target_bytes=len(item.targets[0].encode()),
                digit_nats=tuple(float(targets[0].nats[k]) for k in places) if by_digit else (),
                digit_right=tuple(
                    single.get(int(targets[0].likeliest[k])) == single[right.ids[right.first + k]]
                    for k in places
                )
                if by_digit
                else (),
                end_nats=targets[0].end if by_digit else None,
                carry=item.carry,
                chance=item.chance if item.generates else None,
            )
        )
    return made


def write(trained: LoadedRun, prompts: Sequence[str], tokens: int) -> list[str]:
    """Return what the model writes after each prompt, greedily: a leading number, else the first line."""
    pieces = trained.tokenizer
    never = controls(pieces)
    sampling = Sampling(method="greedy", tokens=tokens)
    said = []
    for first in range(0, len(prompts), PROMPTS):
        ids = [
            [*[pieces.bos] * trained.bos, *pieces.encode(prompt)]
            for prompt in prompts[first : first + PROMPTS]
        ]
        for before, made in zip(
            ids, generate(trained.decoder(), ids, sampling, eos=pieces.eos, never=never), strict=True
        ):
            text = pieces.decode([*before, *made.ids])[len(pieces.decode(before)) :]
            number = _NUMBER.match(text)
            said.append(number[1] if number else text.strip().partition("\n")[0])
    return said


@torch.inference_mode()
def read_all(
    model: Transformer, texts: Sequence[_Text], digit_ids: Sequence[int], never: Sequence[int] = ()
) -> list[_Read]:
    """Read texts, several per row, isolated from each other; rows hold the longest, at least ROW tokens.

    The likeliest id is none of `never`, those that a model may not write.
    """
    device = model.embedding.weight.device
    sizes = np.array([len(text.ids) for text in texts], np.int64)
    length = max(ROW, int(sizes.max()))
    rows = pack(sizes, length)
    at_once = max(1, FORWARD_TOKENS // length)
    digit_rows = torch.tensor(list(digit_ids), dtype=torch.int64, device=device)
    found: list[_Read | None] = [None] * len(texts)
    for first in range(0, len(rows), at_once):
        held = rows[first : first + at_once]
        inputs = np.zeros((len(held), length), np.int64)
        starts: list[int] = []
        places: list[NDArray[np.int64]] = []
        for row, numbers in enumerate(held):
            at = row * length
            for number in numbers:
                text = texts[number]
                inputs.reshape(-1)[at : at + len(text.ids)] = text.ids
                starts.append(at)
                # Each token of the answer is predicted one place before; its last one predicts what follows.
                places.append(np.arange(at + text.first - 1, at + len(text.ids)))
                at += len(text.ids)
            if at < (row + 1) * length:
                starts.append(at)
        bounds = torch.tensor([*starts, len(held) * length], dtype=torch.int32, device=device)
        states = model.hidden(
            torch.from_numpy(inputs).to(device), Documents.of(bounds, len(held), length)
        ).flatten(0, 1)
        flat = np.concatenate(places)
        following = inputs.reshape(-1)[np.minimum(flat + 1, inputs.size - 1)]
        nats, likeliest, ends = _expected(model, states, flat, following, digit_rows, never)
        at = 0
        for number, place in zip((n for numbers in held for n in numbers), places, strict=True):
            last = at + len(place) - 1
            found[number] = _Read(nats[at:last], likeliest[at:last], float(ends[last]))
            at = last + 1
    return [each for each in found if each is not None]


def _expected(
    model: Transformer,
    states: torch.Tensor,
    places: NDArray[np.int64],
    following: NDArray[np.int64],
    digit_rows: torch.Tensor,
    never: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return at each place ln p of the ids that follow, the likeliest ids, and ln p that no digit follows."""
    nats, likeliest, ends = [], [], []
    hidden = torch.tensor(list(never), dtype=torch.int64, device=states.device)
    chunk = max(1, LOGITS // model.shape.rows)
    for first in range(0, len(places), chunk):
        where = torch.from_numpy(places[first : first + chunk]).to(states.device)
        wanted = torch.from_numpy(following[first : first + chunk]).to(states.device)
        logits = model.logits(states[where])
        total = logits.logsumexp(-1)
        # In double precision: p of a sure answer must not be rounded to above 1.
        nats.append((logits.gather(1, wanted[:, None])[:, 0].double() - total.double()).clamp(max=0.0))
        likeliest.append(logits.index_fill(1, hidden, -torch.inf).argmax(-1))
        share = (logits[:, digit_rows].double() - total.double()[:, None]).exp().sum(-1)
        ends.append(torch.log1p(-share.clamp(0.0, 1.0)))
    return (
        torch.cat(nats).cpu().numpy(),
        torch.cat(likeliest).cpu().numpy(),
        torch.cat(ends).cpu().numpy(),
    )


def _text(tokenizer: Tokenizer, prompt: str, ending: str, bos: bool) -> _Text:
    """Cut prompt and answer into tokens together, as in training."""
    before, both = tokenizer.encode(prompt), tokenizer.encode(prompt + ending)
    same = 0
    while same < min(len(before), len(both)) and before[same] == both[same]:
        same += 1
    ids = [*[tokenizer.bos] * bos, *both]
    return _Text(tuple(ids), max(1, same + bos))


def _room(items: Sequence[Item]) -> int:
    """Return the tokens that a model may write: the longest answer, a blank, and a few extra digits."""
    return max(len(target) for item in items for target in item.targets) + 3
