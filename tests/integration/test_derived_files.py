"""Derived files that are damaged are made again, those that nobody needs go, and `verify` ends clean."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from fakes import HashEncoder

from twotower import IndexPolicy, Item, Retriever

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(), index=IndexPolicy(exact_up_to=20), **options)


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert([Item(f"i{number}", f"thing {number}") for number in range(40)])
    return tmp_path / "s"


def damage(store):
    path = sorted(next(store.glob("generation-*")).glob("0.*"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("deleted", [28, 40, 0])
@pytest.mark.parametrize("when", ["open", "closed"])
def test_verify_ends_clean_after_damage(store, deleted, when):
    gone = [f"i{number}" for number in range(deleted)]
    if when == "closed":
        damage(store)
    with opened(store) as retriever:
        retriever.delete(gone)
        retriever.maintenance.settle()  # a merge may find that no graph is needed
        if when == "open" and (store / "CURRENT").exists():
            damage(store)
            assert "derived files are damaged" in retriever.maintenance.verify()[0]
        retriever.maintenance.compact()
        assert retriever.maintenance.verify() == []
    for read_only in (True, False, True):
        with opened(store, read_only=read_only) as retriever:
            assert retriever.maintenance.verify() == []
            assert {item.id for item in retriever.items()} == {f"i{number}" for number in range(deleted, 40)}
    assert bool(list(store.glob("generation-*"))) == (store / "CURRENT").exists() == (deleted == 0)


def test_readers_keep_what_they_read_while_it_goes(store):
    with opened(store, read_only=True) as reader:
        with opened(store) as writer:
            writer.delete([f"i{number}" for number in range(5, 40)])
            writer.maintenance.compact()
        assert not (store / "CURRENT").exists()
        assert len(reader.search("thing", k=50)) == 5
        reader.maintenance.refresh()
        assert reader.maintenance.verify() == []


def test_index_files_of_an_older_state_bring_nothing_back(store):
    """As a reader finds them that looked for them just before the writer replaced them, and a partial backup."""
    older = store.with_name("older")
    shutil.copytree(store, older)
    with opened(store) as writer:
        writer.delete(["i3", "i4"])
        writer.maintenance.compact()
    for path in store.glob("generation-*"):
        shutil.rmtree(path)
    for path in older.glob("generation-*"):
        shutil.copytree(path, store / path.name)
    shutil.copy(older / "CURRENT", store)
    with opened(store, read_only=True) as reader:
        found = {hit.id for hit in reader.search("thing", k=50)}
        assert found == {item.id for item in reader.items()} == {f"i{n}" for n in range(40)} - {"i3", "i4"}


@pytest.mark.parametrize(
    "where",
    [
        {"id": {"$in": ["i3", "i4"]}},
        {"time": {"$lt": NOW}},
        {"brand": {"$exists": True}},
        {"brand": {"$ne": "Zeta"}, "id": {"$in": ["i3", "i4"]}},
        {"brand": "Acme"},
    ],
)
def test_a_filter_of_a_reader_finds_what_was_written_again_meanwhile(tmp_path, where):
    """The reader's index holds the older version, whose attributes can no longer be read."""
    items = [Item(f"i{number}", f"thing {number}") for number in range(40)]
    for number in (3, 4):
        items[number] = Item(f"i{number}", "thing", time=NOW - timedelta(1), attributes={"brand": "Acme"})
    with opened(tmp_path / "s") as writer:
        writer.upsert(items)
    with opened(tmp_path / "s", read_only=True) as reader:
        with opened(tmp_path / "s") as writer:
            writer.update({"i3": {"brand": "Acme", "new": True}})
        assert {hit.id for hit in reader.search("thing", k=40, where=where)} == {"i3", "i4"}
