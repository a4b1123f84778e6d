"""`twotower compact`: remove deleted and replaced items from a store's files."""

from __future__ import annotations

from argparse import Namespace

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    add_store(
        add_command(
            commands,
            "compact",
            "remove deleted and replaced items from a store's files",
            "twotower compact --store store/",
            run,
        )
    )


def run(given: Namespace) -> None:
    """Run the command."""
    with opened_corpus(given.store, read_only=False) as corpus:
        corpus.compact()
        print(*corpus.stats().lines(), sep="\n")
