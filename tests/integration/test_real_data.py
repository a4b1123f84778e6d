"""Real products and photos, read in place beside the checkout; shown as skipped where they are missing."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from twotower import DualEncoder, Retriever
from twotower.ingest import read_catalog

DATA = Path(os.environ.get("TWOTOWER_DATA", Path(__file__).parents[3] / "shared" / "data"))


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name} in {DATA}")
    return DATA / name


@pytest.mark.real_data
def test_laptop_bags_are_found_among_real_products(tmp_path):
    """Among 3,000 real products, the ten best for "laptop bag" are things to carry a laptop in."""
    retriever = Retriever(DualEncoder(TextEncoder()))
    report = retriever.upsert(islice(read_catalog(folder("chorus")), 3_000))
    assert report.upserted == 3_000
    hits = retriever.search("laptop bag", k=10)
    carriers = ("bag", "case", "backpack", "sleeve", "briefcase", "messenger", "topload")
    carried = [any(word in hit.item.words.lower() for word in carriers) for hit in hits]
    assert sum(carried) >= 8, [hit.item.title for hit in hits]
    cheap = retriever.search("laptop bag", k=10, where={"price": {"$lt": 3000}})
    assert len(cheap) == 10
    assert all(hit.item.attributes["price"] < 3000 for hit in cheap)


@pytest.mark.real_data
def test_a_real_photo_finds_its_own_product():
    data = folder("myntra")
    encoder = DualEncoder(TextEncoder(), ClipEncoder.compact(), WeightedConcat(0.5, 0.5))
    retriever = Retriever(encoder)
    items = list(islice(read_catalog(data), 200))
    retriever.upsert(items)
    batches = [retriever.search(image=item.image, k=1)[0] for item in items[:40]]
    assert sum(hit.id == item.id for hit, item in zip(batches, items, strict=False)) >= 39


@pytest.mark.real_data
def test_corpus_lines_become_items_one_to_one():
    data = folder("chorus")
    with (data / "corpus.jsonl").open(encoding="utf-8") as file:
        first = json.loads(next(file))
    item = next(read_catalog(data))
    assert (item.id, item.title, item.text) == (first["_id"], first["title"], first["text"])
    assert item.attributes["brand"] == first["metadata"]["brand"]
    assert item.attributes["attrs.type"] == first["metadata"]["attrs"]["type"]
