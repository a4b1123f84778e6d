"""Candidates under decay, personal search, and the index's life under many small writes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker, PlaneEncoder

from rerank import Decay
from twotower import Convex, Event, IndexPolicy, Item, Retriever
from twotower.corpus.base import Corpus
from twotower.recall import item_index
from twotower.recall.item_index import ItemIndex
from twotower.recall.merging import large_merge
from twotower.recall.vectors import builder
from twotower.recall.vectors.unit_vectors import unit_rows
from twotower.store.memory_item_store import MemoryItemStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("exact_up_to", [100, 20_000])
def test_a_fresh_item_far_down_is_not_lost(exact_up_to):
    """2,000 stale items are nearer than the fresh one: any fixed cut at 100 candidates would lose it."""
    items = [Item(f"old-{n}", str(0.01 * n), time=NOW - 1000 * DAY) for n in range(2_000)]
    items.append(Item("fresh", "30", time=NOW))
    retriever = Retriever(
        PlaneEncoder(),
        decay=Decay.half_life(30, weight=0.5),
        hybrid=None,
        index=IndexPolicy(exact_up_to=exact_up_to),
    )
    retriever.upsert(items)
    best = retriever.search("0", k=1, now=NOW)[0]
    assert best.id == "fresh"
    assert best.score == pytest.approx(np.cos(np.radians(30)), abs=1e-3)
    assert best.explain["freshness"] == pytest.approx(1.0)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("undated", [1, 20, 299])
@pytest.mark.parametrize("hybrid", [None, Convex(0.3, depth=2)])
def test_undated_items_are_not_forgotten_by_the_bound_of_decay(k, undated, hybrid):
    """300 items, the nearest of them old; those without a time are far down, and are worth more than any of these."""
    decay = Decay.half_life(10, weight=0.9)
    assert decay.factor(np.array([np.nan])) > 2 * decay.factor(np.array([200.0]))
    items = [
        Item(f"i{n}", str(0.2 * n), time=None if n >= 300 - undated else NOW - (200 + n % 7) * DAY)
        for n in range(300)
    ]
    retriever = Retriever(PlaneEncoder(), decay=decay, hybrid=hybrid)
    retriever.upsert(items)
    angles = np.radians(0.2 * np.arange(300))
    ages = np.array([np.nan if item.time is None else 200 + n % 7 for n, item in enumerate(items)])
    expected = np.cos(angles) * decay.factor(ages) * (1 if hybrid is None else 0.7)
    best = np.argsort(-expected, kind="stable")[:k]
    for hits in (
        retriever.search("000", k=k, now=NOW),  # a word of no item
        retriever.search_batch(["90", "000"], k=k, now=NOW)[1],
    ):
        assert [hit.id for hit in hits] == [f"i{n}" for n in best]
        assert [hit.score for hit in hits] == pytest.approx(expected[best].tolist(), abs=1e-5)


def test_an_index_that_grows_is_calibrated_again():
    """The effort that 300 rows need was measured on 300 rows: it says nothing of 600."""
    corpus, write = plane_corpus(exact_up_to=100)
    write(range(300))
    corpus.index.settle()
    corpus.calibrate({})
    measured = []
    for size in (330, 400, 700, 1_500):
        write(range(len(corpus), size))
        corpus.index.settle()
        for part in corpus.snapshot.parts:
            calibration = part.segment.index.calibration
            if calibration is not None:
                assert calibration.rows <= len(part.segment) <= builder.MAX_ROW_GROWTH * calibration.rows
                measured.append(calibration.rows)
    assert max(measured) > 1_000


def test_a_negative_similarity_is_not_raised_by_age():
    items = [Item("old", "120", time=NOW - 900 * DAY), Item("new", "120", time=NOW)]
    retriever = Retriever(PlaneEncoder(), hybrid=None, decay=Decay.half_life(30, weight=1.0))
    retriever.upsert(items)
    scores = {hit.id: hit.score for hit in retriever.search("0", now=NOW)}
    assert scores["old"] == scores["new"] == pytest.approx(np.cos(np.radians(120)), abs=1e-6)


def test_a_user_pulls_the_query_and_explain_says_how_much():
    retriever = Retriever(PlaneEncoder(), hybrid=None, user_weight=0.25)
    retriever.upsert([Item("left", "-30"), Item("right", "30"), Item("seen", "90")])
    retriever.record([Event("u", "seen", "purchase", NOW - DAY)])
    assert retriever.search("0", now=NOW)[0].explain.keys() == {"similarity"}
    hits = {hit.id: hit for hit in retriever.search("0", user="u", now=NOW)}

    query, user = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    mixed = 0.75 * query + 0.25 * user
    length = np.linalg.norm(mixed)
    right = np.array([np.cos(np.radians(30)), np.sin(np.radians(30))])
    assert hits["right"].score == pytest.approx(right @ mixed / length, abs=1e-6)
    assert hits["right"].explain["user"] == pytest.approx(0.25 * right[1] / length, abs=1e-6)
    assert hits["right"].score > hits["left"].score


def test_events_after_now_are_invisible():
    """The planted leak: an event one second ahead must change nothing."""
    retriever = Retriever(PlaneEncoder(), hybrid=None)
    retriever.upsert([Item(str(angle), str(angle)) for angle in range(0, 90, 10)])
    retriever.record([Event("u", "0", "purchase", NOW)])
    before = (retriever.recommend("u", now=NOW), retriever.search("45", user="u", now=NOW))
    retriever.record([Event("u", "80", "purchase", NOW + timedelta(seconds=1))])
    assert (retriever.recommend("u", now=NOW), retriever.search("45", user="u", now=NOW)) == before
    assert retriever.recommend("u", now=NOW + DAY) != before[0]


def test_recommend_without_history_follows_everybody():
    retriever = Retriever(PlaneEncoder(), hybrid=None)
    retriever.upsert([Item(str(angle), str(angle)) for angle in range(0, 90, 10)])
    retriever.record([Event("other", "30", "purchase", NOW)])
    assert retriever.recommend("nobody", k=1, now=NOW)[0].id == "30"
    assert [hit.id for hit in retriever.recommend("other", k=2, now=NOW)] == ["20", "40"]
    assert retriever.recommend("other", k=1, now=NOW, exclude_seen=False)[0].id == "30"


def test_deleted_items_leave_histories_usable():
    retriever = Retriever(PlaneEncoder(), hybrid=None)
    retriever.upsert([Item("10", "10"), Item("80", "80"), Item("12", "12")])
    retriever.record([Event("u", "10", "view", NOW), Event("u", "80", "purchase", NOW)])
    retriever.delete(["80"])
    assert [hit.id for hit in retriever.recommend("u", now=NOW)] == ["12"]


def test_similar_leaves_the_item_out_and_filters():
    retriever = Retriever(PlaneEncoder(), hybrid=None)
    retriever.upsert(
        [Item(str(angle), str(angle), attributes={"even": angle % 20 == 0}) for angle in range(0, 60, 10)]
    )
    assert [hit.id for hit in retriever.similar("20", k=2)] == ["10", "30"]
    assert [hit.id for hit in retriever.similar("20", k=5, where={"even": True})] == ["0", "40"]


def test_the_reranker_reads_as_many_candidates_as_asked_and_no_more():
    seen = []

    class Counting(OverlapReranker):
        def score(self, pairs):
            seen.append(len(pairs))
            return super().score(pairs)

    retriever = Retriever(HashEncoder(), Counting(), rerank_depth=7)
    retriever.upsert([Item(f"i{n}", f"thing {n}") for n in range(30)])
    retriever.search("thing", k=3)
    retriever.search("thing", k=12)
    retriever.search_batch(["thing", "other thing"], k=3)
    retriever.similar("i0")
    assert seen == [7, 7, 14]


def test_using_shares_the_index_and_leaves_the_original_alone():
    plain = Retriever(HashEncoder())
    reranked = plain.using(reranker=OverlapReranker(), relevance_weight=1.0)
    reranked.upsert([Item("a", "red shoes"), Item("b", "shoes")])
    assert len(plain) == 2
    assert "relevance" not in plain.search("red shoes")[0].explain
    assert reranked.search("red shoes")[0].score == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"relevance_weight must be .* got 2"):
        plain.using(relevance_weight=2)


def test_many_small_writes_keep_few_segments():
    corpus = Corpus(MemoryItemStore(), ItemIndex(2, IndexPolicy()))
    angles = np.linspace(0, 3, 500)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    for number in range(500):
        corpus.upsert([Item(str(number), "x")], vectors[number : number + 1])
        assert len(corpus.snapshot.parts) <= 10
    assert sorted(item.id for item in corpus.items()) == sorted(map(str, range(500)))
    np.testing.assert_allclose(corpus.vector("123"), vectors[123], atol=1e-6)


def plane_corpus(exact_up_to):
    corpus = Corpus(MemoryItemStore(), ItemIndex(2, IndexPolicy(exact_up_to=exact_up_to)))
    encoder = PlaneEncoder()

    def write(numbers):
        items = [Item(str(number), str(number % 360)) for number in numbers]
        corpus.upsert(items, encoder.encode_items(items))

    return corpus, write


def test_a_write_that_comes_while_the_merger_ends_is_merged(monkeypatch):
    corpus, write = plane_corpus(exact_up_to=4)
    ending = threading.Event()

    def due(parts, exact_up_to):
        chosen = large_merge(parts, exact_up_to)
        if chosen is None and threading.current_thread().name == "twotower-merge":
            ending.set()
            time.sleep(0.05)  # the write below waits for the lock by now
        return chosen

    monkeypatch.setattr(item_index, "large_merge", due)
    write(range(20))
    assert ending.wait(10)
    write(range(20, 40))
    corpus.index.settle()
    assert large_merge(corpus.snapshot.parts, 4) is None
    assert len(corpus) == 40


@pytest.mark.parametrize("left", [10, 60])
@pytest.mark.parametrize("graph", [True, False])
def test_dead_rows_are_dropped_when_there_are_many(left, graph):
    """Also where so few are left that no graph is needed any more."""
    corpus, write = plane_corpus(exact_up_to=50 if graph else 1_000)
    write(range(300))
    corpus.index.settle()
    corpus.delete([str(number) for number in range(left, 300)])
    corpus.index.settle()
    (part,) = corpus.snapshot.parts
    assert len(part.segment) == left
    assert part.segment.index.kind == ("graph" if graph and left > 50 else "exact")
    assert sorted(int(item.id) for item in corpus.items()) == list(range(left))


def test_searches_beside_writes_see_whole_states():
    """Each write replaces all items of one colour by the other; no search may see both."""
    retriever = Retriever(HashEncoder(), index=IndexPolicy(exact_up_to=50))
    colours = ["red", "blue"]

    def write(colour):
        retriever.upsert([Item(f"i{n}", f"{colour} thing {n}") for n in range(200)])

    write("red")
    stop, mixed = threading.Event(), []

    def read():
        while not stop.is_set():
            found = {hit.item.title.split()[0] for hit in retriever.search("thing", k=300)}
            if len(found) != 1:
                mixed.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(12):
        write(colours[turn % 2])
    stop.set()
    for reader in readers:
        reader.join()
    assert mixed == []


def test_unit_rows_is_exact_and_copies():
    given = np.array([[3.0, 4.0], [1e-30, 0.0]], dtype=np.float32)
    kept = given.copy()
    unit = unit_rows(given, rows=2, dim=2, source="test")
    np.testing.assert_allclose(unit, [[0.6, 0.8], [1.0, 0.0]], rtol=1e-6)
    np.testing.assert_array_equal(given, kept)


def test_a_writer_waits_for_the_merger_only_where_somebody_searches(monkeypatch):
    """Rows that wait for a merge are compared with every query, so there must not be many of them."""
    monkeypatch.setattr(item_index, "MAX_PENDING_ROWS", 300)
    may_merge = threading.Event()
    build = builder.build_index

    def slow(kind, *args, **options):
        if kind != "exact":
            assert may_merge.wait(30)
        return build(kind, *args, **options)

    monkeypatch.setattr(builder, "build_index", slow)
    corpus, write = plane_corpus(exact_up_to=100)
    write(range(200))  # the merger is at work from here on
    for start in range(200, 2_000, 200):
        write(range(start, start + 200))
    corpus.answer(lambda snapshot: None)
    waited = threading.Thread(target=write, args=[range(2_000, 2_200)])
    waited.start()
    waited.join(0.2)
    assert waited.is_alive()
    assert len(corpus) == 2_200  # it waits after its write, not before
    may_merge.set()
    waited.join(30)
    corpus.index.settle()
    assert len(corpus) == 2_200


def test_a_writer_gives_way_while_somebody_searches(monkeypatch):
    corpus, _ = plane_corpus(exact_up_to=100)
    pauses = []
    monkeypatch.setattr("twotower.corpus.base.time.sleep", pauses.append)
    assert list(corpus.yielding_to_searches(range(20))) == list(range(20))
    assert pauses == []
    assert corpus.answer(lambda _: list(corpus.yielding_to_searches(range(20)))) == list(range(20))
    assert len(pauses) == 3
    assert list(corpus.yielding_to_searches(range(20))) == list(range(20))
    assert len(pauses) == 3


def test_what_waits_beside_the_main_graph_stays_few_and_moves_into_it():
    retriever = Retriever(HashEncoder(), index=IndexPolicy(exact_up_to=20))
    for write in range(20):
        retriever.upsert([Item(f"i{write}-{n}", f"thing {write} {n}") for n in range(15)])
        retriever.maintenance.settle()
        main, *beside = (part.alive for part in retriever.maintenance.stats().parts)
        assert sum(beside) <= max(20, 0.05 * len(retriever))
        assert main + sum(beside) == len(retriever) == 15 * (write + 1)
