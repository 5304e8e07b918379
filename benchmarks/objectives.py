"""What objectives cost on one core, and an encoder-decoder beside T5Gemma of `transformers`.

Windows of 2,048 tokens hold made-up documents of Zipf-like lengths (mean about 800). First the processor
time to count and unpack a batch for each objective, beside causal, and how full the sides of an
encoder-decoder are. Then a step (forward, backward) of an encoder-decoder on packed windows of 512 tokens,
beside its own export in `transformers` on the same texts, one to a row and padded: the losses must be equal.
Medians of rounds taken in turn, by processor time.

    OMP_NUM_THREADS=1 python -m benchmarks.objectives
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import SENTINELS
from corpus.tokenizer.train import fit
from trainer import config
from trainer.attention import Pair
from trainer.encoder_decoder import EncoderDecoder
from trainer.export import export
from trainer.loader import Batch
from trainer.loss import IGNORED
from trainer.model import build
from trainer.objective import CAUSAL, Objective, unpack
from trainer.shape import shape

ROUNDS, MEAN = 5, 800


def windows(rows: int, length: int, vocabulary: int, first: int, eos: int) -> Batch:
    """Return windows of whole documents that end with EOS, cut where a window ends."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(first, vocabulary, (rows, length + 1), generator=generator, dtype=torch.int32)
    starts, targets, attended = [], rows * length, 0
    for row in range(rows):
        at = 0
        while at < length:
            starts.append(row * length + at)
            size = int(MEAN / 4 * float(torch.rand((), generator=generator)) ** -0.75) + 2
            end = min(at + size, length)
            attended += (end - at) * (end - at + 1) // 2
            targets -= at > 0
            if at + size <= length:
                tokens[row, at + size - 1] = eos
            at = end
    room = 1 << (len(starts) - 1).bit_length()
    bounds = torch.tensor(starts + [rows * length] * (room + 1 - len(starts)), dtype=torch.int32)
    lengths = torch.full((rows,), length, dtype=torch.int32)
    ends = torch.zeros(rows, dtype=torch.bool)
    return Batch(tokens, bounds, lengths, ends, torch.arange(rows), targets, attended, len(starts))


def taken(calls: list[Callable[[], Any]]) -> list[float]:
    """Return the median seconds of processor time of each call, in rounds taken in turn."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(ROUNDS + 1):
        for call, found in zip(calls, seconds, strict=True):
            begin = time.process_time()
            call()
            if number:  # the first warms up
                found.append(time.process_time() - begin)
    return [statistics.median(each) for each in seconds]


def unpacking() -> None:
    """Print what each objective costs for a batch, and how full the sides are."""
    batch = windows(256, 2048, 32_000, 40, 2)
    kinds = torch.randint(0, 2, (32_000,), dtype=torch.int8)
    spans = tuple(range(10, 33))
    learned = {
        "causal": CAUSAL,
        "fill-in-the-middle": Objective("fill-in-the-middle", 0.5, (3, 4, 5), 1, 2, 32_000),
        "masked": Objective("masked", 0.15, (6,), 1, 2, 32_000),
        "masked, whole words": Objective("masked", 0.15, (6,), 1, 2, 32_000, words=kinds),
        "span-corruption": Objective("span-corruption", 0.15, spans, 1, 2, 32_000),
        "mixture": Objective("span-corruption", 0.15, spans, 1, 2, 32_000, mixed=True),
        "encoder-decoder": Objective("span-corruption", 0.15, spans, 1, 2, 32_000, paired=True),
        "mixture, encoder-decoder": Objective(
            "span-corruption", 0.15, spans, 1, 2, 32_000, paired=True, mixed=True
        ),
    }
    calls: list[Callable[[], Any]] = []
    for each in learned.values():
        calls += [lambda each=each: each.count(batch), lambda each=each: unpack(batch, "cpu", each)]
    seconds = taken(calls)
    for number, name in enumerate(learned):
        count, read = seconds[2 * number : 2 * number + 2]
        print(f"{name}: count {count * 1e3:.1f} ms, unpack {read * 1e3:.1f} ms for {256 * 2048:,} tokens")
    for name in ("encoder-decoder", "mixture, encoder-decoder"):
        count = learned[name].count(batch)
        _, targets, pair = unpack(batch, "cpu", learned[name])
        assert isinstance(pair, Pair)
        sizes = pair.inputs.length * 256, targets.numel()
        print(
            f"{name}: {count.encoded / sizes[0]:.1%} of {pair.inputs.length}, "
            f"{count.targets / sizes[1]:.1%} of {pair.outputs.length} positions of a row hold a token"
        )


def beside_transformers() -> None:
    """Print the time of a step on packed texts and on padded ones, and both losses."""
    from transformers import AutoModelForSeq2SeqLM

    pieces = Tokenizer(fit((f"bir {number} iki üç {number % 7}" for number in range(500)), "unigram", 400))
    ids = tuple(id for name in SENTINELS if (id := pieces.control(name)) is not None)
    settings = config.Model(
        kind="encoder-decoder", depth=4, width=256, head=64, qk_norm=False, hidden=704, tied=False
    )
    model = build(shape(settings, pieces.vocabulary), 0, "cpu", torch.float32)
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():  # a new model's logits are all nearly 0
        for parameter in model.parameters():
            parameter.normal_(float(parameter.ndim == 1), 0.05, generator=torch.Generator().manual_seed(0))
    batch = windows(8, 512, pieces.vocabulary, 40, pieces.eos)
    learned = Objective("span-corruption", 0.15, ids, pieces.bos, pieces.eos, paired=True)
    tokens, targets, pair = unpack(batch, "cpu", learned)
    assert isinstance(pair, Pair)
    rows = []
    for row in range(8):
        for id in pair.outputs.ids[row].unique().tolist():
            read, written = pair.inputs.ids[row] == id, pair.outputs.ids[row] == id
            if (targets[row][written] != IGNORED).all():
                inputs, outputs = tokens[row].tensor_split([pair.inputs.length])
                rows.append((inputs[read], outputs[written], targets[row][written]))
    padded = [
        torch.nn.utils.rnn.pad_sequence([row[part] for row in rows], True, (0, 0, IGNORED)[part])
        for part in range(3)
    ]
    seen = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row[0]) for row in rows], True)
    with tempfile.TemporaryDirectory() as folder:
        export(model, pieces, Path(folder) / "m", length=512, dtype="float32", card={}, bos=False)
        theirs = AutoModelForSeq2SeqLM.from_pretrained(Path(folder) / "m")
    losses: dict[str, float] = {}
    count = learned.count(batch)

    def ours() -> None:
        loss, _ = model(tokens, pair, targets)
        (loss / count.targets).backward()
        losses["ours"] = float(loss.detach()) / count.targets

    def peer() -> None:
        inputs, outputs, labels = padded
        logits = theirs(
            input_ids=inputs, attention_mask=seen, decoder_input_ids=outputs, use_cache=False
        ).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        losses["theirs"] = float(loss.detach())

    mine, other = taken([ours, peer])
    print(f"a step on {len(rows)} texts, {count.tokens:,} tokens of both sides: packed here {mine:.2f} s,")
    print(f"padded in transformers {other:.2f} s, ratio {other / mine:.2f}; losses {losses}")
    assert abs(losses["ours"] - losses["theirs"]) < 1e-4


if __name__ == "__main__":
    torch.set_num_threads(1)
    unpacking()
    beside_transformers()
