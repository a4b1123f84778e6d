"""Every bad input gets one sentence that names what is wrong, and nothing indexed is lost or half-written."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from fakes import HashEncoder, OverlapReranker

from rerank import Decay, InputError
from twotower import BadItem, Event, Item, Query, Retriever
from twotower.corpus.base import Corpus
from twotower.errors import EncoderError, EventError, FilterError, ItemError, QueryError, UnknownItemError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAIVE = datetime(2026, 6, 1)

GOOD = [
    Item("a", "red shoes", time=NOW, attributes={"price": 10.0, "brand": "Acme"}),
    Item("b", "blue bag", attributes={"price": 20.0}),
]

BAD_ITEMS = {
    "empty id": (Item("", "title"), "id"),
    "naive time": (Item("x", "title", time=NAIVE), "time"),
    "NaN price": (Item("x", "title", attributes={"price": float("nan")}), "price"),
    "infinite price": (Item("x", "title", attributes={"price": float("inf")}), "price"),
    "attribute of another type": (Item("x", "title", attributes={"size": {"width": 3}}), "size"),
    "reserved name": (Item("x", "title", attributes={"$price": 3}), "$price"),
    "nothing to encode": (Item("x"), "text"),
    "duplicate": (Item("c", "again"), "c"),
}


@pytest.fixture
def retriever():
    retriever = Retriever(HashEncoder(), OverlapReranker(), Decay.half_life(30))
    retriever.upsert(GOOD)
    retriever.record([Event("u", "a", "click", NOW)])
    return retriever


@pytest.fixture
def unchanged(retriever):
    """Whatever a test does to the retriever, it still answers as before."""

    def answers():
        return (
            len(retriever),
            retriever.search("shoes", k=9, user="u", now=NOW),
            retriever.recommend("u", k=9, now=NOW, exclude_seen=False),
        )

    before = answers()
    yield
    assert answers() == before


@pytest.mark.parametrize(("item", "word"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_upsert_stops_before_anything_is_written(retriever, unchanged, item, word):
    with pytest.raises(ItemError) as error:
        retriever.upsert([Item("c", "new"), item, Item("d", "newer")])
    message = str(error.value)
    assert word in message
    assert "\n" not in message
    assert "c" not in retriever


@pytest.mark.parametrize(("item", "word"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_upsert_can_skip_and_report(retriever, item, word):
    report = retriever.upsert(iter([Item("c", "new"), item, Item("d", "newer")]), on_error="skip")
    assert report.upserted == 2
    assert [bad.id for bad in report.skipped] == [item.id]
    assert word in report.skipped[0].reason
    assert {"a", "b", "c", "d"} == {hit.id for hit in retriever.search("new", k=9)}
    assert retriever.get("c").title == "new"


def test_items_that_the_encoder_refuses_are_skipped_and_reported_too():
    class Picky(HashEncoder):
        def encode_items(self, items):
            reasons = {item.id: "no vowels" for item in items if not set("aeiou") & set(item.title)}
            if reasons:
                raise ItemError("no vowels", reasons)
            return super().encode_items(items)

    items = [Item("one", "shoe"), Item("two", "shh"), Item("three", "bag"), Item("four", "pst")]
    retriever = Retriever(Picky())
    with pytest.raises(ItemError, match="no vowels"):
        retriever.upsert(items)
    assert len(retriever) == 0
    report = retriever.upsert(items, on_error="skip")
    assert report.skipped == (BadItem("two", "no vowels"), BadItem("four", "no vowels"))
    assert {hit.id for hit in retriever.search("shoe", k=9)} == {"one", "three"}


BAD_EVENTS = {
    "unknown item": (Event("u", "nope", "click", NOW), "nope"),
    "naive time": (Event("u", "a", "click", NAIVE), "time"),
    "NaN value": (Event("u", "a", "click", NOW, float("nan")), "value"),
    "negative value": (Event("u", "a", "click", NOW, -1.0), "value"),
    "empty user": (Event("", "a", "click", NOW), "user"),
}


@pytest.mark.parametrize(("event", "word"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_record_takes_all_events_or_none(retriever, unchanged, event, word):
    with pytest.raises(EventError, match=word):
        retriever.record([Event("u", "b", "purchase", NOW), event])


BAD_SEARCHES = {
    "k is 0": ({"query": "shoes", "k": 0}, QueryError, r"k must be .* got 0"),
    "k is negative": ({"query": "shoes", "k": -1}, QueryError, r"k must be .* got -1"),
    "k is a truth": ({"query": "shoes", "k": True}, QueryError, r"k must be .* got True"),
    "k is a truth of numpy": ({"query": "shoes", "k": np.True_}, QueryError, r"k must be .* got .*True"),
    "k is a float": ({"query": "shoes", "k": 2.0}, QueryError, r"k must be .* got 2\.0"),
    "offset is negative": ({"query": "shoes", "offset": -1}, QueryError, r"offset must be .* got -1"),
    "offset is text": ({"query": "shoes", "offset": "1"}, QueryError, r"offset must be .* got '1'"),
    "no query": ({"query": None}, QueryError, "must be text or a Query with text, got NoneType None"),
    "a list of queries": ({"query": ["shoes"]}, QueryError, r"got list \['shoes'\]"),
    "a user by number": ({"query": "shoes", "user": 5}, QueryError, "user must be text, got int 5"),
    "NaT": ({"query": "shoes", "now": pd.NaT}, QueryError, "now must be an aware datetime, got NaT"),
    "a date": ({"query": "shoes", "now": NOW.date()}, QueryError, "now must be an aware datetime, got "),
    "an argument of another library": (
        {"query": "shoes", "top_k": 5},
        QueryError,
        "'top_k' is neither an argument",
    ),
    "a weight as text": (
        {"query": "shoes", "relevance_weight": "0.5"},
        QueryError,
        r"relevance_weight .* got '0\.5'",
    ),
    "a modality that is no name": (
        {"query": "shoes", "modality": []},
        QueryError,
        r"modality must be .* got \[\]",
    ),
    "min_score is a truth": (
        {"query": "shoes", "min_score": True},
        QueryError,
        "min_score must be .* got True",
    ),
    "budget is NaN": (
        {"query": "shoes", "budget_ms": float("nan")},
        QueryError,
        "budget_ms must be .* got nan",
    ),
    "k is no number": ({"query": "shoes", "k": "ten"}, QueryError, r"k must be .* got 'ten'"),
    "a half of a depth": (
        {"query": "shoes", "rerank_depth": 1.5},
        ValueError,
        r"rerank_depth must be .* got 1\.5",
    ),
    "a fusion by name": ({"query": "shoes", "hybrid": "rrf"}, QueryError, r"hybrid must be .* got 'rrf'"),
    "a decay in days": ({"query": "shoes", "decay": 30}, ValueError, r"decay must be .* got 30"),
    "a misspelled part": (
        {"query": "shoes", "rerank_deph": 5},
        ValueError,
        "'rerank_deph' is neither an argument",
    ),
    "min_score is NaN": ({"query": "shoes", "min_score": float("nan")}, QueryError, "min_score .* got nan"),
    "min_score is text": (
        {"query": "shoes", "min_score": "0.1"},
        QueryError,
        r"min_score must be .* got '0\.1'",
    ),
    "budget is text": ({"query": "shoes", "budget_ms": "50"}, QueryError, "budget_ms must be .* got '50'"),
    "now is text": ({"query": "shoes", "now": "2026"}, QueryError, "now must be .* got '2026'"),
    "nothing to search by": ({"query": "  "}, QueryError, "empty"),
    "naive now": ({"query": "shoes", "now": NAIVE}, QueryError, "time zone"),
    "unknown operator": ({"query": "shoes", "where": {"price": {"$near": 3}}}, FilterError, r"\$near"),
    "text for a number": (
        {"query": "shoes", "where": {"price": "cheap"}},
        FilterError,
        "'price': its values are numbers .* the text 'cheap': pass a number",
    ),
    "NaN operand": ({"query": "shoes", "where": {"price": {"$lt": float("nan")}}}, FilterError, "price"),
}


@pytest.mark.parametrize(("arguments", "kind", "word"), BAD_SEARCHES.values(), ids=BAD_SEARCHES.keys())
def test_a_search_that_cannot_be_run_says_why(retriever, unchanged, arguments, kind, word):
    with pytest.raises(kind, match=word) as error:
        retriever.search(**arguments)
    assert isinstance(error.value, ValueError)


def test_unknown_ids_are_named(retriever, unchanged):
    with pytest.raises(UnknownItemError, match=r"^no item with id 'nope' is indexed$"):
        retriever.get("nope")
    with pytest.raises(KeyError, match="nope"):
        retriever.similar("nope")
    with pytest.raises(ValueError, match=r"pass \['a'\]"):
        retriever.delete("a")
    assert retriever.delete(["nope"]) == []


def test_delete_returns_what_it_removed_and_can_be_replayed(retriever):
    assert retriever.delete(["b", "nope", "b"]) == ["b"]
    assert retriever.delete(["b"]) == []
    assert [hit.id for hit in retriever.search("blue bag", k=9)] == ["a"]


class Scripted(HashEncoder):
    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def encode_items(self, items):
        return self.vectors


@pytest.mark.parametrize(
    ("vectors", "word"),
    [
        (np.ones((1, 32)), "shape"),
        (np.ones((2, 31)), "shape"),
        (np.full((2, 32), np.nan), "NaN"),
        (
            np.vstack([np.ones(32), np.zeros(32)]),
            "item 'b' cannot be indexed: encode_items returned a zero vector",
        ),
    ],
)
def test_an_encoder_that_returns_something_else_is_refused(vectors, word):
    retriever = Retriever(Scripted(vectors.astype(np.float32)))
    with pytest.raises(EncoderError, match=word):
        retriever.upsert(GOOD)
    assert len(retriever) == 0


def test_a_reranker_that_returns_logits_is_refused():
    class Logits:
        def score(self, pairs):
            return np.full(len(pairs), 4.2, dtype=np.float32)

    retriever = Retriever(HashEncoder(), Logits())
    retriever.upsert(GOOD)
    with pytest.raises(InputError, match="sigmoid"):
        retriever.search("shoes")


def test_users_and_queries_must_match(retriever):
    with pytest.raises(QueryError, match="got 1 for 2 queries"):
        retriever.search_batch(["a", Query("b")], users=["u"])


def test_empty_in_gives_empty_out():
    retriever = Retriever(HashEncoder())
    assert retriever.upsert([]).upserted == 0
    assert retriever.search("anything") == []
    assert retriever.search_batch([]) == []
    assert retriever.recommend("nobody") == []
    retriever.delete([])
    retriever.record([])


@pytest.mark.parametrize(
    ("queries", "users", "words"),
    [
        ("ab", None, "queries must be a list: pass ['ab']"),
        (["a", "b"], "u1", "users must be a list: pass ['u1']"),
        ([None], None, "a query must be text or a Query with text, got NoneType"),
        ([Query("a"), Query(5)], None, "a query must be text or a Query with text, got int"),
        ([b"shoes"], None, "got bytes b'shoes'"),
        ([float("nan")], None, "got float nan"),
        ([["shoes"]], None, "got list ['shoes']"),
        (b"shoes", None, "queries must be a list: pass [b'shoes']"),
        (Query("a"), None, "queries must be a list: pass [Query("),
        (None, None, "queries must be a list, got None"),
        ({"a": 1}, None, "queries must be a list, got {'a': 1}"),
        (np.array("a"), None, "queries must be a list, got array('a'"),
        (["a", "b"], ["u1", 5], "user must be text, got int 5"),
        (["a"], [float("nan")], "user must be text, got float nan"),
        (["a"], ["\ud83d"], "half of a surrogate pair"),
        (["a"], 7, "users must be a list, got 7"),
    ],
)
def test_what_is_not_a_query_is_refused(retriever, unchanged, queries, users, words):
    with pytest.raises(QueryError) as refused:
        retriever.search_batch(queries, users=users)
    assert words in str(refused.value)


def test_a_corpus_with_vectors_of_another_length_is_refused():
    corpus = Corpus.in_memory(16)
    with pytest.raises(ValueError, match="vectors of 16 dimensions, the encoder 32"):
        Retriever(HashEncoder(32), corpus=corpus)


@pytest.mark.parametrize(
    ("write", "kind", "words"),
    [
        (lambda r: r.upsert(GOOD[0]), ItemError, "takes a list of items"),
        (lambda r: r.upsert([GOOD[0], {"id": "x"}]), ItemError, "item 1 must be an Item, got dict"),
        (lambda r: r.upsert(None), ItemError, "takes a list of items .* got None"),
        (lambda r: r.upsert("a"), ItemError, "takes a list of items .* got a str"),
        (lambda r: r.get(["a"]), UnknownItemError, "ids are text"),
        (lambda r: r.changed(5), ItemError, "takes a list of items, got an int"),
        (lambda r: r.changed([5]), ItemError, "an item must be an Item, got int"),
        (lambda r: r.delete({"price": 5}), ItemError, "got a dict: pass a filter as where="),
        (lambda r: r.delete(5), ItemError, "item_ids must be a list of ids, got an int"),
        (lambda r: r.record(None), EventError, "takes a list of events: .* got None"),
        (lambda r: r.record(Event("u", "a", "click", NOW)), EventError, "takes a list of events"),
        (lambda r: r.record([{"user": "u"}]), EventError, "row 0: no column is the time: name one of user"),
    ],
)
def test_what_is_not_a_list_of_items_or_events_is_refused(retriever, unchanged, write, kind, words):
    with pytest.raises(kind, match=words):
        write(retriever)


def test_skipping_leaves_out_whatever_is_not_an_item(retriever):
    report = retriever.upsert([5, {"id": "x", "title": "x"}, Item("new", "a lamp"), None], on_error="skip")
    assert report.upserted == 1
    assert [bad.reason for bad in report.skipped] == [
        f"item {number} must be an Item, got {name}"
        for number, name in ((0, "int"), (1, "dict"), (3, "NoneType"))
    ]
    assert retriever.get("new").title == "a lamp"


def test_long_arguments_are_abbreviated_in_errors(retriever):
    for arguments in (
        {"query": ["x" * 9_000]},
        {"k": "9" * 9_000},
        {"now": "y" * 9_000},
        {"user": b"z" * 9_000},
    ):
        with pytest.raises(QueryError) as refused:
            retriever.search(**{"query": "shoes", **arguments})
        assert len(str(refused.value)) < 300


def test_queries_and_users_come_in_any_list_of_text(retriever):
    expected = retriever.search_batch(["shoes", "bag"], users=["u", None], now=NOW)
    for queries in (
        ("shoes", "bag"),
        iter(["shoes", "bag"]),
        np.array(["shoes", "bag"]),
        pd.Series(["shoes", "bag"]),
    ):
        assert retriever.search_batch(queries, users=iter(["u", None]), now=NOW) == expected
    assert retriever.search(np.str_("shoes"), np.int64(9), now=NOW) == retriever.search("shoes", 9, now=NOW)
    assert retriever.search("shoes", k=np.int8(100), offset=np.int8(100)) == []


def test_half_an_emoji_is_replaced_and_spoils_nothing(retriever):
    whole = retriever.search_batch(["shoes", "shoes \ufffd", "\U0001f45f"], now=NOW)
    assert retriever.search_batch(["shoes", "shoes \ud83d", "\ud83d\udc5f"], now=NOW) == whole
    assert len(retriever.search("\ud83d", now=NOW)) == 2


def test_what_is_not_an_id_is_refused(retriever, unchanged):
    for ask in (retriever.similar, retriever.recommend):
        for given in (None, 5, b"a", ["a"], "\ud83d"):
            with pytest.raises(QueryError, match=r"^(user|item_id) must be"):
                ask(given)


def test_a_retriever_says_why_it_is_not_pickled(retriever):
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"^a Retriever holds an index, locks and threads, so .* open its store"
        ):
            copied(retriever)
    assert copy.copy(retriever).search("shoes", now=NOW) == retriever.search("shoes", now=NOW)
