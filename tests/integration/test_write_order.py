"""What is acknowledged is on disk: write, sync, rename and sync of the folder happen, all of them, in this order."""

from __future__ import annotations

from itertools import groupby

import pytest
from fakes import HashEncoder
from faulty_disk import Disk, Operation
from stored_shops import EVENTS, FIRST, GONE, SECOND, opened, reopened

from twotower import Item, Retriever
from twotower.errors import StoreError

WAL, DATABASE, RECEIPT = "items.sqlite-wal", "items.sqlite", "receipt"


@pytest.fixture
def disk(plant):
    plant(disk := Disk("", 0, 0))
    return disk


def commits(done):
    """What was done to the log and the receipt; the same thing several times in a row counts once."""
    return [
        key
        for key, _ in groupby(
            (each.kind, each.path.name) for each in done if each.path.name in (WAL, RECEIPT)
        )
    ]


def last(done, kind, path):
    return max((place for place, each in enumerate(done) if each[:2] == (kind, path)), default=-1)


def check_renames(done):
    """Whatever gets its name is on disk before it, whole, and its name right after."""
    renames = 0
    for place, (kind, source, target) in enumerate(done):
        if kind != "rename":
            continue
        renames += 1
        before = done[:place]
        written = {
            each.path for each in before if each.kind == "write" and source in (each.path, *each.path.parents)
        }
        assert written, f"{source} got its name and was never written"
        for path in written:
            assert last(before, "sync", path) > last(before, "write", path), f"{path} was not synced"
        if source not in written:
            newest = max(last(before, "write", path) for path in written)
            assert last(before, "sync", source) > newest, f"the names in {source} were not synced"
        assert done[place + 1] == Operation("sync", target.parent), f"the name {target} was not synced"
    return renames


def check_checkpoints(done):
    """The database changes when the log is on disk, and the log is emptied when the database is."""
    checkpoints = 0
    for place, (kind, path, _) in enumerate(done):
        if path.name != DATABASE or kind != "write" or last(done[:place], "write", path.with_name(WAL)) < 0:
            continue
        wal = path.with_name(WAL)
        before, after = done[:place], done[place:]
        assert last(before, "sync", wal) > last(before, "write", wal), "the log was not on disk"
        synced = after.index(Operation("sync", path))
        emptied = next((n for n, each in enumerate(after) if each[:2] == ("write", wal)), len(after))
        assert synced < emptied, "the log was emptied before the database was on disk"
        checkpoints += 1
    return checkpoints


@pytest.mark.parametrize(
    "write",
    [
        lambda retriever: retriever.upsert(FIRST),
        lambda retriever: retriever.delete(GONE),
        lambda retriever: retriever.record(EVENTS),
    ],
    ids=["upsert", "delete", "record"],
)
def test_the_log_is_synced_before_a_write_is_acknowledged(tmp_path, disk, write):
    with Retriever.open(tmp_path / "s", encoder=HashEncoder(8)) as retriever:
        retriever.upsert(SECOND + FIRST[:30])
        for _ in range(2):
            retriever.maintenance.compact()  # the next write starts the log anew
            for _ in range(2):
                disk.done.clear()
                write(retriever)
                retriever.upsert([Item("i7", "again")])
                one = [("write", WAL), ("sync", WAL), ("write", RECEIPT)]
                found = commits(disk.done)
                while (
                    found[:2] == one[:2] and found[2:4] == one[:2]
                ):  # the header of a new log has a sync of its own
                    found = found[2:]
                assert found in (one * 2, one)  # a repeated delete writes nothing


def test_files_are_on_disk_before_they_get_their_names(tmp_path, disk):
    store = tmp_path / "deep" / "er" / "s"
    with opened(store) as retriever:
        for place in (store, store.parent, store.parent.parent):
            assert Operation("sync", place.parent) in disk.done  # the names of new folders
        for step in (
            lambda: retriever.upsert(FIRST),
            lambda: retriever.delete(GONE),
            lambda: retriever.upsert(SECOND),
            retriever.maintenance.compact,
        ):
            step()
            retriever.maintenance.settle()
    assert check_renames(disk.done) >= 4  # a folder of index files and the pointer to it, twice
    assert check_checkpoints(disk.done)


def test_old_index_files_go_when_the_new_ones_have_their_names(tmp_path, disk):
    with opened(tmp_path / "s") as retriever:
        for items in (FIRST, SECOND):
            retriever.upsert(items)
            retriever.maintenance.compact()
        done = disk.done
    removed = [
        place for place, each in enumerate(done) if each.kind == "unlink" and each.path.name[-1].isdigit()
    ]
    assert removed
    for place in removed:
        pointed = max(n for n, each in enumerate(done[:place]) if each.target == tmp_path / "s" / "CURRENT")
        named = [
            n
            for n, each in enumerate(done[:place])
            if each.kind == "rename" and each.target.name[-1].isdigit()
        ]
        assert named[-1] < pointed < place
        assert done[pointed + 1] == Operation("sync", tmp_path / "s")


def test_save_is_on_disk_when_it_returns(tmp_path, disk):
    retriever = Retriever(HashEncoder(8))
    retriever.upsert(FIRST)
    retriever.save(tmp_path / "new" / "s")
    store = tmp_path / "new" / "s"
    assert Operation("sync", tmp_path) in disk.done
    assert Operation("sync", store.parent) in disk.done
    assert 0 <= last(disk.done, "write", store / DATABASE) < last(disk.done, "sync", store / DATABASE)
    assert check_checkpoints(disk.done)


class ReceiptDisk(Disk):
    """Refuses to write receipts."""

    def is_hit_by(self, kind, path):
        return kind == "write" and path.name == RECEIPT


@pytest.mark.parametrize(
    "write", [lambda retriever: retriever.upsert(FIRST), lambda retriever: retriever.delete(["i40"])]
)
def test_a_receipt_that_cannot_be_written_is_an_error(tmp_path, plant, write):
    plant(disk := ReceiptDisk("", 28, 0))
    retriever = opened(tmp_path / "s")
    retriever.upsert(SECOND)
    disk.works = False
    with pytest.raises(StoreError, match="receipt"):
        write(retriever)
    disk.works = True
    with pytest.raises(StoreError, match="open it again"):
        retriever.upsert([Item("other", "other")])
    retriever.close()
    with reopened(tmp_path / "s") as retriever:
        assert ("i0" in retriever) or ("i40" not in retriever)  # it was committed all the same
        assert "other" not in retriever
