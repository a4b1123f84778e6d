"""The two baselines that every table of search quality needs: a random ranking, and BM25."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from twotower.recall.lexical import BM25
from twotower.types import Item


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
    rng = np.random.default_rng(seed)
    size = min(k, len(item_ids))
    return {
        query: {
            item_ids[row]: float(size - rank)
            for rank, row in enumerate(rng.choice(len(item_ids), size, replace=False))
        }
        for query in queries
    }


def bm25_run(queries: Mapping[str, str], items: Sequence[Item], k: int = 100) -> dict[str, dict[str, float]]:
    """Search titles and descriptions by BM25 alone; see `twotower.recall.lexical.BM25`.

    Args:
        queries: words by id.
        items: the corpus.
        k: hits per query.
    """
    index = BM25([item.words for item in items])
    run = {}
    for query, text in queries.items():
        scores, rows = index.search(text, k)
        run[query] = {items[row].id: float(score) for score, row in zip(scores, rows, strict=True)}
    return run
