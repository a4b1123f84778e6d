"""`multimodal`: what is missing under each condition cannot be found."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks.common.cached_towers import cached_texts
from benchmarks.common.data import read_dataset
from benchmarks.multimodal import benchmark as multimodal
from benchmarks.pipeline import benchmark as pipeline
from benchmarks.search import benchmark as search


def test_multimodal_rows_conditions_and_slices(options):
    result = multimodal.run(options)
    rows = {(row.params["condition"], row.system): row.metrics for row in result.rows}
    assert {system for _, system in rows} == {"random", "bm25", "text", "image", "mean", "concat"}
    for system in ("text", "concat", "image"):
        complete = rows["complete", system]
        assert complete["ndcg@10 with image"] == pytest.approx(complete["ndcg@10"])
        assert "ndcg@10 without image" not in complete
    halved = rows["half of images removed", "image"]
    assert halved["ndcg@10 without image"] == 0  # photos alone cannot find what has none
    assert halved["ndcg@10 with image"] > 0
    for metric in ("ndcg@10", "mrr@10", "recall@100"):  # text does not look at photos
        assert rows["half of images removed", "text"][metric] == rows["complete", "text"][metric]
    assert rows["complete", "text"]["difference_vs_mean"] == pytest.approx(
        rows["complete", "text"]["ndcg@10"] - rows["complete", "mean"]["ndcg@10"]
    )
    assert rows["half of texts removed", "text"]["ndcg@10 without text"] == 0
    assert rows["half of texts removed", "bm25"]["ndcg@10"] < rows["complete", "bm25"]["ndcg@10"]


def test_queries_that_are_photos_alone(options, folder, tmp_path):
    """Each photo finds itself; whoever reads words only finds nothing, and pipeline refuses."""
    shop = shutil.copytree(folder, tmp_path / "photos")
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    photos = [
        {"_id": row["_id"], "text": "", "metadata": {"image": f"photos/{row['_id'][2:]}.png"}} for row in rows
    ]
    (shop / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in photos))
    options.data, options.relevant = shop, 2
    rows = {
        row.system: row.metrics
        for row in multimodal.run(options).rows
        if row.params["condition"] == "complete"
    }
    assert rows["text"]["ndcg@10"] == rows["bm25"]["ndcg@10"] == 0
    assert rows["image"]["recall@100"] == 1
    result = search.run(options)
    assert all(row.params.get("ranked") is None for row in result.rows)  # there are no words to rank by
    found = {row.system: row.metrics["ndcg@10"] for row in result.rows}
    assert found["dense"] == found["bm25"] == 0 < found["fused"]
    assert "sentence-transformers" not in found
    with pytest.raises(ValueError, match="query without words"):
        pipeline.run(options)


def test_conditions_remove_half_and_never_the_last_modality(folder):
    items = read_dataset(folder, "dev").items
    found = multimodal.conditions(items, seed=0)
    assert sum(item.image is None for item in found["half of images removed"]) == len(items) // 2
    assert sum(not item.words for item in found["half of texts removed"]) == len(items) // 2
    bare = [item for item in items if item.id == "red-mug"]
    no_photo = [type(bare[0])("a", "red mug")] * 4
    assert multimodal.conditions(no_photo, 0)["half of texts removed"] == no_photo
    assert found == multimodal.conditions(items, seed=0)


def test_each_text_is_encoded_once_and_everything_else_is_the_towers_own(text_encoder, monkeypatch):
    encoded = []
    encode = text_encoder.encode_documents
    monkeypatch.setattr(
        text_encoder, "encode_documents", lambda texts: (encoded.append(list(texts)), encode(texts))[1]
    )
    cached = cached_texts(text_encoder)
    first, again = (
        cached.encode_documents(["red mug", "lamp", "red mug"]),
        cached.encode_documents(["lamp", "wood"]),
    )
    assert encoded == [["red mug", "lamp"], ["wood"]]
    assert (first[0] == first[2]).all()
    assert (again[0] == first[1]).all()
    assert cached.dim == text_encoder.dim == first.shape[1]
    assert cached.encode_documents([]).shape == (0, cached.dim)
