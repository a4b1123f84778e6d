"""Texts of a known length in tokens: short titles, long descriptions, and a mix of lengths as in shops."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.data import Dataset

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MIXES = {"short": "title", "long": "text", "mixed": "words"}  # and what of an item is read for it
Lengths = NDArray[np.int64]
"""Tokens of each text, shape (n,)."""


def pools(
    tokenizer: PreTrainedTokenizerBase, max_length: int, data: Dataset | None, size: int, seed: int
) -> Iterator[tuple[str, list[str], list[str], np.random.Generator]]:
    """For each mix: its name, different queries, different texts, and a source of randomness.

    Without data, the texts and queries of 2 to 6 words are made up.
    """
    words = words_of(tokenizer) if data is None else []
    for number, (mix, attribute) in enumerate(MIXES.items()):
        rng = np.random.default_rng([seed, number])
        if data is None:
            queries = draw_texts(words, rng.integers(2, 7, min(size, 500)), rng)
            most = min(max_length, 512) - 10  # room for a query or prompt, and special tokens
            texts = draw_texts(words, draw_lengths(mix, size, most, rng), rng)
        else:
            queries = _different(data.texts.values())
            texts = _different(getattr(item, attribute) for item in data.items)
        if texts:
            yield mix, queries, texts, rng
        else:
            print(f"the mix of {mix} texts is left out: the data has none", file=sys.stderr)


def words_of(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Words of Latin letters that are one token each, so that n of them make n tokens.

    The network does not care which words a text has; splitting rare words costs a tokenizer a little more than this.
    """
    pieces = {piece.lstrip("▁Ġ") for piece in tokenizer.get_vocab()}
    words = sorted(word for word in pieces if word.isascii() and word.isalpha() and 3 <= len(word) <= 10)
    tokens = tokenizer([f"a {word}" for word in words], add_special_tokens=False)["input_ids"]
    before = len(tokenizer("a", add_special_tokens=False)["input_ids"])
    return [word for word, ids in zip(words, tokens, strict=True) if len(ids) == before + 1]


def draw_lengths(mix: str, count: int, most: int, rng: np.random.Generator) -> Lengths:
    """How many words each text has, at most `most`.

    "short" is 3 to 12, "long" is 100 to 300, both uniform; "mixed" is log-normal about a median of 40.
    """
    drawn = {
        "short": lambda: rng.integers(3, 13, count),
        "long": lambda: rng.integers(100, 301, count),
        "mixed": lambda: np.rint(rng.lognormal(np.log(40), 0.8, count)),
    }[mix]()
    return np.clip(drawn, 3, most).astype(np.int64)


def draw_texts(words: Sequence[str], lengths: Iterable[int], rng: np.random.Generator) -> list[str]:
    """Different texts of random words, each of the given length.

    Raises:
        ValueError: the words are too few for so many different texts.
    """
    texts: dict[str, None] = {}
    for length in lengths:
        for _ in range(100):
            text = " ".join(words[row] for row in rng.integers(len(words), size=length))
            if text not in texts:
                break
        else:
            raise ValueError(f"{len(words)} words make too few texts of {length} words: use another model")
        texts[text] = None
    return list(texts)


def choose(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` of the texts, at random, each at most once.

    Raises:
        ValueError: there are fewer texts.
    """
    if len(texts) < count:
        raise ValueError(
            f"the data has {len(texts)} different texts where {count} are needed: pass larger data"
        )
    return [texts[row] for row in rng.choice(len(texts), count, replace=False)]


def count_tokens(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], seconds: Sequence[str] | None, max_length: int
) -> Lengths:
    """Tokens that a model reads of each text or pair, including special tokens, after truncation."""
    rows = tokenizer(list(texts), None if seconds is None else list(seconds), verbose=False)["input_ids"]
    return np.minimum([len(row) for row in rows], max_length)


def _different(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(map(str.strip, texts)) if text]
