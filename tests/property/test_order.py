"""One order, whatever is asked: for every k and offset, alone and in a batch, among equals, in any segments."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shops import ids

from rerank import Cascade, Decay
from twotower import Convex, Event, IndexPolicy, Item, ReciprocalRank, Retriever

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "blue", "shoe", "bag", "lamp"]
TITLES = ["red shoe", "blue shoe", "red bag", "lamp", "shoe shoe"]
EXACT, GRAPH = IndexPolicy(), IndexPolicy(exact_up_to=20)

WAYS = {
    "vectors": {"hybrid": None},
    "vectors under decay": {"hybrid": None, "decay": Decay.half_life(30)},
    "hybrid": {},
    "hybrid of few": {"hybrid": Convex(0.5, depth=7)},
    "hybrid of few under decay": {"hybrid": Convex(0.6, depth=7), "decay": Decay.half_life(30, weight=0.9)},
    "ranks": {"hybrid": ReciprocalRank(depth=7)},
    "ranks under decay": {"hybrid": ReciprocalRank(depth=7), "decay": Decay.half_life(30)},
    "reranked": {"reranker": OverlapReranker(), "rerank_depth": 9, "hybrid": None},
    "reranked hybrid under decay": {
        "reranker": Cascade((OverlapReranker(), 8), (OverlapReranker(), 3)),
        "hybrid": Convex(depth=5),
        "decay": Decay.half_life(30),
    },
    "relevance alone": {"reranker": OverlapReranker(), "rerank_depth": 9, "relevance_weight": 1.0},
}


def goods(number, titles=TITLES, aged=True):
    """Every title several times, in turn: those of one title and age are equal."""
    return [
        Item(
            f"i{n:03}",
            titles[n % len(titles)],
            time=NOW - timedelta(days=n % 3 * 20) if aged and n % 3 else None,
            attributes={"n": n},
        )
        for n in range(number)
    ]


def filled(items, writes=1, encoder=None, **parts):
    retriever = Retriever(encoder or HashEncoder(), **parts)
    for part in np.array_split(np.arange(len(items)), writes):
        retriever.upsert([items[n] for n in part])
        retriever.maintenance.settle()
    return retriever


def plain(hits):
    return [(hit.id, hit.score, dict(hit.explain), dict(hit.ranks)) for hit in hits]


def asked(retriever, how, k, offset=0):
    """One of the ways to ask, as a list of all that a hit tells."""
    options = {"k": k, "offset": offset, "now": NOW}
    match how:
        case "words":
            return plain(retriever.search("red shoe", **options))
        case "filtered":
            return plain(retriever.search("red shoe", where={"n": {"$gte": 5}}, **options))
        case "batch":
            return plain(retriever.search_batch(["lamp", "red shoe", "bag bag"], **options)[1])
        case "user":
            return plain(retriever.search("red shoe", user="u", **options))
        case "similar":
            return plain(retriever.similar("i001", **options))
        case "recommend":
            return plain(retriever.recommend("u", **options))


@pytest.mark.parametrize("index", [EXACT, GRAPH], ids=["exact", "graph"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("how", ["words", "filtered", "batch", "user", "similar", "recommend"])
def test_pages_of_ten_show_everything_once_and_do_not_change_when_k_grows(way, how, index):
    retriever = filled(goods(83), writes=3, index=index, **way)
    retriever.record([Event("u", "i002", "click", NOW)])
    whole = asked(retriever, how, 200)
    assert len(whole) == {"filtered": 78, "similar": 82, "recommend": 82}.get(how, 83)
    scores = [score for _, score, *_ in whole]
    assert scores == sorted(scores, reverse=True)
    for k in (1, 7, 10, 11, 40, 82):
        assert asked(retriever, how, k) == whole[:k]
    pages = [asked(retriever, how, 10, offset) for offset in range(0, 100, 10)]
    assert [hit for page in pages for hit in page] == whole
    assert len({item_id for item_id, *_ in whole}) == len(whole)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_sixty_equal_items_come_in_the_order_of_their_writes(way):
    items = goods(60, titles=["red shoe"], aged=False)
    for writes, index in ((1, EXACT), (4, EXACT), (1, GRAPH), (4, GRAPH)):
        retriever = filled(items, writes, index=index, **way)
        for k in (10, 20, 60):
            assert ids(retriever.search("red shoe", k=k, now=NOW)) == [item.id for item in items[:k]]
        retriever.upsert([items[3]])  # written again, it is the youngest
        expected = [item.id for item in items if item is not items[3]] + ["i003"]
        assert ids(retriever.search("red shoe", k=60, now=NOW)) == expected
        retriever.maintenance.compact()
        assert ids(retriever.search("red shoe", k=60, now=NOW)) == expected


def test_equal_items_in_a_graph_and_beside_it_score_alike():
    """The graph keeps vectors in half precision, the rows that wait beside it in single precision."""
    retriever = filled(goods(60), index=GRAPH, hybrid=None)
    retriever.upsert([Item(f"new{n}", title) for n, title in enumerate(TITLES)])
    retriever.maintenance.settle()
    assert [part.index for part in retriever.maintenance.stats().parts] == ["graph", "exact"]
    for query in ("red shoe", "lamp", "blue", "a red bag with a shoe"):
        hits = retriever.search(query, k=65)
        for title in TITLES:
            assert len({hit.score for hit in hits if hit.item.title == title}) == 1
            assert [hit.id for hit in hits if hit.item.title == title][-1].startswith("new")


@given(
    titles=st.lists(st.sampled_from(TITLES), min_size=1, max_size=60),
    writes=st.integers(1, 5),
    way=st.sampled_from(list(WAYS)),
    query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
)
def test_segments_batches_and_compaction_change_nothing(titles, writes, way, query):
    items = [Item(f"i{n}", title, time=NOW) for n, title in enumerate(titles)]
    one, many = filled(items, **WAYS[way]), filled(items, writes, **WAYS[way])
    whole = plain(one.search(query, k=99, now=NOW))
    for retriever in (one, many):
        assert plain(retriever.search(query, k=99, now=NOW)) == whole
        assert plain(retriever.search_batch(["bag", query, "lamp"], k=99, now=NOW)[1]) == whole
    many.maintenance.compact()
    assert plain(many.search(query, k=99, now=NOW)) == whole


class Corners:
    """Exact inner products with the query "one": whole, half, none and less."""

    dim = 4

    def encode_items(self, items):
        return self.encode_queries([item.title for item in items])

    def encode_queries(self, queries):
        half = [0.5, 0.5, 0.5, 0.5]
        corners = {"one": [1, 0, 0, 0], "half": half, "zero": [0, 1, 0, 0], "less": np.negative(half)}
        return np.array([corners[text] for text in queries], dtype=np.float32)


CORNERS = [("one", 1.0), ("half", 0.5), ("zero", 0.0), ("less", -0.5)]
ONE, HALF, ZERO, LESS = CORNERS
OLD_HALVES = 3 * [(HALF, 0.0, 60)]


@settings(max_examples=3 * settings.default.max_examples)  # fast
@example([*OLD_HALVES, (HALF, 0.0, 0), (ONE, 0.0, 30)], 1, 1, True)  # neither channel finds the tie
@example([*2 * [(ZERO, 0.5, 0)], (HALF, 0.0, 0), (HALF, 0.5, 0), (ONE, 0.0, 0)], 2, 1, False)
@given(
    kinds=st.lists(
        st.tuples(
            st.sampled_from(CORNERS),
            st.sampled_from([0.0, 0.5, 1.0]),
            st.sampled_from([0, 30, 60]),
        ),
        min_size=1,
        max_size=30,
    ),
    depth=st.integers(1, 4),
    k=st.integers(1, 5),
    aging=st.booleans(),
)
def test_of_equal_scores_the_older_write_comes_first_whatever_they_are_made_of(kinds, depth, k, aging):
    """Words, similarity and age are halves and quarters, so that rows of different kinds score exactly alike."""
    items = [
        Item(f"i{n:02}", title, time=NOW - timedelta(days=age), attributes={"words": words})
        for n, ((title, _), words, age) in enumerate(kinds)
    ]
    decay = Decay.half_life(30, weight=1.0) if aging else None
    retriever = filled(items, encoder=Corners(), hybrid=Convex(0.5, depth=depth), decay=decay)
    expected = []
    for item, ((_, similarity), words, age) in zip(items, kinds, strict=True):
        score = 0.5 * similarity + 0.5 * words
        expected.append((item.id, score * 0.5 ** (age / 30) if aging and score > 0 else score))
    expected.sort(key=lambda pair: -pair[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "twotower.recall.hybrid.lexical_scores",
            lambda snapshot, _: np.array(
                [item.attributes["words"] for item in snapshot.items()], dtype=np.float32
            ),
        )
        hits = retriever.search("one", k=k, now=NOW)
    assert [(hit.id, hit.score) for hit in hits] == expected[:k]


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("decay", [None, Decay.half_life(30, weight=0.8)])
def test_hybrid_recall_equals_scoring_every_item(depth, decay):
    """However few rows of each channel are fused at first, under decay too."""
    generator = np.random.default_rng(4)
    items = [
        Item(
            f"i{n}",
            " ".join(generator.choice([*WORDS, "wool", "tape"], 3)),
            time=NOW - timedelta(days=n % 90),
        )
        for n in range(300)
    ]
    retriever = filled(items, decay=decay, hybrid=Convex(0.5, depth=depth))
    everything = retriever.using(hybrid=Convex(0.5, depth=300))
    for query in ("red shoe", "wool", "nothing of it", "tape tape lamp bag"):
        whole = plain(everything.search(query, k=300, now=NOW))
        for k in (1, 2, 3, 10, 50):
            assert plain(retriever.search(query, k=k, now=NOW)) == whole[:k]


IN_A_PROCESS = """
import sys
import tracemalloc
sys.path[:0] = {path}
from datetime import UTC, datetime
from fakes import HashEncoder
from twotower import Retriever
with Retriever.open({folder!r}, encoder=HashEncoder(), read_only=True) as retriever:
    hits = retriever.search("red shoe", k=25, now=datetime(2026, 6, 1, tzinfo=UTC))
    print([(hit.id, hit.score, dict(hit.explain), dict(hit.ranks)) for hit in hits])
"""


def test_another_process_finds_the_same_order(tmp_path):
    folder = str(tmp_path / "store")
    with Retriever.open(folder, encoder=HashEncoder(), index=GRAPH, decay=Decay.half_life(30)) as retriever:
        for start in range(0, 83, 20):
            retriever.upsert(goods(83)[start : start + 20])
        retriever.maintenance.settle()
        here = plain(retriever.search("red shoe", k=25, now=NOW))
    for _ in range(2):
        script = IN_A_PROCESS.format(path=sys.path, folder=folder)
        there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert there.stdout.strip() == str(here)


def test_a_candidate_behind_the_depth_of_the_reranker_keeps_its_place_in_recall():
    retriever = filled(goods(30), hybrid=None, reranker=OverlapReranker(), rerank_depth=4)
    recalled = ids(retriever.search("red shoe", k=30, reranker=None))
    hits = retriever.search("red shoe", k=30)
    assert sorted(ids(hits[:4])) == sorted(recalled[:4])
    assert ids(hits)[4:] == recalled[4:]
    assert [hit.ranks for hit in hits[4:]] == [{"recall": place} for place in range(5, 31)]
    assert all(hit.explain["relevance"] == 0 for hit in hits[4:])


@pytest.mark.parametrize("way", ["vectors under decay", "hybrid", "reranked"])
def test_a_large_batch_takes_the_memory_of_a_small_one(way):
    retriever = filled(goods(500), **WAYS[way])
    queries = [f"{WORDS[n % 5]} {n}" for n in range(900)]
    peaks = []
    for number in (10, 300, 900):
        tracemalloc.start()
        hits = retriever.search_batch(queries[:number], now=NOW)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert plain(hits[7]) == plain(retriever.search(queries[7], now=NOW))
        assert plain(hits[-1]) == plain(retriever.search(queries[number - 1], now=NOW))
    per_query = (peaks[2] - peaks[1]) / 600
    assert per_query < 6_000  # ten hits and a vector, not the vectors of its candidates


@pytest.mark.parametrize("hybrid", [None, Convex(0.6), ReciprocalRank()], ids=["vectors", "hybrid", "ranks"])
@pytest.mark.parametrize("decay", [None, Decay.half_life(30)], ids=["", "decay"])
def test_pages_over_a_graph_that_misses_rows_do_not_overlap_and_add_up(hybrid, decay):
    """Many items of equal words, as of one product in all sizes, lead the walk of a graph astray."""
    rng = np.random.default_rng(0)
    names = [f"{colour} {kind}" for colour in WORDS for kind in "abcdefghijkl"]
    items = [
        Item(f"i{n:04}", names[n % 60], time=NOW - timedelta(days=int(days)), attributes={"price": n % 7})
        for n, days in enumerate(rng.integers(0, 90, size=3_000))
    ]
    retriever = filled(items, index=IndexPolicy(exact_up_to=300), hybrid=hybrid, decay=decay)
    retriever.record([Event("u", "i0002", "click", NOW)])
    assert [part.index for part in retriever.maintenance.stats().parts] == ["graph"]
    for query, where, user in (
        ("red a", None, None),
        ("lamp f", {"price": {"$lt": 3}}, "u"),
        ("zzz", {"price": {"$lt": 3}}, None),
        ("shoe bag", None, "u"),
    ):
        options = {"where": where, "user": user, "now": NOW}
        whole = retriever.search(query, k=260, **options)
        for offset in (0, 20, 90, 100, 240):
            page = retriever.search(query, k=20, offset=offset, **options)
            assert plain(page) == plain(whole[offset : offset + 20])
        for hit in whole:
            terms = dict(hit.explain)
            freshness = terms.pop("freshness", 1.0)
            assert sum(terms.values()) * freshness == pytest.approx(hit.score, abs=1e-6)
