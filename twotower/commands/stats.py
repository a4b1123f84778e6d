"""`twotower stats`: show how large a store is and how its items are indexed."""

from __future__ import annotations

from argparse import Namespace

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    add_store(
        add_command(
            commands,
            "stats",
            "show how large a store is and how its items are indexed",
            "twotower stats --store store/",
            run,
        )
    )


def run(given: Namespace) -> None:
    """Run the command."""
    with opened_corpus(given.store) as corpus:
        print(*corpus.stats().lines(), sep="\n")
