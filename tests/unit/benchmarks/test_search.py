"""`search` on a small folder with tiny models: the numbers are those of the rankings that it writes."""

from __future__ import annotations

from dataclasses import replace

import ir_measures
import pytest
from ir_measures import nDCG

from benchmarks.common import models
from benchmarks.common.data import read_dataset
from benchmarks.search import benchmark as search
from multimodal import TextEncoder
from twotower import Convex, DualEncoder, Retriever
from twotower.evaluation import compare_all
from twotower.ingest import read_qrels


def test_search_reports_what_its_runs_say_and_ir_measures_agrees(
    options, folder, tmp_path, tiny_cross_encoder
):
    options.runs = tmp_path / "runs"
    options.reranker = options.student = tiny_cross_encoder
    result = search.run(options)
    systems = ["random", "bm25", "dense", "fused", "hybrid", "default", "reranked", "hybrid+reranked"]
    systems += ["cascade", "reranked+decay", "sentence-transformers", "txtai"]
    rows = [row for row in result.rows if row.params.get("ranked") is None]
    assert [row.system for row in rows] == systems
    qrels = read_qrels(folder, "dev")
    runs = {}
    for row in rows:
        written = list(ir_measures.read_trec_run(str(options.runs / f"{row.system}.txt")))
        runs[row.system] = {query: {} for query in qrels}
        for found in written:
            runs[row.system][found.query_id][found.doc_id] = found.score
        aggregate = ir_measures.calc_aggregate([nDCG @ 10], qrels, written)
        assert row.metrics["ndcg@10"] == pytest.approx(aggregate[nDCG @ 10], abs=1e-9), row.system
        assert row.metrics["ndcg@10_low"] <= row.metrics["ndcg@10"] <= row.metrics["ndcg@10_high"]
        assert {found.doc_id for found in written} <= {item for grades in qrels.values() for item in grades}
    by_name = {row.system: row for row in rows}
    bm25 = runs.pop("bm25")
    for name, compared in compare_all(runs, bm25, qrels).items():
        assert by_name[name].metrics["p_holm_vs_bm25"] == pytest.approx(compared.p_holm), name
        assert by_name[name].metrics["difference_vs_bm25"] == pytest.approx(compared.difference), name
    assert by_name["random"].metrics["p_holm_vs_bm25"] < 0.05
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


def test_a_store_serves_instead_of_encoding(options, folder, tmp_path):
    data = read_dataset(folder, "dev")
    encoder = DualEncoder(TextEncoder(options.text_model, device="cpu"))
    with Retriever.open(tmp_path / "store", encoder=encoder, hybrid=Convex(0.9)) as store:
        store.upsert(data.items, on_error="skip")
    in_memory = models.dense_retriever(data, options)
    options.store = tmp_path / "store"
    stored = models.dense_retriever(data, options)
    for query in data.queries.values():
        found, expected = stored.search(query, 5), in_memory.search(query, 5)
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-3)
    fewer = replace(data, items=data.items[:5])
    with pytest.raises(ValueError, match="holds"):
        models.dense_retriever(fewer, options)


def test_without_a_reranker_the_reranked_rows_are_left_out_and_the_file_says_so(options):
    result = search.run(options)
    assert not [row for row in result.rows if "reranked" in row.system]
    assert "no reranked rows" in next(row for row in result.rows if row.system == "dense").params["reranker"]
