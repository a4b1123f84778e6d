"""Words for the lexical channel, in any script: English stems, words of scripts without spaces, product codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import regex

from twotower.recall.words.folding import folded

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_UNSPACED = r"\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_OF_SCRIPT = rf"\p{{Han}}\p{{Hangul}}{_UNSPACED}"
_PIECE = regex.compile(
    # Longer runs are not text, and jieba's time grows with the square of their length.
    rf"(?P<chinese>\p{{Han}}{{1,500}})|(?P<korean>\p{{Hangul}}+)|(?P<unspaced>[{_UNSPACED}]+)"
    rf"|[[\p{{L}}\p{{N}}]--[{_OF_SCRIPT}]][[\p{{L}}\p{{N}}\p{{Mn}}\p{{Mc}}]--[{_OF_SCRIPT}]]*",
    regex.V1,
)
# A compound is written "tshirt" or "T-shirt", a code "AB1234", "AB-1234" or "AB 1234". Between digits "." and "/"
# make a number: 2.5, 3/4.
_LETTER_OR_DIGIT = "[0-9a-zß-ɏͰ-ԯ]"  # Latin, Greek and Cyrillic
_SEPARATOR = r"(?:[-‐‒–—_]|(?<!\d)[./]|[./](?!\d))"  # hyphens and dashes of every kind
_COMPOUND = re.compile(rf"(?<!{_LETTER_OR_DIGIT}){_LETTER_OR_DIGIT}++(?:{_SEPARATOR}{_LETTER_OR_DIGIT}++)+")
_SPACED_CODE = re.compile(r"\b(?:([^\W\d_]{1,4}) (?=(\d{3,})\b)|(\d{3,}) (?=([^\W\d_]{1,3})\b))")
_SPACED_DIGITS = re.compile(r"\b(\d{3,}) ([^\W\d_]{1,3}) (?=(\d{3,})\b)")  # "006 R 90321"
_NOT_IN_CODE = re.compile(r"[\W_]+")
_DIGITS_OF_CODE = 6  # a code without letters, such as a GTIN, has this many; fewer are a range or a size


def words_of(text: str, *, fold_diacritics: bool = True) -> list[str]:
    """The words of a text, in no particular order.

    English is stemmed by Snowball (Porter 2001), Chinese segmented by jieba's dictionary, its characters being words
    as well, and Japanese kana, Thai, Lao, Khmer and Burmese by ICU's; Korean, whose compounds and particles are
    written together, becomes pairs of syllables, as in Lucene. A compound or code with separators adds a word without
    them. Stop words are kept: with their low inverse document frequency they hardly count.

    Args:
        text: any text.
        fold_diacritics: as in `folded`.
    """
    text = folded(text, diacritics=fold_diacritics)
    words: list[str] = _ASCII_WORD.findall(text) if text.isascii() else list(_pieces(text))
    words += _joined(text)
    return _stemmer().stemWords(words)  # type: ignore[no-any-return]


def _pieces(text: str) -> Iterator[str]:
    for found in _PIECE.finditer(text):
        piece: str = found[0]
        match found.lastgroup:
            case "chinese":
                # Query and title are cut differently ("跑鞋", "跑步鞋"), so characters count too. Words with
                # characters were the best of fifteen units in He et al. 2002, "Finding the better indexing units
                # for Chinese information retrieval".
                words = _jieba().lcut(piece)
                yield from words
                yield from (character for word in words if len(word) > 1 for character in word)
            case "korean":
                yield from [piece[place : place + 2] for place in range(len(piece) - 1)] or [piece]
            case "unspaced":
                yield from (word for word in _icu_words(piece) if word[0].isalnum())
            case _:
                yield piece


def _joined(text: str) -> Iterator[str]:
    """The compounds and codes that are written with separators, without them."""
    for found in _COMPOUND.findall(text):
        code = _NOT_IN_CODE.sub("", found)
        if not code.isdigit() or len(code) >= _DIGITS_OF_CODE:
            yield code
    for pattern in (_SPACED_CODE, _SPACED_DIGITS):
        for parts in pattern.findall(text):
            yield "".join(parts)


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@cache
def _jieba() -> Any:
    import jieba

    tokenizer = jieba.Tokenizer()
    # As jieba's `initialize`, but without its cache: a marshal file in a world-writable folder.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def _icu_words(text: str) -> Iterator[str]:
    from icu4py.breakers import WordBreaker

    return iter(WordBreaker(text, "root"))
