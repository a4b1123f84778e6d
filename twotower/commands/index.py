"""`twotower index`: bring a store up to date with a catalogue, in steps that survive an interruption."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import get_args

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.known_attributes import known_attributes
from twotower.commands.models import add_model_options, add_weight_options, chosen_models, encoder_for
from twotower.commands.pruning import add_prune_options, items_to_prune, prune_limit
from twotower.commands.reading import (
    MAX_EXAMPLES,
    Skipped,
    add_read_options,
    read_options,
    skipped_of,
)
from twotower.corpus.write_checks import check_item
from twotower.corpus.writes import OnBadPhoto
from twotower.errors import CatalogueError, ItemError, TwoTowerError
from twotower.ingest.catalogue import Catalogue
from twotower.ingest.formats import KNOWN
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import ignore, stop
from twotower.presets import Retriever, Settings, default_decay
from twotower.store.folder import is_store
from twotower.types import BadItem, Encoder, Item

ITEMS_PER_WRITE = 1_000  # an interruption loses the work on at most this many


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    index = add_command(
        commands,
        "index",
        "bring a store up to date with a catalogue",
        "twotower index catalogue.jsonl --store store/",
        run,
    )
    index.add_argument(
        "catalogue",
        type=Path,
        metavar="CATALOGUE",
        help=f"{KNOWN}, or a BEIR folder",
    )
    add_store(index, written=True)
    add_read_options(index, "items")
    index.add_argument(
        "--on-bad-photo",
        choices=get_args(OnBadPhoto),
        default="error",
        help="treat an item with an unusable photo as bad, or index its words alone (default: error)",
    )
    index.add_argument(
        "--photos-anywhere",
        action="store_true",
        help="allow photos outside the catalogue's folder, if you trust the file",
    )
    add_prune_options(index)
    index.add_argument(
        "--searchable",
        nargs="+",
        metavar="ATTRIBUTE",
        help="attributes to search as text, for a new store (default: brand category colour, or 品牌 类目 颜色)",
    )
    add_model_options(index, text="all-MiniLM-L6-v2", image="the compact model")
    add_weight_options(index)


def run(given: Namespace) -> None:
    """Run the command."""
    models = chosen_models(given)
    report = index(
        given.catalogue,
        given.store,
        encoder_for(given.store, models),
        options=replace(read_options(given), photos_anywhere=given.photos_anywhere),
        skipped=skipped_of(given),
        on_bad_photo=given.on_bad_photo,
        max_pruned=prune_limit(given),
        searchable=given.searchable,
        wait=given.wait,
    )
    print(*report.lines(), sep="\n")
    if report.failure:
        raise CatalogueError(report.failure)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The result of one `index`.

    Args:
        columns: what each column of the catalogue became, as text.
        indexed: number of items that were new or had changed.
        unchanged: number of items that were in the store already, exactly as they are.
        skipped: the rows that were left out.
        without_photo: the items that were indexed by their words alone.
        pruned: number of items that were removed because the catalogue lacks them; None without pruning.
        failure: why the call failed nevertheless; "" if it succeeded.
    """

    columns: tuple[str, ...]
    indexed: int
    unchanged: int
    skipped: Skipped
    without_photo: tuple[BadItem, ...] = ()
    pruned: int | None = None
    failure: str = ""

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield from self.columns
        yield f"{self.indexed:,} indexed, {self.unchanged:,} unchanged, {self.skipped.count:,} skipped"
        if self.pruned is not None:
            yield f"{self.pruned:,} pruned"
        yield from self.skipped.lines()
        if self.without_photo:
            yield f"  {len(self.without_photo):,} indexed by their words alone"
            yield from (f"  without photo: {_reason(bad)}" for bad in self.without_photo[:MAX_EXAMPLES])


def index(
    path: Path,
    store: Path,
    encoder: Encoder | None,
    *,
    options: ReadOptions | None = None,
    skipped: Skipped | None = None,
    on_bad_photo: OnBadPhoto = "error",
    max_pruned: int | Fraction | None = None,
    searchable: Sequence[str] | None = None,
    wait: float = 0.0,
) -> IndexReport:
    """Bring a store up to date with a catalogue.

    The whole catalogue is read and checked before anything is written. Items are then read again, encoded and written
    `ITEMS_PER_WRITE` at a time, so that the catalogue may be larger than the memory, and the same call after an
    interruption resumes where that one stopped.

    Args:
        path: of the catalogue, as in `read_catalogue`.
        store: a store, or a new or empty folder.
        encoder: None is that of the store, or for a new one the default.
        options: how to read the catalogue.
        skipped: collects the rows and items that cannot be indexed; None stops at the first.
        on_bad_photo: see `Retriever.upsert`.
        max_pruned: how many items that only the store has may be removed: a number, or a Fraction of its items; None
            keeps them all.
        searchable: names of the searchable attributes, for a new store; None is the default, or those of the store.
        wait: how many seconds to wait for another process that is writing to the store.

    Returns:
        What was done: nothing, if more rows than allowed cannot be used, or more items than allowed would be removed.

    Raises:
        CatalogueError: the catalogue cannot be read.
        ItemError: an item cannot be indexed (without `skipped`).
        StoreError: the store cannot be used, or was created with another encoder or other searchable attributes.
    """
    known, searched = known_attributes(store, searchable)
    catalogue = Catalogue.of_file(path, options, known)
    if catalogue.columns.names:
        catalogue.columns.required(("title", "text", "image"), str(path))
    columns = tuple(catalogue.columns.lines(searched))
    left_out = skipped or Skipped()
    good = sum(1 for _ in checked(catalogue, None if skipped is None else skipped.add))
    if failure := left_out.failure(good):
        return IndexReport(columns, 0, 0, left_out, failure=f"{failure}: nothing was written")
    indexed = unchanged = 0
    without_photo: list[BadItem] = []
    to_prune: list[str] = []
    settings: Settings = {} if searchable is None else {"searchable": searchable}
    decay = None if is_store(store) else default_decay()
    with Retriever.open(store, encoder=encoder, decay=decay, wait=wait, **settings) as retriever:
        if max_pruned is not None:
            to_prune, failure = items_to_prune(catalogue, retriever, max_pruned)
            if failure:
                return IndexReport(columns, 0, 0, left_out, pruned=0, failure=failure)
        items = checked(catalogue, ignore)
        while batch := list(islice(items, ITEMS_PER_WRITE)):
            changed = retriever.changed(batch)
            report = retriever.upsert(
                changed, on_error="raise" if skipped is None else "skip", on_bad_photo=on_bad_photo
            )
            indexed += report.upserted
            unchanged += len(batch) - len(changed)
            without_photo += report.without_photo
            for bad in report.skipped:
                left_out.add(_reason(bad))
        pruned = None if max_pruned is None else len(retriever.delete(to_prune))
    failure = left_out.failure(indexed + unchanged)
    return IndexReport(columns, indexed, unchanged, left_out, tuple(without_photo), pruned, failure)


def checked(catalogue: Catalogue, on_bad: Callable[[TwoTowerError], None] | None) -> Iterator[Item]:
    """The items that can be indexed; of several with the same id, the first.

    Args:
        catalogue: to read.
        on_bad: receives the error of each row or item that cannot; None raises the first.
    """
    seen: set[str] = set()
    for item in catalogue.items(on_bad or stop):
        try:
            check_item(item)
            if item.id in seen:
                raise ItemError(f"item '{item.id}' occurs twice in the catalogue: keep one of the two")
        except ItemError as error:
            if on_bad is None:
                raise
            on_bad(error)
        else:
            seen.add(item.id)
            yield item


def _reason(bad: BadItem) -> str:
    return (
        bad.reason if repr(bad.id) in bad.reason or f"'{bad.id}'" in bad.reason else f"{bad.id}: {bad.reason}"
    )
