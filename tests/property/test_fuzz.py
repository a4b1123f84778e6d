"""Whatever is passed to the public API, an error is one of the library's own, raised on purpose, and short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes import HashEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junk import NOW, Call, check_error_of, list_of, with_junk

from multimodal import load_image
from rerank import Decay, DecayBy
from twotower import Convex, Event, IndexPolicy, Item, Query, ReciprocalRank, Retriever, UserTower
from twotower.ingest.catalogue import read_catalogue
from twotower.ingest.events import read_events
from twotower.ingest.options import ReadOptions
from twotower.ingest.records import items_from
from twotower.recommend import Popular, Recommender


def shop() -> Retriever:
    retriever = Retriever(HashEncoder())
    retriever.upsert(
        [Item("1", "red shoe", attributes={"price": 3.0}), Item("2", "blue lamp", attributes={"price": 5})]
    )
    retriever.record([Event("u1", "1", "view", NOW - dt.timedelta(1))])
    return retriever


def recommending_shop() -> Retriever:
    retriever = shop()
    return retriever.using(recommender=Recommender.fit(retriever, progress=False))


SEARCH = {"k": 2, "offset": 0, "where": None, "now": NOW}
ASKED = {
    "min_score": None,
    "budget_ms": None,
    "reranker": None,
    "decay": None,
    "hybrid": None,
    "rerank_depth": None,
}


def method(name: str) -> Callable[..., Any]:
    return lambda **given: list_of(getattr(shop(), name)(**given))


def upkeep(name: str) -> Callable[..., Any]:
    return lambda **given: getattr(shop().maintenance, name)(**given)


CALLS: dict[str, Call] = {
    "Item": (Item, {"id": "1", "title": "t", "text": "x", "image": None, "time": NOW, "attributes": {"a": 1}}),
    "Event": (Event, {"user": "u", "item": "1", "kind": "view", "time": NOW, "value": 1.0}),
    "Query": (Query, {"text": "red", "image": None}),
    "Retriever": (
        lambda **given: Retriever(HashEncoder(), **given),
        {
            **{"reranker": None, "decay": None, "corpus": None, "user_tower": None, "user_weight": 0.3},
            **{"relevance_weight": 0.7, "rerank_depth": None, "hybrid": None, "index": None, "searchable": None},
            "fold_diacritics": None,
        },
    ),
    "upsert": (method("upsert"), {"items": [Item("3", "x")], "on_error": "raise"}),
    "upsert an item": (
        lambda **given: shop().upsert([Item(**given)]),
        {"id": "1", "title": "t", "text": "x", "image": None, "time": NOW, "attributes": {"a": 1}},
    ),
    "record an event": (
        lambda **given: shop().record([Event(**given)]),
        {"user": "u", "item": "1", "kind": "view", "time": NOW, "value": 1.0},
    ),
    "update": (method("update"), {"attributes": {"1": {"price": 4}}, "on_error": "raise"}),
    "delete": (method("delete"), {"item_ids": ["1"]}),
    "delete where": (method("delete"), {"where": {"price": 3}}),
    "record": (method("record"), {"events": [Event("u", "1", "view", NOW)], "on_error": "raise"}),
    "search": (method("search"), {"query": "red", "image": None, "user": None, **SEARCH, **ASKED}),
    "search_batch": (method("search_batch"), {"queries": ["red"], "users": None, **SEARCH, **ASKED}),
    "similar": (method("similar"), {"item_id": "1", "kind": "content", **SEARCH}),
    "recommend": (method("recommend"), {"user": "u1", "context": {"basket": ["1"]}, "exclude_seen": True, **SEARCH}),
    "recommend_fitted": (
        lambda **given: list_of(recommending_shop().recommend(**given)),
        {"user": "u1", "context": {"basket": ["1"]}, "exclude_seen": False, **SEARCH},
    ),
    "fit_recommender": (
        lambda **given: Recommender.fit(given.pop("retriever", None) or shop(), **given),
        {"until": NOW, "moments": 2, "channels": {"month": Popular(30)}, "kinds": {"view": 0.1}, "seed": 0},
    ),
    "load_recommender": (Recommender.load, {"path": "/nowhere"}),
    "events": (method("events"), {"since": 0}),
    "vectors_of": (method("vectors_of"), {"item_ids": ["1"]}),
    "knows": (method("knows"), {"user": "u1", "now": NOW}),
    "items": (method("items"), {"where": {"price": 3}}),
    "get": (method("get"), {"item_id": "1"}),
    "changed": (method("changed"), {"items": [Item("1", "x")]}),
    "using": (lambda **given: shop().using(**given), {"decay": None, "modality": None, "relevance_weight": 0.5}),
    "plan": (upkeep("plan"), {"k": 3, "where": None}),
    "calibrate": (upkeep("calibrate"), {"queries": ["red"]}),
    "open": (
        lambda **given: Retriever.open(**given),
        {"folder": "/nowhere/at/all", "encoder": HashEncoder()},
    ),
    "read_catalogue": (lambda **given: list(read_catalogue(**given)), {"path": "/nowhere", "options": None}),
    "read_events": (lambda **given: list(read_events(**given)), {"path": "/nowhere", "options": None}),
    "items_from": (lambda **given: list(items_from(**given)), {"records": [{"id": "1", "title": "x"}]}),
    "ReadOptions": (
        ReadOptions,
        {"columns": {}, "types": {}, "separator": ";", "decimal": ",", "encoding": "utf-8", "timezone": "UTC"},
    ),
    "Convex": (Convex, {"lexical_weight": 0.5, "depth": 10}),
    "ReciprocalRank": (ReciprocalRank, {"constant": 60.0, "depth": 10}),
    "IndexPolicy": (IndexPolicy, {"recall": 0.9, "memory_bytes": 10**9, "exact_up_to": 10}),
    "UserTower": (UserTower, {"kinds": {"view": 1.0}, "half_life": 9.0, "newest": 5}),
    "Decay": (Decay, {"scale": 9.0, "decay": 0.5, "weight": 0.3, "floor": 0.0, "missing": None, "form": "linear"}),
    "DecayBy": (DecayBy, {"attribute": "a", "decays": {"x": Decay.half_life(9)}, "default": Decay.half_life(9)}),
    "load_image": (load_image, {"source": "/nowhere.jpg"}),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where stores may be made under any name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


@pytest.mark.parametrize("name", CALLS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_error_is_ours_and_short(name: str, data: st.DataObject):
    call, usual = CALLS[name]
    check_error_of(call, with_junk(data, usual))


def test_the_usual_arguments_are_good():
    """Else the test above would only see the first check of each call."""
    bad = {"open", "load_recommender", "read_catalogue", "read_events", "load_image"}  # there is no such file
    for name, (call, usual) in CALLS.items():
        if name not in bad:
            call(**usual)
