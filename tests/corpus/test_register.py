"""The register of a text: those that the packaged model knows, and "other" for what is far from them."""

from __future__ import annotations

import pytest

from corpus import register

LAW = (
    "Madde 12 - (1) Bu Kanunun uygulanmasına ilişkin usul ve esaslar Bakanlıkça çıkarılan yönetmelikle "
    "düzenlenir. (2) Birinci fıkra hükümlerine aykırı hareket edenler hakkında idarî para cezası uygulanır. "
    "(3) Bu maddede belirtilen süreler içinde başvuruda bulunmayanların hakları düşer. Madde 13 - (Mülga) "
)
MANUAL = (
    "Yeni bir rapor oluşturmak için Dosya menüsünü açın ve Yeni seçeneğini belirleyin. Ardından Ayarlar "
    "sekmesinde veri kaynağını seçin ve Kaydet düğmesini tıklatın. Varsayılan olarak sütunlar ada göre "
    "sıralanır; sıralamayı değiştirmek için sütun başlığını tıklatın. "
)
TALE = (
    "Bir varmış bir yokmuş, evvel zaman içinde bir değirmenci yaşarmış. Değirmencinin üç oğlu varmış; en "
    "küçüğü bir gün yola çıkmış, az gitmiş uz gitmiş, dere tepe düz gitmiş. "
)


@pytest.mark.parametrize(("text", "label"), [(LAW, "law"), (MANUAL, "manual"), (TALE, register.OTHER)])
def test_a_text_has_the_label_of_its_register(text: str, label: str) -> None:
    found = register.of(text * 3)
    assert found.label == label
    assert 0 < found.score <= 1


def test_only_a_probable_register_is_given() -> None:
    assert register.of("Madde 12 - (1)") == register.of("") == (register.OTHER, 0.0)
    sure = [register.of(LAW[:end]) for end in range(60, len(LAW), 20)]
    assert {each.label for each in sure if each.score >= register.CERTAIN} == {"law"}
    assert {each.label for each in sure if each.score < register.CERTAIN} <= {register.OTHER}


def test_the_model_reads_stems_numbers_and_marks() -> None:
    assert register.register_view("İLGİLİLERİN 1.250 hakkı, Iğdır'da") == "ilgili 0 . 0 hakkı , ığdır ' da"
    assert register.of(LAW).score == pytest.approx(register.of(LAW.upper().replace("i", "İ")).score, abs=0.5)
