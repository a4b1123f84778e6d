"""Prices and dates as spreadsheets and shops write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from catalogues import lines

from twotower.errors import CatalogueError
from twotower.ingest import Catalogue, ReadOptions, read_catalogue


def shop(write, name, cells):
    rows = "".join(f'{number},t,"{cell}"\n' for number, cell in enumerate(cells))
    return write("shop.csv", f"id,title,{name}\n{rows}")


def prices(write, cells, **options):
    items = read_catalogue(shop(write, "price", cells), ReadOptions(**options))
    return [item.attributes.get("price") for item in items]


def notes(write, cells, **options):
    return "".join(
        list(Catalogue.of_file(shop(write, "price", cells), ReadOptions(**options)).columns.lines())[1:]
    )


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("$1,299.00", 1299),
        ("¥6999", 6999),
        ("¥1,299.00", 1299),
        ("￥６９９９", 6999),
        ("1 299,00", 1299),
        ("1\u202f299,00 €", 1299),
        ("1\u00a0299.50", 1299.5),
        ("1.299,00 €", 1299),
        ("15.00 EUR", 15),
        ("EUR 15", 15),
        ("15EUR", 15),
        ("US$ 15.5", 15.5),
        ("-$5", -5),
        ("$-5", -5),
        ("−5", -5),
        ("CHF 1’299.50", 1299.5),
        ("₹1,29,999", 129_999),
        ("6999元", 6999),
        ("15%", 15),
    ],
)
def test_a_column_declared_a_number_takes_prices_of_every_notation(write, cell, value):
    assert prices(write, [cell], types={"price": "number"}) == [value]


@pytest.mark.parametrize("cell", ["$", "EUR", "$5$", "5 XQZ 3", "1,2,3", "$1.2.3", "5²", "--5", "five"])
def test_what_is_no_number_is_an_error_of_its_row(write, cell):
    with pytest.raises(CatalogueError, match="line 2, field 'price'"):
        prices(write, [cell], types={"price": "number"})


def test_prices_in_one_currency_are_numbers_and_the_report_says_so(write):
    cells = ["$1,299.00", "$12,500", "$5", "7", "n/a"]
    assert prices(write, cells) == [1299, 12_500, 5, 7, None]
    assert "price: number, $ left out; 1 value such as 'n/a'" in notes(write, cells)
    with pytest.raises(CatalogueError, match="line 5, field 'price': 'call us' is not a number"):
        prices(write, ["$5", "$6", "$7", "call us"])


def test_several_currencies_in_a_column_are_told(write):
    assert prices(write, ["$5", "€6"]) == ["$5", "€6"]
    assert "in several currencies, $ and €" in notes(write, ["$5", "€6"])
    assert prices(write, ["$5", "€6"], types={"price": "number"}) == [5, 6]
    assert "in several currencies, which are left out: $ and €" in notes(
        write, ["$5", "€6"], types={"price": "number"}
    )


def test_thousands_that_could_be_fractions_are_told_with_what_to_pass(write):
    assert prices(write, ["1.299", "12.500"]) == [1.299, 12.5]
    assert "'1.299' is read as 1.299: set decimal to a comma if" in notes(write, ["1.299", "12.500"])
    assert prices(write, ["1.299", "12.500"], decimal=",") == [1299, 12_500]
    assert notes(write, ["1.299", "12.500"], decimal=",") == notes(write, ["1.299", "12.5"]) == ""
    assert "set decimal to a point if '1,299' is 1299, or to a comma if it is 1.299" in notes(
        write, ["1,299", "12,500"]
    )
    assert "set decimal to a point if '€1.299' is 1.299" in notes(write, ["€1.299", "€12.500"])
    with pytest.raises(
        CatalogueError, match=r"'1,299' is not a number, as declared: .* set decimal to a point or a"
    ):
        prices(write, ["1,299", "12,500"], types={"price": "number"})
    assert prices(write, ["1,299", "12,500.5"], types={"price": "number"}) == [1299, 12_500.5]
    assert prices(write, ["1.299", "12,5"], types={"price": "number"}) == [1299, 12.5]


@pytest.mark.parametrize(
    ("cell", "dates", "hour"),
    [
        ("2026/3/1", None, 0),
        ("2026-3-1 8:05", None, 8),
        ("2026.03.01", None, 0),
        ("2026年3月1日", None, 0),
        ("2026年3月1日 8时05分", None, 8),
        ("1.3.2026", "day-first", 0),
        ("01/03/2026 08:05", "day-first", 8),
        ("3/1/2026 8:05 PM", "month-first", 20),
        ("03-01-2026 12:05 AM", "month-first", 0),
    ],
)
def test_dates_of_spreadsheets_are_times(write, cell, dates, hour):
    options = ReadOptions(timezone="UTC", dates=dates, types={"seen": "time"})
    path = write("shop.csv", f"id,title,released,seen\n1,a,{cell},{cell}\n")
    (item,) = read_catalogue(path, options)
    assert (
        item.time
        == item.attributes["seen"]
        == datetime(2026, 3, 1, hour, 5 if ":" in cell or "分" in cell else 0, tzinfo=UTC)
    )


@pytest.mark.parametrize("cell", ["31.12.2025", "12/31/2025", "1/2/2026 8:05"])
def test_dates_of_unknown_order_are_errors_that_say_what_to_declare(write, cell):
    for name, options in (("released", ReadOptions()), ("seen", ReadOptions(types={"seen": "time"}))):
        with pytest.raises(CatalogueError, match=r"declare dates day-first or month-first"):
            list(read_catalogue(write("shop.csv", f"id,title,{name}\n1,a,{cell}\n"), options))


@pytest.mark.parametrize(
    "text", ["2026/13/1", "2026-3-32", "2026/3/1x", "2026年3月1日 25:00", "1.13.2026", "3-1/2026"]
)
def test_dates_that_are_none_are_refused(write, text):
    with pytest.raises(CatalogueError, match="is not a"):
        list(
            read_catalogue(
                write("shop.csv", f"id,title,time\n1,a,{text}\n"),
                ReadOptions(dates="day-first", timezone="UTC"),
            )
        )


@pytest.mark.parametrize("name", ["time", "seen"])
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        ("9999-12-31T23:59:59", "America/New_York"),
        ("0001-01-01", "Asia/Tokyo"),
        ("0001-01-01T00:00:00+09:00", None),
        ("9999-12-31T23:59:59-05:00", None),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_times_beyond_the_calendar_are_errors_of_their_rows(write, name, text, zone, suffix):
    content = {
        "csv": f"id,title,{name}\n1,a,{text}\n2,b,2026-01-01T00:00:00Z\n",
        "jsonl": lines(
            {"id": "1", "title": "a", name: text}, {"id": "2", "title": "b", name: "2026-01-01T00:00:00Z"}
        ),
    }[suffix]
    bad: list[CatalogueError] = []
    options = ReadOptions(timezone=zone, types={} if name == "time" else {name: "time"})
    items = list(read_catalogue(write(f"shop.{suffix}", content), options, bad=bad))
    assert [item.id for item in items] == ["2"]
    (error,) = bad
    assert f"field '{name}': " in str(error)
