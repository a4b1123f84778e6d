"""Whatever is passed to the public API, an error is one of the library's own, raised on purpose, and short."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import linecache
import math
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multimodal import MultimodalError, load_image
from rerank import Decay, DecayBy
from rerank.errors import RerankError
from twotower import Convex, Event, IndexPolicy, Item, Query, ReciprocalRank, Retriever, UserTower
from twotower.errors import TwoTowerError
from twotower.evaluation import compare, evaluate, evaluate_run, measure_judged
from twotower.ingest.catalogue import read_catalogue
from twotower.ingest.events import read_events
from twotower.ingest.options import ReadOptions
from twotower.ingest.records import items_from

PACKAGES = [Path(__file__).parents[2] / name for name in ("twotower", "rerank", "multimodal")]
LONGEST = 500
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


class Colour(enum.Enum):
    RED = "red"


class Nothing:
    """An object that has no use at all."""


def counting() -> Any:
    yield from range(3)


scalars: st.SearchStrategy[Any] = st.sampled_from(
    [
        *[None, True, False, 0, 1, -1, 10, 2**70, 0.5, -0.5, 1e308, math.nan, math.inf, -math.inf, 1j],
        *[
            "",
            " ",
            "red",
            "1",
            "\ud83d",
            "\x00",
            "👟",
            "a" * 5_000,
            "2026-01-01",
            "$in",
            "../x",
            "/nowhere/at/all",
        ],
        *[
            b"",
            b"\xff\x00red",
            bytearray(b"x"),
            memoryview(b"x"),
            object(),
            Nothing(),
            Nothing,
            Colour.RED,
            len,
        ],
        *[
            np.int64(3),
            np.float32("nan"),
            np.bool_(True),
            np.str_("red"),
            np.datetime64("NaT"),
            decimal.Decimal("NaN"),
        ],
        *[NOW, NOW.replace(tzinfo=None), NOW.date(), NOW.time(), dt.timedelta(1), Path("/nowhere"), Path()],
        *[
            Item("1", "red"),
            Event("u", "1", "view", NOW),
            Query("red"),
            Decay.half_life(9),
            HashEncoder(),
            slice(3),
        ],
    ]
)
names = st.sampled_from(
    ["price", "id", "time", "$and", "$or", "$in", "$lt", "$exists", "$all", "", "q", "1", 3, None]
)
junk: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(names, inner, max_size=3),
        st.lists(st.floats(width=32), max_size=4).map(np.array),
        st.builds(counting),
        st.just(np.zeros((2, 2, 3), dtype=np.uint8)),
    ),
    max_leaves=6,
)


def shop() -> Retriever:
    retriever = Retriever(HashEncoder())
    retriever.upsert(
        [Item("1", "red shoe", attributes={"price": 3.0}), Item("2", "blue lamp", attributes={"price": 5})]
    )
    retriever.record([Event("u1", "1", "view", NOW - dt.timedelta(1))])
    return retriever


SEARCH = {"k": 2, "offset": 0, "where": None, "now": NOW}
ASKED = {
    "min_score": None,
    "budget_ms": None,
    "reranker": None,
    "decay": None,
    "hybrid": None,
    "rerank_depth": None,
}
JUDGED: Mapping[str, Any] = {"queries": {"q": Query("red")}, "qrels": {"q": {"1": 1}}}
RUNS: Mapping[str, Any] = {"run": {"q": {"1": 1.0}}, "qrels": {"q": {"1": 1}}}


def method(name: str) -> Callable[..., Any]:
    return lambda **given: list_of(getattr(shop(), name)(**given))


def upkeep(name: str) -> Callable[..., Any]:
    return lambda **given: getattr(shop().maintenance, name)(**given)


def list_of(found: Any) -> Any:
    """Reads what is lazy, hits and their parts included."""
    return (
        [str(each) for each in found] if hasattr(found, "__iter__") and not isinstance(found, str) else found
    )


CALLS: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
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
    "similar": (method("similar"), {"item_id": "1", **SEARCH}),
    "recommend": (method("recommend"), {"user": "u1", **SEARCH}),
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
    "evaluate": (
        lambda **given: evaluate(shop(), **given),
        {**JUDGED, "metrics": ["ndcg@2"], "k": 2, "relevant": 1, "gain": "linear", "where": None, "timed_queries": 0},
    ),
    "evaluate_run": (evaluate_run, {**RUNS, "metrics": ["ndcg@2"], "relevant": 1, "gain": "linear"}),
    "compare": (lambda **given: compare(baseline={}, resamples=99, **given), {**RUNS, "metric": "ndcg@2"}),
    "measure_judged": (lambda **given: measure_judged(shop(), OverlapReranker(), **given), JUDGED),
    "Decay": (Decay, {"scale": 9.0, "decay": 0.5, "weight": 0.3, "floor": 0.0, "missing": None, "form": "linear"}),
    "DecayBy": (DecayBy, {"attribute": "a", "decays": {"x": Decay.half_life(9)}, "default": Decay.half_life(9)}),
    "load_image": (load_image, {"source": "/nowhere.jpg"}),
}  # fmt: skip


def on_purpose(error: BaseException) -> bool:
    """Whether an error was raised by a `raise` of ours, not by what we called or by the interpreter."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = any(Path(frame.filename).is_relative_to(package) for package in PACKAGES)
    return ours and linecache.getline(frame.filename, frame.lineno or 0).strip().startswith("raise")


@pytest.mark.parametrize("name", CALLS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_error_is_ours_and_short(name: str, data: st.DataObject):
    call, usual = CALLS[name]
    changed = data.draw(st.lists(st.sampled_from(sorted(usual)), min_size=1, max_size=2, unique=True))
    arguments = {**usual, **{parameter: data.draw(junk, label=parameter) for parameter in changed}}
    error = error_of(call, arguments)
    if error is not None:
        own = isinstance(error, TwoTowerError | RerankError | MultimodalError)
        assert own or on_purpose(error), f"raised by a dependency or by chance: {error!r:.300}"
        assert 0 < len(str(error)) < LONGEST, f"{len(str(error)):,} characters: {error!s:.300}"


def error_of(call: Callable[..., Any], arguments: Mapping[str, Any]) -> Exception | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(**arguments)
        except (TwoTowerError, RerankError, MultimodalError, ValueError, TypeError) as error:
            return error
    return None


def test_the_usual_arguments_are_good():
    """Else the test above would only see the first check of each call."""
    bad = {"open", "read_catalogue", "read_events", "load_image"}
    for name, (call, usual) in CALLS.items():
        if name not in bad:
            call(**usual)
