"""Hits behave as a list does, and a single hit can be copied and sent elsewhere."""

from __future__ import annotations

import copy
import pickle

import pytest
from fakes import HashEncoder

from twotower import Item, Retriever


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
