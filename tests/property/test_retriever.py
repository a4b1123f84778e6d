"""Properties of a whole retriever, with a hash encoder and an oracle in plain Python."""

from __future__ import annotations

import copy
import tempfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rerank import Decay
from twotower import Event, IndexPolicy, Item, Retriever
from twotower.recall.words.item_text import ItemText

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "blue", "running", "shoes", "bag", "lamp", "wool", "跑步鞋", "红色"]
BRANDS = ["Acme", "Bolt", None]

titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
ages = st.none() | st.integers(-5, 900)
items_strategy = st.lists(
    st.builds(
        lambda title, age, brand, price: (title, age, {"brand": brand, "price": price}),
        titles, ages, st.sampled_from(BRANDS), st.integers(0, 200),
    ),
    min_size=1,
    max_size=30,
)  # fmt: skip
decays = st.none() | st.builds(
    Decay.half_life, days=st.floats(1, 400), weight=st.floats(0, 1), floor=st.floats(0, 1)
)


def made(rows, shift=timedelta(0)):
    return [
        Item(
            f"i{number}",
            title,
            time=None if age is None else NOW + shift - timedelta(days=age),
            attributes=attributes,
        )
        for number, (title, age, attributes) in enumerate(rows)
    ]


def filled(rows, decay=None, reranker=None, **settings_):
    retriever = Retriever(HashEncoder(), reranker, decay, **{"hybrid": None, **settings_})
    retriever.upsert(made(rows))
    return retriever


def plain(hits):
    return [(hit.id, hit.score) for hit in hits]


@given(items_strategy, titles, decays, st.booleans())
def test_search_k_is_a_prefix_of_search_k_plus_1(rows, query, decay, rerank):
    retriever = filled(rows, decay, OverlapReranker() if rerank else None)
    whole = plain(retriever.search(query, k=len(rows) + 1, now=NOW))
    assert len(whole) == len(rows)
    for k in range(1, len(rows) + 1):
        assert plain(retriever.search(query, k=k, now=NOW)) == whole[:k]
    scores = [score for _, score in whole]
    assert scores == sorted(scores, reverse=True)


@given(items_strategy, titles, st.sampled_from(["Acme", "Bolt"]), st.integers(0, 200), decays)
def test_equals_scoring_every_item_by_hand(rows, query, brand, price, decay):
    retriever, encoder = filled(rows, decay), HashEncoder()
    where = {"price": {"$lt": price}, "$or": [{"brand": {"$ne": brand}}, {"id": "i0"}]}
    if all(attributes["brand"] is None for _, _, attributes in rows):
        where = {"price": {"$lt": price}}

    def matches(item):
        if item.attributes["price"] >= price:
            return False
        return "$or" not in where or item.attributes["brand"] != brand or item.id == "i0"

    def unit(vector):
        return vector / np.linalg.norm(vector)

    expected = {}
    for item in filter(matches, made(rows)):
        score = float(
            unit(encoder.encode_queries([query])[0])
            @ unit(encoder.encode_items([ItemText().extended(item)])[0])
        )
        if decay is not None and score > 0:
            age = np.nan if item.time is None else (NOW - item.time) / timedelta(days=1)
            score *= float(decay.factor(np.array([age]))[0])
        expected[item.id] = score
    hits = retriever.search(query, k=5, where=where, now=NOW)
    assert len(hits) == min(5, len(expected))
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.values(), reverse=True)[:5], abs=1e-5)
    assert all(expected[hit.id] == pytest.approx(hit.score, abs=1e-5) for hit in hits)


@given(items_strategy, st.lists(titles, min_size=1, max_size=5), decays, st.booleans())
def test_a_batch_gives_what_each_query_gives_alone(rows, queries, decay, rerank):
    retriever = filled(rows, decay, OverlapReranker() if rerank else None)
    batches = retriever.search_batch(queries, k=4, now=NOW)
    assert batches == [retriever.search(query, k=4, now=NOW) for query in queries]


@given(items_strategy, titles, decays, st.booleans())
def test_the_parts_of_a_score_add_up_and_freshness_multiplies(rows, query, decay, rerank):
    retriever = filled(rows, decay, OverlapReranker() if rerank else None)
    for hit in retriever.search(query, k=10, now=NOW):
        parts = dict(hit.explain)
        assert ("freshness" in parts) == (decay is not None)
        assert ("relevance" in parts) == rerank
        freshness = parts.pop("freshness", 1.0)
        assert hit.score == pytest.approx(sum(parts.values()) * freshness, abs=1e-6)


@given(items_strategy, titles)
def test_reranking_permutes_the_candidates(rows, query):
    # With all the weight on relevance, order and scores are the reranker's.
    retriever = filled(rows, reranker=OverlapReranker(), relevance_weight=1.0)
    hits = retriever.search(query, k=len(rows), now=NOW)
    assert sorted(hit.id for hit in hits) == sorted(item.id for item in made(rows))
    texts = [item.words for item in made(rows)]
    expected = np.sort(OverlapReranker().score([(query, text) for text in texts]))[::-1]
    assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-6)


@given(items_strategy, titles)
def test_decay_of_weight_0_changes_nothing(rows, query):
    without, zero = filled(rows), filled(rows, Decay.half_life(days=30, weight=0))
    assert plain(without.search(query, now=NOW)) == plain(zero.search(query, now=NOW))


@given(items_strategy, titles, decays, st.integers(-3000, 3000))
def test_moving_now_and_all_stamps_together_changes_nothing(rows, query, decay, days):
    shift = timedelta(days=days)
    moved = Retriever(HashEncoder(), decay=decay, hybrid=None)
    moved.upsert(made(rows, shift))
    here = filled(rows, decay).search(query, k=30, now=NOW)
    there = moved.search(query, k=30, now=NOW + shift)
    assert [hit.id for hit in here] == [hit.id for hit in there]
    assert [hit.score for hit in here] == pytest.approx([hit.score for hit in there], abs=1e-9)


@given(items_strategy, titles, decays)
def test_save_and_load_is_the_identity(rows, query, decay):
    retriever = filled(rows, decay, user_weight=0.4, rerank_depth=7)
    retriever.record([Event("u", "i0", "purchase", NOW - timedelta(days=3)), Event("u", "i0", "view", NOW)])
    with tempfile.TemporaryDirectory() as folder:
        retriever.save(folder)
        loaded = Retriever.open(folder, encoder=HashEncoder(), read_only=True)
    for one, other in ((retriever, loaded), (loaded, retriever)):
        assert one.search(query, k=9, user="u", now=NOW) == other.search(query, k=9, user="u", now=NOW)
        assert one.recommend("u", k=9, now=NOW) == other.recommend("u", k=9, now=NOW)
        assert one.similar("i0", k=9, now=NOW) == other.similar("i0", k=9, now=NOW)


@given(items_strategy, titles)
def test_inputs_are_not_mutated(rows, query):
    items = made(rows)
    events = [Event("u", "i0", "click", NOW)]
    where = {"price": {"$gte": 0}}
    before = copy.deepcopy((items, events, where))
    retriever = Retriever(HashEncoder(), OverlapReranker(), Decay.half_life(30))
    retriever.upsert(items)
    retriever.record(events)
    retriever.search(query, where=where, user="u", now=NOW)
    assert (items, events, where) == before
    items[0].attributes["price"] = -1  # and the index keeps its own copy
    assert len(retriever.search(query, k=99, where=where, now=NOW)) == len(items)


class Changes(RuleBasedStateMachine):
    """Upserts and deletes in any order against a dict: nothing is lost, nothing comes back, ids never move."""

    def __init__(self):
        super().__init__()
        # A graph from 12 rows on, so that both kinds of index and their merges take part.
        self.retriever = Retriever(HashEncoder(), hybrid=None, index=IndexPolicy(exact_up_to=12))
        self.model: dict[str, Item] = {}

    @rule(
        rows=st.lists(
            st.tuples(st.integers(0, 40), titles), min_size=1, max_size=15, unique_by=lambda row: row[0]
        )
    )
    def upsert(self, rows):
        items = [Item(f"i{number}", title) for number, title in rows]
        assert self.retriever.upsert(items).upserted == len(items)
        self.model.update({item.id: item for item in items})

    @rule(data=st.data())
    def delete(self, data):
        if self.model:
            ids = data.draw(st.lists(st.sampled_from(sorted(self.model)), min_size=1, unique=True))
            self.retriever.delete(ids)
            for item_id in ids:
                del self.model[item_id]

    @invariant()
    def everything_is_there_and_findable(self):
        assert len(self.retriever) == len(self.model)
        hits = self.retriever.search("red shoes", k=100, now=NOW)
        assert {hit.id: hit.item for hit in hits} == self.model
        for item_id, item in list(self.model.items())[:3]:
            assert self.retriever.get(item_id) == item
            best = self.retriever.search(item.title, k=1, now=NOW)[0]
            assert best.score == pytest.approx(1.0, abs=2e-3)


TestChanges = Changes.TestCase
TestChanges.settings = settings(stateful_step_count=12)
