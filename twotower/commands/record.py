"""`twotower record`: add what users did to a store."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from twotower.commands.command import Commands, add_command, add_store, add_wait
from twotower.commands.opened import open_existing
from twotower.ingest.events import read_events


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
        help="a .jsonl, .csv or .parquet file with user, item, kind and time",
    )
    add_store(record)
    add_wait(record)


def run(given: Namespace) -> None:
    """Run the command."""
    events = list(read_events(given.events))
    with open_existing(given.store, given.wait) as retriever:
        report = retriever.record(events)
    repeated = f", {report.repeated:,} were there before" if report.repeated else ""
    print(f"{report.recorded:,} events recorded{repeated}")
