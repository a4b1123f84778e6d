"""Pairs to fit on: exact masks and ranks on fakes, and that nothing known to be relevant is ever a negative."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from shops import WORDS
from shops import shop as indexed

from rerank import InputError, mine_pairs
from rerank.training import mining as module
from rerank.training.mining import normalized
from twotower import Item, Retriever


class Recording:
    """A retriever that notes what it is asked, and finds the items in their own order."""

    def __init__(self, items):
        self._items = {item.id: item for item in items}
        self.searches = []
        self.parts = None

    def using(self, **parts):
        self.parts = parts
        return self

    def search_batch(self, queries, k):
        self.searches.append((list(queries), k))
        return [
            [SimpleNamespace(item=item, id=item.id) for item in list(self._items.values())[:k]]
            for _ in queries
        ]

    def text_of(self, item):
        return item.words

    def get(self, item_id):
        return self._items[item_id]

    def items(self):
        return iter(self._items.values())

    def __contains__(self, item_id):
        return item_id in self._items


def shop(count):
    return [Item(f"p{n}", f"title {n}") for n in range(count)]


def texts(mined, grade):
    return {text for (_, text), each in zip(mined.pairs, mined.grades, strict=True) if each == grade}


def test_judged_items_have_their_grades_and_negatives_come_from_between_the_ranks():
    retriever = Recording(shop(50))
    mined = mine_pairs(
        retriever,
        {"q": "some words"},
        {"q": {"p20": 4, "p1": 1, "p40": 0, "p3": -2, "gone": 4}},
        negatives=100,
        ranks=(10, 30),
        random=0,
    )
    unjudged = {f"title {n}" for n in range(10, 30)} - {"title 20"}
    assert texts(mined, 1.0) == {"title 20"}
    assert texts(mined, 0.25) == {"title 1"}
    assert texts(mined, 0.0) == unjudged | {"title 40", "title 3"}
    assert len(mined.pairs) == len(mined.grades) == len(mined.groups) == 4 + 19  # none twice, no placeholders
    assert (mined.queries, mined.judged, mined.near, mined.far, mined.unindexed) == (1, 4, 19, 0, 1)
    assert retriever.parts == {"reranker": None, "decay": None}
    assert {query for query, _ in mined.pairs} == {"some words"}
    assert mined.grades.dtype == np.float32


def test_queries_are_searched_in_blocks_of_no_more_hits_than_the_last_rank(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_QUERIES", 4)
    retriever = Recording(shop(200))
    queries = {f"q{n}": f"words {n}" for n in range(10)}
    mined = mine_pairs(retriever, queries, {query: {"p0": 1} for query in queries}, ranks=(10, 30))
    assert [(len(asked), k) for asked, k in retriever.searches] == [(4, 30), (4, 30), (2, 30)]
    assert [query for asked, _ in retriever.searches for query in asked] == list(queries.values())
    monkeypatch.setattr(module, "BLOCK_QUERIES", 3)
    again = mine_pairs(Recording(shop(200)), queries, {query: {"p0": 1} for query in queries}, ranks=(10, 30))
    assert again.pairs == mined.pairs  # whatever the blocks are
    other = mine_pairs(
        Recording(shop(200)), queries, {query: {"p0": 1} for query in queries}, ranks=(10, 30), seed=1
    )
    assert other.pairs != mined.pairs


def test_fewer_candidates_than_asked_give_fewer_negatives():
    mined = mine_pairs(Recording(shop(13)), {"q": "x"}, {"q": {"p0": 1, "p11": 1}}, negatives=5, random=0)
    assert texts(mined, 0.0) == {"title 10", "title 12"}
    nothing = mine_pairs(Recording(shop(2)), {"q": "x"}, {"q": {"p0": 1, "p1": 1}}, negatives=5, random=5)
    assert nothing.pairs == [("x", "title 0"), ("x", "title 1")]
    assert (nothing.near, nothing.far) == (0, 0)


def test_what_another_query_with_the_same_normalized_text_judges_relevant_is_not_a_negative():
    queries = {"a": "Red  SHOES", "b": "red shoes", "c": "blue shoes"}
    qrels = {"a": {"p0": 1}, "b": {"p12": 1, "p13": 0}, "c": {"p14": 1}}
    mined = mine_pairs(Recording(shop(16)), queries, qrels, negatives=9, random=20)
    negatives = {query: set() for query in queries.values()}
    for (query, text), grade in zip(mined.pairs, mined.grades, strict=True):
        if not grade:
            negatives[query].add(text)
    everything = {item.title for item in shop(16)}
    assert negatives["Red  SHOES"] == everything - {"title 0", "title 12"}
    assert negatives["red shoes"] == everything - {"title 0", "title 12"}
    assert negatives["blue shoes"] == everything - {"title 14"}
    assert mined.groups.count("red shoes") == 15 + 15  # held out together


def test_items_with_a_relevant_item_s_title_are_not_negatives():
    items = [
        *shop(11),
        Item("twin", "ＴＩＴＬＥ  0", "another text"),
        Item("text", "", "title 0"),
        Item("other", "else"),
    ]
    mined = mine_pairs(Recording(items), {"q": "x"}, {"q": {"p0": 1}}, negatives=9, random=20)
    assert texts(mined, 0.0) == {f"title {n}" for n in range(1, 11)} | {"else"}


class KnownScorer:
    """Scores that are known by text."""

    def __init__(self, scores):
        self.scores = scores
        self.calls = 0

    def score(self, pairs):
        self.calls += 1
        return np.array([self.scores.get(text, 0.1) for _, text in pairs], dtype=np.float32)


def test_unjudged_items_that_score_like_relevant_ones_are_left_out():
    scorer = KnownScorer({"title 0": 1.0, "title 1": 0.6, "title 10": 0.9, "title 11": 0.81, "title 12": 0.7})
    arguments = {
        "queries": {"q": "x"},
        "qrels": {"q": {"p0": 3, "p1": 1, "p2": 0}},
        "negatives": 9,
        "random": 0,
    }
    mined = mine_pairs(Recording(shop(14)), **arguments, scorer=scorer, margin=1.0)  # the mean is 0.8
    assert texts(mined, 0.0) == {"title 2", "title 12", "title 13"}
    assert mined.left_out == 2
    assert scorer.calls == 1
    assert texts(mine_pairs(Recording(shop(14)), **arguments, scorer=scorer, margin=0.8), 0.0) == {
        "title 2", "title 13",
    }  # fmt: skip
    # Others take the places of those that are left out.
    few = mine_pairs(Recording(shop(14)), **(arguments | {"negatives": 2}), scorer=scorer, margin=1.0)
    assert texts(few, 0.0) == {"title 2", "title 12", "title 13"}


def test_pairs_hold_the_text_that_the_reranker_reads_in_a_search():
    retriever = Retriever(HashEncoder(), searchable=["brand"])
    retriever.upsert([Item("mug", "Blue mug", attributes={"brand": "Acme"}), Item("pot", "Steel pot")])
    mined = mine_pairs(retriever, {"q": "acme mug"}, {"q": {"mug": 1}}, ranks=(0, 10))
    assert mined.pairs[0] == ("acme mug", "Blue mug\nAcme")


@settings(max_examples=60, deadline=None)
@given(
    grades=st.lists(
        st.dictionaries(st.integers(0, 24), st.integers(-1, 3), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    words=st.lists(st.sampled_from(["red shoe", "Red shoe", "mug"]), min_size=5, max_size=5),
    seed=st.integers(0, 9),
    negatives=st.integers(0, 8),
    random=st.integers(0, 30),
    first=st.integers(0, 8),
)
def test_no_negative_is_known_to_be_relevant(grades, words, seed, negatives, random, first):
    items = [Item(f"p{n}", f"item {n % 20}") for n in range(25)]  # the last five have the first five's titles
    retriever = Retriever(HashEncoder())
    retriever.upsert(items)
    queries = {
        f"q{n}": words[n] + n * " " for n in range(len(grades))
    }  # all different, some of the same words
    qrels = {f"q{n}": {f"p{item}": grade for item, grade in own.items()} for n, own in enumerate(grades)}
    if not any(grade > 0 for own in qrels.values() for grade in own.values()):
        return
    mined = mine_pairs(
        retriever, queries, qrels, negatives=negatives, random=random, ranks=(first, 20), seed=seed
    )
    judged = sum(map(len, qrels.values()))
    assert mined.judged == judged
    assert len(mined.pairs) == judged + mined.near + mined.far
    assert mined.near <= negatives * len(queries)
    assert mined.far <= random * len(queries)
    known = {
        (normalized(queries[query]), f"item {int(item[1:]) % 20}")
        for query, own in qrels.items()
        for item, grade in own.items()
        if grade > 0
    }
    top = max(grade for own in qrels.values() for grade in own.values())
    for query, own in qrels.items():
        found = [
            (text, grade)
            for (asked, text), grade in zip(mined.pairs, mined.grades.tolist(), strict=True)
            if asked == queries[query]
        ]
        judged, negatives = found[: len(own)], found[len(own) :]
        assert [grade for _, grade in judged] == pytest.approx(
            [max(grade, 0) / top for grade in own.values()]
        )
        for text, grade in negatives:
            assert grade == 0
            assert (normalized(queries[query]), text) not in known


def test_judgements_without_their_query_or_their_items_are_named():
    with pytest.raises(InputError, match="'q2' is judged but not among"):
        mine_pairs(Recording(shop(3)), {"q": "x"}, {"q": {"p0": 1}, "q2": {"p0": 1}})
    with pytest.raises(InputError, match="relevant and indexed"):
        mine_pairs(Recording(shop(3)), {"q": "x"}, {"q": {"p0": 0, "gone": 1}})
    with pytest.raises(InputError, match="ranks must rise"):
        mine_pairs(Recording(shop(3)), {"q": "x"}, {"q": {"p0": 1}}, ranks=(10, 10))
    queries, qrels = {"q": "x", "photo": " "}, {"q": {"p0": 1}, "photo": {"p1": 1}}
    assert mine_pairs(Recording(shop(3)), queries, qrels).queries == 1  # a reranker reads words


def test_mining_searches_in_blocks_and_pads_nothing(monkeypatch):
    """sentence-transformers#3816, #3832, #3872, #3887: all similarities in one matrix; rows padded with -1."""
    items = [Item(f"{first} {second}", f"{first} {second}") for first in WORDS for second in WORDS]
    retriever = indexed(items)
    blocks = []

    def spy(self, queries, k, search=Retriever.search_batch):
        hits = search(self, queries, k)
        blocks.append((len(queries), max(map(len, hits))))
        return hits

    monkeypatch.setattr(Retriever, "search_batch", spy)
    queries = {str(n): f"{WORDS[n % 12]} {WORDS[n // 12 % 12]}" for n in range(130)}
    qrels = {query: {words: 1} for query, words in queries.items()}
    mined = mine_pairs(retriever, queries, qrels, negatives=3, ranks=(5, 20), random=0)
    assert blocks == [(64, 20), (64, 20), (2, 20)]  # hits of one block, never queries x items
    assert (mined.judged, mined.near) == (130, 390)
    assert not {pair for pair, grade in zip(mined.pairs, mined.grades, strict=True) if grade == 0} & {
        (words, words) for words in queries.values()
    }
    few = mine_pairs(retriever, queries, qrels, negatives=200, ranks=(0, 150), random=0)
    assert few.near == 130 * 143  # all items but the relevant one, each once
    assert {text for _, text in few.pairs} == {item.id for item in items}
