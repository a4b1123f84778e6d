"""WANDS, Wayfair's product search: 480 queries over a complete catalogue of 42,994 products.

Source: Chen et al. 2022, "WANDS: Dataset for Product Search Relevance Assessment",
https://github.com/wayfair/WANDS (its clone, the folder dataset/, or the repository's zip).
"""

from __future__ import annotations

from benchmarks.converters.rows import identifier, number, read_table
from benchmarks.converters.source import Source
from benchmarks.converters.writer import Output, split_by_hash
from twotower.ingest.fields import required_text, text

GRADES = {"Exact": 2, "Partial": 1, "Irrelevant": 0}
DEV_SHARE = 0.5  # there is no split, and with 480 queries less would be too noisy to compare on
PRODUCT = (
    "product_id",
    "product_name",
    "product_class",
    "category hierarchy",
    "product_description",
    "product_features",
    "rating_count",
    "average_rating",
    "review_count",
)


def convert(source: Source, output: Output) -> None:
    """Write the catalogue, the queries and their judgements; a query's split is a hash of its words."""
    for row in read_table(source, "product.csv", PRODUCT, delimiter="\t"):
        features = (feature.strip() for feature in text(row, "product_features").split("|"))
        output.document(
            row,
            identifier(row, "product_id"),
            text(row, "product_name"),
            text(row, "product_description"),
            {
                "product_class": text(row, "product_class"),
                "category_hierarchy": text(row, "category hierarchy"),
                "product_features": [feature for feature in features if feature],
                "rating_count": number(row, "rating_count"),
                "average_rating": number(row, "average_rating"),
                "review_count": number(row, "review_count"),
            },
        )
    splits = {}
    for row in read_table(source, "query.csv", ("query_id", "query"), delimiter="\t"):
        query_id, words = identifier(row, "query_id"), required_text(row, "query")
        output.query(row, query_id, words)
        splits[query_id] = split_by_hash(words, DEV_SHARE)
    for row in read_table(source, "label.csv", ("query_id", "product_id", "label"), delimiter="\t"):
        query_id, label = identifier(row, "query_id"), required_text(row, "label")
        if label not in GRADES:
            raise row.error("label", f"{label!r} is none of {', '.join(GRADES)}; repair it")
        output.judge(row, splits.get(query_id, ""), query_id, identifier(row, "product_id"), GRADES[label])
