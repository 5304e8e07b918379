"""Labels with their values are no text; sentences with the same words are."""

from __future__ import annotations

import pytest

from corpus.text.maintext.stamps import is_stamp


@pytest.mark.parametrize(
    "line",
    [
        *("Published: 12 May 2020", "Filed under: News, City", "LAST UPDATED : today", "Kategori: Spor"),
        *("Current Time 0:00", "Current Time 0:00 / Duration 3:12", "Loaded: 0%", "Stream Type LIVE 0:00"),
        *("YAYINLANMA TARİHİ: 12.05.2020", "Güncelleme: 10:45", "SON GÜNCELLEME: bugün", "Etiketler: kar"),
        *("Veröffentlicht am: 3. Mai", "Publié le : 3 mai", "Опубликовано: 12 мая", "الوسوم: ثلج"),
    ],
)
def test_labels_of_dates_subjects_and_players_are_stamps(line: str) -> None:
    assert is_stamp(line)


@pytest.mark.parametrize(
    "line",
    [
        *("Published in 1984, the book: a story", "Duration of the war: three years", "Tagsüber: Regen"),
        *("Güncelleme bugün yayınlandı.", "Vali: okullar tatil", "Duration 3 years", "Yayınlanmadı: kitap"),
    ],
)
def test_sentences_are_none(line: str) -> None:
    assert not is_stamp(line)


def test_a_line_of_signs_takes_no_longer_than_another() -> None:
    assert not is_stamp("duration" + ": - " * 50_000 + "!")
