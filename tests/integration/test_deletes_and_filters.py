"""Deletes, filters and ids on an approximate index: what users of other libraries report as broken.

Each docstring names the issue, in its own project's tracker, that the test would have caught.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import numpy as np
import pytest
from fakes import HashEncoder, PlaneEncoder

from twotower import Event, IndexPolicy, Item, Retriever

SIZE = 3_000
EXACT_UP_TO = 500


def shop(size=SIZE, **settings):
    retriever = Retriever(PlaneEncoder(waves=8), index=IndexPolicy(exact_up_to=EXACT_UP_TO), **settings)
    retriever.upsert(
        Item(f"sku-{n}", str(n * 300 / size), attributes={"n": n, "shop": n % 1000}) for n in range(size)
    )
    retriever.maintenance.settle()
    return retriever


@pytest.fixture(scope="module")
def large():
    retriever = shop()
    assert [part.index for part in retriever.maintenance.stats().parts] == ["graph"]
    return retriever


def ids(hits):
    return [hit.id for hit in hits]


def test_deleted_items_leave_a_graph_and_the_next_best_move_up():
    """faiss#3339, #1784: HNSW has no remove_ids."""
    retriever = shop()
    best = ids(retriever.search("100", k=5))
    assert retriever.delete(best[:2]) == best[:2]
    assert ids(retriever.search("100", k=3)) == best[2:5]


def test_a_delete_marks_a_row_and_leaves_the_graph_as_it_is():
    """faiss#1021: remove_ids passes over everything."""
    retriever = shop()
    (before,) = retriever._corpus.snapshot.parts
    retriever.delete(["sku-7"])
    (after,) = retriever._corpus.snapshot.parts
    assert after.segment is before.segment
    assert before.alive.count - after.alive.count == 1


def test_ids_stay_with_their_items_after_deletes_and_compaction():
    """faiss#2424: sequential ids shift, and callers remove the wrong item."""
    retriever = shop()
    retriever.delete([f"sku-{n}" for n in range(0, SIZE, 2)])
    retriever.maintenance.compact()
    for n in (1, 777, 2_999):
        assert retriever.get(f"sku-{n}").attributes["n"] == n
        assert ids(retriever.search(str(n * 300 / SIZE), k=1)) == [f"sku-{n}"]
    retriever.delete(["sku-777"])
    assert "sku-777" not in retriever
    assert ids(retriever.search(str(775 * 300 / SIZE), k=1)) == ["sku-775"]


def test_filters_read_the_attributes_of_items(large):
    """faiss#3124, #2912, #3982: only int64 ids can be filtered by."""
    hits = large.search(
        "10", k=3, where={"n": {"$gte": 2_000}, "$or": [{"shop": 5}, {"shop": {"$in": [6, 7]}}]}
    )
    assert sorted(ids(hits)) == ["sku-2005", "sku-2006", "sku-2007"]


@pytest.mark.parametrize("matches", [1, 4, 39, 1_157])
def test_a_filter_over_a_graph_returns_every_match(large, matches):
    """faiss#3186, k-NN#1043: four of 1,157 matching documents came back."""
    hits = large.search(
        "0", k=2_000, where={"n": {"$gte": SIZE - matches}}
    )  # the matches are far from the query
    assert len(hits) == matches
    assert {hit.item.attributes["n"] for hit in hits} == set(range(SIZE - matches, SIZE))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.05, 0.001])
def test_a_graph_never_returns_what_a_filter_excludes(large, share):
    """faiss#5504: IndexHNSW ignores the selector with bounded_queue=False."""
    for query in range(0, 300, 20):
        hits = large.search(str(query), k=20, where={"n": {"$lt": int(SIZE * share)}})
        assert all(hit.item.attributes["n"] < SIZE * share for hit in hits)


def test_the_graph_is_of_a_kind_that_obeys_filters(large):
    """faiss#3924: a selector does nothing on a GPU."""
    import faiss

    (part,) = large._corpus.snapshot.parts
    assert type(part.segment.index.graph.native) is faiss.IndexHNSWSQ
    assert ids(large.search("0", where={"n": SIZE - 1})) == [f"sku-{SIZE - 1}"]


def test_a_filter_applies_before_candidates_are_cut(large):
    """txtai#915, #301, #307: filtered after the candidates, 100 gives nothing and 101 one hit."""
    for k in (1, 2, 100, 101):
        assert len(large.search("0", k=k, where={"shop": 999})) == min(k, 3)


def test_a_deleted_item_is_found_neither_by_words_nor_by_its_attributes():
    """llama_index#6250, #15233, #18638: delete is not implemented for FAISS."""
    retriever = shop(200)
    assert retriever.delete(["sku-3", "never"]) == ["sku-3"]
    assert retriever.search("4.6", k=1)[0].item.attributes == {"n": 4, "shop": 4}
    assert retriever.search("4.5", k=200, where={"n": 3}) == []


def test_hits_carry_their_own_items_after_many_deletes():
    """fast-plaid#32, pylate#186: ids are remapped after a delete, and the wrong documents come back."""
    retriever = shop()
    rng = np.random.default_rng(0)
    gone = {f"sku-{n}" for n in rng.choice(SIZE, 1_000, replace=False)}
    retriever.delete(gone)
    retriever.maintenance.settle()
    for hit in (hit for query in range(0, 300, 10) for hit in retriever.search(str(query), k=5)):
        assert hit.id not in gone
        assert hit.item.title == str(hit.item.attributes["n"] * 300 / SIZE)
        assert hit.id == f"sku-{hit.item.attributes['n']}"


def test_an_id_survives_delete_save_and_load(tmp_path):
    """semantica#1507: delete, save, load, add resets the id counter, and data is lost."""
    retriever = Retriever(HashEncoder())
    retriever.upsert([Item("a", "red"), Item("b", "blue"), Item("c", "green")])
    retriever.record([Event("u", "b", "view", datetime(2026, 6, 1, tzinfo=UTC))])
    retriever.delete(["c", "b"])
    retriever.save(tmp_path / "store")
    with Retriever.open(tmp_path / "store", encoder=HashEncoder()) as again:
        before = again._corpus.item_store.labels_of(["a"])[0]
        again.upsert([Item("d", "yellow"), Item("c", "green again")])
        assert (again._corpus.item_store.labels_of(["d", "c"]) > before).all()
    with Retriever.open(tmp_path / "store", encoder=HashEncoder(), read_only=True) as third:
        assert sorted(item.id for item in third.items()) == ["a", "c", "d"]
        assert third.search("yellow", k=1)[0].id == "d"
        assert third.get("c").title == "green again"


def test_new_items_are_found_without_a_rebuild():
    """recommenders#589, #384, #268; google-research#398, #1679: adding items means rebuilding the index."""
    retriever = shop()
    (before,) = retriever._corpus.snapshot.parts
    retriever.upsert([Item("new", "301", attributes={"n": SIZE})])
    assert ids(retriever.search("301", k=1)) == ["new"]
    assert retriever._corpus.snapshot.parts[0].segment is before.segment


def test_nothing_in_a_store_is_pickled_or_run(tmp_path, monkeypatch):
    """langchain-community#92, langchain#22861: the sidecar is a pickle, which runs code."""
    folder = tmp_path / "store"
    with Retriever.open(
        folder, encoder=PlaneEncoder(waves=8), index=IndexPolicy(exact_up_to=50)
    ) as retriever:
        retriever.upsert([Item(str(n), str(n)) for n in range(200)])
    monkeypatch.setattr(pickle, "loads", _forbidden)
    monkeypatch.setattr(pickle, "load", _forbidden)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert not path.read_bytes().startswith((b"\x80\x04", b"\x80\x05"))
    assert ids(Retriever.open(folder, encoder=PlaneEncoder(waves=8), read_only=True).search("7", k=1)) == [
        "7"
    ]
    for path in folder.glob("generation-*/*.npy"):
        np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    # Damaged, so made again from the catalog, and nothing was run.
    assert ids(Retriever.open(folder, encoder=PlaneEncoder(waves=8), read_only=True).search("7", k=1)) == [
        "7"
    ]


class Bomb:
    def __reduce__(self):
        return _forbidden, ()


def _forbidden(*_):
    raise AssertionError("something was unpickled")
