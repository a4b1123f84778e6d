"""Amounts of money and times as shops write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from twotower.errors import CatalogueError
from twotower.ingest import ReadOptions, items_from, read_catalogue
from twotower.ingest.numbers import amount, decimals
from twotower.ingest.times import moment


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("$1,299.00", None, 1299.0),
        ("1.299,00 €", None, 1299.0),
        ("¥6999", None, 6999),
        ("￥６，９９９．５０", None, 6999.5),
        ("-$5", None, -5),
        ("EUR 15", None, 15),
        ("15.00 eur", None, 15.0),
        ("99元", None, 99),
        ("1\u202f299,50 €", ",", 1299.5),
        ("CHF 1’299.50", ".", 1299.5),
        ("$1,299", ".", 1299),
        ("$1,299", ",", 1.299),
        ("$1,299", None, None),  # a thousand or one and a bit
        ("BMW 320", None, None),
        ("15%", None, 15),
        ("$", None, None),
        ("1.2.3", None, None),
    ],
)
def test_an_amount_may_name_its_currency(text, decimal, value):
    found = amount(text, decimal)
    assert (None if found is None else found.value) == value


def test_the_decimal_marks_that_would_do():
    assert decimals("1,299") == ".,"
    assert decimals("1.299.000") == ","
    assert decimals("$5") == decimals("cheap") == ""


CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026/3/1", datetime(2026, 2, 28, 16, tzinfo=UTC)),
        ("2026年3月1日", datetime(2026, 2, 28, 16, tzinfo=UTC)),
        ("2026-3-1 8:05", datetime(2026, 3, 1, 0, 5, tzinfo=UTC)),
        ("2026.03.01 18:05:07", datetime(2026, 3, 1, 10, 5, 7, tzinfo=UTC)),
        ("2026-03-01T08:05:00Z", datetime(2026, 3, 1, 8, 5, tzinfo=UTC)),
    ],
)
def test_a_time_that_begins_with_its_year_is_read_however_it_is_separated(text, value):
    assert moment(text, CHINA) == value


@pytest.mark.parametrize("text", ["31.12.2025", "12/31/2025", "2026/13/1", "2026年2月30日"])
def test_other_times_are_refused(text):
    with pytest.raises(ValueError, match="write it like 2026-01-31T08:00:00Z"):
        moment(text, CHINA)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        ("9999-12-31T23:59:59", "America/New_York"),
        ("0001-01-01", "Asia/Tokyo"),
    ],
)
def test_a_time_beyond_the_calendar_is_the_error_of_its_row(text, zone):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        moment(text, ZoneInfo(zone))
    bad = []
    rows = [{"id": "a", "title": "cup", "time": text}, {"id": "b", "title": "cup", "time": "2026-01-01"}]
    assert [item.id for item in items_from(rows, ReadOptions(timezone=zone), bad=bad)] == ["b"]
    assert "row 0" in str(bad[0])


def test_prices_with_currencies_are_numbers_once_they_are_declared(tmp_path):
    file = tmp_path / "items.csv"
    file.write_text('id,title,price\na,phone,"$1,299.00"\nb,cup,$5\nc,pen,¥12\n', encoding="utf-8")
    items = list(read_catalogue(file, options=ReadOptions(types={"price": "number"})))
    assert [item.attributes["price"] for item in items] == [1299.0, 5, 12]
    file.write_text('id,title,price\na,phone,"1,299"\n', encoding="utf-8")
    with pytest.raises(CatalogueError, match="set decimal to a point or a comma"):
        list(read_catalogue(file, options=ReadOptions(types={"price": "number"})))
