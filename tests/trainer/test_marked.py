"""A text with sentinels comes back from its ids, and only the sentinels are control pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from token_shards import tokenizer

from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import MASK, SENTINELS
from trainer.generate import controls
from trainer.marked import Marked

PLAIN, MARKED = Tokenizer(tokenizer()), Marked(tokenizer())


@given(
    st.lists(
        st.sampled_from([*SENTINELS[:3], MASK, " bir", "ev ", "\n", "<|reserved_", "|>"])
        | st.text(max_size=4)
    )
)
def test_a_text_with_sentinels_comes_back(parts: list[str]) -> None:
    text = "".join(parts)
    ids = MARKED.encode(text)
    assert MARKED.decode(ids) == text
    assert sum(id in MARKED.written for id in ids) == sum(text.count(name) for name in SENTINELS)
    assert MARKED.control(MASK) not in ids


def test_a_text_without_sentinels_has_the_ids_of_the_tokenizer() -> None:
    assert MARKED.encode("bir ev, iki bin") == PLAIN.encode("bir ev, iki bin")
    assert set(controls(PLAIN)) - set(controls(MARKED)) == set(MARKED.written)
    assert len(MARKED.written) == len(SENTINELS) == 23
