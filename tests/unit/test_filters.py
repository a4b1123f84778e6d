from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from twotower.errors import FilterError
from twotower.recall.filters.columns import Columns
from twotower.recall.filters.where import parse_where
from twotower.types import Item


class Brand(Enum):
    ACME = "Acme"


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

SHOP = Columns.of(
    [
        Item(
            "a",
            "A",
            time=NOON,
            attributes={"price": 5, "brand": "Acme", "tags": ["red", "new"], "used": True},
        ),
        Item("b", "B", attributes={"price": 5.5, "brand": "Zeta", "tags": ["blue"], "used": False}),
        Item("c", "C", time=NOON + timedelta(1), attributes={"price": "5", "tags": [], "seen": NOON}),
        Item("d", "D", attributes={"price": True, "brand": None, "tags": "red", "used": 1}),
        Item("e", "E", attributes={"sizes": [40, 42]}),
    ]
)


def matches(where):
    mask = parse_where(where).mask(SHOP)
    assert mask.dtype == np.bool_
    assert mask.shape == (5,)
    return "".join(np.array(list("abcde"))[mask])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcde"),
        ({"brand": "Acme"}, "a"),
        ({"brand": {"$eq": "Acme"}}, "a"),
        ({"price": 5}, "a"),
        ({"price": 5.0}, "a"),
        ({"price": "5"}, "c"),
        ({"price": True}, "d"),
        ({"price": 1}, ""),
        ({"used": True}, "a"),
        ({"used": 1}, "d"),
        ({"used": False}, "b"),
        ({"price": {"$ne": 5}}, "bcde"),
        ({"price": {"$in": [5, "5", 7]}}, "ac"),
        ({"price": {"$in": []}}, ""),
        ({"price": {"$nin": [5, "5"]}}, "bde"),
        ({"price": {"$nin": []}}, "abcde"),
        ({"price": {"$gt": 5}}, "b"),
        ({"price": {"$gte": 5}}, "ab"),
        ({"price": {"$lt": 5.5}}, "a"),
        ({"price": {"$lte": 5.5}}, "ab"),
        ({"price": {"$lt": float("inf")}}, "ab"),
        ({"price": {"$gte": "0"}}, "c"),
        ({"price": {"$gt": 4, "$lt": 5.5}}, "a"),
        ({"brand": {"$gt": "Acme"}}, "b"),
        ({"brand": {"$exists": True}}, "ab"),
        ({"brand": {"$exists": False}}, "cde"),
        ({"tags": {"$exists": True}}, "abcd"),
        ({"tags": "red"}, "ad"),
        ({"tags": {"$ne": "red"}}, "bce"),
        ({"tags": {"$in": ["new", "blue"]}}, "ab"),
        ({"tags": {"$nin": ["new", "blue"]}}, "cde"),
        ({"tags": {"$gte": "o"}}, "ad"),
        ({"tags": {"$all": ["red", "new"]}}, "a"),
        ({"tags": {"$all": ("red",)}}, "ad"),
        ({"tags": {"$all": []}}, ""),
        ({"tags": {"$not": {"$all": ["red", "new"]}}}, "bcde"),
        ({"sizes": 42}, "e"),
        ({"sizes": {"$all": [40, 42.0]}}, "e"),
        ({"sizes": {"$gt": 41}}, "e"),
        ({"sizes": {"$gt": 43}}, ""),
        ({"price": {"$in": np.array([5, 7])}}, "a"),
        ({"price": {"$in": (number for number in [5, 7])}}, "a"),
        ({"price": Decimal("5.50")}, "b"),
        ({"price": {"$lte": np.float32(5.5)}}, "ab"),
        ({"used": np.True_}, "a"),
        ({"brand": {"$exists": np.True_}}, "ab"),
        ({"brand": Brand.ACME}, "a"),
        ({"time": "2026-01-01T12:00:00Z"}, "a"),
        ({"time": {"$gt": "2026-01-01T13:00:00+01:00"}}, "c"),
        ({"price": {"$not": {"$lt": 5.5}}}, "bcde"),
        ({"price": {"$not": 5}}, "bcde"),
        ({"$not": {"brand": "Acme", "price": 5}}, "bcde"),
        ({"$not": {}}, ""),
        ({"$or": [{"brand": "Acme"}, {"price": {"$gt": 5}}]}, "ab"),
        ({"$and": [{"price": {"$gte": 5}}, {"tags": "blue"}]}, "b"),
        ({"$or": []}, ""),
        ({"$and": []}, "abcde"),
        ({"brand": {"$exists": True}, "used": True}, "a"),
        ({"id": {"$in": ["a", "e"]}}, "ae"),
        ({"id": {"$gt": "c"}}, "de"),
        ({"time": NOON}, "a"),
        ({"time": {"$gt": NOON}}, "c"),
        ({"time": {"$exists": False}}, "bde"),
        ({"time": {"$not": {"$gt": NOON}}}, "abde"),
        ({"seen": {"$lte": NOON.astimezone(timezone(timedelta(hours=8)))}}, "c"),
        ({"nowhere": 1}, ""),
        ({"nowhere": {"$ne": 1}}, "abcde"),
        ({"title": "A"}, ""),
    ],
)
def test_every_operator_by_example(where, expected):
    assert matches(where) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"price": {"$near": 5}},
            r"'price': unknown operator '\$near': use one of \$eq, .*\$all, .*\$exists, \$not, or \$and, "
            r"\$or or \$not around",
        ),
        ({"price": {"lt": 5}}, "'price': unknown operator 'lt'"),
        ({"price": {"$or": [5]}}, r"'price': unknown operator '\$or'"),
        ({"$nor": []}, r"'\$nor' around filters: use \$and, \$or or \$not"),
        ({"$eq": 5}, r"'\$eq' around filters"),
        ({"price": {}}, "'price': {} has no operator"),
        ({"price": None}, r"'price', operator \$eq: None .*use \$exists"),
        ({"price": {"$gt": None}}, r"'price', operator \$gt: None"),
        ({"price": {"$gt": {}}}, r"'price', operator \$gt: .* got dict"),
        ({"price": {"$gt": [1]}}, r"'price', operator \$gt: a list is not a single value: use \$in .* \$all"),
        ({"price": {"$gt": True}}, r"'price': \$gt cannot order booleans"),
        ({"price": {"$lt": float("nan")}}, r"'price', operator \$lt: NaN"),
        ({"price": [1, 2]}, r"'price', operator \$eq: a list is not a single value"),
        ({"price": {"$in": 5}}, r"'price': \$in must be a list of values, got 5"),
        ({"price": {"$nin": "abc"}}, r"'price': \$nin must be a list of values, got 'abc'"),
        ({"price": {"$in": [1, None]}}, r"'price', operator \$in: None"),
        ({"price": b"5"}, "got bytes"),
        ({"price": 5j}, "got complex"),
        ({"price": {"$all": 5}}, r"'price': \$all must be a list of values, got 5"),
        ({"price": {"$in": "abc"}}, r"\$in must be a list"),
        ({"time": "2026-01-01T12:00"}, "its values are times .* aware datetime"),
        ({"seen": datetime(2026, 1, 1)}, r"'seen', operator \$eq: .*2026-01-01T00:00:00 has no time zone"),
        (
            {"time": {"$gt": "2026-01-01"}},
            "'time': its values are times and do not compare with the text '2026-01-01': pass an aware",
        ),
        ({"id": 5}, "'id': its values are text and do not compare with the number 5: pass text"),
        ({"brand": {"$exists": 1}}, r"'brand': \$exists must be True or False, got 1"),
        ({"$and": {"a": 1}}, r"\$and must be a list of filters"),
        ({"$or": [1]}, r"\$or must be a filter.* got 1"),
        ({"$not": 5}, r"\$not must be a filter.* got 5"),
        ([], "where must be a filter"),
        ({"": 1}, "name of an attribute .*, got ''"),
        ({5: 1}, "name of an attribute .*, got 5"),
    ],
)
def test_what_could_never_match_is_refused(where, message):
    with pytest.raises(FilterError, match=message):
        parse_where(where)


def test_nesting_beyond_the_stack_is_a_filter_error():
    where = {}
    for _ in range(5000):
        where = {"$not": where}
    with pytest.raises(FilterError, match="nested too deeply"):
        parse_where(where)


def test_predicate_names_what_it_reads_and_columns_what_there_is():
    where = {"price": 1, "$or": [{"brand": "x"}, {"$not": {"time": {"$exists": True}}}]}
    assert parse_where(where).attributes() == {"price", "brand", "time"}
    assert parse_where({}).attributes() == frozenset()
    assert SHOP.names == {"id", "time", "price", "brand", "tags", "used", "seen", "sizes"}


def test_masks_belong_to_the_caller():
    predicate = parse_where({"brand": {"$exists": True}})
    predicate.mask(SHOP)[:] = False
    assert predicate.mask(SHOP).sum() == 2


def test_numbers_compare_exactly_beyond_the_floats():
    columns = Columns.of([Item(str(n), "t", attributes={"n": n}) for n in (2**53, 2**53 + 1, 2.0**53)])
    assert parse_where({"n": 2**53}).mask(columns).tolist() == [True, False, True]
    assert parse_where({"n": {"$gt": 2**53}}).mask(columns).tolist() == [False, True, False]


def test_times_of_one_zone_compare_by_instant_where_the_clock_is_turned_back():
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=zone)
    second = first.replace(fold=1)  # an hour later, the same on the clock
    columns = Columns.of([Item("1", "t", time=first), Item("2", "t", time=second)])
    assert parse_where({"time": {"$gt": first}}).mask(columns).tolist() == [False, True]
    assert parse_where({"time": second.astimezone(UTC)}).mask(columns).tolist() == [False, True]


def test_no_items():
    columns = Columns.of([])
    assert parse_where({"price": {"$lt": 5}}).mask(columns).shape == (0,)
    assert parse_where({}).mask(columns).shape == (0,)
    assert columns.names == {"id", "time"}


def test_a_range_over_20000_items_takes_less_than_a_millisecond():
    rng = np.random.default_rng(0)
    prices = rng.uniform(0, 100, 20_000)
    columns = Columns.of([Item(str(i), "t", attributes={"price": float(p)}) for i, p in enumerate(prices)])
    predicate = parse_where({"price": {"$gte": 20, "$lt": 40}})
    assert (predicate.mask(columns) == ((prices >= 20) & (prices < 40))).all()
    durations = []
    for _ in range(50):
        start = time.perf_counter()
        predicate.mask(columns)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 1e-3
