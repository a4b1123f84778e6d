"""Every vector index against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from twotower.recall.selection import Selection
from twotower.recall.vectors.builder import build_index
from twotower.recall.vectors.tuning import tune

DIM = 24


def clustered(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, DIM))
    vectors = centres[rng.integers(20, size=count)] + 0.6 * rng.normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def oracle(vectors: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray) -> np.ndarray:
    """The k best inner products of each query among the allowed rows, -2 where there are fewer."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    scores[:, ~allowed] = -2
    padded = np.pad(scores, ((0, 0), (0, k)), constant_values=-2)
    return -np.sort(-padded, axis=1)[:, :k]


# What each index promises: the largest error of a score, and the least share of exact results.
INDEXES = [
    pytest.param(("exact", 1e-5, 1.0), id="exact"),
    *(pytest.param((kind, 2e-3, 0.95), id=kind) for kind in ("graph", "graph-8bit", "ivf-pq", "ivf-rabitq")),
]


@pytest.fixture(scope="module", params=INDEXES)
def case(request):
    kind, tolerance, recall = request.param
    vectors = clustered(6_000, seed=1)
    index = build_index(kind, [vectors[:100], vectors[100:]])
    if kind != "exact":  # as far from the rows as the queries of the tests
        index = tune(index, 0.98, {"words": clustered(256, seed=4)})
    return index, vectors, clustered(40, seed=2), tolerance, recall


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.12, 0.03, 0.001, 0.0])
def test_finds_what_numpy_finds_and_never_too_few(case, k, share):
    index, vectors, queries, tolerance, recall = case
    allowed = np.random.default_rng(3).random(len(vectors)) < share
    scores, rows = index.search(queries, k, Selection(allowed))

    matches = min(k, int(allowed.sum()))
    assert ((rows >= 0).sum(axis=1) == matches).all()
    found = rows[:, :matches]
    assert allowed[found].all()
    assert all(len(set(row)) == matches for row in found.tolist())
    exact = np.einsum("qd,qkd->qk", queries, vectors[found])
    np.testing.assert_allclose(scores[:, :matches], exact, atol=tolerance)
    if matches:
        worst_wanted = oracle(vectors, queries, k, allowed)[:, matches - 1 : matches]
        assert np.mean(scores[:, :matches] >= worst_wanted - tolerance) >= recall


def test_no_mask_is_the_same_as_all_rows(case):
    index, vectors, queries, tolerance, _ = case
    everything = np.ones(len(vectors), dtype=np.bool_)
    plain, masked = index.search(queries, 5), index.search(queries, 5, Selection(everything))
    np.testing.assert_allclose(plain[0], masked[0], atol=tolerance)


def test_vectors_come_back_in_the_order_asked(case):
    index, vectors, _, tolerance, _ = case
    rows = np.array([5_999, 0, 17, 0])
    np.testing.assert_allclose(index.vectors(rows), vectors[rows], atol=tolerance)
    assert index.vectors(np.zeros(0, dtype=np.int64)).shape == (0, DIM)


def test_the_graph_alone_would_come_short():
    """The planted fault: without the exact fallback, a walk through a graph with a narrow filter loses matches."""
    vectors = clustered(6_000, seed=1)
    index = build_index("graph", [vectors])
    far = np.argsort(vectors @ vectors[0])[:20]
    allowed = np.zeros(6_000, dtype=np.bool_)
    allowed[far] = True
    _, walked = index.graph.walk(vectors[:1], 20, Selection(allowed).bitmap, 64)
    assert (walked >= 0).sum() < 20
    _, rows = index.search(vectors[:1], 20, Selection(allowed))
    assert set(rows[0].tolist()) == set(far.tolist())
