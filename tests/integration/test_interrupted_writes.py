"""Ctrl-C at any moment of a write: the next write works, and all of the interrupted one is there or nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from stored_shops import EVENTS, NOW, ShopState, answers, made, opened, with_items

from twotower import Event, corpus, store
from twotower.corpus import writes
from twotower.recall.item_index import ItemIndex

WATCHED = tuple(str(Path(package.__file__).parent) for package in (store, corpus))
# Python takes no signal between the end of a `with lock:` and the release of the lock, where a trace function would
# raise; the lock of writes is all that this file adds.
LEFT_OUT = writes.__file__


def interrupted(act, moment) -> bool:
    """Run something and press Ctrl-C before the n-th line that it executes in the rooms `store` and `corpus`.

    Returns:
        Whether there was such a line.
    """
    left = moment

    def trace(frame, event, _):
        nonlocal left
        file = frame.f_code.co_filename
        if not file.startswith(WATCHED) or file == LEFT_OUT:
            return None if event == "call" and "contextlib" not in file else trace
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return left <= 0


def press_everywhere(folder, act, expected, every):
    """Interrupt a write at every moment of one life; `expected` is what it makes of a shop."""
    with opened(folder) as retriever:
        retriever.upsert(made(range(12), "old"))
        moment = 1
        while True:
            shop = answers(retriever)
            hit = interrupted(lambda moment=moment: act(retriever, moment), moment)
            retriever.upsert(made([99], f"after {moment}"))
            possible = [
                with_items(each, made([99], f"after {moment}")) for each in (shop, expected(shop, moment))
            ]
            assert answers(retriever) in (possible if hit else possible[1:])
            if not hit:
                break
            retriever.upsert(made(range(12), "old"))
            moment += every
        assert retriever.maintenance.verify() == []
    assert moment > 10 * every
    with opened(folder) as retriever:
        assert retriever.maintenance.verify() == []
        assert answers(retriever) == possible[1]


EVERY = [pytest.param(1, marks=pytest.mark.slow), 7]


@pytest.mark.parametrize("every", EVERY)
def test_an_upsert(tmp_path, every):
    press_everywhere(
        tmp_path / "s",
        lambda retriever, moment: retriever.upsert(made([3, 5, 20], f"new {moment}")),
        lambda shop, moment: with_items(shop, made([3, 5, 20], f"new {moment}")),
        every,
    )


@pytest.mark.parametrize("every", EVERY)
def test_a_delete(tmp_path, every):
    press_everywhere(
        tmp_path / "s",
        lambda retriever, _: retriever.delete(["i3", "i5"]),
        lambda shop, _: ShopState(
            {key: item for key, item in shop.items.items() if key not in ("i3", "i5")}, shop.events
        ),
        every,
    )


@pytest.mark.parametrize("every", EVERY)
def test_events(tmp_path, every):
    def fresh(moment):
        return tuple(Event(f"u{moment}", each.item, each.kind, each.time) for each in EVENTS[:3])

    press_everywhere(
        tmp_path / "s",
        lambda retriever, moment: retriever.record(fresh(moment)),
        lambda shop, moment: ShopState(shop.items, (*shop.events, *fresh(moment))),
        every,
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_any_exception_inside_a_transaction_leaves_none_open(tmp_path, error):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(3), "old"))
        database = retriever._corpus.store.database

        def fail():
            with database.transaction() as connection:
                connection.execute("DELETE FROM items")
                raise error

        with pytest.raises(error):
            fail()
        retriever.maintenance.compact()  # which an open transaction would not let through
        retriever.upsert(made([3], "new"))
        assert answers(retriever).items.keys() == {"i0", "i1", "i2", "i3"}
        assert retriever.search("old", k=1, now=NOW)


@pytest.mark.parametrize("after", [False, True])
def test_a_write_that_is_interrupted_on_its_way_to_searches(tmp_path, monkeypatch, after):
    """The planted fault: Ctrl-C between the commit and the change of the index, or right after both."""
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50), "old"))
        update = ItemIndex.update

        def interrupted(self, deleted, added=None):
            if after:
                update(self, deleted, added)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(ItemIndex, "update", interrupted)
            with pytest.raises(KeyboardInterrupt):
                retriever.upsert(made([3, 70], "new"))
        retriever.upsert(made([71], "new"))
        assert answers(retriever).items.keys() == {f"i{number}" for number in (*range(50), 70, 71)}
    with opened(tmp_path / "s") as retriever:
        assert answers(retriever).items.keys() == {f"i{number}" for number in (*range(50), 70, 71)}
        assert retriever.get("i3").title == "new 3"
        assert retriever.maintenance.verify() == []
