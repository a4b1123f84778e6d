"""Tokens for the lexical channel: English stems, Chinese words, whole product codes."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

_HAN = "\u3400-\u9fff"
_PIECES = re.compile(f"[{_HAN}]+|[^\\W_{_HAN}]+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: English stems, Chinese words, and whole codes such as "006r90321".

    English is stemmed by Snowball (Porter 2001), Chinese segmented by jieba's dictionary. Stop words are kept: with
    their low inverse document frequency they hardly count.
    """
    words: list[str] = []
    for piece in _PIECES.findall(unicodedata.normalize("NFKC", text).lower()):
        if "\u3400" <= piece[0] <= "\u9fff":
            words += _jieba().lcut(piece)
        else:
            words.append(_stemmer().stemWord(piece))
    return words


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
