"""`search`, `pipeline` and `multimodal` on a small folder with tiny models: the numbers are those of their runs."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import nDCG
from PIL import Image

from benchmarks.common import models
from benchmarks.common.data import read_dataset, sample_folder
from benchmarks.common.indexed import indexed
from benchmarks.common.quality import quality, quality_ratio, ratio_of_means
from benchmarks.multimodal import benchmark as multimodal
from benchmarks.pipeline import benchmark as pipeline
from benchmarks.search import benchmark as search
from multimodal import TextEncoder
from twotower import Convex, DualEncoder, Retriever
from twotower.evaluation import evaluate_run
from twotower.ingest import read_qrels

COLOURS = ["red", "blue", "green"]
THINGS = ["mug", "lamp", "chair", "table"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Each colour of each thing; every query names both: grade 2 for the one meant, 1 for the same thing."""
    folder = tmp_path_factory.mktemp("beir")
    (folder / "photos").mkdir()
    products = list(product(COLOURS, THINGS))
    with (folder / "corpus.jsonl").open("w") as file:
        for colour, thing in products:
            image = f"photos/{colour}-{thing}.png"
            Image.new("RGB", (32, 32), colour).save(folder / image)
            metadata = {"image": image, "time": "2026-01-01T00:00:00Z", "split": "dev"}
            row = {"_id": f"{colour}-{thing}", "title": f"{colour} {thing}", "text": "", "metadata": metadata}
            file.write(json.dumps(row) + "\n")
        file.write(
            json.dumps({"_id": "elsewhere", "title": "red mug", "metadata": {"split": "train"}}) + "\n"
        )
    with (folder / "queries.jsonl").open("w") as file:
        for colour, thing in products:
            file.write(json.dumps({"_id": f"q-{colour}-{thing}", "text": f"{colour} {thing}"}) + "\n")
    (folder / "qrels").mkdir()
    with (folder / "qrels" / "dev.tsv").open("w") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        for colour, thing in products:
            for other in COLOURS:
                file.write(f"q-{colour}-{thing}\t{other}-{thing}\t{2 if other == colour else 1}\n")
    return folder


@pytest.fixture
def options(folder, tiny_text_folder, tiny_clip_folder):
    return argparse.Namespace(
        data=folder, split="dev", where=None, quick=False, seed=0, device="cpu", relevant=1, gain="linear",
        text_model=str(tiny_text_folder), image_model=f"local-dir:{tiny_clip_folder}", reranker=None, runs=None,
        queries=4, backend=None, student=None, student_depth=(6, 3), relevance_weight=0.7,
        store=None, without_peers=False, lexical_weight=None,
    )  # fmt: skip


def test_search_reports_what_its_runs_say_and_ir_measures_agrees(options, folder, tmp_path):
    options.runs, options.queries = tmp_path / "runs", None
    options.reranker = options.student = models.cross_encoder_folder(options)
    result = search.run(options)
    systems = ["random", "bm25", "dense", "fused", "hybrid", "reranked", "hybrid+reranked", "cascade"]
    systems += ["reranked+decay", "sentence-transformers", "txtai"]
    rows = [row for row in result.rows if row.params.get("ranked") is None]
    assert [row.system for row in rows] == systems
    qrels = read_qrels(folder, "dev")
    for row in rows:
        written = list(ir_measures.read_trec_run(str(options.runs / f"{row.system}.txt")))
        aggregate = ir_measures.calc_aggregate([nDCG @ 10], qrels, written)
        assert row.metrics["ndcg@10"] == pytest.approx(aggregate[nDCG @ 10], abs=1e-9), row.system
        assert row.metrics["ndcg@10_low"] <= row.metrics["ndcg@10"] <= row.metrics["ndcg@10_high"]
        assert {found.doc_id for found in written} <= {item for grades in qrels.values() for item in grades}
    by_name = {row.system: row for row in rows}
    assert by_name["bm25"].metrics["mrr@10"] == 1  # the words are the product's own
    ratio = result.ratios["hybrid / bm25 : ndcg@10"]
    assert ratio.median == pytest.approx(
        by_name["hybrid"].metrics["ndcg@10"] / by_name["bm25"].metrics["ndcg@10"]
    )
    assert result.headline.startswith("hybrid+reranked / bm25 : ndcg@10: ")
    judged = {row.system: row.metrics for row in result.rows if row.params.get("ranked") == "judged only"}
    assert list(judged) == ["random", "bm25", "dense", "reranked", "hybrid+reranked", "cascade"]
    chance = judged["random"]["ndcg@10"]
    assert 0 < chance < 1
    for name in ("bm25", "dense", "cascade"):
        closed = (judged[name]["ndcg@10"] - chance) / (1 - chance)
        assert judged[name]["gap_closed"].median == pytest.approx(closed)
    assert judged["bm25"]["gap_closed"].median == pytest.approx(1)


def test_a_store_made_with_the_default_text_model_serves_instead_of_encoding(options, folder, tmp_path):
    data = read_dataset(folder, "dev")
    with Retriever.open(tmp_path / "store", encoder=DualEncoder(TextEncoder()), hybrid=Convex(0.9)) as store:
        store.upsert(data.items, on_error="skip")
    options.text_model = None
    in_memory = indexed(DualEncoder(models.text_encoder(options)), data, options)
    options.store = tmp_path / "store"
    stored = indexed(DualEncoder(models.text_encoder(options)), data, options)
    for query in data.queries.values():
        found, expected = stored.search(query, 5), in_memory.search(query, 5)
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-3)
    fewer = replace(data, items=data.items[:5])
    with pytest.raises(ValueError, match="holds"):
        indexed(DualEncoder(models.text_encoder(options)), fewer, options)


def test_without_a_reranker_the_reranked_rows_are_left_out_and_the_file_says_so(options):
    result = search.run(options)
    assert not [row for row in result.rows if "reranked" in row.system]
    assert "no reranked rows" in next(row for row in result.rows if row.system == "dense").params["reranker"]


def test_pipeline_compares_only_equal_quality(options, monkeypatch):
    monkeypatch.setattr(pipeline, "QUICK_DEPTH", 5)
    options.quick = True
    options.reranker = options.student = models.cross_encoder_folder(options)
    options.student_depth, options.lexical_weight = (5, 2), 0.7
    result = pipeline.run(options)
    ours, cascade, peer = result.rows
    assert cascade.system == "twotower cascade"
    assert cascade.params["student_depth"] == 5
    lost = result.ratios["twotower cascade / sentence-transformers : ndcg@10"]
    assert lost.median == pytest.approx(cascade.metrics["ndcg@10"] / peer.metrics["ndcg@10"])
    assert ours.metrics["ndcg@10"] == pytest.approx(peer.metrics["ndcg@10"], abs=0.002)
    p50 = result.ratios["twotower / sentence-transformers : p50_ms single"]
    assert p50.min <= p50.median <= p50.max
    assert ours.metrics["queries_per_s"].n == ours.metrics["p50_ms"].n == 5
    # A planted peer that skips its second stage is fast, and refused.
    monkeypatch.setattr(
        pipeline.StraightRecipe, "run", lambda recipe, queries, depth: {query: {} for query in queries}
    )
    with pytest.raises(RuntimeError, match="differ in nDCG@10"):
        pipeline.run(options)


def test_the_cascade_of_pipeline_begins_with_hybrid_recall(options, folder):
    options.reranker = options.student = models.cross_encoder_folder(options)
    options.lexical_weight = 1.0  # then recall's best is the product that the query names
    data = read_dataset(folder, "dev", where={"split": "dev"})
    retriever, _ = pipeline.build(data, options, 12)
    cascade = pipeline.quick_twins(retriever, options)["twotower cascade"]

    def best(hits):
        return next(hit.id for hit in hits if hit.ranks["recall"] == 1)

    named = {query: query.removeprefix("q-") for query in data.queries}
    assert {query: best(cascade.search(text, 12)) for query, text in data.queries.items()} == named
    assert {query: best(retriever.search(text, 12)) for query, text in data.queries.items()} != named


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
    assert rows["half of images removed", "text"] == pytest.approx(
        rows["complete", "text"]
        | {k: v for k, v in rows["half of images removed", "text"].items() if " " in k}
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


def test_the_corpus_is_the_split_s_own_where_only_that_is_judged(folder):
    assert len(read_dataset(folder, "dev").items) == 12
    filtered = read_dataset(folder, "dev", where={"split": {"$exists": True}})
    assert len(filtered.items) == 13
    small = read_dataset(folder, "dev", limit=2, corpus_limit=7)
    assert len(small.items) == 7
    assert {item for grades in small.qrels.values() for item in grades} <= {item.id for item in small.items}


def test_the_sample_shop_as_a_folder_reads_back_with_both_splits():
    folder = sample_folder()
    train, dev = (read_dataset(folder, split) for split in ("train", "dev"))
    assert len(dev.items) == len(train.items) == 640
    assert not set(train.queries.values()) & set(dev.queries.values())
    assert any(item.image and Path(item.image).is_file() for item in dev.items)


def test_quality_has_both_views_and_a_ratio_by_queries():
    qrels = {f"q{n}": {"a": 1, "b": 0} for n in range(20)}
    good = {query: {"x": 3.0, "a": 2.0, "b": 1.0} for query in qrels}
    found = quality(good, qrels, {"relevant": 1, "gain": "linear"})
    assert found["ndcg@10"] == pytest.approx(1 / np.log2(3))
    assert (found["ndcg@10_condensed"], found["judged@10"]) == (1, pytest.approx(2 / 3))
    none: dict = {query: {} for query in qrels}
    assert quality_ratio(good, none, qrels, {"relevant": 1, "gain": "linear"}) is None
    ratio = quality_ratio(none, good, qrels, {"relevant": 1, "gain": "linear"})
    assert (ratio.median, ratio.min, ratio.max, ratio.n) == (0, 0, 0, 20)
    assert evaluate_run(none, qrels, ["ndcg@10"]) == {"ndcg@10": 0}


def test_the_ratio_of_means_draws_queries_in_pairs():
    peer = np.random.default_rng(0).random(200)
    found = ratio_of_means(peer / 2, peer)
    assert (found.median, found.min, found.max) == pytest.approx((0.5, 0.5, 0.5))  # paired: nothing varies
    unpaired = ratio_of_means(np.roll(peer, 1), peer)
    assert unpaired.min < 0.97 < 1.03 < unpaired.max
    assert ratio_of_means(peer, np.zeros(200)) is None


def test_the_interval_of_a_ratio_is_its_normal_approximation():
    generator = np.random.default_rng(0)
    peer = generator.random(200)
    ours = peer + 0.1 * generator.normal(size=200)
    error = np.std(ours - peer * ours.mean() / peer.mean()) / np.sqrt(200) / peer.mean()
    found = ratio_of_means(ours, peer)
    assert found.max - found.min == pytest.approx(2 * 1.96 * error, rel=0.1)
