"""Texts are cut into the tokens that spaCy gives for Turkish and English, as datatrove 0.10.1 uses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text.tokens import HAS_LETTER, IS_WORD, tokens
from corpus.text.view import view


def cut(text: str) -> list[str]:
    seen = tokens(view(text))
    return [text[start:end] for start, end in zip(seen.starts.tolist(), seen.ends.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("php.ini ve conf.d,", "php.ini ve conf.d ,"),
        ("www.example.com/a-b_c https://a.example/x?y=1 foo@bar.com", None),
        ("Türkiye'nin 3,5 14/1/1970 10:30 -5 1.000,50", None),
        ("15. madde, XX. yüzyıl; 15.'inci KHK/696", "15. madde , XX. yüzyıl ; 15.'inci KHK/696"),
        ("(e-posta)", "( e - posta )"),
        ("Dr. Ali geldi. A.B.D. U.S.A.", "Dr. Ali geldi . A.B.D. U.S.A."),
        ("**Ayarlar**'dan _x_", "* * Ayarlar**'dan _ x _"),
        ("lower.Upper a/b a,b 3+4", "lower . Upper a / b a , b 3 + 4"),
        ("5km %20 $5.00 5$ 3m.", "5 km % 20 $ 5.00 5 $ 3 m ."),
        ("var... yok… ...", "var ... yok … ..."),
        ("“alıntı”. «söz»", "“ alıntı ” . « söz »"),
        ("don't they'll Ali's", "do n't they 'll Ali 's"),
        ("# ## {a}", "# # # { a }"),
        ("日本語 a", "日 本 語 a"),
    ],
)
def test_the_tokens_of_a_text(text: str, expected: str | None) -> None:
    assert cut(text) == (expected or text).split()


def test_what_a_token_is() -> None:
    seen = tokens(view("söz 12 … • a1"))
    assert [bool(flags & HAS_LETTER) for flags in seen.flags] == [True, False, False, False, True]
    assert [bool(flags & IS_WORD) for flags in seen.flags] == [True, True, False, True, True]


def test_equal_tokens_have_equal_hashes_and_case_counts() -> None:
    one, other, third = tokens(view("Ve ve ve")).hashes.tolist()
    assert other == third != one


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_tokens_are_all_of_a_text_but_its_space(text: str) -> None:
    assert "".join(cut(text)) == "".join(text.split())
