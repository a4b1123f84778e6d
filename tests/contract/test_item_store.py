"""Every catalog against plain Python: dicts and sorted lists."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower import Event, Item
from twotower.store.folder import StoreFolder, lock_folder
from twotower.store.memory_item_store import MemoryItemStore

DIM = 4
NOW = datetime(2026, 6, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@contextmanager
def stored():
    with tempfile.TemporaryDirectory() as folder:
        store = StoreFolder.create(lock_folder(folder), {})
        try:
            yield store.item_store
        finally:
            store.close()


@contextmanager
def memory():
    catalog = MemoryItemStore()
    yield catalog
    catalog.close()


@pytest.fixture(params=[memory, stored], ids=["memory", "stored"])
def made(request):
    return request.param


@pytest.fixture
def catalog(made):
    with made() as catalog:
        yield catalog


def items(*ids):
    return [Item(item_id, f"title of {item_id}") for item_id in ids]


def upsert(catalog, *ids):
    photos = {item_id: sha256(item_id.encode()).digest() for item_id in ids[::2]}
    labels, dead = catalog.upsert(items(*ids), np.eye(len(ids), DIM, dtype=np.float32), photos)
    assert catalog.photos_at(labels.tolist()) == [photos.get(item_id) for item_id in ids]
    assert catalog.photos_at(dead.tolist()) == [None] * len(dead)
    return labels.tolist(), sorted(dead.tolist())


def delete(catalog, *ids):
    known, dead = catalog.delete(ids)
    assert catalog.photos_at(dead.tolist()) == [None] * len(dead)
    return known, sorted(dead.tolist())


def test_labels_ascend_and_are_never_given_twice(catalog):
    first, dead = upsert(catalog, "b", "a", "茶杯")
    assert dead == []
    assert delete(catalog, "茶杯", "b") == (["茶杯", "b"], [first[0], first[2]])
    second, dead = upsert(catalog, "茶杯", "a", "b")
    assert dead == [first[1]]
    third, dead = upsert(catalog, "b", "c")
    assert dead == [second[2]]
    assert first + second + third == sorted({*first, *second, *third})
    assert catalog.labels_of(["c", "a", "nobody", "b", "a"]).tolist() == [
        third[1], second[1], -1, third[0], second[1]]  # fmt: skip


def test_delete_of_unknown_and_repeated_ids(catalog):
    (label, _), _ = upsert(catalog, "a", "b")
    assert delete(catalog, "nobody", "a", "nobody", "a") == (["a"], [label])
    assert delete(catalog, "a") == ([], [])
    assert delete(catalog) == ([], [])
    assert catalog.labels_of([]).tolist() == []
    assert catalog.labels_of(["a"]).tolist() == [-1]


def test_many_ids_at_once(catalog):
    ids = [f"i{number}" for number in range(2_500)]
    labels, _ = catalog.upsert(items(*ids), np.ones((len(ids), DIM), dtype=np.float32), {})
    assert catalog.labels_of(ids[::-1]).tolist() == labels.tolist()[::-1]
    known, dead = catalog.delete(ids[:2_200])
    assert (known, sorted(dead.tolist())) == (ids[:2_200], labels[:2_200].tolist())
    assert (catalog.labels_of(ids) >= 0).sum() == 300


@pytest.mark.parametrize(
    "item_id",
    ["a'; DROP TABLE ids", "%", "_", "A", "ａ", "\N{COMBINING ACUTE ACCENT}e", "e\u0301", "\t", "a\x00b"],
)
def test_ids_are_any_text(catalog, item_id):
    upsert(catalog, "a", "é", "other")
    (label,), dead = upsert(catalog, item_id)
    assert dead == []
    assert catalog.labels_of([item_id]).tolist() == [label]
    assert delete(catalog, item_id) == ([item_id], [label])
    assert (catalog.labels_of(["a", "é", "other"]) >= 0).all()


def test_until_is_inclusive_to_the_microsecond(catalog):
    moments = [NOW + timedelta(microseconds=number) for number in range(4)]
    catalog.record([Event("u", f"i{number}", "view", moment) for number, moment in enumerate(moments)])
    for number, moment in enumerate(moments):
        for zone in (UTC, timezone(timedelta(hours=-7)), BERLIN):
            seen = catalog.events_of("u", until=moment.astimezone(zone), newest=9)
            assert [event.item for event in seen] == [f"i{earlier}" for earlier in range(number + 1)]
            assert list(catalog.events_of_all(until=moment.astimezone(zone), newest=1)) == list(seen)[-1:]
    assert list(catalog.events_of("nobody", until=NOW, newest=9)) == []


def test_an_hour_that_comes_twice(catalog):
    """When summer time ends, clocks of one zone say the same twice; an hour lies between."""
    first = datetime(2025, 10, 26, 2, 40, tzinfo=BERLIN)
    second = datetime(2025, 10, 26, 2, 20, fold=1, tzinfo=BERLIN)
    catalog.record([Event("u", "late", "view", second), Event("u", "early", "view", first)])
    for ask in (lambda **given: catalog.events_of("u", **given), catalog.events_of_all):
        assert [event.item for event in ask(until=second, newest=9)] == ["early", "late"]
        assert [event.item for event in ask(until=first, newest=9)] == ["early"]


# Few users, items and moments, so that ties come often; moments as far apart as datetimes go.
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=11, minutes=30)), BERLIN]
)
moments = st.builds(
    lambda base, offset, zone: (base + timedelta(microseconds=offset)).astimezone(zone),
    st.sampled_from([
        NOW, datetime(1969, 12, 31, tzinfo=UTC), datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC),
        datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC),
    ]),
    st.integers(-2, 2), zones,
)  # fmt: skip
users = st.sampled_from(["u", "v", "ü", "用户"])
events_strategy = st.lists(
    st.builds(
        Event, users, st.sampled_from("abc"), st.sampled_from(["view", "cart"]), moments, st.sampled_from([0.5, 1, 2])
    ),
    max_size=25,
)  # fmt: skip


def key(event):
    """What orders events: the moment, exactly, and then the rest."""
    return event.time - EPOCH, event.user, event.item, event.kind, event.value


def last(events, newest):
    return events[max(0, len(events) - newest) :]


@given(events_strategy, events_strategy, users, moments, st.integers(0, 8))
def test_histories_are_the_ends_of_sorted_lists(first, second, user, until, newest):
    chronological = sorted({key(event): event for event in reversed(first + second)}.values(), key=key)
    seen = [event for event in chronological if event.time - EPOCH <= until - EPOCH]
    own = [event for event in seen if event.user == user]
    for make in (memory, stored):
        with make() as catalog:
            recorded = catalog.record(first) + catalog.record(second)
            assert recorded == catalog.count_events() == len(chronological)
            assert catalog.seen_by(user, until=until) == {event.item for event in own}
            found = catalog.events_of(user, until=until, newest=newest)
            assert list(map(key, found)) == list(map(key, last(own, newest)))
            found = catalog.events_of_all(until=until, newest=newest)
            assert list(map(key, found)) == list(map(key, last(seen, newest)))
            kept = sorted((*key(event), event.time.utcoffset()) for event in catalog.events())
            assert kept == sorted((*key(event), event.time.utcoffset()) for event in chronological)


def test_an_event_with_an_id_is_known_by_it_alone(catalog):
    here, there = NOW, NOW.astimezone(BERLIN)
    first, other = Event("u", "a", "view", here, id="1"), Event("u", "a", "view", here, id="2")
    nameless, changed = Event("u", "a", "view", here), Event("v", "b", "cart", there, 2.0, id="1")
    assert catalog.record([first, other, nameless, changed]) == 3
    assert catalog.record([Event("u", "a", "view", there, 1), first]) == 0
    assert catalog.record([Event("u", "a", "view", here, 2)]) == 1
    assert sorted(event.id for event in catalog.events()) == ["", "", "1", "2"]
    assert first in catalog.events()


def test_only_events_on_stored_items_on_request(catalog):
    upsert(catalog, "a", "b", "c")
    catalog.record([Event("u", item, "view", NOW - timedelta(days=age)) for age, item in enumerate("abcab")])
    delete(catalog, "a", "c")
    for ask in (lambda **given: catalog.events_of("u", **given), catalog.events_of_all):
        assert [event.item for event in ask(until=NOW, newest=9)] == list("bacba")
        assert [event.item for event in ask(until=NOW, newest=9, stored_items=True)] == ["b", "b"]
        assert [event.item for event in ask(until=NOW, newest=1, stored_items=True)] == ["b"]
    assert catalog.seen_by("u", until=NOW - timedelta(days=2)) == {"a", "b", "c"}


names = st.lists(st.sampled_from(["a", "b", "c", "d", "é", "e\u0301"]), max_size=5)
writes = st.lists(
    st.tuples(st.just("upsert"), names.map(lambda ids: list(dict.fromkeys(ids))))
    | st.tuples(st.just("delete"), names),
    max_size=12,
)


@given(writes)
def test_both_catalogs_say_the_same_as_a_dict(writes):
    asked = ["e\u0301", "a", "b", "c", "d", "é", "nobody", "a"]
    with memory() as one, stored() as other:
        start = {one: 0, other: 1}  # of the labels, which is nobody's business
        model, label = {}, 0
        for write, ids in writes:
            if write == "upsert":
                expected = (
                    list(range(label, label + len(ids))),
                    sorted(model[key] for key in ids if key in model),
                )
                model.update(zip(ids, expected[0], strict=True))
                label += len(ids)
            else:
                known = [key for key in dict.fromkeys(ids) if key in model]
                expected = known, sorted(model.pop(key) for key in known)
            for catalog in (one, other):
                act = upsert if write == "upsert" else delete
                found, dead = act(catalog, *ids)
                if write == "upsert":
                    found = [number - start[catalog] for number in found]
                assert (found, [number - start[catalog] for number in dead]) == expected
                numbers = [model.get(key, -1 - start[catalog]) for key in asked]
                assert (catalog.labels_of(asked) - start[catalog]).tolist() == numbers
