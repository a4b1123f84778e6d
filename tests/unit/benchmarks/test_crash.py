from __future__ import annotations

import shutil
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.__main__ import read_options
from benchmarks.crash import benchmark as crash
from benchmarks.crash.check import Contents, Faults, check, differences
from benchmarks.crash.journal import Journal, Operation, event_record, read_journal
from benchmarks.crash.worker import Worker, open_store, stored
from twotower import Event, Item

FAULTS = [field.name for field in fields(Faults)]
NEW = [("new-1", "one"), ("new-2", "two"), ("new-3", "three")]


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A store after 150 operations, and the journal's word on what it holds."""
    folder = tmp_path_factory.mktemp("worked")
    worker = Worker(folder / "store", Journal(folder / "journal"), "a test")
    for _ in range(150):
        worker.step()
    worker.retriever.close()
    acknowledged, pending = read_journal(folder / "journal")
    assert len(acknowledged) == 151
    assert {operation.kind for operation in acknowledged} == set(crash.OPERATIONS) - {"open"}
    assert pending is None
    return folder / "store", Contents().after(acknowledged)


@pytest.fixture
def store(worked, tmp_path):
    """A copy to spoil, open, and what it must hold."""
    shutil.copytree(worked[0], tmp_path / "copy")
    with open_store(tmp_path / "copy") as retriever:
        yield retriever, worked[1]


def items_of(pairs):
    return [Item(item_id, title) for item_id, title in pairs]


def some(known, count):
    return [item_id for item_id, _ in sorted(known.items)[:count]]


def test_a_store_that_was_left_alone_has_no_faults(store):
    retriever, known = store
    assert len(known.items) > 150
    assert known.events.total() > 40
    retriever.maintenance.settle()
    assert any(part.segment.index.kind == "graph" for part in retriever._corpus.snapshot.parts)
    assert check(retriever, known, None) == (Faults(), known)


def test_what_is_missing_is_lost(store):
    retriever, known = store
    retriever.delete(some(known, 1))
    with stored(retriever).store.database.transaction() as connection:
        connection.execute("DELETE FROM events WHERE number IN (1, 2)")
    faults, found = check(retriever, known, None)
    assert faults == Faults(lost=3)
    assert found.records < known.records


def test_what_nobody_wrote_is_a_ghost(store):
    retriever, known = store
    retriever.upsert(items_of(NEW[:1]))
    assert check(retriever, known, None)[0] == Faults(ghosts=1)
    event = next(stored(retriever).item_store.events())
    retriever.record([Event(event.user, NEW[0][0], event.kind, event.time)])
    assert check(retriever, known, None)[0] == Faults(ghosts=2)


def test_another_version_is_a_loss_and_a_ghost(store):
    retriever, known = store
    retriever.upsert([Item(some(known, 1)[0], "another")])
    assert check(retriever, known, None)[0] == Faults(lost=1, ghosts=1)


def test_an_item_that_the_index_lacks_is_unfindable(store):
    retriever, known = store
    corpus = stored(retriever)
    corpus.index.update(np.sort(corpus.item_store.labels_of(some(known, 2))))
    assert check(retriever, known, None)[0] == Faults(unfindable=2, problems=1)


def test_an_item_that_the_index_has_still_is_a_ghost(store):
    retriever, known = store
    retriever.upsert(items_of(NEW[:1]))
    stale = retriever._corpus.snapshot
    retriever.delete([NEW[0][0]])
    stored(retriever).index.replace(stale.parts)
    assert check(retriever, known, None)[0] == Faults(ghosts=1, problems=1)


def test_a_batch_that_was_not_acknowledged_is_there_or_not(store):
    retriever, known = store
    pending = Operation("upsert", items=NEW)
    assert check(retriever, known, pending)[0] == Faults()
    retriever.upsert(items_of(NEW[:2]))
    assert check(retriever, known, pending)[0] == Faults(halves=1)
    retriever.upsert(items_of(NEW[2:]))
    assert check(retriever, known, pending) == (Faults(), known.after([pending]))


OLD = (("a", "a1"), ("b", "b1"), ("c", "c1"))
VIEW, CART = (("u", "a", kind, "2026-01-01T00:00:00+00:00", 1.0) for kind in ("view", "cart"))
KNOWN = Contents().after([Operation("upsert", items=OLD), Operation("record", events=[VIEW])])


@pytest.mark.parametrize(
    ("pending", "half"),
    [
        (Operation("upsert", items=[("a", "a2"), ("d", "d1")]), Operation("", items=[("a", "a2")])),
        (Operation("upsert", items=[("a", "a2"), ("b", "b2")]), Operation("", items=[("b", "b2")])),
        (Operation("upsert", items=[("a", "a2")]), Operation("", deleted=["a"])),
        (Operation("delete", deleted=["a", "b", "x"]), Operation("", deleted=["b"])),
        (Operation("record", events=[VIEW, CART]), Operation("", events=[CART])),
        (Operation("record", events=[VIEW, VIEW]), Operation("", events=[VIEW])),
    ],
)
def test_every_half_is_one_fault_and_hides_no_other(pending, half):
    assert differences(KNOWN, pending, KNOWN) == Faults()
    assert differences(KNOWN, pending, KNOWN.after([pending])) == Faults()
    found = KNOWN.after([half])
    assert differences(KNOWN, pending, found) == Faults(halves=1)
    worse = found.after([Operation("", deleted=["c"], items=[("x", "x1")])])
    assert differences(KNOWN, pending, worse) == Faults(halves=1, lost=1, ghosts=1)


def test_a_journal_truncated_anywhere_shows_what_was_acknowledged(tmp_path):
    event = event_record(Event("ü", "a", "view", datetime(2026, 1, 1, tzinfo=UTC), 0.1))
    operations = [
        Operation("upsert", items=(("a", "a\n1"), ("done", "done"))),
        Operation("delete", deleted=("a",)),
        Operation("record", events=(event,)),
    ]
    journal = Journal(tmp_path / "whole")
    for operation in operations:
        with journal.around(operation):
            pass
    whole = (tmp_path / "whole").read_bytes()
    ends = [end for end in range(len(whole) + 1) if whole[:end].endswith(b"\n")]
    assert len(ends) == 6
    for cut in range(len(whole) + 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends)
        begun = operations[complete // 2] if complete % 2 else None
        assert read_journal(tmp_path / "cut") == (operations[: complete // 2], begun)
    assert read_journal(tmp_path / "none") == ([], None)


def test_kills_are_survived():
    result = crash.run(read_options("crash", ["--kills", "5", "--seed", "5"]))
    (row,) = result.rows
    assert {row.metrics[name] for name in FAULTS} == {0}
    assert row.metrics["kills"] == 5
    assert row.metrics["operations"] > 5
    assert sum(value for name, value in row.metrics.items() if name.startswith("interrupted_")) == 5
    assert result.headline.startswith(
        f"5 kills, {row.metrics['operations']:,} acknowledged operations: 0 lost, 0 gh"
    )


def test_a_store_that_forgets_is_caught_after_each_kill(tmp_path, monkeypatch):
    def forgetful(folder, *, read_only):
        retriever = open_store(folder)
        forgotten.extend(retriever.delete(list({item.id for item in retriever.items()})[:1]))
        return retriever

    forgotten = []
    monkeypatch.setattr(crash, "open_store", forgetful)
    plan = [replace(kill, opening=False, delay_s=0.3) for kill in crash.planned(tmp_path, 2, seed=1)]
    faults = crash.crash(plan).faults
    assert len(forgotten) == 2
    assert faults == Faults(lost=2)


def test_a_process_that_ends_by_itself_is_an_error(tmp_path):
    (kill,) = crash.planned(tmp_path, 1, seed=1)
    kill.folder.mkdir()
    (kill.folder / "other").write_text("no store")
    with pytest.raises(RuntimeError, match=r"could not open the store: it is kept in .*store"):
        crash.crash([replace(kill, opening=False)])
