"""Words beside vectors: postings against bm25s, fusions by hand, and the channel's life under writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank import Decay
from twotower import IndexPolicy, Item, Retriever
from twotower.errors import QueryWarning
from twotower.evaluation.baselines import BM25
from twotower.recall.fusion import Convex, ReciprocalRank
from twotower.recall.words.bm25 import K1, B, CollectionStatistics, LivePostings, Postings
from twotower.recall.words.item_text import ItemText
from twotower.recall.words.tokenizer import words_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "shoe", "lamp", "运动鞋", "跑步", "006R90321", "wool", ""]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), min_size=1, max_size=20)


def scores(parts, query):
    words = words_of(query)
    statistics = CollectionStatistics.of(list(map(LivePostings.whole, parts)), words)
    return np.concatenate([statistics.scores(part, words) for part in parts])


@settings(deadline=None)  # the first example loads jieba's dictionary
@given(texts, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), st.data())
def test_segments_score_as_one_index_of_bm25s(corpus, query, data):
    """The oracle is bm25s over the whole corpus; the corpus is cut in two, and put together again."""
    found, rows = BM25(corpus, k1=K1, b=B).search(query, len(corpus))
    expected = np.zeros(len(corpus), dtype=np.float32)
    expected[rows] = found
    cut = data.draw(st.integers(0, len(corpus)))
    parts = [Postings.of(corpus[:cut], cut), Postings.of(corpus[cut:], len(corpus) - cut)]
    np.testing.assert_allclose(scores(parts, query), expected, rtol=1e-5)
    whole = Postings.joined([(part, np.arange(len(part))) for part in parts])
    np.testing.assert_allclose(scores([whole], query), expected, rtol=1e-5)


@settings(deadline=None)
@given(texts, st.data())
def test_rows_that_are_left_out_are_as_if_they_had_never_been(corpus, data):
    kept = sorted(data.draw(st.sets(st.integers(0, len(corpus) - 1))))
    joined = Postings.joined([(Postings.of(corpus, len(corpus)), np.array(kept, dtype=np.int64))])
    for query in ("red shoe", "运动鞋"):
        anew = scores([Postings.of([corpus[row] for row in kept], len(kept))], query)
        np.testing.assert_allclose(scores([joined], query), anew, rtol=1e-5)


ITEMS = [
    Item("code", "Xerox toner 006R90321"),
    Item("toner", "Toner cartridge for laser printers"),
    Item("shoe", "红色运动鞋", attributes={"brand": "Acme"}),
    *(Item(f"thing-{n}", f"Thing number {n} of many") for n in range(60)),
]


TEXTS = [ItemText()(item) for item in ITEMS]


def retriever(hybrid, **settings):
    made = Retriever(HashEncoder(), hybrid=hybrid, **settings)
    made.upsert(ITEMS)
    return made


def test_reciprocal_rank_is_the_formula():
    made = retriever(ReciprocalRank(constant=10, depth=5))
    dense = [hit.id for hit in made.using(hybrid=None).search("toner 006R90321", k=5)]
    _, rows = BM25([item.words for item in ITEMS]).search("toner 006R90321", 5)
    lexical = [ITEMS[row].id for row in rows]
    expected = {  # Cormack, Clarke and Buettcher 2009
        item_id: sum(1 / (11 + ranking.index(item_id)) for ranking in (dense, lexical) if item_id in ranking)
        for item_id in {*dense, *lexical}
    }
    hits = made.search("toner 006R90321", k=5)
    assert {hit.id: hit.score for hit in hits} == pytest.approx(
        {hit.id: expected[hit.id] * 11 / 2 for hit in hits}, rel=1e-6
    )
    best = sorted((value * 11 / 2 for value in expected.values()), reverse=True)[:5]
    assert [hit.score for hit in hits] == pytest.approx(best)
    for hit in hits:
        assert hit.explain == pytest.approx(
            {
                "dense": 5.5 / (11 + dense.index(hit.id)) if hit.id in dense else 0.0,
                "lexical": 5.5 / (11 + lexical.index(hit.id)) if hit.id in lexical else 0.0,
            }
        )


def test_convex_is_the_formula_over_all_items():
    made = retriever(Convex(0.25, depth=len(ITEMS)))
    similarity = {hit.id: hit.score for hit in made.using(hybrid=None).search("red toner", k=len(ITEMS))}
    bound = CollectionStatistics.of(
        [LivePostings.whole(Postings.of(TEXTS, len(TEXTS)))], words_of("red toner")
    ).upper_bound(["toner"])
    found, rows = BM25(TEXTS, k1=K1, b=B).search("red toner", len(ITEMS))
    words = {ITEMS[row].id: score / bound for row, score in zip(rows, found, strict=True)}
    hits = made.search("red toner", k=len(ITEMS))
    assert len(hits) == len(ITEMS)
    for hit in hits:
        assert hit.explain == pytest.approx(
            {"similarity": 0.75 * similarity[hit.id], "lexical": 0.25 * words.get(hit.id, 0.0)}, abs=1e-6
        )
        assert hit.score == pytest.approx(sum(hit.explain.values()), abs=1e-9)
        assert hit.explain["lexical"] < 0.25  # the bound is never reached


@pytest.mark.parametrize("hybrid", [ReciprocalRank(), Convex(0.5)])
@pytest.mark.parametrize("exact_up_to", [10, 20_000])
def test_words_follow_every_write(hybrid, exact_up_to):
    made = retriever(hybrid, index=IndexPolicy(exact_up_to=exact_up_to))
    made.maintenance.settle()
    assert made.search("006R90321", k=1)[0].id == "code"
    assert made.search("运动鞋", k=1)[0].id == "shoe"
    made.delete(["code"])
    assert "code" not in [hit.id for hit in made.search("006R90321", k=99)]
    made.upsert([Item("again", "006r90321 for printers"), Item("shoe", "blue lamp")])
    assert made.search("006R90321", k=1)[0].id == "again"
    assert made.search("运动鞋", k=99)[0].explain["lexical"] == 0
    made.maintenance.compact()
    assert made.search("006R90321", k=1)[0].id == "again"
    assert len(made.search("006R90321", k=99)) == len(made)


@pytest.mark.parametrize("hybrid", [ReciprocalRank(depth=1), Convex(0.5, depth=1)])
def test_a_filter_holds_for_words_too_and_is_never_short(hybrid):
    made = retriever(hybrid)
    assert [hit.id for hit in made.search("006R90321", where={"brand": "Acme"})] == ["shoe"]
    assert len(made.search("toner", k=40)) == 40


def test_decay_and_reranker_work_on_what_was_fused():
    old, new = NOW - timedelta(days=300), NOW
    items = [Item("old", "red toner", time=old), Item("new", "red toner", time=new), Item("other", "lamp")]
    made = Retriever(
        HashEncoder(), OverlapReranker(), Decay.half_life(30), hybrid=Convex(0.5), relevance_weight=0.5
    )
    made.upsert(items)
    hits = made.search("red toner", now=NOW)
    assert [hit.id for hit in hits][:2] == ["new", "old"]
    for hit in hits:
        parts = dict(hit.explain)
        freshness = parts.pop("freshness")
        assert set(parts) == {"similarity", "lexical", "relevance"}
        assert hit.score == pytest.approx(sum(parts.values()) * freshness, abs=1e-6)


def test_a_store_keeps_the_fusion(tmp_path):
    with Retriever.open(tmp_path / "s", encoder=HashEncoder(), hybrid=Convex(0.3, depth=7)) as made:
        made.upsert(ITEMS)
        before = made.search("toner 006R90321", now=NOW)
    again = Retriever.open(tmp_path / "s", encoder=HashEncoder(), read_only=True)
    assert again.search("toner 006R90321", now=NOW) == before
    assert "lexical" in before[0].explain


@pytest.mark.parametrize(
    "wrong", [lambda: Convex(1.5), lambda: ReciprocalRank(0), lambda: ReciprocalRank(depth=0)]
)
def test_a_parameter_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        wrong()


class LatinEncoder(HashEncoder):
    """Reads Latin letters and any photo."""

    def readable(self, texts):
        return np.array([text.isascii() for text in texts])

    def encode_image_queries(self, queries):
        return self._encode([query.text for query in queries])


def test_words_that_the_encoder_cannot_read_decide_alone_where_any_item_has_them():
    reading = retriever(Convex(0.5, depth=3))
    made = Retriever(LatinEncoder(), hybrid=Convex(0.5, depth=3))
    made.upsert(ITEMS)
    first, *rest = made.search("运动鞋", k=len(ITEMS))
    assert (first.id, dict(first.explain)) == ("shoe", {"lexical": first.score})
    assert [hit.id for hit in rest] == [item.id for item in ITEMS if item.id != "shoe"]
    assert made.search_batch(["运动鞋", "toner"], k=3)[0] == [first, *rest[:2]]
    assert made.search("运动鞋", image="photo.jpg") == reading.search("运动鞋")
    assert made.search("кроссовки") == reading.search("кроссовки")


def test_scores_do_not_depend_on_what_was_deleted_before():
    """As if the deleted and replaced items had never been there, before and after their segments are merged."""
    written = retriever(Convex(0.6))
    written.upsert([Item(f"gone-{n}", "red toner") for n in range(40)] + [Item("thing-7", "Toner of old")])
    written.upsert([ITEMS[10]])
    written.delete([f"gone-{n}" for n in range(40)])
    expected = [(hit.id, hit.score) for hit in retriever(Convex(0.6)).search("toner of red", k=5)]
    assert [
        (hit.id, pytest.approx(hit.score, abs=1e-6)) for hit in written.search("toner of red", k=5)
    ] == expected
    written.maintenance.compact()
    assert [
        (hit.id, pytest.approx(hit.score, abs=1e-6)) for hit in written.search("toner of red", k=5)
    ] == expected


def test_a_reader_finds_the_words_of_a_large_segment_ready(tmp_path):
    """Nobody has searched by words before the store was closed, and a reader could not keep what it built."""
    with Retriever.open(tmp_path, encoder=HashEncoder(), index=IndexPolicy(exact_up_to=20)) as written:
        written.upsert(ITEMS)
    with Retriever.open(tmp_path, encoder=HashEncoder(), read_only=True) as reader:
        assert [part.segment.lexical.is_ready for part in reader._corpus.snapshot.parts] == [True]
        assert reader.search("006R90321", k=1)[0].id == "code"


def test_min_score_with_reciprocal_ranks_warns_that_it_means_little():
    made = retriever(ReciprocalRank())
    with pytest.warns(QueryWarning, match="min_score means little with ReciprocalRank"):
        made.search("shoe", min_score=0.3)
