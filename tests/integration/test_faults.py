"""The planted fault: the n-th write, sync, rename or removal of a store's life fails, for every n.

Whatever fails, the caller is told by a `StoreError`, searches go on, and what was acknowledged is there after the
store is opened again: with the whole of the operation that failed, or with nothing of it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
from fakes import HashEncoder

from twotower import Event, IndexPolicy, Item, Retriever
from twotower.errors import StoreError
from twotower.recall.item_index import ItemIndex
from twotower.store import connections, files, receipt

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLOURS = ["red", "blue", "green"]
CHECKED = connections.vfs()
WRITE = files._Hashing.write
RENAME = Path.replace
FAULTY = "faulty"
SQLITE = {errno.ENOSPC: apsw.FullError, errno.EIO: apsw.IOError}


@dataclass
class Disk:
    """Fails at one moment, and from then on where it is full.

    Args:
        kind: of operation that fails.
        error: ENOSPC lasts, EIO comes once.
        left: how many operations of the kind still work.
    """

    kind: str
    error: int
    left: int
    works: bool = True

    def fails(self, kind: str) -> bool:
        if self.works or kind != self.kind:
            return False
        self.left -= 1
        return self.left == -1 or (self.left < -1 and self.error == errno.ENOSPC)

    def check(self, kind: str) -> None:
        if self.fails(kind):
            raise OSError(self.error, os.strerror(self.error))

    def check_sqlite(self, kind: str) -> None:
        if self.fails(kind):
            raise SQLITE[self.error]("planted")

    @property
    def was_hit(self) -> bool:
        return self.left < 0


class FaultyFile(apsw.VFSFile):
    def __init__(self, name, flags, disk):
        super().__init__(CHECKED, name, flags)
        self._disk = disk

    def xWrite(self, data, offset):
        if self._disk.fails("write"):
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise SQLITE[self._disk.error]("planted")
        super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.check_sqlite("sync")  # and no more: nobody cuts the power here

    def xTruncate(self, size):
        self._disk.check_sqlite("write")
        super().xTruncate(size)


class FaultySystem(apsw.VFS):
    """SQLite's view of the disk, with the layer that checks pages below."""

    def __init__(self):
        super().__init__(FAULTY, CHECKED)
        self.disk = Disk("", 0, 0)

    def xOpen(self, name, flags):
        return FaultyFile(name, flags, self.disk)

    def xDelete(self, name, sync_folder):
        self.disk.check_sqlite("unlink")
        super().xDelete(name, sync_folder)


@pytest.fixture(scope="module")
def system():
    system = FaultySystem()
    yield system
    system.unregister()


def faulty_os(disk):
    """What the store's own files use of `os`."""

    def fsync(descriptor):
        disk.check("sync")

    def pwrite(descriptor, data, offset):
        # A disk that is almost full takes a part.
        return os.pwrite(descriptor, data[:5] if disk.fails("write") else data, offset)

    def open_(path, flags, mode=0o777):
        if flags & os.O_CREAT:
            disk.check("write")
        return os.open(path, flags, mode)

    names = {name: getattr(os, name) for name in ("O_RDONLY", "O_WRONLY", "O_CREAT", "close", "strerror")}
    return SimpleNamespace(**names, fsync=fsync, pwrite=pwrite, open=open_)


@pytest.fixture
def plant(system, monkeypatch) -> Callable[[Disk], None]:
    """Puts a disk below SQLite and below the store's own files."""
    monkeypatch.setattr(connections, "vfs", lambda: FAULTY)

    def planted(disk: Disk) -> None:
        def write(self, data):
            if disk.fails("write"):
                self._file.write(bytes(data)[: len(data) // 2])
                raise OSError(disk.error, os.strerror(disk.error))
            return WRITE(self, data)

        def rename(self, target):
            disk.check("rename")
            RENAME(self, target)

        def rmtree(folder, *, ignore_errors):
            if not disk.fails("unlink"):
                shutil.rmtree(folder, ignore_errors=ignore_errors)

        system.disk = disk
        monkeypatch.setattr(files, "os", faulty_os(disk))
        monkeypatch.setattr(receipt, "os", faulty_os(disk))
        monkeypatch.setattr(files, "shutil", SimpleNamespace(rmtree=rmtree))
        monkeypatch.setattr(files._Hashing, "write", write)
        monkeypatch.setattr(Path, "replace", rename)

    return planted


@dataclass(frozen=True)
class ShopState:
    """What there should be."""

    items: dict[str, Item]
    events: tuple[Event, ...] = ()


def made(numbers, words):
    return [
        Item(f"i{number}", f"{words} {number}", attributes={"colour": COLOURS[number % 3]})
        for number in numbers
    ]


FIRST, SECOND = made(range(40), "first"), made(range(30, 50), "second")
GONE = [f"i{number}" for number in range(0, 35, 7)]
EVENTS = tuple(Event(f"u{number % 3}", "i1", "view", NOW - timedelta(hours=number)) for number in range(6))


def with_items(shop, items):
    return replace(shop, items=shop.items | {item.id: item for item in items})


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


def opened(folder):
    return Retriever.open(folder, encoder=HashEncoder(8), index=IndexPolicy(exact_up_to=15))


def answers(retriever) -> ShopState:
    """What the retriever says there is, after checking that its searches say the same."""
    hits = retriever.search("first second", k=200, now=NOW)
    found = {hit.id: hit.item for hit in hits}
    if found:
        red = retriever.search("first", k=200, where={"colour": "red"}, now=NOW)
        assert {hit.id for hit in red} == {
            key for key, item in found.items() if item.attributes["colour"] == "red"
        }
    assert {item.id: item for item in retriever.items()} == found
    assert len(retriever) == len(found)
    return ShopState(found, tuple(retriever._corpus.item_store.events()))


@contextmanager
def reopened(folder):
    retriever = opened(folder)
    try:
        # The one thing that may be missing is the receipt, where that could not be written.
        assert all("receipt' is missing or damaged" in problem for problem in retriever.maintenance.verify())
        yield retriever
    finally:
        retriever.close()


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

    def fails(self, kind: str) -> bool:
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
