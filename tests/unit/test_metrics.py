"""Metrics beside the formulas, beside trec_eval itself, and beside other libraries."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import ndcg_score

from twotower.errors import JudgementError
from twotower.evaluation import evaluate_queries, evaluate_run

GRADES = {"a": 3, "b": 1, "c": 0, "d": 2}
LOG3 = math.log2(3)
NAMES = {  # ours: trec_eval's
    "ndcg@10": "ndcg_cut_10",
    "ndcg": "ndcg",
    "mrr": "recip_rank",
    "map": "map",
    "map@10": "map_cut_10",
    "precision@10": "P_10",
    "recall@100": "recall_100",
    "hr@5": "success_5",
    "accuracy@5": "success_5",
}


def run_of(*ids: str) -> dict[str, dict[str, float]]:
    return {"q": {id_: float(-rank) for rank, id_ in enumerate(ids)}}


def one(metric: str, *ids: str, grades: dict[str, int] = GRADES, **counting) -> float:
    return evaluate_run(run_of(*ids), {"q": grades}, [metric], **counting)[metric]


def random_case(seed: int, queries: int = 30) -> tuple[dict, dict]:
    dice = random.Random(seed)
    documents = [f"d{number}" for number in range(200)]
    run = {
        f"q{query}": {
            document: round(dice.random(), 2) for document in dice.sample(documents, dice.randrange(1, 150))
        }
        for query in range(queries)
    }
    qrels = {
        f"q{query}": {document: dice.randrange(4) for document in dice.sample(documents, 60)} | {"d0": 2}
        for query in range(queries)
    }
    return run, qrels


def require_trec_eval_s_numbers(evaluate, seed: int, relevant: int) -> None:
    run, qrels = random_case(seed)
    evaluator = pytrec_eval.RelevanceEvaluator(
        qrels,
        {"ndcg_cut.10", "ndcg", "recip_rank", "map", "map_cut.10", "P.10", "recall.100", "success.5"},
        relevance_level=relevant,
    )
    expected = evaluator.evaluate(run)
    found = evaluate(run, qrels, list(NAMES), relevant=relevant)
    for ours, theirs in NAMES.items():
        assert found[ours] == pytest.approx(
            {query: values[theirs] for query, values in expected.items()}, abs=1e-6
        )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("relevant", [1, 2])
def test_numbers_are_trec_eval_s_with_ties_and_unjudged_documents(seed, relevant):
    require_trec_eval_s_numbers(evaluate_queries, seed, relevant)


def ties_the_other_way(run, qrels, names, **counting):
    return evaluate_queries(
        {
            query: {id_: score - 1e-9 * sorted(scores).index(id_) for id_, score in scores.items()}
            for query, scores in run.items()
        },
        qrels,
        names,
        **counting,
    )


def unjudged_left_out(run, qrels, names, **counting):
    return evaluate_queries(run, qrels, names, **counting, unjudged="condensed")


def another_gain(run, qrels, names, **counting):
    return evaluate_queries(run, qrels, names, **counting, gain="exponential")


def one_rank_too_deep(run, qrels, names, **counting):
    deeper = [name.replace("@10", "@11") for name in names]
    found = evaluate_queries(run, qrels, deeper, **counting)
    return dict(zip(names, found.values(), strict=True))


@pytest.mark.parametrize("broken", [ties_the_other_way, unjudged_left_out, another_gain, one_rank_too_deep])
def test_a_broken_metric_is_caught(broken):
    with pytest.raises(AssertionError):
        require_trec_eval_s_numbers(broken, seed=0, relevant=1)


def test_ndcg_discounts_gains_by_the_logarithm_of_the_rank():
    # c, x, a: only the third gains. The ideal begins a, d, b.
    ranked = ("c", "x", "a", "d")
    assert one("ndcg@3", *ranked) == pytest.approx((3 / 2) / (3 + 2 / LOG3 + 1 / 2))
    exponential = one("ndcg@3", *ranked, gain="exponential")
    assert exponential == pytest.approx((7 / 2) / (7 + 3 / LOG3 + 1 / 2))
    assert one("ndcg@2", *ranked) == 0
    # The ideal counts documents that were not found.
    assert one("ndcg@10", "b") == pytest.approx(1 / (3 + 2 / LOG3 + 1 / 2))


def test_negative_grades_gain_nothing():
    assert one("ndcg@10", "spam", "a", grades={"spam": -2, "a": 1}) == pytest.approx(1 / LOG3)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_ndcg_equals_scikit_learn(seed, gain):
    dice = random.Random(seed)
    ids = [str(number) for number in range(12)]
    grades = {id_: dice.randrange(4) for id_ in ids} | {"0": 1}
    ranked = dice.sample(ids, len(ids))
    gains = [2 ** grades[id_] - 1 if gain == "exponential" else grades[id_] for id_ in ranked]
    for k in (1, 5, 12):
        expected = ndcg_score([gains], [list(range(len(ids), 0, -1))], k=k)
        assert one(f"ndcg@{k}", *ranked, grades=grades, gain=gain) == pytest.approx(expected)


def test_precision_recall_f1_mrr_map_and_hits_follow_their_formulas():
    ranked = ("c", "b", "x", "a")  # relevant from grade 1: a, b, d
    assert one("precision@4", *ranked) == 2 / 4
    assert one("recall@4", *ranked) == pytest.approx(2 / 3)
    assert one("f1@4", *ranked) == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert one("f1@1", *ranked) == 0
    assert one("mrr@10", *ranked) == 1 / 2
    assert one("mrr@10", *ranked, relevant=2) == 1 / 4
    assert one("mrr@3", *ranked, relevant=2) == 0
    assert (one("hr@1", *ranked), one("hr@2", *ranked)) == (0, 1)
    assert one("map", *ranked) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert one("precision@10", "a") == 1 / 10  # trec_eval divides by k, however few were found


def test_f1_is_of_each_query_not_of_the_means():
    qrels = {"p": {"a": 1}, "q": {"a": 1, "b": 1, "c": 1, "d": 1}}
    run = {"p": {"a": 2.0, "x": 1.0}, "q": {"a": 2.0, "b": 1.0}}
    expected = {"p": 2 * 0.5 * 1 / 1.5, "q": 2 * 1 * 0.5 / 1.5}
    assert evaluate_queries(run, qrels, ["f1@2"])["f1@2"] == pytest.approx(expected)


def test_unjudged_documents_count_as_irrelevant_or_are_removed():
    ranked = ("x", "a", "y", "d", "c")
    assert one("judged@4", *ranked) == 2 / 4
    assert one("judged@10", *ranked) == 3 / 5
    assert one("ndcg@3", *ranked) == one("ndcg@3", "x", "a", "y")
    condensed = one("ndcg@3", *ranked, unjudged="condensed")
    assert condensed == one("ndcg@3", "a", "d", "c") > one("ndcg@3", *ranked)
    assert one("judged@4", *ranked, unjudged="condensed") == 2 / 4


def test_means_are_over_queries_with_a_relevant_document():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "missed": {"c": 1}, "nothing relevant": {"d": 0}}
    run = {"q1": {"a": 2.0, "x": 1.0}, "q2": {"x": 9.0, "b": 8.0}, "unjudged": {"a": 1.0}}
    means = evaluate_run(run, qrels, ("ndcg@10", "mrr@10", "hr@10", "hr@1"))
    assert means == pytest.approx(
        {"ndcg@10": (1 + 1 / LOG3) / 3, "mrr@10": (1 + 1 / 2) / 3, "hr@10": 2 / 3, "hr@1": 1 / 3}
    )
    assert list(evaluate_queries(run, qrels, ["hr@1"])["hr@1"]) == ["q1", "q2", "missed"]


def test_ties_break_by_id_descending():
    assert evaluate_run({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1}}, ["mrr@10"]) == {"mrr@10": 1 / 2}
    assert evaluate_run({"q": {"b": 1.0, "a": 1.0}}, {"q": {"b": 1}}, ["mrr@10"]) == {"mrr@10": 1}


def test_scores_that_single_precision_cannot_tell_apart_stay_apart():
    # trec_eval itself reads both as 1.0 and would put b first.
    assert evaluate_run({"q": {"a": 1.0 + 1e-12, "b": 1.0}}, {"q": {"a": 1}}, ["mrr"]) == {"mrr": 1}


@pytest.mark.parametrize(
    "name", ["recall", "precision", "ndcg@0", "ndcg@-1", "ndcg@ten", "dcg@10", "hr", "@5"]
)
def test_an_unknown_metric_is_named(name):
    with pytest.raises(ValueError, match=f"unknown metric '{name}'"):
        evaluate_run({}, {"q": {"a": 1}}, [name])


def test_a_run_or_judgements_that_cannot_be_measured_are_named():
    with pytest.raises(JudgementError, match="score of document 'a' for query 'q' must be a number, got nan"):
        evaluate_run({"q": {"a": math.nan}}, {"q": {"a": 1}})
    for run, qrels, message in [
        ({}, {1: {"a": 1}}, "the id of a query must be text, got 1: pass '1'"),
        ({}, {"q": {7: 1}}, "the id of a document must be text, got 7: pass '7'"),
        ({}, {"q": {"a": "2"}}, "the grade of document 'a' for query 'q' must be a number, got '2'"),
        ({}, {"q": {"a": math.inf}}, "must be a number, got inf"),
        ({}, {"q": ["a"]}, r"qrels of query 'q' must map documents to grades, got \['a'\]"),
        ({"q": {"a": 1.0, 2: 1.0}}, {"q": {"a": 1}}, "the id of a document must be text, got 2"),
        ({"q": {"a": None}}, {"q": {"a": 1}}, "the score of document 'a' .* got None"),
        ([("q", "a")], {"q": {"a": 1}}, "run must map queries to the scores of documents"),
    ]:
        with pytest.raises(JudgementError, match=message):
            evaluate_run(run, qrels)
    with pytest.raises(ValueError, match="relevant must be a number, got '1'"):
        evaluate_run({}, {"q": {"a": 1}}, relevant="1")
    with pytest.raises(ValueError, match="nothing to average"):
        evaluate_run({}, {"q": {"a": 0}})
    with pytest.raises(ValueError, match="gain must be 'linear' or 'exponential', got 'log'"):
        evaluate_run({}, {"q": {"a": 1}}, gain="log")
    with pytest.raises(ValueError, match="got 'ignored'"):
        evaluate_run({}, {"q": {"a": 1}}, unjudged="ignored")


def test_grades_may_be_any_finite_numbers():
    """Halves count between whole grades, in gain and in what is relevant."""
    halves = {"a": 1.5, "b": 0.5}
    assert one("ndcg@2", "b", "a", grades=halves) == pytest.approx((0.5 + 1.5 / LOG3) / (1.5 + 0.5 / LOG3))
    assert one("recall@1", "b", grades=halves, relevant=0.5) == 0.5
    assert one("recall@1", "b", grades=halves, relevant=1) == 0
    numbers = {"a": np.float32(2), "b": np.int64(1), "c": True}
    assert one("ndcg@10", "a", "b", "c", grades=numbers) == 1


def test_a_query_whose_best_grade_is_below_relevant_does_not_count():
    """It would count 0, or even 1 for a metric of the grades themselves, however it is ranked."""
    run = {"good": {"a": 1.0}, "poor": {"b": 1.0}, "none": {"c": 1.0}}
    qrels = {"good": {"a": 2}, "poor": {"b": 1}, "none": {"c": 0}}
    names = ["ndcg@10", "mrr@10", "recall@10", "hr@10", "judged@10", "map", "precision@1", "f1@1"]
    for relevant, counted in ((2, ["good"]), (1, ["good", "poor"]), (1.5, ["good"])):
        found = evaluate_queries(run, qrels, names, relevant=relevant)
        assert {name: list(values) for name, values in found.items()} == dict.fromkeys(names, counted)
        assert evaluate_run(run, qrels, names, relevant=relevant) == dict.fromkeys(names, 1)
