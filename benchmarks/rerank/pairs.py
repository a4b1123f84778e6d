"""Pairs of query and candidate for the cross-encoder, in three mixes of lengths and two kinds of calls."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from benchmarks.common.data import read_dataset
from benchmarks.common.texts import (
    MIXES,
    Lengths,
    choose,
    count_tokens,
    draw_lengths,
    draw_texts,
    item_texts,
    words_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pair: TypeAlias = tuple[str, str]
POOL = 500  # seeded texts to choose from
READ_TOKENS, CANDIDATES = 8_000, 100
# A hundred long candidates take half a minute on two busy cores, so the quick run has fewer.
QUICK_READ_TOKENS, QUICK_CANDIDATES = 200, 2


@dataclass(frozen=True, slots=True)
class Work:
    """The pairs of one mix of lengths; no pair comes twice in a call.

    Args:
        mix: its name.
        batch: pairs of several queries, for one call.
        batch_lengths: tokens of each pair of `batch`.
        queries: for each query its pairs, for a call each.
        query_lengths: tokens of each pair of `queries`, one after the other.
    """

    mix: str
    batch: list[Pair]
    batch_lengths: Lengths
    queries: list[list[Pair]]
    query_lengths: Lengths


def make_works(
    tokenizer: PreTrainedTokenizerBase, max_length: int, options: argparse.Namespace
) -> list[Work]:
    """Draw the pairs of every mix, about `--tokens` tokens for either kind of call.

    Long texts fill that with few queries, down to one (two of the mixed ones): their percentiles say little.

    Args:
        tokenizer: of the cross-encoder.
        max_length: most tokens of a pair.
        options: `seed`, `quick`, `tokens`, `data` and `split`.
    """
    data = None if options.data is None else read_dataset(options.data, options.split)
    words = words_of(tokenizer) if data is None else []
    most = min(max_length, 512) - 10  # room for a query and three special tokens
    works = []
    for number, mix in enumerate(MIXES):
        rng = np.random.default_rng([options.seed, number])
        if data is None:
            asked = draw_texts(words, rng.integers(2, 7, POOL).tolist(), rng)
            texts = draw_texts(words, draw_lengths(mix, POOL, most, rng).tolist(), rng)
        else:
            asked = [text for text in dict.fromkeys(data.texts.values()) if text.strip()]
            texts = item_texts(data.items, mix)
            if not texts:
                print(f"the mix of {mix} texts is left out: the data has none", file=sys.stderr)
                continue
        works.append(_work(mix, asked, texts, tokenizer, max_length, options, rng))
    return works


def _work(
    mix: str,
    asked: list[str],
    texts: list[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    options: argparse.Namespace,
    rng: np.random.Generator,
) -> Work:
    """Choose different queries, and for each of them different candidates."""
    tokens, candidates = (QUICK_READ_TOKENS, QUICK_CANDIDATES) if options.quick else (READ_TOKENS, CANDIDATES)
    sample = list(zip(rng.choice(asked, 200).tolist(), rng.choice(texts, 200).tolist(), strict=True))
    pairs = max(2, round((options.tokens or tokens) / _lengths(tokenizer, sample, max_length).mean()))

    def draw(queries: int, each: int) -> list[list[Pair]]:
        chosen = choose(asked, min(queries, len(asked)), rng)
        return [[(query, text) for text in choose(texts, each, rng)] for query in chosen]

    together = max(2, pairs // CANDIDATES)  # several queries even where one would fill the call
    batch = [pair for own in draw(together, max(1, pairs // together)) for pair in own]
    least = 2 if mix == "mixed" else 1
    queries = draw(2 if options.quick else max(least, round(pairs / candidates)), candidates)
    query_lengths = _lengths(tokenizer, [pair for own in queries for pair in own], max_length)
    return Work(mix, batch, _lengths(tokenizer, batch, max_length), queries, query_lengths)


def _lengths(tokenizer: PreTrainedTokenizerBase, pairs: list[Pair], max_length: int) -> Lengths:
    queries, texts = zip(*pairs, strict=True)
    return count_tokens(tokenizer, queries, texts, max_length)
