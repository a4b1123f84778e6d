"""A store folder: the item store, which is the source of truth, and derived files, which can be rebuilt from it.

    LOCK                        held by the one process that writes
    items.sqlite (-wal -shm)    items, vectors, events
    receipt                     the number of acknowledged writes
    CURRENT  generation-.../    see `generations`

Nothing here is ever unpickled or executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from multimodal.checks import check_path
from twotower.errors import StoreDamagedError, StoreError, StoreVersionError
from twotower.store.database import Database
from twotower.store.generations import CURRENT, Generations
from twotower.store.lock import LOCK, FileLease, WriteLock
from twotower.store.receipt import Receipt
from twotower.store.sqlite_item_store import SqliteItemStore

ITEMS = "items.sqlite"
ITEMS_UP_TO_FORMAT_3 = "catalog.sqlite"
RECEIPT = "receipt"
# What an interrupted creation may leave behind.
UNFINISHED = frozenset({LOCK, *(f"{ITEMS}{end}" for end in ("", "-wal", "-shm", "-journal"))})
NOISE = frozenset({"lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "__macosx"})


class StoreFolder:
    """An open store folder.

    Args:
        folder: its path.
        database: its SQLite file.
        item_store: in that file.
        lock: held while the store is open for writing; None if it is open read-only.
    """

    def __init__(
        self, folder: Path, database: Database, item_store: SqliteItemStore, lock: WriteLock | None
    ) -> None:
        self.folder = folder
        self.database = database
        self.item_store = item_store
        self.generations = Generations(folder)
        self._lock = lock

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False, wait: float = 0.0) -> StoreFolder:
        """Open a store.

        Args:
            folder: the store.
            read_only: do not modify the folder; any number of processes may open it so.
            wait: how many seconds to wait for another process that writes to it.

        Raises:
            StoreError: there is no store, or another process has it open for writing.
            StoreVersionError: another version wrote it, in a format that this one does not read.
            StoreDamagedError: its item store is damaged or has lost acknowledged writes.
        """
        folder = absolute(folder)
        if not (folder / ITEMS).exists():
            raise _missing(folder)
        return cls._opened(folder, None if read_only else WriteLock(folder, wait=wait))

    @classmethod
    def locked(cls, lock: WriteLock) -> StoreFolder:
        """Open a store that is locked already; see `open`."""
        return cls._opened(lock.folder, lock)

    @classmethod
    def create(cls, lock: WriteLock, settings: Mapping[str, Any]) -> StoreFolder:
        """Create an empty store.

        Args:
            lock: see `lock_folder`.
            settings: plain JSON values, kept as `item_store.settings`.

        Raises:
            StoreError: the folder cannot be written.
        """
        return cls._opened(lock.folder, lock, settings)

    @classmethod
    def _opened(
        cls, folder: Path, lock: WriteLock | None, settings: Mapping[str, Any] | None = None
    ) -> StoreFolder:
        with ExitStack() as on_error:
            if lock is not None:
                on_error.callback(lock.release)
            database = Database(folder / ITEMS, FileLease(folder / RECEIPT), writable=lock is not None)
            on_error.callback(database.close, untouched=True)
            receipt = Receipt(folder / RECEIPT)
            if not _is_empty(database):
                item_store = SqliteItemStore(database, receipt)
            elif settings is not None:
                item_store = SqliteItemStore.create(database, receipt, settings)
            else:
                raise _missing(folder)
            on_error.pop_all()
        return cls(folder, database, item_store, lock)

    @property
    def read_only(self) -> str | None:
        """Why the store accepts no writes; None if it accepts them."""
        return self.database.failure if self.database.writable else "it is open read-only"

    def problems(self) -> Iterator[str]:
        """The problems of the files, one sentence each; reads every byte."""
        yield from self.database.problems()
        if Receipt(self.folder / RECEIPT).read() is None and self.item_store.state().commits:
            yield f"file '{self.folder / RECEIPT}' is missing or damaged: the next write creates it again"
        if problem := self.generations.problem():
            yield problem

    def close(self) -> None:
        """Close every file and release the lock."""
        self.item_store.close()
        if self._lock is not None:
            self._lock.release()


def absolute(folder: str | Path) -> Path:
    """The absolute path of a folder, which stays the same folder after `os.chdir`.

    Raises:
        StoreError: SQLite, which takes UTF-8, cannot open files there.
    """
    check_path("folder", folder)
    path = Path(folder).absolute()
    try:
        usable = b"\0" not in str(path).encode()
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise StoreError(
            f"folder {str(path)[:200]!a} cannot hold a store: its path must be UTF-8, so rename it"
        )
    return path


def lock_folder(folder: str | Path, *, wait: float = 0.0) -> WriteLock:
    """Lock a folder to open the store in it or to create one.

    Args:
        folder: a store, or a new or empty folder; files that operating systems leave everywhere do not count.
        wait: how many seconds to wait for another process that writes to it.

    Raises:
        StoreError: it holds other files, cannot be written, or is locked by another process.
    """
    folder = absolute(folder)
    try:
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise StoreError(f"folder '{folder}' cannot be used ({error})") from error
    if ITEMS_UP_TO_FORMAT_3 in names:
        raise _missing(folder)
    if not is_store(folder) and any(not _is_noise(name) for name in names - UNFINISHED):
        raise StoreError(f"folder '{folder}' holds other files and no store: pass an empty or new folder")
    return WriteLock(folder, wait=wait)


def is_store(folder: str | Path) -> bool:
    """Whether a folder holds a store, damaged or not."""
    folder = absolute(folder)
    if not (folder / ITEMS).exists():
        return (folder / CURRENT).exists() or (folder / RECEIPT).exists()
    if (folder / RECEIPT).exists():
        return True
    database = Database(folder / ITEMS, FileLease(folder / RECEIPT), writable=False)
    try:
        return not _is_empty(database)
    finally:
        database.close()


def _is_noise(name: str) -> bool:
    """Whether operating systems and file managers leave such files in any folder."""
    return name.startswith(".") or name.casefold() in NOISE


def _is_empty(database: Database) -> bool:
    return not database.rows("SELECT 1 FROM sqlite_schema LIMIT 1")


def _missing(folder: Path) -> StoreError:
    if (folder / ITEMS_UP_TO_FORMAT_3).exists():
        return StoreVersionError(
            f"store '{folder}' was written by an older version: export it with that one, and index it again"
        )
    if (folder / RECEIPT).exists() or (folder / CURRENT).exists():
        return StoreDamagedError(f"file '{folder / ITEMS}' is missing or empty: restore it from a backup")
    return StoreError(f"folder '{folder}' holds no store: make one with Retriever.open or `twotower index`")
