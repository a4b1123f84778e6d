from __future__ import annotations

import math
import random

import pytest
from sklearn.metrics import ndcg_score

from twotower.evaluation.metrics import evaluate_run, hit_rate_at_k, mrr_at_k, ndcg_at_k

GRADES = {"a": 3, "b": 1, "c": 0, "d": 2}
LOG3 = math.log2(3)


def test_ndcg_by_hand():
    # c, x, a: only the third gains. The ideal begins a, d, b.
    ranking = ["c", "x", "a", "d"]
    assert ndcg_at_k(ranking, GRADES, 3) == pytest.approx((3 / 2) / (3 + 2 / LOG3 + 1 / 2))
    assert ndcg_at_k(ranking, GRADES, 3, "exponential") == pytest.approx((7 / 2) / (7 + 3 / LOG3 + 1 / 2))
    assert ndcg_at_k(ranking, GRADES, 2) == 0


def test_ndcg_ideal_counts_documents_that_were_not_found():
    assert ndcg_at_k(["b"], GRADES, 10) == pytest.approx(1 / (3 + 2 / LOG3 + 1 / 2))
    assert ndcg_at_k(["a", "d", "b"], GRADES, 10) == 1


def test_negative_grades_gain_nothing():
    assert ndcg_at_k(["spam", "a"], {"spam": -2, "a": 1}, 10) == pytest.approx(1 / LOG3)
    assert ndcg_at_k(["spam"], {"spam": -2}, 10) == 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_ndcg_equals_scikit_learn(seed, gain):
    dice = random.Random(seed)
    ids = [str(number) for number in range(12)]
    grades = {id_: dice.randrange(4) for id_ in ids} | {"0": 1}
    ranking = dice.sample(ids, len(ids))
    gains = [2 ** grades[id_] - 1 if gain == "exponential" else grades[id_] for id_ in ranking]
    for k in (1, 5, 12):
        expected = ndcg_score([gains], [list(range(len(ids), 0, -1))], k=k)
        assert ndcg_at_k(ranking, grades, k, gain) == pytest.approx(expected)


def test_first_relevant_rank_and_hit():
    ranking = ["c", "b", "a"]
    assert mrr_at_k(ranking, GRADES, 10) == 1 / 2
    assert mrr_at_k(ranking, GRADES, 10, relevant=2) == 1 / 3
    assert mrr_at_k(ranking, GRADES, 2, relevant=2) == 0
    assert hit_rate_at_k(ranking, GRADES, 2) == 1
    assert hit_rate_at_k(ranking, GRADES, 2, relevant=2) == 0
    assert mrr_at_k([], GRADES, 10) == hit_rate_at_k([], GRADES, 10) == 0


def test_run_averages_over_queries_with_a_relevant_document():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "missed": {"c": 1}, "nothing relevant": {"d": 0}}
    run = {"q1": {"a": 2.0, "x": 1.0}, "q2": {"x": 9.0, "b": 8.0}, "unjudged": {"a": 1.0}}
    means = evaluate_run(run, qrels, ("ndcg@10", "mrr@10", "hr@10", "hr@1"))
    assert means == pytest.approx(
        {"ndcg@10": (1 + 1 / LOG3) / 3, "mrr@10": (1 + 1 / 2) / 3, "hr@10": 2 / 3, "hr@1": 1 / 3}
    )


def test_run_breaks_ties_by_id_descending():
    assert evaluate_run({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1}}, ["mrr@10"]) == {"mrr@10": 1 / 2}
    assert evaluate_run({"q": {"b": 1.0, "a": 1.0}}, {"q": {"b": 1}}, ["mrr@10"]) == {"mrr@10": 1}


def test_run_passes_the_threshold_and_the_gain_on():
    qrels, run = {"q": {"a": 1, "b": 2}}, {"q": {"a": 2.0, "b": 1.0}}
    assert evaluate_run(run, qrels, ["mrr@10"], relevant=2) == {"mrr@10": 1 / 2}
    exponential = evaluate_run(run, qrels, ["ndcg@10"], gain="exponential")
    assert exponential == {"ndcg@10": pytest.approx((1 + 3 / LOG3) / (3 + 1 / LOG3))}


@pytest.mark.parametrize("name", ["recall@10", "ndcg", "ndcg@0", "ndcg@-1", "ndcg@ten"])
def test_unknown_metric_is_named(name):
    with pytest.raises(ValueError, match=f"Unknown metric '{name}'"):
        evaluate_run({}, {"q": {"a": 1}}, [name])


def test_refused():
    with pytest.raises(ValueError, match="document 'a' for query 'q' is NaN"):
        evaluate_run({"q": {"a": math.nan}}, {"q": {"a": 1}})
    with pytest.raises(ValueError, match="nothing to average"):
        evaluate_run({}, {"q": {"a": 0}})
    with pytest.raises(ValueError, match="k is 0"):
        ndcg_at_k(["a"], GRADES, 0)
    with pytest.raises(ValueError, match="twice"):
        mrr_at_k(["a", "a"], GRADES, 10)
