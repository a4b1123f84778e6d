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

from filelock import FileLock, Timeout

from twotower.errors import StoreDamagedError, StoreError, StoreVersionError
from twotower.store.database import Database
from twotower.store.generations import CURRENT, Generations
from twotower.store.receipt import Receipt
from twotower.store.sqlite_item_store import SqliteItemStore

ITEMS = "items.sqlite"
ITEMS_UP_TO_FORMAT_3 = "catalog.sqlite"
RECEIPT = "receipt"
LOCK = "LOCK"
# What an interrupted creation may leave behind.
UNFINISHED = frozenset({LOCK, *(f"{ITEMS}{end}" for end in ("", "-wal", "-shm", "-journal"))})


class StoreFolder:
    """An open store folder.

    Args:
        folder: its path.
        database: its SQLite file.
        item_store: in that file.
        lock: held while the store is open for writing; None if it is open read-only.
    """

    def __init__(
        self, folder: Path, database: Database, item_store: SqliteItemStore, lock: FileLock | None
    ) -> None:
        self.folder = folder
        self.database = database
        self.item_store = item_store
        self.generations = Generations(folder)
        self._lock = lock

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> StoreFolder:
        """Open a store.

        Args:
            folder: the store.
            read_only: do not modify the folder; any number of processes may open it so.

        Raises:
            StoreError: there is no store, or another process has it open for writing.
            StoreVersionError: another version wrote it, in a format that this one does not read.
            StoreDamagedError: its item store is damaged or has lost acknowledged writes.
        """
        folder = Path(folder).absolute()
        if not (folder / ITEMS).exists():
            raise _missing(folder)
        return cls._opened(folder, None, read_only=read_only)

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, Any]) -> StoreFolder:
        """Create an empty store.

        Args:
            folder: new or empty.
            settings: plain JSON values, kept as `item_store.settings`.

        Raises:
            StoreError: the folder is not empty, or cannot be written.
        """
        folder = Path(folder).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in folder.iterdir()}
        except OSError as error:
            raise StoreError(f"folder '{folder}' cannot be used ({error})") from error
        if ITEMS_UP_TO_FORMAT_3 in names:
            raise _missing(folder)
        if not names <= UNFINISHED:
            raise StoreError(f"folder '{folder}' holds other files and no store: pass an empty or new folder")
        return cls._opened(folder, settings, read_only=False)

    @classmethod
    def _opened(cls, folder: Path, settings: Mapping[str, Any] | None, *, read_only: bool) -> StoreFolder:
        with ExitStack() as on_error:
            lock = None if read_only else _locked(folder)
            if lock is not None:
                on_error.callback(lock.release)
            database = Database(folder / ITEMS, writable=not read_only)
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
        """Why the store takes no writes; None if it takes them."""
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


def is_store(folder: Path) -> bool:
    """Whether a folder holds a store, damaged or not."""
    folder = Path(folder)
    if not (folder / ITEMS).exists():
        return (folder / CURRENT).exists() or (folder / RECEIPT).exists()
    if (folder / RECEIPT).exists():
        return True
    database = Database(folder / ITEMS, writable=False)
    try:
        return not _is_empty(database)
    finally:
        database.close()


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


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"store '{folder}' is open for writing elsewhere: close it there, or open it with read_only=True"
        ) from None
    except OSError as error:
        raise StoreError(f"store '{folder}' cannot be locked ({error})") from error
    return lock
