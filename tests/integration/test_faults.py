"""The planted fault: the n-th write, sync, rename or removal of a store's life fails, for every n.

Whatever fails, the caller is told by a `StoreError`, searches go on, and what was acknowledged is there after the
store is opened again: with the whole of the operation that failed, or with nothing of it.
"""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from faulty_disk import Disk
from stored_shops import EVENTS, FIRST, GONE, SECOND, ShopState, answers, made, opened, reopened, with_items

from twotower.errors import StoreError

# What is done, and what it makes of what there was.
STEPS = [
    (lambda retriever: retriever.upsert(FIRST), lambda shop: with_items(shop, FIRST)),
    (
        lambda retriever: retriever.delete(GONE),
        lambda shop: replace(shop, items={key: item for key, item in shop.items.items() if key not in GONE}),
    ),
    (lambda retriever: retriever.record(EVENTS), lambda shop: replace(shop, events=EVENTS)),
    (lambda retriever: retriever.upsert(SECOND), lambda shop: with_items(shop, SECOND)),
    (lambda retriever: retriever.maintenance.compact(), lambda shop: shop),
    (lambda retriever: retriever.close(), lambda shop: shop),
]
WRITES, CLOSE = 4, 5  # the first four steps change the truth


def live(folder: Path, disk: Disk) -> None:
    """One life of a store on a disk, up to the step that fails."""
    disk.works = False
    acknowledged = after = ShopState({})
    retriever, done = None, 0
    try:
        retriever = opened(folder)
        for act, expected in STEPS:
            after = expected(acknowledged)
            act(retriever)
            retriever.maintenance.settle()  # so that the n-th operation is the same one every time
            acknowledged = after
            done += 1
    except StoreError:
        if retriever is not None and done < CLOSE:
            retriever.maintenance.settle()
            assert answers(retriever) in (acknowledged, after)
            refuses = retriever.maintenance.stats().store.read_only is not None
            assert refuses or done >= WRITES
            disk.works = True
            shutil.copytree(folder, folder.with_name("crashed"))
            if refuses:
                with pytest.raises(StoreError, match="open it again"):
                    retriever.upsert(SECOND)
            assert answers(retriever) in (acknowledged, after)
            retriever.close()
            with reopened(folder.with_name("crashed")) as copy:
                assert answers(copy) in (acknowledged, after)
    disk.works = True
    with reopened(folder) as retriever:
        found = answers(retriever)
        assert found in (acknowledged, after)
        retriever.upsert(SECOND)
        assert retriever.maintenance.verify() == []
        assert answers(retriever) == with_items(found, SECOND)


# How many moments apart the fault is planted. Renames and removals are few; of writes and syncs, of which there are
# hundreds, the fast tests take a sample.
MOMENTS = [
    ("rename", 1),
    ("unlink", 1),
    ("sync", 7),
    ("write", 29),
    pytest.param("sync", 1, marks=pytest.mark.slow),
    pytest.param("write", 1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize(("kind", "apart"), MOMENTS)
def test_a_disk_that_fails_at_any_moment(tmp_path, plant, kind, apart, error):
    moment, was_hit = 0, True
    while was_hit:
        plant(disk := Disk(kind, error, moment))
        (tmp_path / f"{moment}").mkdir()
        live(tmp_path / f"{moment}" / "store", disk)
        was_hit = disk.was_hit
        moment += apart
    assert moment > 2 * apart


@dataclass
class WatchedDisk(Disk):
    """Keeps what a process that is killed before an operation leaves, for every operation."""

    folder: Path = Path()
    left_behind: list[tuple[Path, tuple[ShopState, ShopState]]] = field(default_factory=list)
    possible: tuple[ShopState, ShopState] = (ShopState({}), ShopState({}))

    def fails(self, kind: str, path: Path, target: Path | None = None) -> bool:
        copy = self.folder.with_name(f"killed-{len(self.left_behind)}")
        shutil.copytree(self.folder, copy)
        self.left_behind.append((copy, self.possible))
        return False


def test_a_process_that_is_killed_at_any_moment(tmp_path, plant):
    plant(disk := WatchedDisk("", 0, 0, folder=tmp_path / "store"))
    retriever = opened(disk.folder)
    shop = ShopState({})
    for items in (made(range(3), "first"), made(range(2, 5), "second")):
        disk.possible = shop, (shop := with_items(shop, items))
        retriever.upsert(items)
        retriever.maintenance.settle()
        disk.possible = shop, shop
    retriever.close()
    plant(Disk("", 0, 0))
    assert len(disk.left_behind) > 40
    for folder, possible in disk.left_behind:
        with reopened(folder) as copy:
            assert answers(copy) in possible
