"""Which words of a pair matter to the cross-encoder: what the logit loses when each is left out in turn."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.tokens import Pair

MAX_WORDS = 100
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# One Chinese character, or letters and digits with single marks inside, such as "don't", "3.5mm" and "wi-fi".
_WORD = re.compile(f"[{_HAN}]|[^\\W{_HAN}]+(?:[-.,'\u2019][^\\W{_HAN}]+)*")


class WordWeight(NamedTuple):
    """What one word, at one position, contributes to a pair's logit.

    Args:
        word: as it stands in the text; in Chinese, a single character.
        in_query: whether the text is the query; otherwise it is the document.
        start: where the word starts in its text, in characters.
        end: where it ends.
        weight: by how much the logit falls without the word; below 0, the word counts against the pair.
    """

    word: str
    in_query: bool
    start: int
    end: int
    weight: float


def word_weights(
    logits: Callable[[Sequence[Pair]], NDArray[np.float32]], query: str, document: str, max_words: int
) -> list[WordWeight]:
    """The words of a pair by descending weight; see `CrossEncoderReranker.word_weights`."""
    places = [(True, *span) for span in _spans(query, max_words)]
    places += [(False, *span) for span in _spans(document, max_words)]
    without: list[Pair] = [
        (_without(query, start, end), document) if in_query else (query, _without(document, start, end))
        for in_query, start, end in places
    ]
    whole, *rest = logits([(query, document), *without]).tolist()
    words = [
        WordWeight((query if in_query else document)[start:end], in_query, start, end, whole - logit)
        for (in_query, start, end), logit in zip(places, rest, strict=True)
    ]
    return sorted(words, key=lambda word: -word.weight)


def _spans(text: str, limit: int) -> Iterator[tuple[int, int]]:
    # Combining marks, such as accents and vowel signs, belong to their word.
    letters = "".join("x" if unicodedata.category(sign).startswith("M") else sign for sign in text)
    for number, match in enumerate(_WORD.finditer(letters)):
        if number == limit:
            return
        yield match.span()


def _without(text: str, start: int, end: int) -> str:
    return text[:start] + text[end:]
