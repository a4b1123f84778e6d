"""Fashion Product Images of Myntra: photos with short titles and clean attributes.

Source: https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset (or -small), extracted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.converters.rows import number, read_table
from benchmarks.converters.source import Source
from benchmarks.converters.writer import Output, split_by_hash
from twotower.errors import CatalogueError
from twotower.ingest.fields import required_text, text
from twotower.ingest.row import Row

NAMES = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year", "usage")
UNKNOWN = ("", "NA")  # both stand for a missing attribute
DEV_SHARE = 0.2
LEAST_ITEMS = 3  # of a combination in dev that becomes a query
MAX_PHOTO_BYTES = 64 * 2**20
MISSING = "products whose photo is missing, kept without one"
SAME_PHOTO = "products whose photo repeats an earlier one byte for byte, left out"
Combination = tuple[str, str, str]


def convert(source: Source, output: Output) -> None:
    """Write the products, their photos, and queries made from attributes, judged completely over the dev products.

    The attribute "split" of a product is a hash of its id.
    """
    styles = source.file("styles.csv")
    photos = styles.parent / "images"
    if not photos.is_dir():
        raise CatalogueError(f"{photos} is not a folder; extract the photos beside styles.csv.")
    seen: set[bytes] = set()
    dev: dict[str, tuple[Row, Combination]] = {}
    # Names hold commas that nobody quoted.
    columns = ("id", *NAMES, "productDisplayName")
    for row in read_table(source, "styles.csv", columns, last_takes_surplus=True):
        product_id = _product_id(row)
        photo = _photo(row, photos, product_id)
        metadata = _attributes(row)
        if photo is None:
            output.notes[MISSING] += 1
        else:
            digest = hashlib.sha256(photo).digest()
            if digest in seen:
                output.notes[SAME_PHOTO] += 1
                continue
            seen.add(digest)
            metadata["image"] = f"images/{product_id}.jpg"
            _write_photo(output.folder / metadata["image"], photo)
        metadata["split"] = split_by_hash(product_id, DEV_SHARE)
        title = text(row, "productDisplayName")
        output.document(row, product_id, "" if title in UNKNOWN else title, metadata=metadata)
        if metadata["split"] == "dev":
            dev[product_id] = row, _combination(metadata)
    for product_id, query_id, words, grade in judgements({key: found for key, (_, found) in dev.items()}):
        row, _ = dev[product_id]
        output.query(row, query_id, words)
        output.judge(row, "dev", query_id, product_id, grade)


def judgements(products: Mapping[str, Combination]) -> Iterable[tuple[str, str, str, int]]:
    """Queries such as "women red handbags", one for each combination that enough products have.

    Args:
        products: gender, colour and article type of each product, "" where unknown.

    Returns:
        Product, query id, query and grade, ordered by query and product: 2 where all three match, 1 where the type
        and one of the others do; what is not listed does not match.
    """
    by_type: dict[str, list[str]] = defaultdict(list)
    for product_id in sorted(products):
        by_type[products[product_id][2]].append(product_id)
    counts = Counter(found for found in products.values() if all(found))
    queries = {" ".join(found).lower(): found for found, count in counts.items() if count >= LEAST_ITEMS}
    for words, wanted in sorted(queries.items(), key=lambda query: _slug(query[0])):
        gender, colour, kind = wanted
        for product_id in by_type[kind]:
            matches = (products[product_id][0] == gender) + (products[product_id][1] == colour)
            if matches:
                yield product_id, _slug(words), words, matches


def _slug(words: str) -> str:
    return "dev-" + re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def _product_id(row: Row) -> str:
    product_id = required_text(row, "id")
    # The photo is found by the id, so an id that could be a path is none.
    if not re.fullmatch(r"[0-9]{1,20}", product_id):
        raise row.error("id", f"{product_id!r} is not a number; repair it")
    return product_id


def _attributes(row: Row) -> dict[str, Any]:
    known: dict[str, Any] = {name: value for name in NAMES if (value := text(row, name)) not in UNKNOWN}
    if "year" in known:  # a comma in an earlier cell shifts the others, and shows here
        known["year"] = number(row, "year")
    return known


def _combination(metadata: Mapping[str, Any]) -> Combination:
    return metadata.get("gender", ""), metadata.get("baseColour", ""), metadata.get("articleType", "")


def _photo(row: Row, photos: Path, product_id: str) -> bytes | None:
    path = photos / f"{product_id}.jpg"
    if not path.resolve().is_relative_to(photos.resolve()):
        raise row.error("id", f"{path} is a link that leads out of the photos' folder; put the photo there")
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_PHOTO_BYTES:
        raise row.error("id", f"{path} is larger than {MAX_PHOTO_BYTES >> 20} MiB; shrink it")
    return path.read_bytes()


def _write_photo(path: Path, photo: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(photo)
