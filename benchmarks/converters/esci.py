"""ESCI, Amazon's Shopping Queries: English, Spanish or Japanese.

Source: Reddy et al. 2022, "Shopping Queries Dataset: A Large-Scale ESCI Benchmark for Improving Product Search",
https://github.com/amazon-science/esci-data, folder shopping_queries_dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.converters.rows import watched
from benchmarks.converters.source import Source
from benchmarks.converters.writer import Output
from twotower.errors import CatalogueError
from twotower.ingest.fields import required_text, text
from twotower.ingest.formats import read_rows
from twotower.ingest.row import Row

EXAMPLES = "shopping_queries_dataset_examples.parquet"
PRODUCTS = "shopping_queries_dataset_products.parquet"
GRADES = {"E": 3, "S": 2, "C": 1, "I": 0}  # exact, substitute, complement, irrelevant
LOCALES = ("us", "es", "jp")
VERSIONS = ("small", "large")
SPLITS = ("train", "test")
EXAMPLE = (
    "query_id",
    "query",
    "product_id",
    "product_locale",
    "esci_label",
    "small_version",
    "large_version",
    "split",
)
PRODUCT = (
    "product_id",
    "product_title",
    "product_description",
    "product_bullet_point",
    "product_brand",
    "product_color",
    "product_locale",
)


def convert(source: Source, output: Output, *, locale: str = "us", version: str = "small") -> None:
    """Write one locale of one version, with its own splits.

    Args:
        source: a folder.
        output: where to; the corpus is what the version judges.
        locale: "us", "es" or "jp".
        version: "small" is the ranking task's, "large" has easy queries, too.
    """
    judged = {required_text(row, "product_id") for row in _examples(source, locale, version)}
    for row in _rows(source, PRODUCTS, PRODUCT, locale):
        product_id = required_text(row, "product_id")
        if product_id in judged:
            parts = (text(row, column).strip() for column in ("product_description", "product_bullet_point"))
            output.document(
                row,
                product_id,
                text(row, "product_title").strip(),
                "\n".join(part for part in parts if part),
                {
                    "brand": text(row, "product_brand").strip(),
                    "color": text(row, "product_color").strip(),
                    "locale": locale,
                },
            )
    for row in _examples(source, locale, version):
        query_id, label, split = (
            str(row.values.get("query_id", "")),
            text(row, "esci_label"),
            text(row, "split"),
        )
        if label not in GRADES:
            raise row.error("esci_label", f"{label!r} is none of {', '.join(GRADES)}; give the original")
        if split not in SPLITS:
            raise row.error("split", f"{split!r} is none of {', '.join(SPLITS)}; give the original")
        output.query(row, query_id, required_text(row, "query").strip())
        output.judge(row, split, query_id, required_text(row, "product_id"), GRADES[label])


def _examples(source: Source, locale: str, version: str) -> Iterator[Row]:
    rows = _rows(source, EXAMPLES, EXAMPLE, locale)
    return (row for row in rows if row.values.get(f"{version}_version") == 1)


def _rows(source: Source, name: str, columns: tuple[str, ...], locale: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = source.file(name)
    try:
        there = pq.read_schema(path).names
    except pa.ArrowException as error:
        raise CatalogueError(f"{path} cannot be read as Parquet ({error}); download it again.") from None
    for column in columns:
        if column not in there:
            raise CatalogueError(f"{path} has no column {column!r}; give the original file.")
    return (row for row in watched(read_rows(path), name) if row.values.get("product_locale") == locale)
