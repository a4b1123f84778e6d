"""Ranking only what is judged: the order by recall and by the reranker is known by construction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import PlaneEncoder

from rerank import Decay
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


ANGLES = [str(angle) for angle in range(0, 60, 10)]


def shop(**options):
    now = datetime.now(UTC)
    retriever = Retriever(PlaneEncoder(), hybrid=None, **options)
    retriever.upsert([Item(angle, angle, time=now - timedelta(days=60 - int(angle))) for angle in ANGLES])
    return retriever


def test_the_base_has_a_row_of_its_own_with_its_difference():
    """Base and reranker differ on every query, or on none."""
    good, poor = KnownReranker({"30": 1.0}), KnownReranker({"0": 1.0})
    queries = {f"q{number}": str(number) for number in range(20)}
    qrels = {query: {"0": 0, "10": 0, "30": 1} for query in queries}
    better = measure_judged(shop(), good, queries, qrels, base=poor)
    assert [each.name for each in better.orderings] == ["random", "recall", "reranker", "blended", "base"]
    found = {each.name: each.ndcg.mean for each in better.orderings}
    assert better.change_from_base.difference == pytest.approx(found["reranker"] - found["base"])
    assert better.change_from_base.low > 0.3
    assert better.change_from_base.p_holm > better.change_from_base.p_value  # two comparisons
    said = list(better.lines())
    assert any(line.startswith("  base ") for line in said)
    assert f"p = {better.change_from_base.p_holm:.3g}" in said[-1]
    assert not any("no better" in line for line in said)
    for same in (good, KnownReranker({"30": 0.2})):
        *_, last = measure_judged(shop(), good, queries, qrels, base=same).lines()
        assert "no better than its base" in last
    alone = measure_judged(shop(), good, queries, qrels)
    assert alone.change_from_base is None
    assert alone.change.p_holm == alone.change.p_value
    assert not any("base" in line for line in alone.lines())


def test_the_decay_of_the_shop_changes_nothing():
    """The items of greater angles are newer, and would come first."""
    qrels = {"q": {angle: 3 - int(angle) // 20 for angle in ANGLES}}
    steep = Decay.half_life(days=20, weight=1)
    aged, timeless = (
        measure_judged(shop(decay=decay), KnownReranker({"50": 1.0}), {"q": "0"}, qrels)
        for decay in (steep, None)
    )
    assert aged == timeless
    assert {each.name: each.ndcg.mean for each in aged.orderings}["recall"] == 1
    assert shop(decay=steep).search("0", 1)[0].id != "0"
