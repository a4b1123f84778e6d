"""Online Retail: every line of the invoices of a UK gift shop, 2010-12-01 to 2011-12-09.

Source: Chen, Sain & Guo 2012, https://archive.ics.uci.edu/dataset/352/online+retail (the .xlsx or its zip), or any
CSV copy of it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from statistics import median
from typing import NamedTuple

from benchmarks.converters.rows import (
    identifier,
    read_table,
    required_number,
    required_whole,
    utf_8_or_latin_1,
)
from benchmarks.converters.source import Source
from benchmarks.converters.spreadsheet import read_spreadsheet
from benchmarks.converters.writer import Interaction, Output
from twotower.errors import CatalogueError
from twotower.ingest.fields import required_text, text
from twotower.ingest.row import Row

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
DEV = int(datetime(2011, 10, 1, tzinfo=UTC).timestamp())
TEST = int(datetime(2011, 11, 1, tzinfo=UTC).timestamp())
PRODUCT_CODE = re.compile(r"\d{5}[A-Za-z]*")
DATES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M")


class Sale(NamedTuple):
    """One kept line of an invoice."""

    seconds: int
    user: str
    item: str
    title: str
    quantity: int
    price: float
    invoice: str


def convert(source: Source, output: Output) -> None:
    """Write purchases: train before 2011-10-01, dev in October, test after it; the shop's clock is taken as UTC.

    Title (the most frequent), median price and first sale of a product use only sales before the test period
    where it has any, so that evaluation on dev and test does not look ahead further than one month.
    """
    # Sorting is stable: lines of one time stay in the file's order.
    sales = sorted(_sales(_rows(source), output), key=lambda sale: sale.seconds)
    place = Row(str(source.path), {})
    known = _by_item(sale for sale in sales if sale.seconds < TEST)
    late = _by_item(sale for sale in sales if sale.seconds >= TEST)
    for item, lines in sorted((late | known).items()):
        first = datetime.fromtimestamp(lines[0].seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        titles = Counter(line.title for line in lines if line.title)
        output.document(
            place,
            item,
            titles.most_common(1)[0][0] if titles else "",
            metadata={
                "price": float(round(median(line.price for line in lines), 4)),
                "first_seen": first,
                "time": first,
            },
        )
    for split, start, end in (("train", 0, DEV), ("dev", DEV, TEST), ("test", TEST, 2**63)):
        output.interactions(
            place,
            split,
            (
                Interaction(
                    sale.user, sale.item, sale.seconds, "purchase", sale.quantity, sale.price, sale.invoice
                )
                for sale in sales
                if start <= sale.seconds < end
            ),
        )


def _by_item(sales: Iterable[Sale]) -> dict[str, list[Sale]]:
    found: dict[str, list[Sale]] = defaultdict(list)
    for sale in sales:
        found[sale.item].append(sale)
    return dict(found)


def _sales(rows: Iterable[Row], output: Output) -> Iterator[Sale]:
    for row in rows:
        invoice, item = identifier(row, "InvoiceNo"), identifier(row, "StockCode")
        quantity, price = required_whole(row, "Quantity"), required_number(row, "UnitPrice")
        seconds = _seconds(row)
        if reason := _unwanted(row, invoice, item, quantity, price):
            output.notes[f"lines {reason}, left out"] += 1
            continue
        user = identifier(row, "CustomerID")
        yield Sale(seconds, user, item, text(row, "Description"), quantity, price, invoice)


def _unwanted(row: Row, invoice: str, item: str, quantity: float, price: float) -> str:
    if "CustomerID" not in row.values:
        return "without a customer"
    if invoice.upper().startswith("C"):
        return "of a cancellation"
    if quantity <= 0 or price <= 0:
        return "with a quantity or price of 0 or less"
    return "" if PRODUCT_CODE.fullmatch(item) else "whose code is no product's, such as postage"


def _seconds(row: Row) -> int:
    cell = required_text(row, "InvoiceDate")
    seconds = _parsed(cell)
    if seconds is None:
        advice = "write it like 2010-12-01 08:26:00, or 12/1/2010 8:26 (month first)"
        raise row.error("InvoiceDate", f"{cell!r} is no known time; {advice}")
    return seconds


@cache  # the lines of an invoice share their time
def _parsed(cell: str) -> int | None:
    for form in DATES:
        try:
            return int(datetime.strptime(cell, form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None


def _rows(source: Source) -> Iterator[Row]:
    for suffix in (".csv", ".xlsx"):
        names = [name for name in source.names() if name.lower().removesuffix(".zip").endswith(suffix)]
        if len(names) > 1:
            raise CatalogueError(
                f"{source.path} has several files: {', '.join(names)}; leave only the original."
            )
        if names and suffix == ".csv":
            return read_table(source, names[0].removesuffix(".zip"), COLUMNS, decode=utf_8_or_latin_1)
        if names:
            return read_spreadsheet(source, names[0].removesuffix(".zip"), COLUMNS)
    raise CatalogueError(f"{source.path} has no .csv or .xlsx file; give the folder or zip of Online Retail.")
