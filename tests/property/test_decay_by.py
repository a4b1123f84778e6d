"""Decay by an attribute, through a whole retriever, against every item scored by hand."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, PlaneEncoder
from hypothesis import given
from hypothesis import strategies as st

from rerank import Decay, DecayBy
from twotower import Event, Item, Retriever, UserTower
from twotower.recall.words.item_text import ItemText

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
VALUES = ["tools", "fashion", 5, "5", True, 1.5]
scalars = st.sampled_from([*VALUES, "never seen", 1, None])
categories = scalars | st.lists(st.sampled_from(["tools", "fashion", "food"]), max_size=3)
rows = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["red", "blue", "shoes", "bag", "lamp"]), min_size=1, max_size=3).map(
            " ".join
        ),
        st.none() | st.integers(-5, 900),
        categories,
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=40,
)
curves = st.builds(
    Decay,
    scale=st.floats(1, 400),
    weight=st.floats(0, 1),
    floor=st.floats(0, 0.5),
    missing=st.none() | st.just(1.0),
    form=st.sampled_from(["exponential", "gaussian", "linear"]),
)
decays = st.builds(
    DecayBy,
    st.sampled_from(["category", "no item has it"]),
    st.lists(st.tuples(st.sampled_from(VALUES), curves), max_size=4).map(dict),
    curves,
)


def made(rows):
    return [
        Item(
            f"i{number}",
            title,
            time=None if age is None else NOW - age * DAY,
            attributes={"side": side} | ({} if category is None else {"category": category}),
        )
        for number, (title, age, category, side) in enumerate(rows)
    ]


def curve_of(item, decay):
    """Said another way than in the library: the first of the decay's values that the item holds."""
    held = item.attributes.get(decay.attribute)
    held = held if isinstance(held, list) else [held]

    def same(one, other):
        kinds = [
            bool if isinstance(each, bool) else str if isinstance(each, str) else float
            for each in (one, other)
        ]
        return kinds[0] is kinds[1] and one == other

    for value, curve in decay.decays.items():
        if any(each is not None and same(each, value) for each in held):
            return curve
    return decay.default


def by_hand(items, query, decay):
    encoder = HashEncoder()
    towards = encoder.encode_queries([query])[0].astype(np.float64)
    scores = {}
    for item, vector in zip(
        items, encoder.encode_items(list(map(ItemText().extended, items))).astype(np.float64), strict=True
    ):
        score = towards @ vector / np.linalg.norm(towards) / np.linalg.norm(vector)
        age = np.nan if item.time is None else (NOW - item.time) / DAY
        scores[item.id] = score * curve_of(item, decay).factor(np.array([age]))[0] if score > 0 else score
    return scores


@given(rows, rows, st.sampled_from(["red shoes", "bag", "blue lamp"]), decays)
def test_equals_scoring_every_item_by_hand(rows, later, query, decay):
    """Over two writes, of which the second replaces items, after a delete, and with a filter."""
    retriever = Retriever(HashEncoder(), decay=decay, hybrid=None)
    retriever.upsert(made(rows))
    retriever.upsert(made(later))
    retriever.delete(["i0"])
    current = {item.id: item for item in [*made(rows), *made(later)] if item.id != "i0"}
    for where in ({}, {"side": 1}) if any(item.attributes["side"] for item in current.values()) else ({},):
        wanted = [item for item in current.values() if item.attributes["side"] >= where.get("side", 0)]
        expected = by_hand(wanted, query, decay) if wanted else {}
        for k in (1, 3, 100):
            hits = retriever.search(query, k=k, where=where or None, now=NOW)
            best = sorted(expected.values(), reverse=True)[:k]
            assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-5)
            assert all(hit.score == pytest.approx(expected[hit.id], abs=1e-5) for hit in hits)


@pytest.mark.parametrize("lasting", ["tools", "all others"])
def test_a_lasting_item_far_down_is_not_lost(lasting):
    """2,000 nearer items are as old, but of a value that ages fast: any fixed cut would lose the one that lasts."""
    items = [
        Item(f"dress-{n}", str(0.01 * n), time=NOW - 300 * DAY, attributes={"category": "fashion"})
        for n in range(2_000)
    ]
    items.append(Item("hammer", "30", time=NOW - 300 * DAY, attributes={"category": ["diy", "tools"]}))
    fast, slow = Decay.half_life(14, weight=0.5), Decay.half_life(3650, weight=0.5)
    decay = DecayBy("category", {"tools": slow}, fast)
    if lasting == "all others":
        decay = DecayBy("category", {"fashion": fast}, slow)
    retriever = Retriever(PlaneEncoder(), hybrid=None, decay=decay)
    retriever.upsert(items)
    best = retriever.search("0", k=1, now=NOW)[0]
    assert best.id == "hammer"
    assert best.explain["freshness"] == pytest.approx(0.5 + 0.5 * 0.5 ** (300 / 3650))


def test_of_several_values_the_first_of_the_decay_counts_whatever_was_asked_before():
    week, year, other = (Decay.half_life(days, weight=0.5) for days in (7, 365, 60))
    held = {"both": ["tools", "fashion"], "one": "tools", "none": "food"}
    items = [Item(name, "bag", time=NOW - 60 * DAY, attributes={"c": value}) for name, value in held.items()]
    retriever = Retriever(HashEncoder())
    retriever.upsert(items)

    def freshness(decays):
        hits = retriever.using(decay=DecayBy("c", decays, other)).search("bag", now=NOW)
        return {hit.id: hit.explain["freshness"] for hit in hits}

    days = {curve: curve.factor(np.array([60.0]))[0] for curve in (week, year, other)}
    for _ in range(2):
        found = freshness({"fashion": week, "tools": year})
        assert found == {"both": days[week], "one": days[year], "none": days[other]}
        found = freshness({"tools": year, "fashion": week})
        assert found == {"both": days[year], "one": days[year], "none": days[other]}


def test_a_store_brings_it_back():
    decay = DecayBy(
        "category", {"tools": Decay.half_life(365), 5: Decay.linear(9)}, default=Decay.gaussian(30)
    )
    items = [
        Item(f"i{n}", "red bag", time=NOW - 50 * DAY, attributes={"category": category})
        for n, category in enumerate(["tools", 5, "5", "fashion"])
    ]
    retriever = Retriever(HashEncoder(), decay=decay, hybrid=None)
    retriever.upsert(items)
    with tempfile.TemporaryDirectory() as folder:
        retriever.save(folder)
        loaded = Retriever.open(folder, encoder=HashEncoder(), read_only=True)
    assert loaded.decay == decay
    hits = retriever.search("bag", now=NOW)
    assert loaded.search("bag", now=NOW) == hits
    assert len({hit.explain["freshness"] for hit in hits}) == 3


def test_the_decay_of_items_and_the_half_life_of_events_do_not_meet():
    """Changing the one leaves the user vector as it is; changing the other leaves the freshness of items."""

    def answers(decay, half_life):
        retriever = Retriever(
            PlaneEncoder(),
            decay=decay,
            hybrid=None,
            user_tower=UserTower(half_life=half_life),
            user_weight=0.5,
        )
        retriever.upsert([Item(str(n), str(n), time=NOW - n * DAY) for n in range(0, 80, 10)])
        retriever.record([Event("u", "0", "view", NOW - 90 * DAY), Event("u", "70", "view", NOW)])
        hits = {hit.id: hit for hit in retriever.search("10", k=8, user="u", now=NOW)}
        user = {
            item: hit.explain["user"] for item, hit in hits.items()
        }  # what the user vector gives each item
        return user, {item: hit.explain.get("freshness") for item, hit in hits.items()}

    slow, fast = Decay.half_life(365), DecayBy("none", {}, default=Decay.half_life(7, weight=0.9))
    user, freshness = answers(slow, 30)
    assert answers(fast, 30)[0] == answers(None, 30)[0] == user
    assert answers(fast, 30)[1] != freshness
    assert answers(slow, 3)[1] == freshness
    assert answers(slow, 3)[0] != user


def test_decays_of_equal_values_read_their_own_attribute():
    """What is remembered of one must not answer for the other, in any order, nor for more or fewer values."""
    shop = Retriever(PlaneEncoder(), hybrid=None)
    day = NOW - 90 * DAY
    shop.upsert(
        [
            Item("bin", "0", time=day, attributes={"category": "tools", "room": "fashion"}),
            Item("bag", "0", time=day, attributes={"category": "fashion", "room": "tools"}),
        ]
    )
    steep, none = Decay.half_life(days=1, weight=0.9), Decay.half_life(days=1, weight=0.0)
    both, one, other = ("tools", "fashion"), ("fashion",), ("tools",)
    decays = [
        DecayBy(attribute, {value: steep if value == "tools" else none for value in values}, none)
        for values in (both, one, other)
        for attribute in ("category", "room")
    ]
    found = {}
    for decay in [*decays, *reversed(decays)]:
        order = [hit.id for hit in shop.search("0", now=NOW, decay=decay) if hit.score > 0.5]
        assert found.setdefault(id(decay), order) == order
    assert list(found.values()) == [["bag"], ["bin"], ["bin", "bag"], ["bin", "bag"], ["bag"], ["bin"]]
