"""Time decay in whole searches: every form, every index, after fusion and reranking.

The docstrings name the projects whose users or code show the fault that is tested for.
"""

from __future__ import annotations

from datetime import timedelta, timezone

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker, PlaneEncoder
from shops import NOW, WORDS, aged, ids, scores, shop

from rerank import Decay
from twotower import IndexPolicy, Item, Retriever
from twotower.errors import ItemError, QueryError
from twotower.recall.fusion import ReciprocalRank
from twotower.recall.vectors.builder import IndexBuilder

FORMS = {
    "exponential": lambda x: 0.5**x,
    "gaussian": lambda x: 0.5 ** (x * x),
    "linear": lambda x: max(0.0, 1 - x / 2),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_decay_is_exact_and_future_times_count_as_new(form):
    """marqo#1330, #1342: boosts by recency came late, and times in the future need a rule.

    They count as new. Nothing is added to a score: `weight` is the share of it that age can take away.
    """
    ages = [-400, -1, 0, 7, 30, 59, 3_000]
    retriever = shop([Item(str(age), "0", time=aged(age)) for age in ages], PlaneEncoder())
    hits = retriever.search("60", k=9, now=NOW, decay=Decay(30, weight=0.4, floor=0.1, form=form))
    expected = {
        str(age): 0.5 * (0.6 + 0.4 * (0.1 + 0.9 * FORMS[form](max(0, age) / 30)))  # cos(60 degrees) = 0.5
        for age in ages
    }
    assert scores(hits) == pytest.approx(expected, rel=1e-6)
    assert ids(hits) == [str(age) for age in ages]  # ties in the order in which they were written


def test_the_top_results_under_decay_are_exact():
    """qdrant#5311, milvus#24978, #29993: users want score x time inside the engine; linear decay "breaks down"."""
    angles = np.arange(0, 300, 0.3)
    ages = np.full(len(angles), 4_000.0)
    ages[300] = 0  # at 90 degrees, behind some seventy that are closer to the query
    retriever = shop(
        [Item(str(n), str(angle), time=aged(ages[n])) for n, angle in enumerate(angles)],
        PlaneEncoder(waves=8),
        decay=Decay.linear(30, weight=1.0, floor=0.2),
    )
    turns = np.radians(np.outer(angles - 100, np.arange(1, 9)))
    similarity = np.cos(turns).mean(axis=1)
    expected = np.where(similarity > 0, similarity * np.where(ages == 0, 1.0, 0.2), similarity)
    assert np.sum(similarity > similarity[300]) > 50
    assert ids(retriever.search("100", k=1, now=NOW)) == ["300"]
    hits = retriever.search("100", k=len(angles), now=NOW)
    assert [scores(hits)[str(n)] for n in range(len(angles))] == pytest.approx(expected.tolist(), abs=1e-6)
    assert {hit.explain["freshness"] for hit in hits if hit.score > 0} == {0.2, 1.0}


class Corners:
    """Items and queries with exact inner products: a half between "half" and "near"."""

    dim = 4

    def encode_items(self, items):
        return self.encode_queries([item.title for item in items])

    def encode_queries(self, queries):
        corners = {"near": [1, 0, 0, 0], "half": [0.5, 0.5, 0.5, 0.5]}
        return np.array([corners[text] for text in queries], dtype=np.float32)


def test_a_row_that_was_not_fetched_at_first_wins_a_tie_that_it_was_written_before():
    """A near item of half freshness scores as a fresh one at half the similarity, behind many that are older."""
    items = [Item(f"old-{n}", "half", time=aged(9_000)) for n in range(50)]
    items += [Item("fresh", "half", time=NOW), Item("near", "near", time=aged(30))]
    retriever = shop(items, Corners(), decay=Decay.half_life(30, weight=1.0))
    for k in (1, 2):
        assert [(hit.id, hit.score) for hit in retriever.search("near", k=k, now=NOW)] == [
            ("fresh", 0.5),
            ("near", 0.5),
        ][:k]


CALENDAR = [Item(str(n), str(n * 0.3), time=aged(n * 37 % 200)) for n in range(1_000)]


@pytest.mark.parametrize("kind", ["graph", "graph-8bit", "ivf-rabitq"])
def test_decay_works_with_every_index(monkeypatch, kind):
    """langchain#23077: the time-weighted retriever works only with FAISS; with others it returns []."""
    parts = {"encoder": PlaneEncoder(waves=8), "decay": Decay.half_life(30, weight=0.8)}
    exact = shop(CALENDAR, **parts)
    monkeypatch.setattr(IndexBuilder, "kind_for", lambda self, rows: kind)
    other = shop(CALENDAR, index=IndexPolicy(exact_up_to=300), **parts)
    assert kind in {part.index for part in other.maintenance.stats().parts}
    for query in ("20", "123.4", "250"):
        expected = exact.search(query, k=10, now=NOW)
        hits = other.search(query, k=10, now=NOW)
        assert ids(hits) == ids(expected)
        assert ids(hits) != ids(other.search(query, k=10, decay=None))
        assert scores(hits) == pytest.approx(scores(expected), abs=2e-3)


def test_decay_applies_after_rank_fusion_and_changes_the_order():
    """nexus#4543: decay before rank fusion distorts the ranks. Bike4Mind#2241: as a tie-breaker it has no effect."""
    texts = [f"red toner {word}" for word in WORDS]
    items = [Item(text, text, time=aged(300 if n % 2 else 0)) for n, text in enumerate(texts)]
    retriever = shop(items, hybrid=ReciprocalRank())
    plain = {hit.id: hit for hit in retriever.search("red toner saw", k=20)}
    hits = retriever.search("red toner saw", k=20, now=NOW, decay=Decay.half_life(30))
    assert len(hits) == len(plain) == len(texts)
    for hit in hits:
        *shares, freshness = hit.explain.values()
        assert shares == list(plain[hit.id].explain.values())
        assert freshness == pytest.approx(1.0 if texts.index(hit.id) % 2 == 0 else 0.7 + 0.3 * 2**-10)
        assert hit.score == pytest.approx(plain[hit.id].score * freshness)
    assert next(iter(plain)) == "red toner saw"  # first of both channels, and old
    assert hits[0].id != "red toner saw"


def test_zero_stays_zero_a_missing_date_is_not_now_and_searches_write_nothing(tmp_path):
    """LlamaIndex: `score or 1.0`, a missing date counts as now, one hour costs 99 %, and reading writes metadata."""
    dated = {"new": NOW, "hour": NOW - timedelta(hours=1), "month": aged(30), "never": None}
    items = [Item(name, "red lamp", time=time) for name, time in dated.items()]
    parts = {"reranker": OverlapReranker(), "decay": Decay.half_life(30, weight=1.0), "relevance_weight": 1.0}
    folder = tmp_path / "store"
    with Retriever.open(folder, encoder=HashEncoder(), **parts) as retriever:
        retriever.upsert([*items, Item("zero", "blue door", time=NOW)])
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for _ in range(5):
            hits = retriever.search("red lamp", now=NOW)
        assert scores(hits) == pytest.approx(
            {"new": 1.0, "hour": 0.5 ** (1 / 720), "month": 0.5, "never": 0.5, "zero": 0.0}
        )
        assert scores(hits)["zero"] == 0
        assert {item.id: item.time for item in retriever.items()} == dated | {"zero": NOW}
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_being_found_makes_no_item_younger_and_times_need_a_zone():
    """LangChain: age counts from the last access, which reading updates, and now has no time zone."""
    items = [Item("old", "red lamp", time=aged(90)), Item("new", "red lamp shade", time=aged(3))]
    retriever = shop(items, decay=Decay.half_life(30, weight=1.0))
    first = retriever.search("red lamp", now=NOW)
    for _ in range(20):
        retriever.search("red lamp", k=1, where={"id": "old"}, now=NOW)
    assert retriever.search("red lamp", now=NOW) == first
    assert scores(first)["old"] == pytest.approx(0.5**3)  # its similarity is 1, and nothing is added
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    assert retriever.search("red lamp", now=elsewhere) == first
    with pytest.raises(QueryError, match="without a time zone"):
        retriever.search("red lamp", now=NOW.replace(tzinfo=None))
    with pytest.raises(ItemError, match="time"):
        retriever.upsert([Item("naive", "red", time=NOW.replace(tzinfo=None))])


def test_very_old_items_keep_their_order_and_hours_count():
    """Superlinked: recency is part of the vector, in whole days, and beyond the longest period it is 0."""
    hours = [0, 1, 2, 24 * 365, 24 * 3_650, 24 * 3_650 + 1, 24 * 36_500]
    items = [Item(str(age), "0", time=NOW - timedelta(hours=age)) for age in reversed(hours)]
    retriever = shop(items, PlaneEncoder(), decay=Decay.half_life(365, weight=1.0))
    hits = retriever.search("0", now=NOW)
    assert ids(hits) == [str(age) for age in hours]
    assert hits[-1].score == pytest.approx(0.5**100)
    retriever = shop([Item(str(n), str(n), time=aged(150_000 + n)) for n in range(50, 0, -7)], PlaneEncoder())
    hits = retriever.search("0", now=NOW, decay=Decay.half_life(30, weight=0.3))
    assert ids(hits) == [str(n) for n in range(1, 51, 7)]  # after four centuries only relevance is left
    assert [hit.score for hit in hits] == pytest.approx(
        [0.7 * np.cos(np.radians(n)) for n in range(1, 51, 7)]
    )
