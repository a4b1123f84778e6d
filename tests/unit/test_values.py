"""Every type of value means the same in an item and in a filter, in memory and in a store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum

import numpy as np
import pandas as pd
import pytest
from fakes import HashEncoder

from twotower import Item, Retriever
from twotower.values import plain

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Size(StrEnum):
    SMALL = "small"


class Grade(IntEnum):
    HIGH = 3


class Season(Enum):
    SUMMER = date(2026, 6, 1)


class Brand(str):
    pass


MEANINGS = [
    (np.float64(0.5), 0.5),
    (np.float32(0.5), 0.5),
    (np.float32(3.3), 3.3),  # its shortest decimal, as in files
    (np.array([19.99, 0.1], dtype=np.float32), [19.99, 0.1]),
    (np.longdouble(2), 2.0),
    (np.int64(2**62), 2**62),
    (np.uint8(7), 7),
    (np.bool_(True), True),
    (np.str_("Acme"), "Acme"),
    (np.array(5), 5),
    (Decimal("19.99"), 19.99),
    (Decimal("12345678901234567890"), 12345678901234567890),
    (Decimal("1E+2"), 100),
    (date(2026, 6, 1), NOW),
    (pd.Timestamp("2026-06-01T08:00:00.123456789+08:00"), NOW.replace(microsecond=123456)),
    (np.datetime64("2026-06-01"), NOW),
    (Size.SMALL, "small"),
    (Grade.HIGH, 3),
    (Season.SUMMER, NOW),
    (Brand("Acme"), "Acme"),
]
LISTS = [
    (("a", "b"), ["a", "b"]),
    (np.array([36.0, 37.5]), [36.0, 37.5]),
    ([np.int64(1), Decimal("2.5"), Grade.HIGH], [1, 2.5, 3]),
    ([1, None, 2], [1, 2]),
    (range(3), [0, 1, 2]),
    ([date(2026, 6, 1), Size.SMALL, True], [NOW, "small", True]),
]


def types_of(value):
    return [type(part) for part in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(("value", "meaning"), MEANINGS + LISTS)
def test_a_value_has_one_meaning(value, meaning):
    assert plain(value) == meaning
    assert types_of(plain(value)) == types_of(meaning)
    assert plain(meaning) == meaning


@pytest.mark.parametrize(
    "value", [b"x", {"a"}, {"a": 1}, 1j, object, np.datetime64("NaT"), pd.NaT, pd.NA, timedelta(1)]
)
def test_what_has_no_meaning_is_left_to_be_refused(value):
    assert plain(value) is value


@pytest.mark.parametrize("stored", [False, True])
def test_items_and_filters_agree_on_every_value(tmp_path, stored):
    opened = (lambda: Retriever.open(tmp_path / "s", encoder=HashEncoder())) if stored else None
    retriever = opened() if opened else Retriever(HashEncoder())
    pairs = MEANINGS + LISTS
    retriever.upsert([Item(f"{n}", "mug", attributes={f"a{n}": value}) for n, (value, _) in enumerate(pairs)])
    if opened:
        retriever.close()
        retriever = opened()
    for number, (value, meaning) in enumerate(pairs):
        kept = retriever.get(f"{number}").attributes[f"a{number}"]
        assert kept == meaning
        assert types_of(kept) == types_of(meaning)
        wanted = list(value) if isinstance(meaning, list) else [value]
        for operand in [*wanted, *(meaning if isinstance(meaning, list) else [meaning])]:
            if operand is not None:
                hits = retriever.search("mug", where={f"a{number}": operand}, now=NOW)
                assert [hit.id for hit in hits] == [f"{number}"], operand
                hits = retriever.search("mug", where={f"a{number}": {"$in": [operand]}}, now=NOW)
                assert [hit.id for hit in hits] == [f"{number}"], operand
    retriever.close()


def test_the_caller_may_change_what_was_given_and_the_index_stays(tmp_path):
    for retriever in (Retriever(HashEncoder()), Retriever.open(tmp_path / "s", encoder=HashEncoder())):
        sizes, tags = np.array([36, 37]), ["red"]
        attributes = {"sizes": sizes, "tags": tags, "price": 5}
        retriever.upsert([Item("a", "mug", attributes=attributes), Item("b", "mug", attributes={"price": 6})])
        change = {"colours": ["blue"]}
        retriever.update({"b": change})
        sizes[0] = 50
        tags.append("green")
        attributes["price"] = 99
        change["colours"].append("green")
        assert retriever.get("a").attributes == {"sizes": [36, 37], "tags": ["red"], "price": 5}
        for where, found in (
            ({"sizes": 50}, []),
            ({"sizes": 36}, ["a"]),
            ({"tags": "green"}, []),
            ({"price": 99}, []),
            ({"colours": "green"}, []),
            ({"colours": "blue"}, ["b"]),
        ):
            assert [hit.id for hit in retriever.search("mug", where=where, now=NOW)] == found
        retriever.close()


def test_times_in_one_zone_and_another_are_the_same_moment():
    eastern = datetime(2026, 6, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    retriever = Retriever(HashEncoder())
    retriever.upsert([Item("a", "mug", time=date(2026, 6, 1), attributes={"seen": pd.Timestamp(eastern)})])
    assert retriever.get("a").time == NOW
    for operand in (NOW, eastern, pd.Timestamp(NOW), date(2026, 6, 1), np.datetime64("2026-06-01")):
        for name in ("seen", "time"):
            assert len(retriever.search("mug", where={name: {"$lte": operand}}, now=NOW)) == 1
            assert len(retriever.search("mug", where={name: {"$lt": operand}}, now=NOW)) == 0
