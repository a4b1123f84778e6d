"""Every vector index against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from twotower.recall.plan import Effort
from twotower.recall.selection import Selection
from twotower.recall.vectors import compressed
from twotower.recall.vectors.builder import build_index
from twotower.recall.vectors.scores import ROUNDING, best_of_all
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
    off = np.abs(scores[:, :matches] - exact) > tolerance
    if k <= 10:  # at once; of more, what only a deeper search finds ranks behind the others
        assert not off.any()
    assert (scores[:, :matches][off] < exact[off]).all()
    assert np.count_nonzero(off) <= (1 - recall) * exact.size
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    if matches:
        worst_wanted = oracle(vectors, queries, k, allowed)[:, matches - 1 : matches]
        assert np.mean(scores[:, :matches] >= worst_wanted - tolerance) >= recall


@pytest.mark.parametrize("share", [1.0, 0.5, 0.12, 0.03])
@pytest.mark.parametrize("first", [1, 50, 130])
def test_a_smaller_k_finds_the_beginning_of_what_a_larger_one_finds(case, share, first):
    index, vectors, queries, _, _ = case
    allowed = Selection(np.random.default_rng(3).random(len(vectors)) < share)
    scores, rows = index.search(queries, 700, allowed, first)
    for k in (1, 10, 11, 33, 60, 129, 500):
        fewer_scores, fewer = index.search(queries, k, allowed, first)
        np.testing.assert_array_equal(fewer, rows[:, :k])
        np.testing.assert_array_equal(fewer_scores, scores[:, :k])
        alone_scores, alone = index.search(queries[7:8], k, allowed, first)
        np.testing.assert_array_equal(alone, fewer[7:8])
        np.testing.assert_array_equal(alone_scores, fewer_scores[7:8])


@pytest.mark.parametrize(
    ("kind", "effort", "many", "least"),
    [
        ("graph", Effort(192), 384, 0.99),
        ("ivf-pq", Effort(4, 4), 160, 0.93),
        ("ivf-rabitq", Effort(4, 4), 160, 0.93),
    ],
)
def test_a_search_for_many_goes_as_deep_as_they_need(kind, effort, many, least):
    """However little effort a few take."""
    vectors, queries = clustered(6_000, seed=1), clustered(40, seed=2)
    scores, _ = build_index(kind, [vectors]).with_effort(effort, None).search(queries, many)
    worst_wanted = oracle(vectors, queries, many, np.ones(6_000, dtype=np.bool_))[:, -1:]
    assert np.mean(scores >= worst_wanted - 2e-3) >= least


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


EQUAL = np.sort(np.random.default_rng(5).choice(6_000, 60, replace=False))
FEW = np.setdiff1d(np.arange(100, 200), EQUAL)[:12]


@pytest.fixture(scope="module", params=["exact", "graph", "graph-8bit", "ivf-pq", "ivf-rabitq"])
def tied(request):
    """An index in which 60 rows are equal, and 12 others."""
    vectors = clustered(6_000, seed=1)
    vectors[EQUAL] = vectors[EQUAL[0]]
    vectors[FEW] = vectors[FEW[0]]
    return build_index(request.param, [vectors]), vectors


@pytest.mark.parametrize("share", [1.0, 0.5, 0.03])
def test_equal_rows_come_in_order_for_every_k_and_batch(tied, share):
    index, vectors = tied
    allowed = np.random.default_rng(6).random(len(vectors)) < share
    allowed[EQUAL[::2]] = True
    selection = None if share == 1 else Selection(allowed)
    expected = [row for row in EQUAL.tolist() if share == 1 or allowed[row]]
    query = vectors[EQUAL[:1]]
    others = np.concatenate([clustered(7, seed=7), vectors[FEW[:1]]])
    for k in (1, 10, 11, 20, 40, 70, 300):
        scores, rows = index.search(query, k, selection)
        assert rows[0, : len(expected)].tolist() == expected[:k]
        assert len(set(scores[0, : min(k, len(expected))].tolist())) == 1
        batch = index.search(np.concatenate([others, query, query]), k, selection)
        for place in (-1, -2):
            assert batch[0][place].tobytes() == scores[0].tobytes()
            assert batch[1][place].tolist() == rows[0].tolist()


def test_the_scores_of_equal_rows_are_the_same_to_the_last_bit(tied):
    index, _ = tied
    for query in clustered(20, seed=8):
        scores, rows = index.search(query[None], 6_000)
        assert len(set(scores[0][np.isin(rows[0], EQUAL)].tolist())) == 1


def test_more_equal_rows_than_any_search_fetches_still_come_in_order():
    vectors = np.repeat(clustered(4, seed=9), 1_500, axis=0)
    for kind in ("exact", "graph", "graph-8bit"):
        index = build_index(kind, [vectors])
        for k in (3, 30):
            assert index.search(vectors[3_000:3_002], k)[1].tolist() == [list(range(3_000, 3_000 + k))] * 2


@pytest.mark.parametrize("kind", ["graph", "graph-8bit", "ivf-pq", "ivf-rabitq"])
@pytest.mark.parametrize("left", [0, 2, 9])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_walk_that_comes_short_for_some_queries_of_a_batch_is_made_up_for(kind, left, share, monkeypatch):
    """The planted fault: the walk finds `left` rows for the second and the last query, and enough for the others.

    The first query is searched once more beside them, because more rows tie than are fetched at first.
    """
    monkeypatch.setattr(compressed, "SUBSET_ROWS", 0)
    vectors, queries = clustered(3_000, seed=1), clustered(5, seed=2)
    vectors[300:2_900] = queries[0]
    index = build_index(kind, [vectors])
    selection = Selection(np.random.default_rng(3).random(len(vectors)) < share)
    assert index.plan(10, selection).method in ("graph", "lists")
    codes = index.graph if kind == "graph" else index.codes
    walk, walked = codes.walk, []

    def short(given, fetch, chosen, depth):
        scores, rows = walk(given, fetch, chosen, depth)
        walked.append(len(given))
        hard = (given[:, None] == queries[[1, 4]]).all(axis=2).any(axis=1)
        scores[hard, left:], rows[hard, left:] = -np.inf, -1
        return scores, rows

    monkeypatch.setattr(codes, "walk", short)
    scores, rows = index.search(queries, 10, selection)
    assert walked[0] == len(queries)
    assert (rows >= 0).all()
    assert selection.mask[rows].all()
    exact = oracle(vectors, queries, 10, selection.mask)
    assert (np.abs(scores[[1, 4]] - exact[[1, 4]]) < 0.02).all()
    assert (scores >= exact - 0.1).all()
    assert all(len(set(row)) == 10 for row in rows.tolist())


def test_an_exact_scan_that_keeps_the_wrong_rows_of_a_tie_is_made_up_for(monkeypatch):
    """The planted fault: which of equal rows FAISS keeps at its cut depends on their order in its memory."""
    vectors = clustered(6_000, seed=1)
    vectors[EQUAL] = vectors[EQUAL[0]]
    index = build_index("exact", [vectors])

    def last_of_a_tie(_, queries, k, parameters=None):
        scores = queries @ vectors.T
        rows = np.lexsort((-np.broadcast_to(np.arange(6_000), scores.shape), -scores))[:, :k]
        return np.take_along_axis(scores, rows, axis=1), rows

    monkeypatch.setattr("twotower.recall.vectors.faiss_calls.search", last_of_a_tie)
    _, rows = index.search(vectors[EQUAL[:2]], 10)
    assert rows.tolist() == [EQUAL[:10].tolist()] * 2


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("selected", [None, np.arange(0, 2_000, 2)])
def test_the_error_of_approximate_scores_decides_nothing(k, selected):
    generator = np.random.default_rng(10)
    query = clustered(1, seed=2)[0]
    vectors = (0.5 + 1e-6 * generator.permutation(2_000))[:, None].astype(np.float32) * query
    exact = vectors.astype(np.float64) @ query.astype(np.float64)
    rows = np.arange(2_000) if selected is None else selected
    approximate = (exact[rows] + generator.uniform(-ROUNDING, ROUNDING, len(rows))).astype(np.float32)
    _, found = best_of_all(approximate, lambda wanted: vectors[wanted], query, k, selected)
    assert found[0].tolist() == rows[np.argsort(-exact[rows].astype(np.float32), kind="stable")][:k].tolist()
