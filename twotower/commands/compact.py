"""`twotower compact`: remove deleted and replaced items from a store's files."""

from __future__ import annotations

from argparse import Namespace

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    compact = add_command(
        commands,
        "compact",
        "remove deleted and replaced items from a store's files",
        "twotower compact --store store/",
        run,
    )
    add_store(compact, written=True)


def run(given: Namespace) -> None:
    """Run the command."""
    with opened_corpus(given.store, read_only=False, wait=given.wait) as corpus:
        corpus.compact()
        print(*corpus.stats().lines(), sep="\n")
