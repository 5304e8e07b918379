"""An encoder-decoder's sides hold every text once: what is kept and its sentinels, and what was taken out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from span_batches import EOS, SENTINELS
from torch import Tensor

from trainer import sides, spans
from trainer.attention import Documents, Pair
from trainer.loader import Batch
from trainer.loss import IGNORED
from trainer.objective import Objective, unpack

BOS, LENGTH = 1, 64
LEARNED = Objective("span-corruption", 0.3, SENTINELS, BOS, EOS, 93, span=2.0, paired=True)
MIXED = replace(LEARNED, pieces=(*SENTINELS, 87, 88, 89), mixed=True)


def rows_of(texts: list[list[int]], bos: bool, key: int, cut: bool) -> tuple[Batch, list[list[list[int]]]]:
    """Make two rows of texts of these sizes, as many as fit; return what each row holds of each text."""
    tokens, lengths, ends, starts, held = torch.zeros(2, LENGTH + 1, dtype=torch.int32), [], [], [], []
    number = 0
    for row in range(2):
        line: list[int] = []
        parts: list[list[int]] = []
        for size in texts[row]:
            text = [*([BOS] if bos else []), *(3 + (number + each) % 80 for each in range(size)), EOS]
            number += size
            if len(line) >= LENGTH or len(line) + len(text) > LENGTH + cut * len(text):
                break
            starts.append(row * LENGTH + len(line))
            parts.append(text[: LENGTH + 1 - len(line)])
            line += parts[-1]
        if len(line) < LENGTH:
            starts.append(row * LENGTH + len(line))
        tokens[row, : len(line)] = torch.tensor(line, dtype=torch.int32)
        lengths.append(min(len(line), LENGTH))
        ends.append(len(line) <= LENGTH)
        held.append(parts)
    bounds = torch.tensor(starts + [2 * LENGTH] * (40 - len(starts)), dtype=torch.int32)
    assert bounds.diff().min() >= 0
    keys = torch.tensor([key, key + 1])
    made = Batch(tokens, bounds, torch.tensor(lengths).int(), torch.tensor(ends), keys, 0, 0, 0)
    return made, held


def sizes() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 60), min_size=1, max_size=6)


def parts_of(tokens: Tensor, documents: Documents, row: int) -> dict[int, list[int]]:
    """Return the tokens of a row by the number of their document."""
    found: dict[int, list[int]] = {}
    for id, token in zip(documents.ids[row].tolist(), tokens[row].tolist(), strict=True):
        found.setdefault(id, []).append(token)
    return found


@given(
    st.tuples(sizes(), sizes()),
    st.booleans(),
    st.integers(-(2**63), 2**62),
    st.booleans(),
    st.sampled_from([LEARNED, MIXED]),
)
@settings(max_examples=160, deadline=None)
def test_every_token_of_a_text_is_read_or_written_once(
    texts: tuple[list[int], list[int]], bos: bool, key: int, cut: bool, learned: Objective
) -> None:
    made, held = rows_of(list(texts), bos, key, cut)
    tokens, targets, pair = unpack(made, "cpu", learned)
    again = unpack(made, "cpu", learned)
    assert torch.equal(tokens, again[0])
    assert torch.equal(targets, again[1])
    assert isinstance(pair, Pair)
    assert not pair.inputs.causal
    assert pair.outputs.causal
    read, written = tokens[:, :LENGTH], tokens[:, LENGTH:]
    encoded = pairs = 0
    for row in range(2):
        inputs, outputs = parts_of(read, pair.inputs, row), parts_of(written, pair.outputs, row)
        wanted = parts_of(targets, pair.outputs, row)
        ours = [text for text in held[row] if sum(token > EOS for token in text) >= 16]
        found = [id for id, each in wanted.items() if each[0] != IGNORED]
        assert len(found) == len(ours)  # shorter texts are on no side
        for id, text in zip(found, ours, strict=True):
            source, goal = inputs[id], wanted[id]
            encoded += len(source)
            pairs += len(source) ** 2 + len(source) * len(goal) + len(goal) * (len(goal) + 1) // 2
            assert outputs[id] == [BOS, *goal[:-1]]
            assert goal[-1] == EOS
            assert (source[0] == BOS) == bos
            if learned.mixed:
                assert source.pop(int(bos)) in (87, 88, 89)
            marks = [place for place, token in enumerate(goal) if token in SENTINELS]
            taken = {goal[a]: goal[a + 1 : b] for a, b in pairwise([*marks, len(goal) - 1])}
            assert tuple(taken) == SENTINELS[: len(taken)] == tuple(t for t in source if t in SENTINELS)
            assert all(taken.values())
            filled = [each for token in source for each in taken.get(token, [token])]
            assert [token for token in filled if token != BOS] == [t for t in text if t not in (BOS, EOS)]
        rest = [token for id, each in wanted.items() if id not in found for token in each]
        assert set(rest) <= {IGNORED}
    count = learned.count(made)
    assert count.targets == int((targets != IGNORED).sum())
    assert (count.encoded, count.attended) == (encoded, pairs)
    assert count.tokens == encoded + count.targets


def test_the_decoders_side_has_room_for_every_mixture_of_texts() -> None:
    given = [(0.15, 3.0), (0.5, 2.0), (0.15, 32.0), (1.0, 3.0)]
    alone = [(spans.Rule(share, span, tuple(range(23))),) for share, span in given]
    for rules in (*alone, spans.mixture(tuple(range(23)), room=False)):
        for rule in rules:
            size = torch.arange(16, 2049)
            read, written = spans.lengths(rule, size, room=False)
            assert ((written + 1) * (2048 // size)).max() <= sides.capacity(rules, 2048)
            assert (read <= size).all()
    assert sides.capacity((spans.Rule(0.15, 3.0, tuple(range(23))),), 2049) == 608
