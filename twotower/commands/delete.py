"""`twotower delete`: remove items from a store."""

from __future__ import annotations

from argparse import Namespace

from twotower.commands import arguments
from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus
from twotower.corpus.write_checks import check_deletes_some


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    delete = add_command(
        commands,
        "delete",
        "remove items from a store, by id or by attribute",
        """twotower delete --store store/ --where '{"stock": 0}'""",
        run,
    )
    delete.add_argument("ids", nargs="*", type=arguments.words, metavar="ID", help="ids of the items")
    add_store(delete, written=True)
    delete.add_argument(
        "--where",
        type=arguments.where,
        metavar="JSON",
        help="instead of ids: remove every item that matches this filter",
    )


def run(given: Namespace) -> None:
    """Run the command."""
    if bool(given.ids) == (given.where is not None):
        given.parser.error("pass either ids or --where")
    if given.where is not None:
        check_deletes_some(given.where)
    with opened_corpus(given.store, read_only=False, wait=given.wait) as corpus:
        ids = given.ids or [item.id for item in corpus.items(given.where)]
        deleted = corpus.delete(ids)
        missing = [item_id for item_id in ids if item_id not in set(deleted)]
    print(
        f"{len(deleted):,} items deleted" + (f", {len(missing):,} were not in the store" if missing else "")
    )
