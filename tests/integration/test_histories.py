"""What users did: each event counts once, a bad one is left out alone, and the whole history is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from fakes import HashEncoder

from twotower import Event, Item, Retriever, UserTower
from twotower.errors import EventError, FilterError
from twotower.types import BadEvent, RecordReport

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EVENT = Event("u", "i1", "view", NOW)


@pytest.fixture(params=["memory", "store"])
def place(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "store"


@pytest.fixture
def shop(place):
    encoder, tower = HashEncoder(), UserTower(newest=5)
    retriever = (
        Retriever.open(place, encoder=encoder, user_tower=tower)
        if place
        else Retriever(encoder, user_tower=tower)
    )
    retriever.upsert([Item(f"i{n}", f"mug {n}", time=NOW - timedelta(days=n)) for n in range(20)])
    yield retriever
    retriever.close()


def acts(*numbers, user="u", start=NOW):
    """One event an item, the last one the newest."""
    return [
        Event(user, f"i{number}", "view", start - timedelta(minutes=len(numbers) - place))
        for place, number in enumerate(numbers)
    ]


def ids(hits):
    return {hit.id for hit in hits}


def test_an_event_that_is_recorded_again_counts_once(shop, place):
    log = acts(1, 2, 3)
    assert shop.record(log) == RecordReport(3)
    before = shop.recommend("u", now=NOW)
    assert shop.record(log) == RecordReport(0, repeated=3)
    assert shop.recommend("u", now=NOW) == before
    elsewhere = [replace(event, time=event.time.astimezone(ZoneInfo("Asia/Shanghai"))) for event in log]
    assert shop.record([*elsewhere, *log, *acts(4)]) == RecordReport(1, repeated=6)
    assert shop.maintenance.stats().events == 4
    assert "4 events" in list(shop.maintenance.stats().lines())
    if place:
        shop.close()
        with Retriever.open(place, encoder=HashEncoder()) as again:
            assert again.record(log) == RecordReport(0, repeated=3)
            again.save(place.with_name("copy"))
        with Retriever.open(place.with_name("copy"), encoder=HashEncoder()) as copy:
            assert copy.record(log) == RecordReport(0, repeated=3)


def test_events_with_ids_are_distinguished_by_them(shop):
    given = [replace(EVENT, id="1"), replace(EVENT, id="2"), EVENT]
    assert shop.record(given) == RecordReport(3)
    assert shop.record([replace(EVENT, id="2", kind="purchase"), EVENT]) == RecordReport(0, repeated=2)
    assert sorted(event.id for event in shop._corpus.item_store.events()) == ["", "1", "2"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (replace(EVENT, item="ghost"), "names item 'ghost', which is not indexed"),
        (replace(EVENT, time=datetime(2026, 1, 1)), "no time zone"),
        (replace(EVENT, time=pd.NaT), "NaT is not a time"),
        (replace(EVENT, value=float("nan")), "nan is not a finite number"),
        (replace(EVENT, user="\ud83d"), "surrogate"),
        (replace(EVENT, id=5), "it must be text, got int"),
        ({"user": "u", "item": "i1"}, "must be an Event, got dict"),
        (None, "must be an Event, got NoneType"),
    ],
)
def test_one_bad_event_is_refused_or_left_out_alone(shop, bad, problem):
    log = [*acts(1), bad, *acts(2, 3)]
    with pytest.raises(EventError, match=f"event 1\\b.*{problem}"):
        shop.record(log)
    assert shop.maintenance.stats().events == 0
    report = shop.record(iter(log), on_error="skip")
    assert (report.recorded, report.repeated) == (3, 0)
    assert [type(each) for each in report.skipped] == [BadEvent]
    assert report.skipped[0].position == 1
    assert problem in report.skipped[0].reason


def test_bad_events_are_reported_in_the_order_given(shop):
    log = [replace(EVENT, item="ghost"), EVENT, replace(EVENT, user=""), replace(EVENT, item="ghost 2")]
    report = shop.record(log, on_error="skip")
    assert [bad.position for bad in report.skipped] == [0, 2, 3]
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', got 'ignore'"):
        shop.record(log, on_error="ignore")


def test_what_was_seen_long_ago_is_excluded_too(shop):
    shop.record(acts(*range(12)))  # of which the user tower reads the last five
    assert ids(shop.recommend("u", k=20, now=NOW)) == {f"i{number}" for number in range(12, 20)}
    assert len(shop.recommend("u", k=20, now=NOW, exclude_seen=False)) == 20
    soon = NOW - timedelta(minutes=6)  # what comes later is not seen yet
    assert ids(shop.recommend("u", k=20, now=soon)) == {f"i{number}" for number in range(7, 20)}


def test_events_on_deleted_items_do_not_crowd_out_the_others(shop):
    shop.record([*acts(1, 2, start=NOW - timedelta(days=1)), *acts(*range(5, 15))])
    remembered = [replace(event, user="v") for event in acts(1, 2, start=NOW - timedelta(days=1))]
    shop.record([*remembered, *acts(16, 17, 18, 19, user="w")])  # else everybody likes what they like
    shop.delete([f"i{number}" for number in range(5, 15)])
    assert [hit.item for hit in shop.recommend("u", k=3, now=NOW)] == [
        hit.item for hit in shop.recommend("v", k=3, now=NOW)
    ]


def test_a_user_whose_items_are_gone_sees_what_others_like_and_then_what_is_new(shop):
    assert shop.recommend("u", now=NOW) == []  # nobody has done anything
    shop.record([*acts(1, 2), *acts(7, user="v")])
    shop.delete(["i1", "i2"])
    assert [hit.item for hit in shop.recommend("u", k=4, now=NOW)] == [
        hit.item for hit in shop.recommend("stranger", k=4, now=NOW)
    ]
    shop.delete(["i7"])
    shop.upsert([Item("undated", "mug"), Item("antique", "mug", time=datetime(1899, 1, 1, tzinfo=UTC))])
    hits = shop.recommend("u", k=99, now=NOW)
    assert [hit.id for hit in hits][-3:] == ["i19", "antique", "undated"]
    hits = shop.recommend("u", k=3, now=NOW)
    assert [hit.id for hit in hits] == ["i0", "i3", "i4"]
    assert [hit.score for hit in hits] == [0, 0, 0]
    assert [hit.id for hit in shop.recommend("u", k=2, now=NOW, where={"id": {"$in": ["i9", "i8"]}})] == [
        "i8",
        "i9",
    ]


@pytest.mark.parametrize(
    "where", [{}, {"$and": []}, {"$and": [{}, {}]}, {"$or": [{}, {"price": 1}]}, {"$and": [{"$or": [{}]}]}]
)
def test_a_filter_without_a_condition_deletes_nothing(shop, where):
    with pytest.raises(FilterError, match="has no condition and would remove every item: pass the ids"):
        shop.delete(where=where)
    assert len(shop) == 20


def test_deleting_by_a_filter(shop):
    shop.update({f"i{number}": {"price": number} for number in range(10)})
    assert shop.delete(where={"price": {"$gte": 7}}) == ["i7", "i8", "i9"]
    assert shop.delete(where={"price": {"$gte": 7}}) == []
    assert "i7" not in shop
    assert len(shop) == 17
    with pytest.raises(ValueError, match="item_ids must be a list of ids, which are text, got \\[5, None"):
        shop.delete([5, None])
    with pytest.raises(ValueError, match="either item_ids or where"):
        shop.delete()
    with pytest.raises(ValueError, match="either item_ids or where"):
        shop.delete(["i1"], where={"price": 1})
    with pytest.raises(ValueError, match="near"):
        shop.delete(where={"price": {"$near": 1}})
    everything = [f"i{number}" for number in [*range(10, 20), *range(7)]]
    assert shop.delete([item.id for item in shop.items()]) == everything
