"""A save that crashes at any moment leaves the earlier state or the new one, whole."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from fakes import HashEncoder
from shops import scores, shop

from twotower import IndexPolicy, Item, Retriever
from twotower.store import files, sqlite_item_store


class Crash(BaseException):
    """The process is killed."""


def crash(patch, moment):
    """Kill the process before one step of a save: an item, a piece of a file, or the rename of a file."""
    left = count(moment, -1)

    def watched(act):
        def step(*given):
            if next(left) <= 0:
                raise Crash
            return act(*given)

        return step

    patch.setattr(sqlite_item_store, "item_to_bytes", watched(sqlite_item_store.item_to_bytes))
    patch.setattr(files._Hashing, "write", watched(files._Hashing.write))
    patch.setattr(Path, "replace", watched(Path.replace))


def test_a_save_that_crashes_anywhere_leaves_one_state_whole(tmp_path, monkeypatch):
    """txtai: `save` writes its parts in place one after another, so a crash mixes two states."""
    states = [{str(n): f"{word} {n}" for n in range(size)} for word, size in (("red", 6), ("blue", 9))]
    old, new = (
        shop([Item(key, words) for key, words in state.items()], index=IndexPolicy(exact_up_to=3))
        for state in states
    )
    seen, crashed = [], True
    while crashed:
        old.save(folder := tmp_path / f"{len(seen)}")
        with monkeypatch.context() as patch:
            crash(patch, 4 * len(seen))
            try:
                new.save(folder)
                crashed = False
            except Crash:
                pass
        with Retriever.open(folder, encoder=HashEncoder()) as retriever:
            assert retriever.maintenance.verify() == []
            seen.append({item.id: item.title for item in retriever.items()})
            assert scores(retriever.search("blue 7", k=99)).keys() == seen[-1].keys()
    assert seen == sorted(seen, key=states.index)  # raises where one is mixed
    assert seen.count(states[0]) == 3  # some items written, but none visible
    assert seen.count(states[1]) > 5  # the index had to be rebuilt
