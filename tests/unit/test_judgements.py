"""Ranking only what is judged: the order by recall and by the reranker is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import PlaneEncoder

from twotower import Item, Retriever
from twotower.errors import JudgementError
from twotower.evaluation import evaluate_run, measure_judged


class KnownReranker:
    """Scores that are known by text."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, pairs):
        return np.array([self.scores.get(text, 0.1) for _, text in pairs], dtype=np.float32)


def test_only_judged_items_are_ranked_by_recall_by_the_reranker_and_by_both():
    retriever = Retriever(PlaneEncoder(), relevance_weight=0.5)
    retriever.upsert([Item(str(angle), str(angle)) for angle in range(0, 60, 10)])
    qrels = {"q": {"10": 0, "20": 1, "30": 3, "gone": 1}, "photo": {"gone": 1}}
    report = measure_judged(
        retriever, KnownReranker({"30": 1.0, "20": 0.5, "0": 0.9}), {"q": "0", "photo": "1"}, qrels
    )
    found = {each.name: each.ndcg.mean for each in report.orderings}
    wanted = {"q": {item: grade for item, grade in qrels["q"].items() if item != "gone"}}

    def ndcg(*order):
        return evaluate_run({"q": {item: -place for place, item in enumerate(order)}}, wanted, ["ndcg@10"])[
            "ndcg@10"
        ]

    assert found["recall"] == pytest.approx(ndcg("10", "20", "30"))
    assert found["reranker"] == 1.0
    cosines = {angle: np.cos(np.radians(angle)) for angle in (10, 20, 30)}
    blended = {10: cosines[10] + 0.1, 20: cosines[20] + 0.5, 30: cosines[30] + 1.0}
    assert found["blended"] == pytest.approx(
        ndcg(*(str(each) for each in sorted(blended, key=blended.get)[::-1]))
    )
    assert (report.queries, report.pairs) == (1, 3)
    assert report.change.difference == pytest.approx(1.0 - found["recall"])
    assert any(line.split()[:2] == ["reranker", "1.000"] for line in report.lines())


def test_judgements_without_an_indexed_relevant_item_are_refused():
    retriever = Retriever(PlaneEncoder())
    retriever.upsert([Item("0", "0")])
    with pytest.raises(JudgementError, match="nothing to measure"):
        measure_judged(retriever, KnownReranker({}), {"q": "0"}, {"q": {"0": 0, "gone": 1}})
