from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.__main__ import read_options
from benchmarks.common.contract import Result
from benchmarks.common.vectors import LookupEncoder, clustered
from benchmarks.ingest import benchmark as ingest
from benchmarks.ingest.stores import Kind, Store, faiss_store, hnswlib_store, retriever_store
from benchmarks.ingest.write_while_searching import Round, write_while_searching
from twotower import Retriever

SIZE = 300
POINTS = clustered(SIZE + 100, 40, seed=1, dim=16)
ROUNDS = [Round([300, 301], [0, 1]), Round([302, 303], [2, 3]), Round([], [300])]
QUERIES = range(POINTS.size, len(POINTS.table))


class Exhaustive:
    """A store of rows in a set, searched by numpy; `broken` never forgets."""

    def __init__(self, *, broken=False):
        self.rows, self.broken = set(range(SIZE)), broken

    def upsert(self, rows):
        self.rows |= set(rows)

    def delete(self, rows):
        if not self.broken:
            self.rows -= set(rows)

    def search(self, row):
        held = np.array(sorted(self.rows))
        return held[np.argsort(-POINTS.table[held] @ POINTS.table[row])[:10]].tolist()


def run(store, **changes):
    calls = {"upsert": store.upsert, "delete": store.delete, "search": store.search} | changes
    return write_while_searching(**calls, rounds=ROUNDS, queries=QUERIES)


def test_an_honest_store_has_no_stale_hits_and_every_write_is_counted():
    store = Exhaustive()
    result = run(store)
    assert (result.stale_hits, result.failed_searches, result.written) == (0, 0, 9)
    assert len(result.search_s) >= 1
    assert store.rows == set(range(4, SIZE)) | {301, 302, 303}


def test_a_store_that_returns_what_was_deleted_is_caught():
    assert run(Exhaustive(broken=True)).stale_hits >= 5  # each of the five, asked for by its own vector


def test_a_hit_is_not_stale_if_its_search_began_before_the_delete_was_acknowledged():
    store = Exhaustive()
    deleting, found, acknowledged = threading.Event(), threading.Event(), threading.Event()
    late = []

    def search(row):
        waits = deleting.is_set() and not acknowledged.is_set()
        rows = store.search(row)
        if waits:  # answers with what it found before the delete only after the delete
            found.set()
            assert acknowledged.wait(10)
            late.extend(rows)
        return rows

    def delete(rows):
        deleting.set()
        assert found.wait(10)
        store.delete(rows)

    def upsert(rows):
        if 300 in rows:  # of the second round, so the first one's delete is acknowledged
            acknowledged.set()

    rounds = [Round([], [0]), Round([300], [])]
    result = write_while_searching(upsert, delete, search, rounds, queries=[0])
    assert 0 in late
    assert (result.stale_hits, result.failed_searches) == (0, 0)


def test_failing_searches_are_counted_and_do_not_stop_the_writes():
    def fail(row):
        raise RuntimeError("planted")

    result = run(Exhaustive(), search=fail)
    assert result.failed_searches >= 1
    assert (result.search_s, result.written) == ([], 9)


def test_a_failing_write_ends_the_searches_and_is_raised():
    def fail(rows):
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        run(Exhaustive(), delete=fail)


def kinds():
    return [
        retriever_store(POINTS, exact_up_to=100),
        faiss_store(POINTS),
        hnswlib_store(POINTS, threads=1, seed=0),
    ]


@pytest.mark.parametrize("durable", [False, True])
def test_every_store_holds_and_finds_what_was_written(tmp_path, durable):
    measured = Result("ingest", 0)
    ingest.measure_fill(measured, kinds(), POINTS, SIZE, 70, tmp_path, durable=durable)
    assert [row.system for row in measured.rows] == ["twotower", "faiss", "hnswlib"]
    assert all(row.metrics["recall@10"] > 0.97 for row in measured.rows)
    if durable:
        reopened = Retriever.open(tmp_path / "twotower", encoder=LookupEncoder(POINTS.table), read_only=True)
        assert len(reopened) == SIZE


def test_a_store_that_loses_items_fails_the_benchmark(tmp_path):
    def open_store(folder, durable):
        store = kinds()[0].open(folder, durable)
        return replace(store, upsert=lambda rows: store.upsert(rows[1:]))

    with pytest.raises(ValueError, match="holds 295 items after 300"):
        ingest.measure_fill(
            Result("ingest", 0), [Kind("twotower", {}, "", open_store)], POINTS, SIZE, 70, tmp_path
        )


def test_a_rate_is_items_over_seconds_of_the_whole_fill(tmp_path):
    now = [0.0]

    def open_store(seconds):
        def store(folder, durable):
            held = set()

            def upsert(rows):
                now[0] += seconds * len(rows)
                held.update(rows)

            def save():
                now[0] += 0.5

            return Store(upsert, lambda row: [], lambda: len(held), save=save)

        return store

    slow, fast = Kind("twotower", {}, "", open_store(0.01)), Kind("faiss", {}, "", open_store(0.001))
    plain, durable = Result("ingest", 0), Result("ingest", 0)
    ingest.measure_fill(plain, [slow, fast], POINTS, SIZE, 100, tmp_path, clock=lambda: now[0])
    assert plain.rows[0].metrics["items_per_s"].median == pytest.approx(100)
    assert plain.ratios["twotower / faiss : items_per_s n=300 in memory"].median == pytest.approx(0.1)
    ingest.measure_fill(durable, [slow], POINTS, SIZE, 100, tmp_path, durable=True, clock=lambda: now[0])
    assert durable.rows[0].metrics["items_per_s"].median == pytest.approx(SIZE / (3 + 3 * 0.5))


def test_no_row_is_written_after_it_was_deleted():
    options = read_options("ingest", ["--size", "100", "--chunk", "20", "--rounds", "3"])
    rounds = [each for repetition in ingest.rounds_of(options) for each in repetition]
    live, gone = set(range(100)), set()
    for each in rounds:
        assert not gone & set(each.upsert)
        live |= set(each.upsert)
        assert set(each.delete) <= live
        live, gone = live - set(each.delete), gone | set(each.delete)
        assert (len(set(each.upsert)), len(each.delete), len(live)) == (20, 10, 100)


def test_the_mixed_part_finds_a_stale_store_and_clears_ours(tmp_path):
    options = read_options("ingest", ["--size", str(SIZE), "--chunk", "10", "--rounds", "2"])

    def open_stale(folder, durable):
        store = Exhaustive(broken=True)
        return Store(store.upsert, store.search, lambda: len(store.rows), delete=store.delete)

    stale = Kind("faiss", {}, "", open_stale)
    measured = Result("ingest", 0)
    ingest.measure_mixed(measured, [kinds()[0], stale], POINTS, options, tmp_path)
    found = {row.system: row.metrics["stale_hits"] for row in measured.rows}
    assert found["twotower"] == 0
    assert found["faiss"] > 0
