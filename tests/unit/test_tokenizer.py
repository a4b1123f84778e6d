"""Words as people type them, in any script: through the tokenizer, and through a search that knows words alone."""

from __future__ import annotations

import time
import unicodedata

import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st

from twotower import Convex, Item, Retriever
from twotower.errors import StoreError
from twotower.evaluation.baselines import bm25_run
from twotower.recall.words.tokenizer import words_of

# An item's title, and how someone else types it or a part of it.
SAME_WORDS = [
    ("लाल जूते महिलाओं के लिए", "जूते"),
    ("சிவப்பு காலணிகள்", "காலணிகள்"),
    ("లాల్ చెప్పులు", "చెప్పులు"),
    ("রঙিন শাড়ি", "শাড়ি"),
    ("ਜੁੱਤੀਆਂ ਲਾਲ", "ਜੁੱਤੀਆਂ"),
    ("ಚಪ್ಪಲಿ ಕೆಂಪು", "ಚಪ್ಪಲಿ"),
    ("ചെരുപ്പ് ചുവപ്പ്", "ചെരുപ്പ്"),
    ("حِذَاء رِيَاضِيّ", "حذاء"),
    ("حذاء أحمر", "احمر"),
    ("נַעֲלַיִם", "נעלים"),
    ("کتاب‌های فارسی", "کتابهای"),
    ("ساعة يدوية", "ساعه"),
    ("حـــذاء", "حذاء"),
    ("รองเท้าวิ่งผู้หญิงสีแดง", "รองเท้า"),
    ("เสื้อยืดผู้ชาย", "เสื้อ"),
    ("ເກີບກິລາສີແດງ", "ເກີບ"),
    ("ស្បែកជើងកីឡា", "កីឡា"),
    ("အားကစားဖိနပ်", "ဖိနပ်"),
    ("メンズランニングシューズ", "シューズ"),
    ("防水ジャケット", "ジャケット"),
    ("革靴を磨くクリーム", "クリーム"),
    ("ｽﾆｰｶｰ 白", "スニーカー"),
    ("여성운동화를", "운동화"),
    ("남성 러닝화", "러닝화"),
    ("방수자켓", "자켓"),
    ("운동화", "운동화"),
    ("빨간 컵", "컵"),
    ("red\u200bshoe", "shoe"),
    ("红色运动鞋 女", "运动鞋"),
    ("人々の靴", "靴"),
    ("𠮷野家", "𠮷野家"),
    ("İSTANBUL halı", "istanbul"),
    ("istanbul", "ISTANBUL"),
    ("IŞIK lamba", "ışık"),
    ("ışık", "isik"),
    ("Café crème", "cafe creme"),
    ("cafe", "CAFE\u0301"),
    ("Łóżko dębowe", "lozko debowe"),
    ("Ørsted øl", "orsted ol"),
    ("Đồng hồ nữ", "dong ho nu"),
    ("Straße", "STRASSE"),
    ("Œuvre", "oeuvre"),
    ("naïve façade piñata", "naive facade pinata"),
    ("ΠΑΠΟΥΤΣΙΑ", "παπούτσια"),
    ("ёлка зелёная", "елка зеленая"),
    ("ÅNGSTRÖM", "angstrom"),
    ("AB1234", "AB-1234"),
    ("AB-1234", "ab1234"),
    ("AB 1234", "AB1234"),
    ("AB1234", "AB 1234"),
    ("AB_1234", "ab/1234"),
    ("WD-40", "wd40"),
    ("AB–1234", "AB1234"),
    ("SM-G991B/DS", "smg991bds"),
    ("1234-AB", "1234ab"),
    ("ｗｄ－４０", "WD40"),
    ("ISBN 978-3-16-148410-0", "9783161484100"),
    ("型番AB-1234", "ab1234"),
    *(("T-shirt", "tshirt"), ("wifi", "Wi-Fi"), ("USB-C", "usbc"), ("e–mail", "email"), ("email", "e.mail")),
    *(("006 R 90321", "006R90321"), ("006R90321", "006 r 90321")),
    ("АБ-1234", "аб1234"),
    ("size ٤٢", "42"),
    ("run\u00adning shoes", "running"),
    ("ﬁne wool", "fine"),
    ("wo\u2060ol", "wool"),
    ("\ufeffwool", "wool"),
]
DIFFERENT_WORDS = [("lamp", "lamb"), ("कम", "काम"), ("2-4", "24"), ("3/4", "34"), ("2.5", "25"), ("が", "か")]


def by_words_alone(titles: list[str], **options: bool) -> Retriever:
    retriever = Retriever(HashEncoder(), hybrid=Convex(1.0), **options)
    retriever.upsert([Item(str(place), title) for place, title in enumerate(titles)])
    return retriever


@pytest.mark.parametrize(("title", "typed"), SAME_WORDS)
def test_an_item_is_found_however_its_words_are_typed(title: str, typed: str):
    assert set(words_of(title)) & set(words_of(typed))
    others = ["red lamp", "蓝色台灯", "गर्म", "ฝา", "다른", "Θήκη", "лампа", "XY9999"]
    retriever = by_words_alone([*others, title])
    assert retriever.search(typed, 1)[0].id == str(len(others))
    assert retriever.search(typed, 1)[0].score > 0.3
    assert next(iter(bm25_run({"q": typed}, list(retriever.items()), 1)["q"])) == str(len(others))


CHINESE_SHOP = [
    *(
        "冰箱 家用 节能",
        "女士真皮手提包 大容量",
        "男士跑步鞋 轻便透气",
        "儿童雨靴 防滑",
        "苹果手机壳 硅胶",
        "小米电视 65英寸",
    ),
    *(
        "蓝牙耳机 降噪",
        "电饭煲 家用",
        "连衣裙 法式 碎花",
        "保温杯 316不锈钢",
        "ワンピース 花柄",
        "運動靴 メンズ",
    ),
]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("女包", "女士真皮手提包 大容量"),
        ("跑鞋", "男士跑步鞋 轻便透气"),
        ("雨鞋", "儿童雨靴 防滑"),
        ("电视机", "小米电视 65英寸"),
        ("无线耳机", "蓝牙耳机 降噪"),
        ("电饭锅", "电饭煲 家用"),
        ("裙子", "连衣裙 法式 碎花"),
        ("不锈钢水杯", "保温杯 316不锈钢"),
        ("苹果手机壳", "苹果手机壳 硅胶"),
        ("靴", "運動靴 メンズ"),
    ],
)
def test_chinese_is_found_wherever_the_dictionary_cuts_the_words(typed: str, title: str):
    """The best hit is the product that shares most; in either order of the shop, and within the score's range."""
    for titles in (CHINESE_SHOP, CHINESE_SHOP[::-1]):
        best, second = by_words_alone(titles).search(typed, 2)
        assert titles[int(best.id)] == title
        assert second.score < best.score <= 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT_WORDS)
def test_different_words_stay_different(one: str, other: str):
    assert not set(words_of(one)) & set(words_of(other))


def test_words_of_two_languages_and_codes():
    assert words_of("Running SHOES, Ｌａｍｐｓ") == ["run", "shoe", "lamp"]
    assert words_of("toner 006R90321") == ["toner", "006r90321"]
    assert words_of("红色运动鞋nike") == ["红色", "运动鞋", *"红色运动鞋", "nike"]
    assert words_of("3/4 in. AB-1234") == ["3", "4", "in", "ab", "1234", "ab1234"]
    assert words_of(" _-! ❤️ 👟 1️⃣") == ["1"]


@given(st.text())
def test_words_do_not_depend_on_case_or_composition(text: str):
    """Unicode's canonical equivalents are one text, and so are the cases of a text that survives a change of case."""
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(unicodedata.normalize("NFC", text))
    assert words_of(text.upper().lower()) == words_of(text.upper())
    assert all(words_of(text))


def test_diacritics_are_kept_if_asked(tmp_path):
    assert words_of("Café", fold_diacritics=False) == ["café"]
    assert words_of("İSTANBUL", fold_diacritics=False) == words_of("istanbul", fold_diacritics=False)
    titles = ["a cafe", "a café"]
    assert [hit.score > 0 for hit in by_words_alone(titles).search("café")] == [True, True]
    strict = by_words_alone(titles, fold_diacritics=False).search("café")
    assert [(hit.id, hit.score > 0) for hit in strict] == [("1", True), ("0", False)]


def test_a_store_keeps_its_folding(tmp_path):
    options = {"encoder": HashEncoder(), "hybrid": Convex(1.0)}
    with Retriever.open(tmp_path / "store", fold_diacritics=False, **options) as retriever:
        retriever.upsert([Item("plain", "cafe"), Item("accent", "café")])
        retriever.save(tmp_path / "copy")
    for folder in ("store", "copy"):
        with Retriever.open(tmp_path / folder, **options) as again:
            assert [(hit.id, hit.score > 0) for hit in again.search("café")] == [
                ("accent", True),
                ("plain", False),
            ]
    with pytest.raises(StoreError, match="was created with fold_diacritics=False"):
        Retriever.open(tmp_path / "store", fold_diacritics=True, **options)
    with pytest.raises(ValueError, match="fold_diacritics must be True or False, got 'no'"):
        Retriever(HashEncoder(), fold_diacritics="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "letter",
    ["a", "1", "a-", "1-a", "ab 1234 ", "\u0301", "क\u0301", "กิ", "ア", "가", "鞋", "é", "-", "\u200d"],
)
def test_a_long_text_takes_time_in_proportion(letter: str):
    """Backtracking in a pattern would take hours."""
    started = time.process_time()
    words_of(letter * 50_000)
    assert time.process_time() - started < 60
