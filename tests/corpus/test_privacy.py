"""Personal data is found where it proves itself, replaced once, and nothing else is touched."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn
from stdnum.iso7064 import mod_97_10
from stdnum.tr import tckimlik, vkn

from corpus.privacy import KINDS, Redacted, redact
from corpus.privacy.checks import IBAN_LENGTH, is_card, is_iban, is_tckn, is_vkn

DIGITS = "0123456789"


def clean(text: str) -> str:
    return redact(text, KINDS).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ali.veli+form@posta.example.com'a yazın.", "<|email|>'a yazın."),
        ("şube@kütüphane.com.tr.", "<|email|>."),
        ("<bilgi@example.org>;destek@example.org", "<<|email|>>;<|email|>"),
        ("10000000146 numaralı", "<|tckn|> numaralı"),
        ("T.C. kimlik no:10000000146'dır", "T.C. kimlik no:<|tckn|>'dır"),
        ("TR330006100519786457841326'ya", "<|iban|>'ya"),
        ("TR33 0006 1005 1978 6457 8413 26 hesabına", "<|iban|> hesabına"),
        ("IBAN: tr33-0006-1005-1978-6457-8413-26", "IBAN: <|iban|>"),
        ("GB29 NWBK 6016 1331 9268 19, DE89370400440532013000", "<|iban|>, <|iban|>"),
        ("4111 1111 1111 1111'lik", "<|card|>'lik"),
        ("kart 4111-1111-1111-1111, 378282246310005", "kart <|card|>, <|card|>"),
        ("3782 822463 10005", "<|card|>"),
        ("vergi numarası 4540536920'dir", "vergi numarası <|vkn|>'dir"),
        ("V.D. 454 053 6920", "V.D. <|vkn|>"),
        ("VKN:4540536920", "VKN:<|vkn|>"),
        ("10000000146@example.com", "<|tckn|>@example.com"),
        ("BEYOĞLU VERGİ DAİRESİ 4540536920", "BEYOĞLU VERGİ DAİRESİ <|vkn|>"),
        ("4540536920 vergi numaralı", "<|vkn|> vergi numaralı"),
        ("85.105.20.3'e bağlan", "<|ip|>'e bağlan"),
        ("5.6.7.8 adresiyle", "<|ip|> adresiyle"),
        ("_ali.veli@ornek.com_ ya da veli@ornek.com_ adresi", "_<|email|>_ ya da <|email|>_ adresi"),
        ("ali@ornek.comveli@ornek.com üzerinden", "<|email|> üzerinden"),
        ("[email protected], [email\u00a0protected]", "<|email|>, <|email|>"),
        ("kart 4111.1111.1111.1111 ile", "kart <|card|> ile"),
        ("http://9.9.9.9/", "http://<|ip|>/"),
        ("ali.veli (at) ornek.com.tr'ye", "<|email|>'ye"),
        ("ali[at]ornek[nokta]com, veli {@} ornek (dot) com.tr.", "<|email|>, <|email|>."),
        ("ali\uff20ornek.com adresi", "<|email|> adresi"),
        ("ali@ornek.xn--p1ai adresi", "<|email|> adresi"),
        ("100.000.001.46, 100 000 001 46 ve 100-000-001-46", "<|tckn|>, <|tckn|> ve <|tckn|>"),
        ("TC10000000146, TC_10000000146, TCKN10000000146", "TC<|tckn|>, TC_<|tckn|>, TCKN<|tckn|>"),
        ("_10000000146_ ve *10000000146*", "_<|tckn|>_ ve *<|tckn|>*"),
        ("TR33.0006.1005.1978.6457.8413.26, TR-330006100519786457841326", "<|iban|>, <|iban|>"),
        (
            "IBANTR330006100519786457841326 ve TR33  0006  1005  1978  6457  8413  26",
            "IBAN<|iban|> ve <|iban|>",
        ),
        ("4111  1111  1111  1111, 4111 - 1111 - 1111 - 1111", "<|card|>, <|card|>"),
        ("2001:4860:4860::8888 ya da 2a00:1450:4017:80c::200e", "<|ip|> ya da <|ip|>"),
    ],
)
def test_personal_data_is_replaced_and_its_suffix_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "number",
    [
        "+90 555 000 00 01", "+905321234567", "+90 (532) 123 45 67", "+90 (0) 212 123 45 67",
        "+90-212-123-4567",
        "0090 532 123 45 67", "905321234567", "90 532 123 45 67", "(+90) 532 123 45 67", "05321234567",
        "0532 123 45 67", "0532 1234567", "0532.123.45.67", "0.532.123.45.67", "0 532 123 45 67",
        "(0532) 123 45 67", "0(532)1234567", "0 (212) 123 45 67", "(0 212) 123 45 67",
        "0212-1234567", "0212/123 45 67",
        "0532  123  45  67", "0532·123·45·67", "0532•123•45•67", "[0532] 123 45 67",
        "(212) 123 45 67", "0532 12 34 567", "0532- 123 45 67", "0(532)-123-45-67",
        "0 312 123 4567", "0392 223 45 67", "0532 - 123 45 67", "0532\u00a0123\u00a045\u00a067",
    ],
)  # fmt: skip
def test_turkish_telephones_are_found_as_people_write_them(number: str) -> None:
    assert clean(f"Bizi {number} numarasından arayın.") == "Bizi <|phone|> numarasından arayın."
    assert clean(f"Tel:{number}, faks:{number}") == "Tel:<|phone|>, faks:<|phone|>"


BLANKS = [char for char in map(chr, range(0x20, 0x3001)) if unicodedata.category(char) == "Zs"]
DASHES = ["-", *map(chr, range(0x2010, 0x2016)), "\u2212", "\uff0d"]


@pytest.mark.parametrize("sign", [*BLANKS, *DASHES], ids=lambda sign: f"U+{ord(sign):04X}")
def test_numbers_are_found_with_every_blank_and_dash_between_their_groups(sign: str) -> None:
    for groups, kind in (
        ("0532 123 45 67", "phone"),
        ("4111 1111 1111 1111", "card"),
        ("3782 822463 10005", "card"),
        ("TR33 0006 1005 1978 6457 8413 26", "iban"),
        ("+49 30 1234567", "phone"),
    ):
        assert clean(f"Şu {groups.replace(' ', sign)} numara.") == f"Şu <|{kind}|> numara."


@pytest.mark.parametrize(
    "number",
    ["+49 30 1234567", "+1 (415) 555-2671", "+1-415-555-2671", "+44 20 7946 0958", "+33 1 23 45 67 89",
     "+7 495 123-45-67", "+971 50 123 4567", "+994 (12) 345 67 89", "+49(0)30 1234567", "+14155552671"],
)  # fmt: skip
def test_numbers_of_other_countries_are_found_by_their_code(number: str) -> None:
    assert clean(f"Yurt dışından {number} aranır, {number}.") == "Yurt dışından <|phone|> aranır, <|phone|>."


def test_a_telephone_without_its_zero_needs_a_word_that_says_so() -> None:
    assert clean("Telefonu 532 123 45 67, GSM: 533 765 43 21") == "Telefonu <|phone|>, GSM: <|phone|>"
    assert clean("sıra 532 123 45 67 ve 5321234567") == "sıra 532 123 45 67 ve 5321234567"


@pytest.mark.parametrize(
    "text",
    [
        "10000000147, 00000000000, 12345678901, 110000000146, 1.10000000146, 10000000146,5",
        "TR330006100519786457841326x, TR33000610051978645784132612",
        "TR340006100519786457841326, TR33000610051978645784132, XX33000610051978645784132600",
        "4111 1111 1111 1112, 1111 1111 1111 1111, 1234567812345670, 4111 1111 1111 1111 1111 1111",
        "4540536920 sayılı, vergi numarası 4540536921, 12 4540536920",
        "ip 192.168.1.20, 127.0.0.1, 10.0.0.1, 255.255.255.0, 169.254.1.1, 224.0.0.1, 300.1.1.1, 185.01.2.3",
        "ip 192.88.99.1, ip 192.0.0.9, ip 100.64.1.1, ip 240.0.0.1",
        "sürüm 1.2.3.4, v120.0.60.109, Sürüm 8.2.1.207, Bölüm 3.2.1.110, 3.2.1.1 Giriş, 1.150.200.250 TL",
        "fe80::1, ::1, 2001:db8::1, std::vector, a::b, 12:30:45, 2024:05:17",
        "24.03.2016 tarihli ve 6698 sayılı Kanun; 29677 sayılı Resmî Gazete; 2/7/2018-KHK-703/82 md.",
        "23/6/20055428130, 0,5321234567, 0.5321234567, 3.14159265358979, 1.234.567.890,50 TL",
        "2024000123, 34.06.2024-118, 4.12.0, 09.30, 813.42, 978-975-08-0294-7, 8690637093814",
        "logo@2x.png @kullanici foo@1.2.3 a@b medium.com/@ali",
        "git@github.com:kullanici/depo.git, git@github.com:…, ssh://git@gitlab.com/a/b",
        "+1.250.000.000, +250 000 000 000, +1 150 555 26 71, +1 250 000 000, a+4930123456, +4 500 000 000 TL",
        "+90 850 222 33 44, 1+4930123456",
        "bak (at) sonra. x (et) y, [at] a.b, ali (at) evde, f(at)x",
        "192.168.100.50, 100.000.001.47, 100 000 001 47, 1 100 000 001 46, 100 000 001 46 200, a10000000146",
        "444 0 123 ve 0850 222 33 44 kurumlarındır",
        "",
    ],
)
def test_other_numbers_and_signs_stay(text: str) -> None:
    assert redact(text, KINDS) == Redacted(text, {})


def test_counts_are_by_kind_and_only_the_asked_kinds_are_touched() -> None:
    text = "a@example.com b@example.com 10000000146 0532 123 45 67"
    assert redact(text, KINDS).counts == {"email": 2, "tckn": 1, "phone": 1}
    assert redact(text, ["tckn"]) == Redacted(
        "a@example.com b@example.com <|tckn|> 0532 123 45 67", {"tckn": 1}
    )
    assert redact(text, []) == Redacted(text, {})


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"'passport'.*iban"):
        redact("", ["email", "passport"])


def test_the_kind_that_proves_most_claims_the_digits() -> None:
    assert clean("TR33 0006 1005 1978 6457 8413 26") == "<|iban|>"
    assert redact("vergi 4111111111111111", ["vkn", "card"]).counts == {"card": 1}
    assert clean("Tel: +90 532 123 45 67, vergi no 4540536920") == "Tel: <|phone|>, vergi no <|vkn|>"


def test_a_list_of_numbers_is_replaced_entry_by_entry() -> None:
    assert clean("0532 111 22 33 - 0533 111 22 33\n0534 111 22 33;05351112233") == (
        "<|phone|> - <|phone|>\n<|phone|>;<|phone|>"
    )
    assert clean("10000000146\n10000000146 10000000146") == "<|tckn|>\n<|tckn|> <|tckn|>"


@given(st.text(DIGITS, min_size=11, max_size=11))
@example("10000000146")
@example("99999999990")
def test_tckn_is_what_stdnum_says(digits: str) -> None:
    assert is_tckn(digits) == tckimlik.is_valid(digits)


@given(st.text(DIGITS, min_size=9, max_size=9), st.sampled_from(["1", "9", "98", "99"]))
def test_tckn_with_right_check_digits_is_found_for_citizens_and_foreigners(digits: str, start: str) -> None:
    stem = (start + digits)[:9]
    assert clean(f"no {stem + tckimlik.calc_check_digits(stem)}.") == "no <|tckn|>."


@given(st.text(DIGITS, min_size=10, max_size=10))
@example("4540536920")
def test_vkn_is_what_stdnum_says(digits: str) -> None:
    assert is_vkn(digits) == vkn.is_valid(digits)
    right = digits[:9] + vkn.calc_check_digit(digits[:9])
    assert is_vkn(right)
    assert redact(f"vergi no: {right}", ["vkn"]).counts == {"vkn": 1}


@given(st.sampled_from(sorted(IBAN_LENGTH)), st.text(DIGITS, min_size=40, max_size=40), st.booleans())
def test_iban_is_what_stdnum_says(country: str, digits: str, right: bool) -> None:
    number = country + digits[: IBAN_LENGTH[country] - 2]
    if right:
        number = country + iban.calc_check_digits(number) + number[4:]
    assert is_iban(number) == mod_97_10.is_valid(number[4:] + number[:4])
    assert not is_iban(number + "0")
    if iban.is_valid(number):
        assert is_iban(number)


def test_iban_lengths_are_those_of_the_registry() -> None:
    for country, length in IBAN_LENGTH.items():
        structure = iban._ibandb.info(country + "00")[0][1]["bban"]
        assert length == 4 + sum(int(part) for part in re.findall("[0-9]+", structure)), country


@settings(deadline=None)
@given(st.text(DIGITS, min_size=16, max_size=16))
def test_a_card_has_a_right_luhn_sum(digits: str) -> None:
    assert is_card("4" + digits[1:]) == luhn.is_valid("4" + digits[1:])
    assert not is_card("1" + digits[1:])


@pytest.mark.parametrize(
    ("start", "length"),
    [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("9792", 16),
     ("6011", 16), ("644", 16), ("62", 19), ("3528", 16), ("300", 14), ("36", 14), ("38", 14), ("2204", 17),
     ("5018", 16), ("6304", 19), ("6763", 16)],
)  # fmt: skip
def test_every_issuer_is_known_by_its_first_digits_and_its_lengths(start: str, length: int) -> None:
    stem = start.ljust(length - 1, "7")
    number = stem + luhn.calc_check_digit(stem)
    assert clean(f"kart {number} ile") == "kart <|card|> ile"
    short = stem[:-7]
    assert not is_card(short + luhn.calc_check_digit(short))


SAMPLES = [
    "10000000146", "4540536920", "TR330006100519786457841326", "TR33 0006 1005 1978 6457 8413 26",
    "4111 1111 1111 1111", "4111111111111111", "+90 532 123 45 67", "0212 123 45 67", "(0532) 123 45 67",
    "+49 30 1234567", "+1 415 555 26 71", "+49", "_", "[email protected]", "git@github.com",
    "a@example.com", "85.105.20.3", "9.9.9.9", "2001:4860:4860::8888", "vergi", "VKN", "tel", "adres",
    "sürüm", "<|vkn|>", "<|phone|>", "<|email|>", "4111", "90", "0", "+", "-", ".", ",", " ", "(",
    ")", "/", "@",
    ":", "'a", "\n", "|>", "<|", "a", "1",
]  # fmt: skip
PLACEHOLDERS = [f"<|{kind}|>" for kind in KINDS]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SAMPLES), st.text(max_size=3)), max_size=12).map("".join))
def test_redaction_is_idempotent_and_counts_what_it_put_in(text: str) -> None:
    redacted, counts = redact(text, KINDS)
    assert redact(redacted, KINDS) == Redacted(redacted, {})
    for kind, placeholder in zip(KINDS, PLACEHOLDERS, strict=True):
        assert redacted.count(placeholder) - text.count(placeholder) == counts.get(kind, 0)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sets(st.sampled_from(KINDS)))
def test_any_text_is_taken_and_text_without_digits_or_at_is_returned_as_it_is(
    text: str, kinds: set[str]
) -> None:
    redacted = redact(text, sorted(kinds))
    if not any(sign.isdigit() or sign == "@" for sign in text):
        assert redacted == Redacted(text, {})


def test_dates_law_numbers_and_amounts_stay() -> None:
    rng = random.Random(1)
    for _ in range(200):
        date = f"{rng.randrange(1, 29)}/{rng.randrange(1, 13)}/{rng.randrange(1950, 2025)}"
        law = f"{rng.randrange(100, 7000)}/{rng.randrange(1, 90)} md."
        amount = f"{rng.randrange(1, 999)}.{rng.randrange(0, 1000):03}.000 TL, %{rng.random():.4f}"
        assert redact(f"{date}-{law} ({amount})", KINDS).counts == {}
