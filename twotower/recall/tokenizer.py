"""Words for the lexical channel: English stems, Chinese words, codes whole."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

_HAN = "\u3400-\u9fff"
_PIECES = re.compile(f"[{_HAN}]+|[^\\W_{_HAN}]+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: English stems, Chinese words, and codes such as "006r90321" whole.

    English by Snowball's stemmer (Porter 2001), Chinese by jieba's dictionary. Stop words stay: their
    inverse document frequency makes them count for next to nothing.
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
    # What jieba's `initialize` does, without its cache: a file of marshalled objects in a folder open to everyone.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
