from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.__main__ import read_options
from benchmarks.common.contract import Result
from benchmarks.common.vectors import (
    SELECTIVITIES,
    K,
    clustered,
    exact,
    recall_at_k,
)
from benchmarks.recall import benchmark as recall
from benchmarks.recall.raw_faiss import WALKED, raw_faiss
from benchmarks.recall.system import ALL, VectorSearch, answer_in_threads
from benchmarks.recall.systems import build_retriever, index_of, whole_retriever

SIZE = 3_000
DIM = 16


class FakeClock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def points():
    return clustered(SIZE, 20, seed=3, dim=DIM)


@pytest.fixture(scope="module")
def truth(points):
    return exact(points.items, points.queries, K)


def brute_force(vectors, queries, k, allowed):
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    scores[:, ~allowed] = -np.inf
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.where(np.isfinite(np.take_along_axis(scores, order, axis=1)), order, -1)


@pytest.mark.parametrize("share", [ALL, *SELECTIVITIES])
def test_truth_is_numpys_brute_force_under_every_filter(points, share):
    allowed = points.allowed(share)
    assert allowed.sum() == share * SIZE
    found = exact(points.items, points.queries, K, None if share == ALL else allowed)
    np.testing.assert_array_equal(found, brute_force(points.items, points.queries, K, allowed))


def test_points_are_of_unit_length_and_the_same_for_the_same_seed_only(points):
    np.testing.assert_allclose(np.linalg.norm(points.table, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(clustered(SIZE, 20, seed=3, dim=DIM).table, points.table)
    assert not np.array_equal(clustered(SIZE, 20, seed=4, dim=DIM).table, points.table)


def test_recall_of_a_hand_made_example():
    truth = np.array([[7, 3, 5, 1], [2, 4, -1, -1], [9, 8, 6, 0]])
    found = [[3, 7, 7, 99], [4, 2, -1, -1], [1, 2, 3, 4, 9, 8]]  # 2 of 4; 2 of 2; too late
    assert recall_at_k(found, truth) == pytest.approx((0.5 + 1 + 0) / 3)


def test_recall_needs_an_answer_to_every_query():
    with pytest.raises(ValueError, match="1 answers to 2 queries"):
        recall_at_k([[1]], np.array([[1], [2]]))


def measure(systems, truth, share=ALL, clock=None):
    result = Result("recall", 0)
    recall.Turns(result, systems, SIZE, **({"clock": clock} if clock else {})).single(truth, share)
    return {row.system: row.metrics for row in result.rows}, result.ratios


def listed(name, answer):
    """A system whose answer is a list of rows."""
    return VectorSearch(
        name, {}, {share: answer for share in (ALL, *SELECTIVITIES)}, rows=lambda found: [found]
    )


def test_a_system_that_returns_any_ids_is_caught_by_its_recall(truth):
    rng = np.random.default_rng(0)
    shuffled = {row: rng.permutation(SIZE)[:K].tolist() for row in range(len(truth))}
    metrics, _ = measure(
        [listed("faiss", lambda row: truth[row].tolist()), listed("twotower", shuffled.get)], truth
    )
    assert metrics["faiss"]["recall@10"] == 1
    assert metrics["twotower"]["recall@10"] < 0.05


@pytest.mark.parametrize("share", SELECTIVITIES)
def test_a_system_that_ignores_the_filter_is_caught_by_its_recall(points, truth, share):
    filtered = exact(points.items, points.queries, K, points.allowed(share))
    metrics, _ = measure([listed("twotower", lambda row: truth[row].tolist())], filtered, share)
    assert metrics["twotower"]["recall@10"] < share + 0.2


def test_a_system_that_sleeps_is_caught_by_the_clock(truth):
    clock = FakeClock()

    def answer(seconds):
        def search(row):
            clock.now += seconds
            return truth[row].tolist()

        return search

    metrics, ratios = measure(
        [listed("twotower", answer(0.03)), listed("faiss", answer(0.002))], truth, clock=clock
    )
    assert metrics["twotower"]["p50_ms"].median == pytest.approx(30)
    assert ratios[f"twotower / faiss : p50_ms n={SIZE} single"].median == pytest.approx(15)
    assert ratios[f"twotower / faiss : p99_ms n={SIZE} single"].median == pytest.approx(15)


def test_a_batch_rate_counts_every_query_once(truth):
    clock = FakeClock()

    def search(part):
        clock.now += 0.01 * len(truth[part])
        return truth[part]

    system = VectorSearch("twotower", {}, {}, rows=lambda answer: answer.tolist(), batch=search)
    result = Result("recall", 0)
    recall.Turns(result, [system], SIZE, clock).batch(truth, 1)
    (row,) = result.rows
    assert row.metrics["queries_per_s"].median == pytest.approx(100)
    assert row.metrics["recall@10"] == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_answer_every_input_once_side_by_side(threads):
    answered, names, lock = [], set(), threading.Lock()

    def answer(given):
        with lock:
            answered.append(given)
            names.add(threading.get_ident())

    with ThreadPoolExecutor(2) as pool:
        assert answer_in_threads(answer, range(101), pool, threads) == 101
    assert sorted(answered) == list(range(101))
    assert len(names) == threads


def test_an_error_in_a_thread_is_not_lost():
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        answer_in_threads(lambda given: 1 // (given - 5), range(10), pool, 2)


@pytest.mark.parametrize("exact_up_to", [SIZE, SIZE - 1])
def test_every_system_finds_what_is_nearest_flat_and_by_graph(points, truth, exact_up_to):
    filtered = ["--filtered", str(len(points.queries)), "--threads", "1"]
    options = read_options("recall", [*filtered, "--exact-up-to", str(exact_up_to)])
    systems = recall.build_systems(Result("recall", 3), points, options)
    names = {system.name for system in systems}
    assert {"twotower", "twotower-index", "faiss", "faiss-array", "hnswlib", "usearch"} <= names
    assert ("faiss-walk" in names) == (exact_up_to < SIZE)
    for share in (ALL, *SELECTIVITIES):
        filtered = exact(points.items, points.queries, K, points.allowed(share))
        for system in systems:
            if share in system.searches:
                answers = [system.rows(system.searches[share](row))[0] for row in range(len(filtered))]
                least = WALKED[share] if system.name == "faiss-walk" else 0.97
                assert recall_at_k(answers, filtered) >= least, (system.name, share)
        if share == ALL:
            for system in systems:
                if system.batch is not None:
                    assert recall_at_k(system.rows(system.batch(slice(0, len(truth)))), truth) > 0.97


def test_raw_faiss_searches_the_very_index_of_the_retriever(points):
    retriever = build_retriever(points, SIZE - 1)
    index = index_of(retriever)
    assert len(index) == SIZE
    raw = raw_faiss(index, points)
    ours = whole_retriever(retriever, points)
    for row in range(len(points.queries)):
        assert raw.rows(raw.searches[ALL](row)) == ours.rows(ours.searches[ALL](row))
