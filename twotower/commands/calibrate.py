"""`twotower calibrate`: tune a store's index on your queries until it reaches its target recall."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import open_existing
from twotower.ingest.beir import read_queries


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    calibrate = add_command(
        commands,
        "calibrate",
        "tune a store's index on your queries until it reaches its target recall",
        "twotower calibrate beir/ --store store/",
        run,
    )
    calibrate.add_argument(
        "queries", type=Path, metavar="QUERIES", help="a BEIR folder, whose queries.jsonl is read"
    )
    add_store(calibrate, written=True)


def run(given: Namespace) -> None:
    """Run the command."""
    queries = list(read_queries(given.queries).values())
    with open_existing(given.store, given.wait) as retriever:
        print(*retriever.maintenance.calibrate(queries).lines(), sep="\n")
