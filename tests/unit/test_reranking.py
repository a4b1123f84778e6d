"""A cascade, a budget of time and a lowest score, as a search uses them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import OverlapReranker, PlaneEncoder

from rerank import Cascade, Decay
from twotower import Item, Retriever
from twotower.errors import QueryError
from twotower.search import arguments

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    """Stands still but for the pairs that are read, so that a test does not hang on the machine's speed."""

    def __init__(self):
        self.seconds = 0.0

    def perf_counter(self):
        return self.seconds


class ByText:
    """Relevance as a table says, at four milliseconds a pair."""

    def __init__(self, table, clock=None):
        self.table, self.clock = table, clock or Clock()

    def score(self, pairs):
        self.clock.seconds += 0.004 * len(pairs)
        return np.array([self.table.get(text, 0.0) for _, text in pairs], dtype=np.float32)


def shop(count=40, **parts):
    """Item "7" lies seven degrees from the query "0"."""
    retriever = Retriever(PlaneEncoder(), hybrid=None, **parts)
    retriever.upsert(
        [Item(str(angle), str(angle), time=NOW - timedelta(days=angle)) for angle in range(count)]
    )
    return retriever


def test_hits_say_their_place_after_every_stage_that_read_them():
    student = ByText({"3": 1.0, "5": 0.9, "2": 0.8})
    teacher = ByText({"3": 0.1, "5": 1.0})
    hits = shop(reranker=Cascade((student, 10), (teacher, 2)), relevance_weight=0.9).search("0", k=12)
    by_id = {hit.id: hit for hit in hits}
    assert [hit.id for hit in hits][:2] == ["5", "2"]
    assert by_id["5"].ranks == {"recall": 6, "stage 1": 2, "stage 2": 1}
    assert by_id["3"].ranks == {"recall": 4, "stage 1": 1, "stage 2": 3}
    assert by_id["2"].ranks == {"recall": 3, "stage 1": 3}
    assert by_id["11"].ranks == {"recall": 12}  # below the first stage's ten
    for hit in hits:
        assert hit.score == pytest.approx(hit.explain["similarity"] + hit.explain["relevance"])
        near = np.cos(np.radians(int(hit.id)))
        assert hit.explain["similarity"] == pytest.approx(0.1 * near, abs=1e-6)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_cascade_says_how_deep_recall_goes_and_a_search_may_say_less():
    seen = []

    class Counting(OverlapReranker):
        def score(self, pairs):
            seen.append(len(pairs))
            return super().score(pairs)

    retriever = shop(160, reranker=Cascade((Counting(), 130), (Counting(), 5)))
    retriever.search("0", k=3)
    retriever.search("0", k=3, rerank_depth=8)
    assert seen == [130, 5, 8, 5]


def test_parts_for_one_search_leave_the_retriever_alone():
    retriever = shop(decay=Decay.half_life(days=1, weight=1.0))
    assert [hit.id for hit in retriever.search("9", k=2, now=NOW)] == ["0", "1"]
    assert [hit.id for hit in retriever.search("9", k=1, now=NOW, decay=None)] == ["9"]
    mild = Decay.half_life(days=30, weight=0.3, floor=0.2)
    hit = retriever.search("9", k=1, now=NOW, decay=mild)[0]
    assert hit.explain["freshness"] == pytest.approx(0.7 + 0.3 * (0.2 + 0.8 * 0.5 ** (int(hit.id) / 30)))
    assert retriever.search("9", k=1, now=NOW)[0].id == "0"


def test_min_score_can_answer_that_nothing_is_relevant():
    retriever = shop(reranker=ByText({"4": 0.9, "8": 0.4}), relevance_weight=1.0)
    assert [hit.id for hit in retriever.search("0", k=5, min_score=0.3)] == ["4", "8"]
    assert [hit.id for hit in retriever.search("0", k=5, min_score=0.4)] == ["4", "8"]
    assert retriever.search("0", k=5, min_score=0.95) == []
    assert len(retriever.search("0", k=5, min_score=0.0)) == 5
    assert shop().search("180", k=5, min_score=0.0) == []  # 0 is 0, not "no limit given"
    assert [len(hits) for hits in retriever.search_batch(["0", "90"], k=5, min_score=0.5)] == [1, 1]
    assert [hit.id for hit in shop().search("0", k=5, min_score=np.cos(np.radians(1.5)))] == ["0", "1"]


def test_a_budget_reads_the_best_candidates_first_and_the_rest_follow(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(arguments, "time", clock)
    everything = ByText({str(angle): 0.5 for angle in range(40)}, clock)
    retriever = shop(reranker=Cascade((everything, None, "rerank"), clock=clock.perf_counter))
    retriever.search("0", k=40)
    reached = []
    for _ in range(3):
        hits = retriever.search("0", k=40, budget_ms=60)
        read = [hit.id for hit in hits if "rerank" in hit.ranks]
        assert read == [str(angle) for angle in range(len(read))]
        assert [hit.id for hit in hits] == [str(angle) for angle in range(40)]
        assert all(hit.explain["relevance"] == 0 for hit in hits[len(read) :])
        reached.append(len(read))
    assert 0 < max(reached) <= 15
    assert all("rerank" in hit.ranks for hit in retriever.search("0", k=40, budget_ms=60_000))


@pytest.mark.parametrize("budget", [0, -1, float("nan")])
def test_a_budget_is_a_time(budget):
    with pytest.raises(QueryError, match="budget_ms"):
        shop().search("0", budget_ms=budget)


def test_a_part_out_of_its_range_is_refused_by_one_search():
    with pytest.raises(ValueError, match=r"rerank_depth must be .* got 0"):
        shop().search("0", rerank_depth=0)
