"""A shop's folder: corpus.jsonl and interactions/<split>.tsv, and the part that is to be predicted."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.evaluation import Task, next_baskets
from twotower.ingest import read_catalogue
from twotower.types import Event, Item

COLUMNS = ("user_id", "item_id", "timestamp", "event")
CUT = 0.8  # of a split's time span, if the folder holds nothing before it


@dataclass(frozen=True, slots=True)
class RecommendFolder:
    """What a folder asks to predict."""

    items: tuple[Item, ...]  # the whole catalogue, words only: prices and dates may have been looked up later
    events: tuple[Event, ...]  # of all interactions files, in order of time
    start: datetime  # models are fitted on what is before it
    tasks: tuple[Task, ...]  # the first basket of each user in the split, from `start` on


def read_shop(folder: Path, split: str) -> RecommendFolder:
    """Read a folder with corpus.jsonl and interactions/, of which one split is to be predicted.

    The split begins with its first row. If no other file has an earlier row, it begins after 80 % of its own time
    span instead, and everything before serves as history.

    Raises:
        CatalogueError: a file is missing or cannot be read.
    """
    files = {path.stem: path for path in sorted((folder / "interactions").glob("*.tsv"))}
    if split not in files:
        there = ", ".join(files) or "none"
        raise CatalogueError(
            f"file '{folder / 'interactions' / split}.tsv' does not exist: the splits are {there}"
        )
    read = {name: _read_events(path) for name, path in files.items()}
    asked = read.pop(split)
    if not asked:
        raise CatalogueError(f"file '{files[split]}' has no rows: there is nothing to predict")
    events = [*asked, *chain(*read.values())]
    return predicted(_items(folder, events), events, asked)


def predicted(items: Sequence[Item], events: Iterable[Event], asked: Sequence[Event]) -> RecommendFolder:
    """A shop in which some of its events are to be predicted."""
    ordered, times = sorted(events, key=attrgetter("time")), [event.time for event in asked]
    start = min(times)
    if ordered[0].time >= start:
        start += CUT * (max(times) - start)
    return RecommendFolder(tuple(items), tuple(ordered), start, tuple(next_baskets(asked, start)))


def _read_events(path: Path) -> list[Event]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise CatalogueError(f"file '{path}', line 1: the column '{missing[0]}' is missing: add it")
        return [_event(row, f"file '{path}', line {number}") for number, row in enumerate(rows, 2)]


def _event(row: dict[str, str], place: str) -> Event:
    try:
        when = datetime.fromtimestamp(int(row["timestamp"]), UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise CatalogueError(
            f"{place}: timestamp must be in unix seconds, got '{row['timestamp']}'"
        ) from error
    # Every line counts once, whatever its quantity: a wholesaler's thousand pieces are not a thousand wishes.
    return Event(row["user_id"], row["item_id"], row["event"], when)


def _items(folder: Path, events: Sequence[Event]) -> tuple[Item, ...]:
    """The catalogue's titles; an item without words, or that is only sold, has its id for a title."""
    items = {
        item.id: Item(item.id, item.title or (not item.text) * item.id, item.text)
        for item in read_catalogue(folder)
    }
    unlisted = {event.item: Item(event.item, event.item) for event in events if event.item not in items}
    if unlisted:
        print(f"{len(unlisted)} items are sold but not in {folder / 'corpus.jsonl'}", file=sys.stderr)
    return (*items.values(), *unlisted.values())
