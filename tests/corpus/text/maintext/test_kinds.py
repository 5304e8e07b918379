"""A page's kind is found by what its lines are like, and decides how reviews count."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.text.maintext import judgement, markup
from corpus.text.maintext.columns import FEATURES
from corpus.text.maintext.kinds import KINDS, probabilities, summary

PROSE = "<p>Kütüphanenin bahçesindeki ağaç bu yıl da çiçek açtı, kokusu bütün sokağa yayıldı.</p>"
REVIEW = (
    "<div class=review><p>Çaydanlık çok güzel, bir yıldır her gün kullanıyoruz ve hiç paslanmadı.</p></div>"
)
ARTICLE = f"<article><h1>Ağaç</h1>{PROSE * 12}</article>"
PRODUCT = (
    '<script type="application/ld+json">{"@type": "Product"}</script><div class="product"><h1>Çaydanlık</h1>'
    '<p class="price">1.249,00 TL</p><button>Sepete ekle</button><div class="product-description">'
    f"<p>Kalın emaye kaplı çelik gövdesi ısıyı eşit dağıtır ve her ocakta durur.</p></div>{REVIEW}{REVIEW}"
    '<div class="related-products"><a href=/cart>Sepet</a> <span class="price">89,00 TL</span></div></div>'
)
FORUM = (
    '<div class="forum thread">'
    + f'<div class="post"><span class="author">Can</span>{PROSE}</div>' * 9
    + "</div>"
)


def of_kinds(page: str) -> np.ndarray:
    return judgement.judge(*markup.read(f"<html><body>{page}</body></html>")).kinds


@pytest.mark.parametrize(("page", "kind"), [(ARTICLE, "article"), (PRODUCT, "product"), (FORUM, "forum")])
def test_the_kind_of_a_page(page: str, kind: str) -> None:
    found = of_kinds(page)
    assert KINDS[found.argmax()] == kind
    assert found.sum() == pytest.approx(1)


def test_a_page_without_lines_has_a_kind_too() -> None:
    assert of_kinds("").sum() == pytest.approx(1)


def test_many_pages_are_answered_as_each_alone() -> None:
    seen = np.array([summary(np.full(len(FEATURES), total), 3) for total in (-9.0, 0.0, 30.0)])
    assert probabilities(seen) == pytest.approx(np.array([probabilities(each) for each in seen]))


@pytest.mark.parametrize(("likely", "kept"), [(0.4, 1.0), (0.6, judgement._REVIEW)])
def test_reviews_count_less_where_a_page_is_a_products(likely: float, kept: float) -> None:
    named = np.array([[False, False], [False, True], [True, False]])
    kinds = np.array([likely if kind == "product" else (1 - likely) / 6 for kind in KINDS])
    assert judgement.by_name(named, kinds).tolist() == [1.0, kept, judgement._FURNITURE]
