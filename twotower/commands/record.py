"""`twotower record`: add what users did to a store."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus
from twotower.commands.reading import Skipped, add_read_options, read_options, skipped_of
from twotower.corpus.base import Corpus
from twotower.corpus.write_checks import check_events
from twotower.errors import EventError
from twotower.ingest.events import EventLog
from twotower.ingest.formats import KNOWN
from twotower.ingest.row import stop
from twotower.types import BadEvent, Event

EVENTS_PER_WRITE = 10_000

_EVENT = re.compile(r"^event \d+,? ")  # replaced by the file and the line


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    record = add_command(
        commands,
        "record",
        "add what users did to a store",
        "twotower record events.jsonl --store store/",
        run,
    )
    record.add_argument(
        "events",
        type=Path,
        metavar="EVENTS",
        help=f"{KNOWN}, with user, item, kind and time",
    )
    add_store(record, written=True)
    add_read_options(record, "events")


def run(given: Namespace) -> None:
    """Run the command."""
    log = EventLog.of_file(given.events, read_options(given))
    skipped = skipped_of(given)
    with opened_corpus(given.store, read_only=False, wait=given.wait) as corpus:
        report = record(log, corpus, skipped)
    print(*report.lines(), sep="\n")
    if report.failure:
        raise EventError(report.failure)


@dataclass(frozen=True, slots=True)
class LogReport:
    """The result of one `record`.

    Args:
        columns: what each column of the file became, as text.
        recorded: how many events were new.
        repeated: how many were recorded before, or occurred twice.
        skipped: the rows that were left out.
        failure: why the call failed nevertheless; "" if it succeeded.
    """

    columns: tuple[str, ...]
    recorded: int
    repeated: int
    skipped: Skipped
    failure: str = ""

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield from self.columns
        before = f", {self.repeated:,} were there before" if self.repeated else ""
        left_out = f", {self.skipped.count:,} skipped" if self.skipped.count else ""
        yield f"{self.recorded:,} events recorded{before}{left_out}"
        yield from self.skipped.lines()


def record(log: EventLog, corpus: Corpus, skipped: Skipped | None) -> LogReport:
    """Record a file of events, which is checked to its end before anything is written.

    Args:
        log: the events; read twice, so that they need not fit into memory.
        corpus: of the items; open for writing.
        skipped: collects the events that cannot be recorded; None stops at the first.

    Raises:
        CatalogueError: a row cannot be read (without `skipped`).
        EventError: an event cannot be recorded (without `skipped`).
    """
    left_out = Skipped() if skipped is None else skipped
    columns = tuple(log.lines())
    good = sum(len(batch) for batch in _checked(log, corpus, skipped))
    if failure := left_out.failure(good):
        return LogReport(columns, 0, 0, left_out, f"{failure}: nothing was recorded")
    recorded = sum(
        corpus.record(batch) for batch in _checked(log, corpus, None if skipped is None else Skipped())
    )
    return LogReport(columns, recorded, good - recorded, left_out)


def _checked(log: EventLog, corpus: Corpus, skipped: Skipped | None) -> Iterator[list[Event]]:
    """The events that can be recorded, in batches."""
    found = log.placed_events(stop if skipped is None else skipped.add)
    while batch := list(islice(found, EVENTS_PER_WRITE)):
        bad: list[BadEvent] = []
        good = check_events([event for _, event in batch], corpus, bad)
        for each in bad:
            problem = f"{batch[each.position][0]}: {_EVENT.sub('', each.reason)}"
            if skipped is None:
                raise EventError(problem)
            skipped.add(problem)
        yield good
