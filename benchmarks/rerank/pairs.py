"""Pairs of query and candidate for the cross-encoder, in three mixes of lengths and two kinds of calls."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from benchmarks.common.data import Dataset
from benchmarks.common.texts import Lengths, choose, count_tokens, pools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pair: TypeAlias = tuple[str, str]
POOL = 500  # made-up texts to choose from


@dataclass(frozen=True, slots=True)
class Work:
    """The pairs of one mix of lengths; no pair occurs twice in a call."""

    mix: str  # its name
    batch: list[Pair]  # pairs of several queries, for one call
    batch_lengths: Lengths  # tokens of each pair of `batch`
    queries: list[list[Pair]]  # the pairs of each query, for one call per query
    query_lengths: Lengths  # tokens of each pair of `queries`, one after the other


def make_works(
    tokenizer: PreTrainedTokenizerBase, max_length: int, data: Dataset | None, options: Namespace
) -> Iterator[Work]:
    """Draw the pairs of every mix, about `--tokens` tokens for either kind of call, from data or made up.

    Long texts fill that with few queries, down to one (two of the mixed ones): their percentiles say little.
    """

    def lengths(pairs: list[Pair]) -> Lengths:
        queries, texts = zip(*pairs, strict=True)
        return count_tokens(tokenizer, queries, texts, max_length)

    for mix, asked, texts, rng in pools(tokenizer, max_length, data, POOL, options.seed):
        sample = list(zip(rng.choice(asked, 200).tolist(), rng.choice(texts, 200).tolist(), strict=True))
        pairs = max(2, round(options.tokens / lengths(sample).mean()))
        draw = partial(_draw, asked, texts, rng)
        together = max(2, pairs // options.candidates)  # several queries even where one would fill the call
        batch = list(chain(*draw(together, max(1, pairs // together))))
        least = 2 if mix == "mixed" else 1
        queries = draw(max(least, round(pairs / options.candidates)), options.candidates)
        yield Work(mix, batch, lengths(batch), queries, lengths(list(chain(*queries))))


def _draw(
    asked: list[str], texts: list[str], rng: np.random.Generator, queries: int, each: int
) -> list[list[Pair]]:
    """Different queries, and for each of them different candidates."""
    chosen = choose(asked, min(queries, len(asked)), rng)
    return [[(query, text) for text in choose(texts, each, rng)] for query in chosen]
