"""`pipeline`: only systems of equal quality are compared."""

from __future__ import annotations

import pytest

from benchmarks.common.data import read_dataset
from benchmarks.pipeline import benchmark as pipeline


def test_pipeline_compares_only_equal_quality(options, monkeypatch, tiny_cross_encoder):
    options.quick, options.depth, options.queries = True, 5, 3
    options.reranker = options.student = tiny_cross_encoder
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
    assert ours.metrics["queries_per_s"].n == ours.metrics["p50_ms"].n == 2  # the repetitions of a quick run
    # A planted peer that skips its second stage is fast, and refused.
    monkeypatch.setattr(
        pipeline.StraightRecipe, "run", lambda recipe, queries, depth: {query: {} for query in queries}
    )
    with pytest.raises(RuntimeError, match="differ in nDCG@10"):
        pipeline.run(options)


def test_the_cascade_of_pipeline_begins_with_hybrid_recall(options, folder, tiny_cross_encoder):
    options.reranker = options.student = tiny_cross_encoder
    options.lexical_weight = 1.0  # then recall's best is the product that the query names
    data = read_dataset(folder, "dev", where={"split": "dev"})
    retriever, _ = pipeline.build(data, options)
    cascade = pipeline.faster_variants(retriever, options)["twotower cascade"]

    def best(hits):
        return next(hit.id for hit in hits if hit.ranks["recall"] == 1)

    named = {query: query.removeprefix("q-") for query in data.queries}
    assert {query: best(cascade.search(text, 12)) for query, text in data.queries.items()} == named
    assert {query: best(retriever.search(text, 12)) for query, text in data.queries.items()} != named
