"""Whatever is passed to `twotower.evaluation`, an error is one of the library's own, and short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junk import NOW, Call, check_error_of, with_junk

from twotower import Event, Item, Query, Retriever
from twotower import evaluation as ev
from twotower.evaluation.slices import age_band, attribute, cold, query_length

RUN = {"q": {"1": 1.0}}
QRELS = {"q": {"1": 1}}
JUDGED: Mapping[str, Any] = {"queries": {"q": Query("red")}, "qrels": QRELS}
RUNS: Mapping[str, Any] = {"run": RUN, "qrels": QRELS}
COUNTING = {"relevant": 1, "gain": "linear", "unjudged": "irrelevant"}
RESAMPLING = {"confidence": 0.9, "resamples": 99, "seed": 0}
ITEMS = [Item("1", "red shoe", attributes={"price": 3.0}), Item("2", "blue lamp")]
EVENTS = [Event("u", "1", "view", NOW - dt.timedelta(1)), Event("u", "2", "view", NOW)]
TASK = ev.Task("u", NOW, frozenset({"2"}))


def shop() -> Retriever:
    retriever = Retriever(HashEncoder())
    retriever.upsert(ITEMS)
    return retriever


def popular(user: str, past: ev.Past, k: int, exclude: frozenset[str]) -> list[str]:
    return [item.id for item in ITEMS if item.id not in exclude][:k]


def of_shop(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **given: function(given.pop("retriever", None) or shop(), **given)


CALLS: dict[str, Call] = {
    "evaluate": (
        of_shop(ev.evaluate),
        {
            **JUDGED,
            **{"metrics": ["ndcg@2"], "k": 2, "relevant": 1, "gain": "linear", "where": None, "now": NOW},
            **{"timed_queries": 0, "seed": 0},
        },
    ),
    "evaluate_run": (ev.evaluate_run, {**RUNS, **COUNTING, "metrics": ["ndcg@2"]}),
    "evaluate_queries": (ev.evaluate_queries, {**RUNS, **COUNTING, "metrics": ["ndcg@2"]}),
    "query_values": (ev.query_values, {**RUNS, **COUNTING, "metric": "ndcg@2"}),
    "compare": (ev.compare, {**RUNS, **COUNTING, **RESAMPLING, "baseline": {}, "metric": "ndcg@2"}),
    "compare_all": (
        ev.compare_all,
        {"runs": {"a": RUN}, "baseline": {}, "qrels": QRELS, "metric": "ndcg@2", **RESAMPLING},
    ),
    "compare_values": (ev.compare_values, {"values": [0.1, 0.5], "baseline": [0.2, 0.1], **RESAMPLING}),
    "mean_interval": (ev.mean_interval, {"values": [0.1, 0.5], **RESAMPLING}),
    "ratio_interval": (ev.ratio_interval, {"values": [0.1, 0.5], "baseline": [0.2, 0.1], **RESAMPLING}),
    "measure_judged": (
        lambda **given: ev.measure_judged(shop(), **given),
        {**JUDGED, "reranker": OverlapReranker(), "base": None, "seed": 0},
    ),
    "judged_run": (of_shop(ev.judged_run), {"queries": {"q": "red"}, "judged": QRELS}),
    "search_run": (
        of_shop(ev.search_run),
        {"queries": {"q": Query("red")}, "k": 2, "where": None, "now": NOW},
    ),
    "random_run": (ev.random_run, {"queries": ["q"], "item_ids": ["1", "2"], "k": 2, "seed": 0}),
    "bm25_run": (ev.bm25_run, {"queries": {"q": "red"}, "items": ITEMS, "k": 2}),
    "write_run": (ev.write_run, {"path": "run.txt", "run": RUN, "name": "twotower"}),
    "evaluate_query_slices": (
        lambda **given: ev.evaluate_query_slices(label=query_length, **given),
        {
            **RUNS,
            **COUNTING,
            "queries": {"q": Query("red")},
            "metrics": ["ndcg@2"],
        },
    ),
    "evaluate_item_slices": (
        lambda **given: ev.evaluate_item_slices(label=attribute("price"), **given),
        {**RUNS, **COUNTING, "items": ITEMS, "metrics": ["ndcg@2"]},
    ),
    "attribute": (lambda name: attribute(name)(ITEMS[0]), {"name": "price"}),
    "cold": (lambda **given: cold(**given)(ITEMS[0]), {"events": EVENTS, "fewer_than": 1}),
    "age_band": (lambda **given: age_band(**given)(ITEMS[0]), {"now": NOW, "days": (30, 90)}),
    "time_split": (ev.time_split, {"events": EVENTS, "moment": NOW}),
    "next_baskets": (ev.next_baskets, {"events": EVENTS, "start": NOW, "end": None}),
    "last_baskets": (ev.last_baskets, {"events": EVENTS}),
    "Past": (ev.Past, {"moment": NOW, "events": EVENTS[:1]}),
    "Task": (
        lambda **given: ev.evaluate_recommender(popular, [ev.Task(**given)], EVENTS),
        {"user": "u", "moment": NOW, "truth": frozenset({"2"})},
    ),
    "evaluate_recommender": (
        lambda **given: ev.evaluate_recommender(popular, **given),
        {
            **{"tasks": [TASK], "history": EVENTS, "repeats": True},
            **{"metrics": ["hr@1"], "k": 2, "fitted_on": ()},
        },
    ),
    "check_blind": (
        lambda **given: ev.check_blind(lambda events: popular, **given),
        {"tasks": [TASK], "history": EVENTS, "repeats": True, "k": 2},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where files may be written under any name."""
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
    for call, usual in CALLS.values():
        call(**usual)
