"""Calibration: the search effort that reaches a recall, measured on queries like those to come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from twotower.recall.vectors.calibration import Calibration, K
from twotower.recall.vectors.index import Tunable, VectorIndex
from twotower.types import Scores, Vectors

MAX_QUERIES = 256  # of each kind: enough for a standard error below 0.003 at a recall near 0.99
ROWS_PER_SCAN = 20_000  # compared with the queries at a time
ROUNDING = 1e-5
HALF_ERROR = 1e-3  # of the inner product of equal unit vectors in half precision
MAX_EQUALS = 64  # rows searched for the nearest one that differs
SYNTHETIC = "made-up queries"


def tune(index: Tunable, target: float, queries: Mapping[str, Vectors], *, seed: int = 0) -> Tunable:
    """Find the least search effort that reaches a recall, and return the index with that effort.

    Without queries, synthetic ones are drawn. Real ones may be harder, so the effort then is at least the default.

    Args:
        index: with at least one row.
        target: the recall@10 to reach, in (0, 1].
        queries: by kind, float32 of shape (q, dim), unit rows.
        seed: of the synthetic queries.
    """
    sample = {kind: vectors[:MAX_QUERIES] for kind, vectors in queries.items()}
    sample = sample or {SYNTHETIC: _synthetic_queries(index, np.random.default_rng(seed))}
    k = min(K, len(index))
    thresholds = {kind: _nearest(index, vectors, k)[:, -1:] - ROUNDING for kind, vectors in sample.items()}
    for effort in index.efforts_to_try():
        if not queries and effort < index.default_effort:
            continue
        candidate = index.with_effort(effort, None)
        # Counted by score, so that any of several equal vectors counts as found.
        recall = {
            kind: float(np.mean(candidate.search(sample[kind], k)[0] >= threshold))
            for kind, threshold in thresholds.items()
        }
        if min(recall.values()) >= target:
            break
    counts = {kind: len(vectors) for kind, vectors in sample.items()}
    return index.with_effort(effort, Calibration(target, effort, recall, counts, len(index)))


def _synthetic_queries(index: VectorIndex, rng: np.random.Generator) -> Vectors:
    """Queries in random directions from items, each as far from its item as that is from its nearest neighbour.

    An index finds the neighbours of its own rows far more easily than those of new vectors. Items that are equal, as
    one product in all sizes, are not neighbours: queries as near as these would be the rows themselves.
    """
    drawn = rng.choice(len(index), min(MAX_QUERIES, len(index)), replace=False)
    near = index.vectors(np.sort(drawn))
    scores = _nearest(index, near, min(MAX_EQUALS, len(index)))
    nearest = np.where(scores < 1 - HALF_ERROR, scores, 0).max(axis=1)
    usual = float(np.median(nearest[nearest > 0])) if nearest.any() else 0.5
    cosine = np.where(nearest > 0, nearest, usual)[:, None]
    offset = rng.normal(size=near.shape)
    offset -= np.einsum("qd,qd->q", offset, near)[:, None] * near
    queries = cosine * near + np.sqrt(1 - cosine**2) * offset / np.linalg.norm(offset, axis=1, keepdims=True)
    unit: Vectors = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _nearest(index: VectorIndex, queries: Vectors, k: int) -> Scores:
    """The k largest inner products of each query with any row, by exhaustive search (on GPUs if FAISS has any)."""
    from faiss import METRIC_INNER_PRODUCT
    from faiss.contrib.exhaustive_search import knn_ground_truth

    scores: Scores = knn_ground_truth(queries, _vectors_of(index), k, METRIC_INNER_PRODUCT)[0]
    return scores


def _vectors_of(index: VectorIndex) -> Iterator[Vectors]:
    for start in range(0, len(index), ROWS_PER_SCAN):
        yield index.vectors(np.arange(start, min(start + ROWS_PER_SCAN, len(index))))
