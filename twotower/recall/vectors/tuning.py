"""How hard an index must try to find enough of the nearest vectors, measured on queries like those it will get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from twotower.recall.vectors.calibration import Calibration, K
from twotower.recall.vectors.index import Tunable, VectorIndex
from twotower.recall.vectors.unit import unit_rows
from twotower.types import Scores, Vectors

MOST_QUERIES = 256  # of each kind: the standard error of a recall near 0.99 is below 0.003 then
ROWS_PER_SCAN = 20_000  # rows compared with the queries at a time
ROUNDING = 1e-5
MADE_UP = "made-up queries"


def tune(index: Tunable, target: float, queries: Mapping[str, Vectors], *, seed: int = 0) -> Tunable:
    """Find the least search effort that reaches a recall, and return the index tuned to it.

    Without queries some are made up. Real ones may be harder, so the effort then stays at least at the default.

    Args:
        index: with at least one row.
        target: least recall@10, in (0, 1].
        queries: by kind, float32 of shape (q, dim), unit rows.
        seed: of the queries that are made up.
    """
    asked = {kind: vectors[:MOST_QUERIES] for kind, vectors in queries.items()}
    asked = asked or {MADE_UP: _made_up(index, np.random.default_rng(seed))}
    k = min(K, len(index))
    bars = {kind: _nearest(index, vectors, k)[:, -1:] - ROUNDING for kind, vectors in asked.items()}
    for effort in index.efforts():
        if not queries and effort < index.usual:
            continue
        tuned = index.tuned(effort, None)
        # Counted by score, so that equal vectors may stand in for each other.
        recall = {kind: float(np.mean(tuned.search(asked[kind], k)[0] >= bar)) for kind, bar in bars.items()}
        if min(recall.values()) >= target:
            break
    counts = {kind: len(vectors) for kind, vectors in asked.items()}
    return index.tuned(effort, Calibration(target, effort, recall, counts, len(index)))


def _made_up(index: VectorIndex, rng: np.random.Generator) -> Vectors:
    """Some queries in a random direction from items, each as far from one as that is from its nearest neighbour.

    An index finds what is near its own rows far more easily than what is near new ones.
    """
    drawn = rng.choice(len(index), min(MOST_QUERIES, len(index)), replace=False)
    near = index.vectors(np.sort(drawn))
    cosine = np.clip(_nearest(index, near, min(2, len(index)))[:, -1:], 0, 1)
    aside = rng.normal(size=near.shape)
    aside -= np.einsum("qd,qd->q", aside, near)[:, None] * near
    made = cosine * near + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    return unit_rows(made, rows=len(made), dim=made.shape[1], source="made-up queries")


def _nearest(index: VectorIndex, queries: Vectors, k: int) -> Scores:
    """The k largest inner products of each query with any row, by exhaustive search (on GPUs, if FAISS has any)."""
    from faiss import METRIC_INNER_PRODUCT
    from faiss.contrib.exhaustive_search import knn_ground_truth

    scores: Scores = knn_ground_truth(queries, _pieces(index), k, METRIC_INNER_PRODUCT)[0]
    return scores


def _pieces(index: VectorIndex) -> Iterator[Vectors]:
    for start in range(0, len(index), ROWS_PER_SCAN):
        yield index.vectors(np.arange(start, min(start + ROWS_PER_SCAN, len(index))))
