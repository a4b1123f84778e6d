"""Filters against an oracle that reads one item at a time and knows nothing of columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.recall.filters.columns import Columns
from twotower.recall.filters.where import parse_where
from twotower.types import Item

NAMES = ["a", "b", "c"]
ZONES = [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-3))]

# Few distinct values, so that equalities happen.
texts = st.sampled_from(["", "a", "b", "B", "ab", "中", "1"])
numbers = st.sampled_from([-1, 0, 1, 2, -0.0, 0.5, 1.0, 1e300, 2**53, 2**53 + 1, 2.0**53]) | st.integers(
    -2, 3
)
times = st.builds(
    lambda hours, zone: datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone) + timedelta(hours=hours),
    st.integers(0, 10),
    st.sampled_from(ZONES),
)
scalars = texts | numbers | st.booleans() | times
values = scalars | st.lists(texts, max_size=3) | st.none()
items = st.builds(
    lambda id_, when, attributes: Item(id_, "t", time=when, attributes=attributes),
    st.sampled_from(["a", "b", "ab", "z"]),
    st.none() | times,
    st.dictionaries(st.sampled_from(NAMES), values),
)


def conditions(operands, ordered):
    one = (
        st.fixed_dictionaries({}, optional={"$eq": operands, "$ne": operands})
        | st.fixed_dictionaries({}, optional={name: ordered for name in ("$gt", "$gte", "$lt", "$lte")})
        | st.fixed_dictionaries(
            {}, optional={"$in": st.lists(operands, max_size=4), "$nin": st.lists(operands, max_size=4)}
        )
        | st.fixed_dictionaries({"$exists": st.booleans()})
    ).filter(bool)
    return st.recursive(operands | one, lambda inner: st.fixed_dictionaries({"$not": inner}), max_leaves=2)


leaves = st.fixed_dictionaries(
    {},
    optional={name: conditions(scalars, texts | numbers | times) for name in NAMES}
    | {"id": conditions(texts, texts), "time": conditions(times, times)},
)
filters = st.recursive(
    leaves,
    lambda inner: (
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)})
        | st.tuples(st.fixed_dictionaries({"$not": inner}), leaves).map(lambda pair: pair[0] | pair[1])
    ),
    max_leaves=6,
)


def kind(value):
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def holds(operator, value, operand):
    """One operator on one scalar value that is there."""
    if kind(value) != kind(operand):
        return False
    if isinstance(value, datetime):
        value, operand = value.timestamp(), operand.timestamp()
    match operator:
        case "$eq":
            return value == operand
        case "$gt":
            return value > operand
        case "$gte":
            return value >= operand
        case "$lt":
            return value < operand
        case "$lte":
            return value <= operand


def satisfies(value, condition):
    """One attribute's value, None where missing, against its condition."""
    if not isinstance(condition, dict):
        condition = {"$eq": condition}
    parts = value if isinstance(value, list) else [] if value is None else [value]
    for operator, operand in condition.items():
        match operator:
            case "$exists":
                good = (value is not None) == operand
            case "$not":
                good = not satisfies(value, operand)
            case "$ne":
                good = not satisfies(value, {"$eq": operand})
            case "$in":
                good = any(satisfies(value, {"$eq": choice}) for choice in operand)
            case "$nin":
                good = all(satisfies(value, {"$ne": choice}) for choice in operand)
            case _:
                good = any(holds(operator, part, operand) for part in parts)
        if not good:
            return False
    return True


def selects(where, item):
    for name, operand in where.items():
        match name:
            case "$and":
                good = all(selects(part, item) for part in operand)
            case "$or":
                good = any(selects(part, item) for part in operand)
            case "$not":
                good = not selects(operand, item)
            case "id" | "time":
                good = satisfies(getattr(item, name), operand)
            case _:
                good = satisfies(item.attributes.get(name), operand)
        if not good:
            return False
    return True


@settings(max_examples=5 * settings.default.max_examples)  # fast, and many kinds of filter
@given(batch=st.lists(items, max_size=12), where=filters)
def test_masks_equal_the_oracle(batch, where):
    mask = parse_where(where).mask(Columns.of(batch))
    assert mask.tolist() == [selects(where, item) for item in batch]


@settings(max_examples=5 * settings.default.max_examples)  # fast, and bounds have to be met
@given(
    held=st.lists(values, min_size=1, max_size=12),
    operator=st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]),
    data=st.data(),
)
def test_one_comparison_equals_the_oracle_at_every_bound(held, operator, data):
    parts = [part for value in held for part in (value if isinstance(value, list) else [value])]
    known = [part for part in parts if part is not None and not isinstance(part, bool)]
    operand = data.draw(st.sampled_from(known) if known else texts | numbers | times)
    where = {"a": {operator: operand}}
    batch = [Item("x", "t", attributes={"a": value}) for value in held]
    assert parse_where(where).mask(Columns.of(batch)).tolist() == [selects(where, item) for item in batch]


@given(batch=st.lists(items, max_size=12), first=filters, second=filters)
def test_logic_of_filters_is_logic_of_masks(batch, first, second):
    columns = Columns.of(batch)
    a, b = parse_where(first).mask(columns), parse_where(second).mask(columns)
    assert (parse_where({"$and": [first, second]}).mask(columns) == (a & b)).all()
    assert (parse_where({"$or": [first, second]}).mask(columns) == (a | b)).all()
    assert (parse_where({"$not": first}).mask(columns) == ~a).all()
    unread = Columns.of(batch)
    assert parse_where(first).attributes() <= {"a", "b", "c", "id", "time"}
    assert (parse_where(first).mask(unread) == a).all()


@given(st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=5), min_size=1, max_size=4))
def test_rows_without_items_are_known_after_a_merge(parts):
    """Of each row: whether its item is gone, and whether the merge keeps it."""
    batches = []
    for rows in parts:
        found = [None if gone else Item("a", "A") for gone, _ in rows]
        columns = Columns(len(rows), lambda wanted, found=found: [found[row] for row in wanted])
        assert "id" in columns.names  # reads all of its items
        batches.append((columns, np.flatnonzero([kept for _, kept in rows])))
    gone = [gone for rows in parts for gone, kept in rows if kept]
    joined = Columns.joined(batches, lambda _: [])
    assert joined.missing_rows.tolist() == np.flatnonzero(gone).tolist()
