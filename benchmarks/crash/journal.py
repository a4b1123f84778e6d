"""What a process is about to do and what has been acknowledged, kept outside the store.

Each line is one unbuffered write, so the operating system has it when the process is killed. A torn line belongs to
an operation that had not begun, or to the end of one that may or may not be there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from twotower.types import Event

DONE = b"done\n"
ItemRecord: TypeAlias = tuple[str, str]
"""Id and title; a title is never used twice."""
EventRecord: TypeAlias = tuple[str, str, str, str, float]
"""User, item, kind, time in ISO 8601, value."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, or close and open together: the items and events that it writes, the ids that it deletes."""

    kind: str
    items: Sequence[ItemRecord] = ()
    deleted: Sequence[str] = ()
    events: Sequence[EventRecord] = ()


def event_record(event: Event) -> EventRecord:
    """An event as written in the journal."""
    return event.user, event.item, event.kind, event.time.isoformat(), event.value


class Journal:
    """A file in which operations are noted beforehand and afterwards."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @contextmanager
    def around(self, operation: Operation) -> Iterator[None]:
        """Note the intent beforehand, and the acknowledgement afterwards."""
        os.write(self._descriptor, json.dumps(asdict(operation)).encode() + b"\n")
        yield
        os.write(self._descriptor, DONE)


def read_journal(path: Path) -> tuple[list[Operation], Operation | None]:
    """The operations that were acknowledged, in order, and the one that was only begun, if any."""
    acknowledged: list[Operation] = []
    pending = None
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith(b"\n"):
            break  # torn by the kill
        if line != DONE:
            noted = json.loads(line)
            items, events = (tuple(map(tuple, noted[name])) for name in ("items", "events"))
            pending = Operation(noted["kind"], items, tuple(noted["deleted"]), events)
        elif pending is not None:
            acknowledged.append(pending)
            pending = None
    return acknowledged, pending
