"""A process that writes until it is killed: `python -m benchmarks.crash.worker FOLDER JOURNAL NAME`."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.crash.journal import Journal, Operation, event_record
from twotower.corpus.persistent import PersistentCorpus
from twotower.presets import Retriever
from twotower.recall.vectors.policy import IndexPolicy
from twotower.store.folder import is_store
from twotower.types import Event, Item, Query

DIGEST_DIM = 32
EXACT_UP_TO = 60  # so low that graphs, merges and generations happen all the time
IDS = 600  # upserts and deletes draw from the same ids, so about half of them exist
USERS = 50
MOST_IDS = 20
OPERATIONS = ("create", "open", "upsert", "delete", "record", "checkpoint", "compact", "reopen")
BEGINS, OPENED = "begins", "opened"
Plan: TypeAlias = tuple[Operation, Callable[[], object]]


class DigestEncoder:
    """A text's vector is its SHA-256: no two are alike, and all are quick."""

    dim = DIGEST_DIM

    def encode_items(self, items: Sequence[Item], /) -> NDArray[np.float32]:
        """See `Encoder.encode_items`."""
        return self.encode_queries([item.words for item in items])

    def encode_queries(self, queries: Sequence[str | Query], /) -> NDArray[np.float32]:
        """See `Encoder.encode_queries`."""
        whole = b"".join(sha256(text.encode()).digest() for text in queries)
        return np.frombuffer(whole, dtype=np.uint8).reshape(-1, DIGEST_DIM).astype(np.float32) - 127.5


def open_store(folder: Path, *, read_only: bool = False) -> Retriever:
    """Open the store, or create it."""
    policy = IndexPolicy(exact_up_to=EXACT_UP_TO)
    return Retriever.open(folder, encoder=DigestEncoder(), read_only=read_only, index=policy, hybrid=None)


def stored(retriever: Retriever) -> PersistentCorpus:
    """What a retriever keeps in its store, which has no public name."""
    assert isinstance(retriever._corpus, PersistentCorpus)
    return retriever._corpus


class Worker:
    """Random operations on a store, each noted in a journal; the unique name is their seed."""

    def __init__(self, folder: Path, journal: Journal, name: str) -> None:
        self._folder = folder
        self._journal = journal
        self._name = name
        self._random = random.Random(name)
        self._steps = 0
        with journal.around(Operation("open" if is_store(folder) else "create")):
            self.retriever = open_store(folder)

    def step(self) -> None:
        """Do one operation."""
        self._steps += 1
        plans = {
            self._upsert: 35,
            self._delete: 25,
            self._record: 15,
            lambda: (Operation("checkpoint"), stored(self.retriever).checkpoint): 10,
            lambda: (Operation("compact"), self.retriever.maintenance.compact): 7,
            self._reopen: 8,
        }
        (plan,) = self._random.choices(list(plans), list(plans.values()))
        operation, act = plan()
        with self._journal.around(operation):
            act()

    def _upsert(self) -> Plan:
        items = [Item(item_id, f"{item_id} of {self._name}/{self._steps}") for item_id in self._ids()]
        written = [(item.id, item.title) for item in items]
        return Operation("upsert", items=written), partial(self.retriever.upsert, items, progress=False)

    def _delete(self) -> Plan:
        ids = self._ids()
        return Operation("delete", deleted=ids), partial(self.retriever.delete, ids)

    def _record(self) -> Plan:
        now = datetime.now(UTC)
        known = [item_id for item_id in self._ids() if item_id in self.retriever]
        events = [Event(f"user-{self._random.randrange(USERS)}", item_id, "view", now) for item_id in known]
        written = [event_record(event) for event in events]
        return Operation("record", events=written), partial(self.retriever.record, events)

    def _reopen(self) -> Plan:
        def act() -> None:
            self.retriever.close()
            self.retriever = open_store(self._folder)

        return Operation("reopen"), act

    def _ids(self) -> list[str]:
        numbers = self._random.sample(range(IDS), self._random.randint(1, MOST_IDS))
        return [f"item-{number}" for number in numbers]


def main(argv: Sequence[str]) -> None:
    """Wait for a line on standard input, then work until killed, or until the parent exits."""
    folder, journal, name = argv
    parent = os.getppid()
    sys.stdin.readline()
    print(BEGINS, flush=True)
    worker = Worker(Path(folder), Journal(Path(journal)), name)
    print(OPENED, flush=True)
    while os.getppid() == parent:
        worker.step()


if __name__ == "__main__":
    import faiss  # noqa: F401  # before the first line is awaited, so that a kill hits the store and no import

    main(sys.argv[1:])
