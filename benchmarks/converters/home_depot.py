"""Home Depot Product Search Relevance: customers' queries with products graded by several raters.

Source: the Kaggle competition of 2016, https://www.kaggle.com/c/home-depot-product-search-relevance/data; only
train.csv has grades.
"""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.converters.rows import identifier, read_table, required_number, utf_8_or_latin_1
from benchmarks.converters.source import Source
from benchmarks.converters.writer import Output, split_by_hash
from twotower.ingest.fields import required_text, text
from twotower.ingest.row import Row

DEV_SHARE = 0.1
BRAND = "MFG Brand Name"


def convert(source: Source, output: Output) -> None:
    """Write the judged products and queries; a query is its words, numbered as they first come."""
    rows = list(
        read_table(
            source,
            "train.csv",
            ("product_uid", "product_title", "search_term", "relevance"),
            decode=utf_8_or_latin_1,
        )
    )
    titles: dict[str, tuple[Row, str]] = {}
    for row in rows:
        titles.setdefault(identifier(row, "product_uid"), (row, text(row, "product_title")))
    descriptions = _descriptions(source, titles.keys())
    attributes = _attributes(source, titles.keys(), output)
    for product_id, (row, title) in titles.items():
        attrs = attributes.get(product_id, {})
        output.document(
            row,
            product_id,
            title,
            descriptions.get(product_id, ""),
            {"brand": attrs.get(BRAND), "attrs": attrs},
        )
    numbers: dict[str, str] = {}
    for row in rows:
        words = required_text(row, "search_term")
        query_id = numbers.setdefault(words, str(len(numbers)))
        output.query(row, query_id, words)
        relevance = required_number(row, "relevance")
        if not 1 <= relevance <= 3:
            raise row.error("relevance", f"{relevance} is not between 1 and 3; repair it")
        # A mean of 1 .. 3 becomes 0 .. 6; halves go to the even grade.
        grade = round((relevance - 1) * 3)
        output.judge(row, split_by_hash(words, DEV_SHARE), query_id, identifier(row, "product_uid"), grade)


def _descriptions(source: Source, products: Collection[str]) -> dict[str, str]:
    columns = ("product_uid", "product_description")
    rows = read_table(source, "product_descriptions.csv", columns, decode=utf_8_or_latin_1)
    found = ((identifier(row, "product_uid"), text(row, "product_description")) for row in rows)
    return {product_id: words for product_id, words in found if product_id in products}


def _attributes(source: Source, products: Collection[str], output: Output) -> dict[str, dict[str, str]]:
    attributes: dict[str, dict[str, str]] = {}
    for row in read_table(
        source, "attributes.csv", ("product_uid", "name", "value"), decode=utf_8_or_latin_1
    ):
        if len({"product_uid", "name", "value"} & row.values.keys()) < 3:
            output.notes["rows of attributes.csv with an empty cell, left out"] += 1
            continue
        product_id = identifier(row, "product_uid")
        if product_id in products:
            known = attributes.setdefault(product_id, {})
            output.notes["attributes that a product had before, left out"] += row.values["name"] in known
            known.setdefault(row.values["name"], row.values["value"])
    return attributes
