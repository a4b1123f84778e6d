"""Filters over a whole index: one answer whatever happened before, other types of operand, misspellings told."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st
from shops import ids

from twotower import IndexPolicy, Item, Retriever
from twotower.errors import FilterError, FilterWarning

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GOODS = [
    Item("a", "red shoe", attributes={"price": 100, "brand": "DELL", "new": True, "tags": ["red", "wide"]}),
    Item("b", "blue shoe", attributes={"price": 99.5, "brand": "HP", "new": False, "tags": ["blue"]}),
    Item("c", "green shoe", attributes={"price": 7, "brand": "Dellano", "seen": NOON, "tags": []}),
]


def shop(items=GOODS, **settings):
    retriever = Retriever(HashEncoder(), **settings)
    retriever.upsert(items)
    return retriever


def found(retriever, where):
    """The ids that match, in one string; what the error says."""
    try:
        return "".join(sorted(ids(retriever.search("shoe", k=99, where=where))))
    except FilterError as error:
        return str(error)


class Price(Enum):
    HUNDRED = 100


CONVERTED = [
    ({"price": "100"}, "a"),
    ({"price": {"$lt": "99.75"}}, "bc"),
    ({"price": {"$in": ["100", 7]}}, "ac"),
    ({"price": {"$ne": "100"}}, "bc"),
    ({"price": Decimal("99.50")}, "b"),
    ({"price": np.float32(99.5)}, "b"),
    ({"price": np.int64(100)}, "a"),
    ({"price": Price.HUNDRED}, "a"),
    ({"new": 1}, "a"),
    ({"new": {"$ne": 1}}, "bc"),
    ({"new": 0}, "b"),
    ({"new": "true"}, "a"),
    ({"new": np.False_}, "b"),
    ({"seen": "2026-01-01T13:00:00+01:00"}, "c"),
    ({"seen": {"$gte": "2026-01-01T12:00:00Z"}}, "c"),
    ({"tags": {"$all": ["wide", "red"]}}, "a"),
    ({"$not": {"$or": [{"price": "7"}, {"new": 1}]}}, "b"),
]


@pytest.mark.parametrize(("where", "expected"), CONVERTED)
def test_an_operand_of_another_type_is_converted_where_that_is_exact(where, expected):
    assert found(shop(), where) == expected


REFUSED = [
    ({"price": "1.299,00"}, "'price': its values are numbers .* the text '1.299,00': pass a number"),
    ({"price": {"$lt": "cheap"}}, "pass a number"),
    ({"price": "1e999"}, "pass a number"),
    ({"price": "٣"}, "pass a number"),
    ({"price": True}, "'price': its values are numbers and do not compare with the boolean True"),
    ({"price": NOON}, "do not compare with the time 2026-01-01T12:00:00"),
    ({"brand": 5}, "'brand': its values are text .* the number 5: pass text"),
    ({"new": 2}, "'new': its values are booleans .* the number 2: pass True or False"),
    ({"new": {"$gt": 0}}, r"'new': \$gt cannot order booleans"),
    ({"seen": "2026-01-01"}, "'seen': its values are times .* pass an aware datetime"),
    ({"seen": datetime(2026, 1, 1)}, "no time zone"),
    ({"$or": [{"brand": "HP"}, {"$not": {"tags": {"$nin": [3]}}}]}, "'tags': its values are text"),
]


@pytest.mark.parametrize(("where", "message"), REFUSED)
def test_an_operand_that_can_match_nothing_is_refused_with_the_attribute_s_type(where, message):
    with pytest.raises(FilterError, match=message) as refused:
        shop().search("shoe", where=where)
    assert len(str(refused.value)) < 500


def test_values_of_several_types_compare_with_their_own():
    retriever = shop([*GOODS, Item("d", "old shoe", attributes={"price": "100"})])
    assert found(retriever, {"price": "100"}) == "d"
    assert found(retriever, {"price": 100}) == "a"
    assert "its values are numbers and text" in found(retriever, {"price": True})


ABSENT = [
    ({"discount": 5}, ""),
    ({"discount": {"$gt": "x"}}, ""),
    ({"discount": {"$exists": True}}, ""),
    ({"discount": {"$exists": False}}, "abc"),
    ({"discount": {"$ne": 5}}, "abc"),
    ({"discount": {"$nin": [5, "x"]}}, "abc"),
    ({"discount": {"$not": {"$gte": 5}}}, "abc"),
    ({"$not": {"discount": 5}}, "abc"),
    ({"$or": [{"discount": 5}, {"brand": "HP"}]}, "b"),
    ({"discount": {"$all": [5]}}, ""),
]


def never(folder):
    return shop()


def ended(folder):
    retriever = shop([Item("x", "red shoe", attributes={"discount": 5}), *GOODS])
    assert found(retriever, {"discount": 5}) == "x"
    retriever.delete(["x"])
    return retriever


def reopened(folder):
    with Retriever.open(folder, encoder=HashEncoder()) as retriever:
        retriever.upsert([Item("x", "red shoe", attributes={"discount": 5}), *GOODS])
        retriever.delete(["x"])
    return Retriever.open(folder, encoder=HashEncoder(), read_only=True)


@pytest.mark.filterwarnings("ignore::twotower.errors.FilterWarning")
@pytest.mark.parametrize("history", [never, ended, reopened])
@pytest.mark.parametrize(("where", "expected"), ABSENT)
def test_an_attribute_that_no_item_has_gives_one_answer_whatever_happened_before(
    tmp_path, history, where, expected
):
    retriever = history(tmp_path / "store")
    assert found(retriever, where) == expected
    assert "".join(sorted(item.id for item in retriever.items(where))) == expected


values = st.none() | st.sampled_from([1, 0, 2.5, True, "1", "x", NOON, ["x"]])
shops_ = st.lists(values, max_size=5)
operands = st.sampled_from([1, 0, "1", "x", True, NOON, NOON.isoformat(), "true"])
wheres = st.builds(
    lambda operator, operand: {
        "a": {operator: [operand] if operator in ("$in", "$nin", "$all") else operand}
    },
    st.sampled_from(["$eq", "$ne", "$in", "$nin", "$all", "$gt", "$lte"]),
    operands,
) | st.builds(lambda wanted: {"a": {"$exists": wanted}}, st.booleans())


@pytest.mark.filterwarnings("ignore::twotower.errors.FilterWarning")
@given(kept=shops_, gone=shops_, where=wheres, graph=st.booleans())
def test_what_was_deleted_changes_no_answer(kept, gone, where, graph):
    def goods(some, prefix):
        return [Item(f"{prefix}{n}", "shoe", attributes={"a": value}) for n, value in enumerate(some)]

    index = IndexPolicy(exact_up_to=2 if graph else 1_000)
    fresh, used = (Retriever(HashEncoder(), index=index) for _ in range(2))
    fresh.upsert(goods(kept, "k"))
    used.upsert(goods(gone, "g") + goods(kept, "k"))
    used.delete([f"g{n}" for n in range(len(gone))])
    assert found(used, where) == found(fresh, where)
    used.maintenance.compact()
    assert found(used, where) == found(fresh, where)


def test_the_type_of_a_value_that_was_deleted_does_not_count():
    retriever = shop([*GOODS, Item("d", "old shoe", attributes={"price": "unknown"})])
    assert found(retriever, {"price": "100"}) == ""
    retriever.delete(["d"])
    assert [len(part.segment) - part.size for part in retriever._corpus.snapshot.parts] == [1]
    assert found(retriever, {"price": "100"}) == "a"


def test_lists_of_numbers_hold_if_one_of_them_does():
    sizes = {"a": [40, 42], "b": [38.5], "c": []}
    retriever = shop([Item(item_id, "shoe", attributes={"sizes": each}) for item_id, each in sizes.items()])
    assert found(retriever, {"sizes": 42}) == "a"
    assert found(retriever, {"sizes": {"$all": ["42", 40]}}) == "a"
    assert found(retriever, {"sizes": {"$gt": 38, "$lt": 39}}) == "b"
    assert found(retriever, {"sizes": {"$exists": True}}) == "abc"
    assert "its values are numbers" in found(retriever, {"sizes": "large"})


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"prise": 5}, "no item has the attribute 'prise': did you mean 'price'"),
        ({"PRICE": {"$lt": 5}}, "no item has the attribute 'PRICE': did you mean 'price'"),
        ({"$not": {"zzz": 5}}, "no item has the attribute 'zzz': the attributes are brand, id, new, price"),
        ({"brand": "Dell"}, "no item has the brand 'Dell': did you mean 'DELL'"),
        ({"brand": {"$in": ["HP", "Delano"]}}, "no item has the brand 'Delano': did you mean 'Dellano'"),
        ({"tags": {"$ne": "Red"}}, "no item has the tags 'Red': did you mean 'red'"),
    ],
)
def test_a_misspelling_warns_once(where, words):
    retriever = shop()
    with pytest.warns(FilterWarning, match=words) as told:
        retriever.search("shoe", where=where)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retriever.search("shoe", where=where)
        retriever.search_batch(["shoe", "red"], where={"$and": [where, {"price": {"$gt": 0}}]})
        retriever.upsert([Item("z", "zebra shoe")])
        retriever.search("shoe", where=where)


@pytest.mark.parametrize(
    "where",
    [
        {"brand": "Nokia"},
        {"brand": {"$in": ["DELL", "HP"]}},
        {"id": "A"},
        {"discount": 5},
        {"brand": {"$lt": "Dell"}},
    ],
)
def test_a_value_without_similar_ones_does_not_warn(where):
    retriever = ended(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retriever.search("shoe", where=where)


def test_a_text_that_only_a_deleted_item_had_is_not_suggested():
    retriever = shop()
    retriever.delete(["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retriever.search("shoe", where={"brand": "dell"})
