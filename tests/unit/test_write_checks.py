from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twotower.corpus.write_checks import RESERVED_NAMES, check_event, check_item
from twotower.errors import EventError, ItemError
from twotower.recall.filters.columns import ITEM_FIELDS
from twotower.types import Event, Item

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1, 12)
GOOD = Item("i1", "Shoe")
EVENT = Event("u", "i1", "click", NOON)


@pytest.mark.parametrize(
    "item",
    [
        GOOD,
        Item("i1", text="words only"),
        Item("i1", image="/photo.jpg"),
        Item("i1", image=Path("/photo.jpg"), time=NOON),
        Item("i1", image="https://shop.example/photo.jpg"),
        Item(
            "鞋", "鞋", attributes={"价格": 5, "price": -0.5, "used": False, "tags": ["a", ""], "seen": NOON}
        ),
        Item("i1", "t", attributes={"sizes": [36, 37.5], "none": [], "big": 2**70, "a.b": ""}),
    ],
)
def test_an_item_that_can_be_indexed_passes_as_it_is(item):
    assert check_item(item) == item


def test_an_attribute_without_a_value_is_left_out():
    assert check_item(replace(GOOD, attributes={"gone": None, "price": 5})).attributes == {"price": 5}


def test_a_later_change_of_the_attributes_given_does_not_reach_the_copy():
    tags, attributes = ["a"], {}
    attributes["tags"] = tags
    item = check_item(replace(GOOD, attributes=attributes))
    tags.append("b")
    attributes["price"] = 5
    assert item.attributes == {"tags": ["a"]}


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"id": ""}, "id", "must not be empty"),
        ({"id": 5}, "id", "it must be text, got int"),
        ({"id": None}, "id", "it must be text, got NoneType"),
        ({"id": "\ud800"}, "id", "surrogate"),
        ({"title": None}, "title", "it must be text, got NoneType"),
        ({"title": "\udfff"}, "title", "surrogate"),
        ({"text": b"x"}, "text", "it must be text, got bytes"),
        ({"image": 5}, "image", "path of a photo, got int"),
        ({"title": ""}, "title", "neither title nor text nor image"),
        ({"time": NAIVE}, "time", "2026-01-01T12:00:00 has no time zone"),
        ({"time": "2026-01-01"}, "time", "it must be an aware datetime, got str"),
        ({"attributes": None}, "attributes", "it must be a mapping, got NoneType"),
        ({"attributes": {"price": float("nan")}}, "price", "nan is not a finite number"),
        ({"attributes": {"price": float("-inf")}}, "price", "-inf is not a finite number"),
        ({"attributes": {"price": 10**400}}, "price", "not a finite number"),
        ({"attributes": {"price": np.float32("nan")}}, "price", "nan is not a finite number"),
        ({"attributes": {"price": Decimal("Infinity")}}, "price", "inf is not a finite number"),
        ({"attributes": {"price": 1j}}, "price", "got complex"),
        ({"attributes": {"seen": np.datetime64("2026-01-01T12:00")}}, "seen", "no time zone"),
        ({"attributes": {"seen": np.datetime64("NaT")}}, "seen", "got datetime64"),
        ({"attributes": {"seen": pd.NaT}}, "seen", "NaT is not a time: leave it out"),
        ({"time": pd.NaT}, "time", "NaT is not a time: leave it out"),
        ({"attributes": {"seen": pd.NA}}, "seen", "got NAType"),
        ({"attributes": {"attrs": {"a": 1}}}, "attrs", "got dict"),
        ({"attributes": {"raw": b"x"}}, "raw", "got bytes"),
        ({"attributes": {"tags": ["a", b"b"]}}, "tags", "in the list, it must be text, a number"),
        ({"attributes": {"tags": [["a"]]}}, "tags", "got list"),
        ({"attributes": {"sizes": [36, float("nan")]}}, "sizes", "in the list, nan is not a finite number"),
        ({"attributes": {"grid": np.zeros((2, 2))}}, "grid", "got ndarray"),
        ({"attributes": {"tags": {"a"}}}, "tags", "got set"),
        ({"attributes": {"seen": NAIVE}}, "seen", "no time zone"),
        ({"attributes": {"": 1}}, "", "non-empty text"),
        ({"attributes": {5: 1}}, 5, "non-empty text"),
        ({"attributes": {"$gt": 1}}, "$gt", "operator"),
        ({"attributes": {"id": "x"}}, "id", "rename"),
        ({"attributes": {"time": NOON}}, "time", "rename"),
    ],
)
def test_an_item_that_cannot_be_indexed_is_named_with_its_field(change, field, problem):
    item = replace(GOOD, **change)
    with pytest.raises(ItemError) as caught:
        check_item(item)
    assert str(caught.value).startswith(f"item {item.id!r}, field {field!r}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5])
def test_an_event_that_can_be_recorded_passes(value):
    assert check_event(replace(EVENT, value=value, id="e1"), 0) == replace(EVENT, value=value, id="e1")


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"user": ""}, "user", "must not be empty"),
        ({"item": ""}, "item", "must not be empty"),
        ({"kind": ""}, "kind", "must not be empty"),
        ({"user": 17}, "user", "it must be text, got int"),
        ({"time": NAIVE}, "time", "no time zone"),
        ({"time": None}, "time", "got NoneType"),
        ({"time": pd.NaT}, "time", "NaT is not a time"),
        ({"id": 7}, "id", "it must be text, got int"),
        ({"id": "\udfff"}, "id", "surrogate"),
        ({"value": float("nan")}, "value", "nan is not a finite number"),
        ({"value": float("inf")}, "value", "inf is not a finite number"),
        ({"value": -0.1}, "value", "-0.1 is negative"),
        ({"value": "1"}, "value", "it must be a number, got str"),
        ({"value": None}, "value", "it must be a number, got NoneType"),
    ],
)
def test_an_event_that_cannot_be_recorded_is_named_by_position(change, field, problem):
    with pytest.raises(EventError) as caught:
        check_event(replace(EVENT, **change), 7)
    assert str(caught.value).startswith(f"event 7, field {field!r}: ")
    assert problem in str(caught.value)


def test_reserved_names_are_what_filters_read_from_the_item():
    assert frozenset(ITEM_FIELDS) == RESERVED_NAMES
