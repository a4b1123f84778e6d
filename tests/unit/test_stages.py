"""Evaluation by stage, on a shop in which every stage's ranking is known by construction."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker

from rerank import Decay
from twotower import Convex, IndexPolicy, Item, Query, ReciprocalRank, Retriever
from twotower.errors import MissingExtraError
from twotower.evaluation import evaluate, search_run
from twotower.evaluation.caching import CachingReranker
from twotower.evaluation.significance import holm
from twotower.evaluation.stages import stages_of, time_searches

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class TwoPartEncoder:
    """Each item and query names its vector: a text angle and an image angle, in degrees."""

    dim = 4
    blocks = {"text": slice(0, 2), "image": slice(2, 4)}  # noqa: RUF012  # a protocol's constant

    def encode_items(self, items: Sequence[Item]) -> np.ndarray:
        return self._encode([item.words for item in items])

    def encode_queries(self, queries: Sequence[Query]) -> np.ndarray:
        return self._encode(queries)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            angles = [np.deg2rad(float(number)) for number in text.split()[:2]]
            rows.append([trig(angle) for angle in angles for trig in (np.cos, np.sin)])
        return np.array(rows, dtype=np.float32) / np.float32(np.sqrt(2))


ITEMS = [
    Item("text", "10 80 lamp", time=NOW - timedelta(days=1000)),  # near the query by text alone
    Item("image", "80 10 lamp", time=NOW - timedelta(days=1000)),  # by image alone
    Item("both", "25 25 lamp", time=NOW - timedelta(days=1000)),  # and by both together
    Item("words", "50 50 red lamp", time=NOW - timedelta(days=1000)),  # what the reranker wants
    Item("fresh", "60 60 red lamp", time=NOW),  # and the newest of those
]
QUERIES = {"q": Query("0 0 red")}


@pytest.fixture
def retriever() -> Retriever:
    retriever = Retriever(
        TwoPartEncoder(),
        OverlapReranker(),
        Decay.half_life(days=100, weight=0.9),
        hybrid=None,
        relevance_weight=0.99,
    )
    retriever.upsert(ITEMS)
    return retriever


def test_every_stage_shows_what_it_buys(retriever):
    first = {"recall, text only": "text", "recall, image only": "image", "fused": "both", "reranked": "words",
             "decayed": "fresh"}  # fmt: skip
    for name, best in first.items():
        found = evaluate(retriever, QUERIES, {"q": {best: 1}}, metrics=["mrr@10"], now=NOW, timed_queries=0)
        assert [stage.name for stage in found.stages] == ["random", "bm25", *first]
        assert found[name].means == {"mrr@10": 1}, name
    assert found["reranked"].means == {"mrr@10": 1 / 2}
    assert found["decayed"].change.difference == 1 / 2
    assert found["random"].change is None


def test_hybrid_recall_is_a_stage_between_vectors_and_reranker(retriever):
    stages = stages_of(retriever.using(hybrid=ReciprocalRank()))
    assert list(stages) == [
        "recall, text only", "recall, image only", "fused", "hybrid", "reranked", "decayed",
    ]  # fmt: skip
    assert [stages[name].hybrid is None for name in stages] == [True, True, True, False, False, False]
    assert stages["hybrid"].search("60 60 red", 1, now=NOW)[0].explain.keys() == {"dense", "lexical"}


def test_runs_are_what_the_retriever_finds(retriever):
    found = evaluate(retriever, QUERIES, {"q": {"text": 1}}, now=NOW, timed_queries=0, k=3)
    hits = retriever.search(QUERIES["q"], 3, now=NOW)
    assert found["decayed"].run == {"q": {hit.id: hit.score for hit in hits}}
    assert set(found["bm25"].run["q"]) == {"words", "fresh"}
    filtered = evaluate(
        retriever,
        QUERIES,
        {"q": {"text": 1}},
        now=NOW,
        timed_queries=0,
        where={"id": {"$in": ["text", "both"]}},
    )
    for stage in filtered.stages:
        assert set(stage.run["q"]) <= {"text", "both"}, stage.name


def test_a_modality_alone_explains_itself_and_finds_nothing_where_the_query_lacks_it(retriever):
    alone = retriever.using(reranker=None, decay=None, modality="image")
    hits = alone.search("0 0", 5)
    assert [hit.id for hit in hits] == ["image", "both", "words", "fresh", "text"]
    assert hits[0].explain == pytest.approx({"text": 0, "image": np.cos(np.deg2rad(10)) / 2}, abs=1e-6)

    class TextOnly(TwoPartEncoder):
        def encode_queries(self, queries: Sequence[Query]) -> np.ndarray:
            return super().encode_queries(queries) * np.array([1, 1, 0, 0], dtype=np.float32)

    blind = Retriever(TextOnly())
    blind.upsert(ITEMS)
    assert blind.using(modality="image").search("0 0", 5) == []
    assert len(blind.search("0 0", 5)) == 5
    with pytest.raises(ValueError, match=r"one of the parts of the vectors \('text', 'image'\), got 'sound'"):
        retriever.using(modality="sound")
    with pytest.raises(ValueError, match=r"parts of the vectors \(none\), got 'text'"):
        Retriever(HashEncoder()).using(modality="text")


def test_a_plain_retriever_has_the_one_stage():
    plain = Retriever(HashEncoder(), hybrid=None)
    assert list(stages_of(plain)) == ["recall"]
    plain.upsert([Item("a", "red lamp"), Item("b", "blue chair")])
    found = evaluate(plain, {"q": Query("red lamp")}, {"q": {"a": 2}}, relevant=2)
    assert found["recall"].means["ndcg@10"] == 1
    assert found.queries == 1
    assert found["recall"].milliseconds["p95_ms"] >= found["recall"].milliseconds["p50_ms"] > 0


def test_the_reranker_reads_each_pair_once_for_quality():
    class Counting(OverlapReranker):
        read = 0

        def score(self, pairs):
            self.read += len(pairs)
            return super().score(pairs)

    counting = Counting()
    remembering = CachingReranker(counting)
    pairs = [("red", "red lamp"), ("red", "chair"), ("red", "red lamp")]
    for _ in range(2):
        assert remembering.score(pairs).tolist() == [1, 0, 1]
    assert counting.read == 2


def test_times_come_from_the_clock_and_stages_take_turns(retriever):
    order: list[str] = []

    class Slow(Retriever):
        def __init__(self, name: str) -> None:
            self.name = name

        def search(self, query, k, *, where, now):
            order.append(self.name)

    # A counted search of "a" takes 2 seconds at first and 4 in the end, one of "b" always 1.
    ticks = iter([0, 2, 2, 3, 3, 7, 7, 8])
    found = time_searches({"a": Slow("a"), "b": Slow("b")}, ["p", "q"], 10, clock=lambda: next(ticks))
    assert order[-4:] == ["a", "b", "a", "b"]
    assert found == {
        "a": {"p50_ms": 3000, "p95_ms": pytest.approx(3900)},
        "b": {"p50_ms": 1000, "p95_ms": 1000},
    }


def test_table_json_and_picture(retriever, tmp_path):
    found = evaluate(
        retriever, QUERIES, {"q": {"both": 1, "text": 0}}, metrics=["mrr@10", "judged@10"], now=NOW
    )
    header, _, *rows = found.table().splitlines()[2:]
    assert header.startswith("| stage | mrr@10 | 95 % interval | mrr@10 condensed | judged@10 | change |")
    assert [row.split(" | ")[0] for row in rows] == [f"| {stage.name}" for stage in found.stages]
    assert {row.count("|") for row in rows} == {header.count("|")}
    # text only: both is second behind text, which is judged irrelevant.
    assert rows[2].split(" | ")[1:5] == ["0.5000", "0.5000 to 0.5000", "0.5000", "0.4000"]
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["stages"][4]["means"] == {"mrr@10": 1, "judged@10": 0.4}
    assert written["stages"][4]["change"]["difference"] == 0.5
    found.plot(tmp_path / "stages.png")
    assert (tmp_path / "stages.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_plot_names_the_extra(retriever, tmp_path, monkeypatch):
    found = evaluate(retriever, QUERIES, {"q": {"text": 1}}, now=NOW, timed_queries=0)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(
        MissingExtraError, match=r"plotting needs matplotlib: run `pip install 'twotower\[plot\]'`"
    ):
        found.plot(tmp_path / "stages.png")


def test_without_bm25s_an_evaluation_names_the_extra(retriever, monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"the BM25 baseline needs bm25s: .*'twotower\[evaluation\]'"):
        evaluate(retriever, QUERIES, {"q": {"text": 1}}, now=NOW, timed_queries=0)


def test_search_run_asks_in_chunks_and_says_how_far_it_is(retriever):
    queries = {f"q{number}": Query(f"{number} {number}") for number in range(70)}
    done: list[int] = []
    run = search_run(retriever, queries, 2, now=NOW, advance=done.append)
    assert sum(done) == 70
    assert list(run) == list(queries)
    assert run["q69"] == {hit.id: hit.score for hit in retriever.search("69 69", 2, now=NOW)}


def test_a_judged_query_that_is_missing_is_named(retriever):
    with pytest.raises(ValueError, match="query 'lost' is judged but not among the queries"):
        evaluate(retriever, QUERIES, {"lost": {"text": 1}})


def test_a_plan_is_that_of_the_channels_that_are_asked():
    """A graph is walked as deep as hybrid recall fetches, unless a modality recalls alone."""
    deep = Retriever(TwoPartEncoder(), hybrid=Convex(0.6, depth=90), index=IndexPolicy(exact_up_to=50))
    deep.upsert([Item(str(n), f"{n} {n}") for n in range(2_000)], progress=False)
    deep.maintenance.settle()
    depths = [each.maintenance.plan(k=5)[0].depth for each in (deep, deep.using(modality="text"))]
    assert depths[0] > depths[1] > 0


def test_no_metric_claims_a_depth_that_was_not_searched(retriever):
    """k=2 finds "both" and "words", one of three relevant items, so what is measured is recall@2."""
    qrels = {"q": {"text": 1, "image": 1, "both": 1}}

    def measured(**options):
        return evaluate(retriever, QUERIES, qrels, now=NOW, timed_queries=0, **options)

    found = measured(k=2)
    assert list(found["fused"].means) == ["ndcg@2", "judged@2", "mrr@2", "hr@2", "recall@2"]
    assert found["fused"].means["recall@2"] == pytest.approx(1 / 3)
    assert "@10" not in found.table() + json.dumps(found.to_json())
    assert list(measured(k=50)["fused"].means) == ["ndcg@10", "judged@10", "mrr@10", "hr@10", "recall@50"]
    assert list(measured(k=200)["fused"].means)[-1] == "recall@100"
    assert list(measured(k=10, metrics=["recall@10", "map"])["fused"].means) == ["recall@10", "map"]
    for options, message in [
        ({"k": 10, "metrics": ["ndcg@10", "recall@100"]}, "recall@100 needs k of at least 100, got 10"),
        ({"metrics": []}, "metrics must name at least one"),
        ({"metrics": "ndcg@10"}, "metrics must be a list of names"),
        ({"k": 0}, "k must be a whole number of at least 1, got 0"),
        ({"timed_queries": -1}, "timed_queries must be at least 0, got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(retriever, QUERIES, qrels, now=NOW, **options)


@pytest.mark.parametrize("lacks", ["items", "queries"])
def test_a_modality_that_no_item_or_no_query_has_is_not_a_stage(lacks):
    class Blind(TwoPartEncoder):
        def _masked(self, vectors, side):
            return vectors * np.array([1, 1, 0, 0], dtype=np.float32) if side == lacks else vectors

        def encode_items(self, items):
            return self._masked(super().encode_items(items), "items")

        def encode_queries(self, queries):
            return self._masked(super().encode_queries(queries), "queries")

    shop = Retriever(Blind())
    shop.upsert(ITEMS)
    found = evaluate(shop, QUERIES, {"q": {"text": 1}}, metrics=["mrr@10"], now=NOW)
    assert [stage.name for stage in found.stages] == ["random", "bm25", "recall", "hybrid"]
    assert found["recall"].change is None
    assert found["recall"].means == {"mrr@10": 1}
    assert found["recall"].milliseconds
    assert "only" not in found.table()
    other = evaluate(shop, {"q": "0 0"}, {"q": {"text": 1}}, metrics=["mrr@10"], now=NOW, timed_queries=0)
    assert other["recall"].means == {"mrr@10": 1}  # words alone are a query, too


def test_every_p_value_that_is_shown_is_corrected_for_the_number_of_stages(retriever):
    """Five stages make four comparisons; Holm's correction of one of them alone would change nothing."""
    names = [item.id for item in ITEMS]
    queries = {f"q{number}": Query(f"{number % 30} {number % 20} red") for number in range(12)}
    qrels = {query: {names[number % 5]: 1} for number, query in enumerate(queries)}
    found = evaluate(retriever, queries, qrels, metrics=["mrr@10"], now=NOW, timed_queries=0)
    changes = [stage.change for stage in found.stages if stage.change is not None]
    assert len(changes) == 4
    raw = [change.p_value for change in changes]
    assert [change.p_holm for change in changes] == pytest.approx(holm(raw))
    assert holm(raw) != pytest.approx(raw)
    rows = [row.split(" | ") for row in found.table().splitlines()[4:]]
    assert [row[-3] for row in rows if row[-3].strip()] == [f"{change.p_holm:.4f}" for change in changes]
