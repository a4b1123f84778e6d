from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from twotower.corpus.write_checks import RESERVED_NAMES, check_event, check_item
from twotower.errors import EventError, ItemError
from twotower.recall.columns import ITEM_FIELDS
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
        Item("i1", image="photo.jpg"),
        Item("i1", image=Path("photo.jpg"), time=NOON),
        Item(
            "鞋", "鞋", attributes={"价格": 5, "price": -0.5, "used": False, "tags": ["a", ""], "seen": NOON}
        ),
        Item("i1", "t", attributes={"gone": None, "tags": ("a",), "none": [], "big": 2**70, "a.b": ""}),
    ],
)
def test_an_item_that_can_be_indexed_passes(item):
    assert check_item(item) is None


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"id": ""}, "id", "must not be empty"),
        ({"id": 5}, "id", "use str, not int"),
        ({"id": None}, "id", "use str, not NoneType"),
        ({"id": "\ud800"}, "id", "surrogate"),
        ({"title": None}, "title", "use str, not NoneType"),
        ({"title": "\udfff"}, "title", "surrogate"),
        ({"text": b"x"}, "text", "use str, not bytes"),
        ({"image": 5}, "image", "path of a photo, not int"),
        ({"title": ""}, "title", "neither title nor text nor image"),
        ({"time": NAIVE}, "time", "2026-01-01T12:00:00 has no time zone"),
        ({"time": "2026-01-01"}, "time", "use an aware datetime, not str"),
        ({"attributes": None}, "attributes", "use a mapping, not NoneType"),
        ({"attributes": {"price": float("nan")}}, "price", "nan is not a finite number"),
        ({"attributes": {"price": float("-inf")}}, "price", "-inf is not a finite number"),
        ({"attributes": {"price": 10**400}}, "price", "not a finite number"),
        ({"attributes": {"price": np.float32(1)}}, "price", "not float32"),
        ({"attributes": {"attrs": {"a": 1}}}, "attrs", "not dict"),
        ({"attributes": {"raw": b"x"}}, "raw", "not bytes"),
        ({"attributes": {"tags": ["a", 5]}}, "tags", "in its list, use str, not int"),
        ({"attributes": {"tags": {"a"}}}, "tags", "not set"),
        ({"attributes": {"seen": NAIVE}}, "seen", "no time zone"),
        ({"attributes": {"": 1}}, "", "non-empty str"),
        ({"attributes": {5: 1}}, 5, "non-empty str"),
        ({"attributes": {"$gt": 1}}, "$gt", "operator"),
        ({"attributes": {"id": "x"}}, "id", "rename"),
        ({"attributes": {"time": None}}, "time", "rename"),
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
    assert check_event(replace(EVENT, value=value), 0) is None


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"user": ""}, "user", "must not be empty"),
        ({"item": ""}, "item", "must not be empty"),
        ({"kind": ""}, "kind", "must not be empty"),
        ({"user": 17}, "user", "use str, not int"),
        ({"time": NAIVE}, "time", "no time zone"),
        ({"time": None}, "time", "not NoneType"),
        ({"value": float("nan")}, "value", "nan is not a finite number"),
        ({"value": float("inf")}, "value", "inf is not a finite number"),
        ({"value": -0.1}, "value", "-0.1 is negative"),
        ({"value": "1"}, "value", "use a number, not str"),
        ({"value": None}, "value", "use a number, not NoneType"),
    ],
)
def test_an_event_that_cannot_be_recorded_is_named_by_position(change, field, problem):
    with pytest.raises(EventError) as caught:
        check_event(replace(EVENT, **change), 7)
    assert str(caught.value).startswith(f"event 7, field {field!r}: ")
    assert problem in str(caught.value)


def test_reserved_names_are_what_filters_read_from_the_item():
    assert frozenset(ITEM_FIELDS) == RESERVED_NAMES
