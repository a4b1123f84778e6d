"""Hits behave as a list does, and a single hit can be copied and sent elsewhere."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest
from fakes import HashEncoder, OverlapReranker

from rerank import Decay
from twotower import Event, Item, Retriever


@pytest.fixture
def hits():
    retriever = Retriever(HashEncoder())
    retriever.upsert([Item("a", "red shoes"), Item("b", "blue bag")])
    return retriever.search("red")


def test_hits_are_added_to_a_list_from_either_side(hits):
    assert [*hits, *hits] == hits + hits == list(hits) + hits


@pytest.mark.parametrize("moved", [copy.deepcopy, lambda hit: pickle.loads(pickle.dumps(hit))])
def test_a_hit_survives_copying_and_pickling(hits, moved):
    assert moved(hits[0]) == hits[0]
    assert moved(hits[0:2]) == hits


def test_pickled_hits_bring_their_own_items_only():
    retriever = Retriever(HashEncoder())
    retriever.upsert([Item(str(n), f"red shoes {n}") for n in range(500)])
    hits = retriever.search("red", k=2)
    assert pickle.loads(pickle.dumps(hits)) == hits
    assert len(pickle.dumps(hits)) < len(pickle.dumps(list(retriever.items()))) / 20


def test_scores_cannot_be_changed(hits):
    with pytest.raises(ValueError, match="read-only"):
        hits.scores[0] = 9
    assert hits.scores.tolist() == [hit.score for hit in hits]


def test_hits_of_every_kind_of_search_survive_pickling_and_deep_copying(tmp_path):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Retriever.open(
        tmp_path / "store", encoder=HashEncoder(), reranker=OverlapReranker(), decay=Decay.half_life(30)
    ) as retriever:
        retriever.upsert(
            [Item(str(n), f"red shoes {n}", time=now, attributes={"seen": now}) for n in range(20)]
        )
        retriever.record([Event("u", "3", "click", now)])
        found = [
            retriever.search("red", user="u", where={"seen": now}),
            retriever.similar("1"),
            retriever.recommend("u"),
            retriever.search("red", offset=99),
        ]
    for hits in found:
        for moved in (pickle.loads(pickle.dumps(hits)), copy.deepcopy(hits)):
            assert moved == hits
            assert moved.scores.tolist() == hits.scores.tolist()
