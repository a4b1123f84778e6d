"""The two baselines that every table of search quality needs: a random ranking, and BM25."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_whole, texts_of
from twotower.errors import needs_extra
from twotower.evaluation.checks import items_in, queries_in
from twotower.recall.words.tokenizer import words_of
from twotower.types import Item, Query


def random_run(
    queries: Iterable[str], item_ids: Sequence[str], k: int = 100, *, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Draw k different items for every query.

    Args:
        queries: ids.
        item_ids: ids to draw from.
        k: number of items.
        seed: of the draws.
    """
    queries = texts_of("queries", queries.keys() if isinstance(queries, Mapping) else queries)
    item_ids = texts_of("item_ids", item_ids)
    check_whole("k", k, least=1)
    rng = np.random.default_rng(check_whole("seed", seed, least=0))
    size = min(k, len(item_ids))
    return {
        query: {
            item_ids[row]: float(size - rank)
            for rank, row in enumerate(rng.choice(len(item_ids), size, replace=False))
        }
        for query in queries
    }


def bm25_run(
    queries: Mapping[str, str | Query], items: Sequence[Item], k: int = 100
) -> dict[str, dict[str, float]]:
    """Search titles and descriptions by BM25 alone; see `BM25`.

    Args:
        queries: by id; only their words count.
        items: the corpus.
        k: hits per query.
    """
    queries, items = queries_in(queries), items_in(items)
    check_whole("k", k, least=1)
    index = BM25([item.words for item in items])
    run = {}
    for query, asked in queries.items():
        scores, rows = index.search(asked.text, k)
        run[query] = {items[row].id: float(score) for score, row in zip(scores, rows, strict=True)}
    return run


class BM25:
    """Lexical search over n texts by bm25s, a library of its own, so that it can judge our own lexical channel.

    Source: Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", with the inverse
    document frequency of Lucene.

    Args:
        texts: n texts.
        k1: how soon repetitions of a word stop adding to the score.
        b: how much long texts are penalised, in [0, 1].
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.2, b: float = 0.75) -> None:
        with needs_extra("evaluation", "the BM25 baseline"):
            import bm25s

        logging.getLogger("bm25s").setLevel(logging.NOTSET)  # its import turns debug messages on
        corpus = [words_of(text) for text in texts]
        self._size = len(corpus)
        self._vocabulary = {word for words in corpus for word in words}
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
        if self._vocabulary:
            self._index.index(corpus, show_progress=False)

    def search(self, query: str, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k best texts that share a word with the query.

        Args:
            query: words.
            k: at least 1.

        Returns:
            Scores and rows, each of shape (at most k,), best first; equal scores in the order of the texts.
        """
        known = [word for word in words_of(query) if word in self._vocabulary]
        if not known:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        scores = np.asarray(self._index.get_scores(known), dtype=np.float32)
        found = np.flatnonzero(scores > 0)
        if len(found) > k:
            least = np.partition(scores[found], -k)[-k]
            found = found[scores[found] >= least]
        rows = found[np.argsort(-scores[found], kind="stable")][:k]
        return scores[rows], rows
