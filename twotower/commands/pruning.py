"""Which items of a store are missing from a catalogue, and whether that many may be removed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from fractions import Fraction

from twotower.commands import arguments
from twotower.errors import CatalogueError
from twotower.ingest.catalogue import Catalogue
from twotower.ingest.fields import required_text
from twotower.retriever import BaseRetriever

MAX_PRUNED = Fraction(1, 5)  # of a store's items: if more are missing, the catalogue is probably incomplete


def add_prune_options(parser: ArgumentParser) -> None:
    """Add the options for items that are missing from the catalogue."""
    parser.add_argument(
        "--prune", action="store_true", help="remove items from the store that are not in the catalogue"
    )
    parser.add_argument(
        "--max-pruned",
        type=arguments.share,
        metavar="N|N%",
        help="prune, but remove nothing if more items than this number or share are missing (default: 20%%)",
    )


def prune_limit(given: Namespace) -> int | Fraction | None:
    """How many items may be pruned, by the options of `add_prune_options`; None prunes none."""
    if given.max_pruned is not None:
        return int(given.max_pruned) if isinstance(given.max_pruned, int) else Fraction(given.max_pruned)
    return MAX_PRUNED if given.prune else None


def items_to_prune(
    catalogue: Catalogue, retriever: BaseRetriever, limit: int | Fraction
) -> tuple[list[str], str]:
    """The items of a store that a catalogue lacks.

    Args:
        catalogue: read once more, for the ids of all rows, including those that cannot be indexed.
        retriever: of the store.
        limit: how many items may be removed: a number, or a Fraction of those in the store.

    Returns:
        Their ids, and why they must not be removed, "" if they may be.
    """
    unreadable: list[CatalogueError] = []
    delivered: set[str] = set()
    column = catalogue.columns.fields.get("id", "id")
    for row in catalogue.rows(unreadable.append):
        try:
            delivered.add(required_text(row, column))
        except CatalogueError as error:
            unreadable.append(error)
    missing = [item.id for item in retriever.items() if item.id not in delivered]
    if missing and unreadable:
        return missing, f"{unreadable[0]}, so the items to prune are unknown: nothing was written"
    allowed = limit * len(retriever) if isinstance(limit, Fraction) else limit
    if len(missing) <= allowed:
        return missing, ""
    share = Fraction(len(missing), len(retriever))
    return missing, (
        f"{len(missing):,} of {len(retriever):,} items are not in {catalogue.place}, more than {_shown(limit)}: "
        f"nothing was written; to remove them anyway, pass --max-pruned {_shown(share)}"
    )


def _shown(limit: int | Fraction) -> str:
    return f"{-(-limit * 100 // 1)}%" if isinstance(limit, Fraction) else f"{limit}"
