"""`twotower verify`: read every byte of a store and report what is damaged."""

from __future__ import annotations

from argparse import Namespace

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus
from twotower.errors import StoreDamagedError
from twotower.presets.rebuilding import changed_models


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    add_store(
        add_command(
            commands,
            "verify",
            "read every byte of a store and report what is damaged",
            "twotower verify --store store/",
            run,
        )
    )


def run(given: Namespace) -> None:
    """Run the command."""
    with opened_corpus(given.store) as corpus:
        problems = [*corpus.problems(), *changed_models(corpus.store)]
    if problems:
        print(*problems, sep="\n")
        raise StoreDamagedError(f"store '{given.store}' has {len(problems)} problems: see above")
    print("nothing is wrong")
