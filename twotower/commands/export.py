"""`twotower export`: write a store's items and events as files that `twotower index` and `record` read."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import apsw
import numpy as np

from twotower.commands.command import Commands, add_command, add_store
from twotower.errors import StoreError
from twotower.export.formats import writer_of
from twotower.export.photos import Photos
from twotower.export.sheet import EVENT_FIELDS, ITEM_FIELDS, Shapes, Sheet, shapes_of
from twotower.ingest.formats import KNOWN
from twotower.store.folder import StoreFolder
from twotower.store.item_store import StoredItem
from twotower.store.records import event_to_row, item_to_row
from twotower.types import Event, Vectors

PhotoChoice: TypeAlias = Literal["copy", "keep"]
Row: TypeAlias = dict[str, Any]


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    export = add_command(
        commands,
        "export",
        "write a store's items, and the events on them, as files that `index` and `record` read back",
        "twotower export backup.jsonl --store store/ --events events.csv.gz --vectors backup.safetensors",
        run,
        details="""
formats:
  In CSV and Parquet, every attribute is a column 'attributes.NAME'. A CSV cell is JSON, such as 5, true, ["a", "b"]
  or {"$time": "2026-01-31T08:00:00+00:00"}, or plain text; text that could be mistaken for JSON is quoted, such as
  "0.5". CSV cannot hold an id, title or description that is blank. In Parquet, whole numbers become fractions in a
  column with fractions, and values of an attribute with several types become objects {"$json": their JSON}.""",
    )
    export.add_argument("catalogue", type=Path, metavar="CATALOGUE", help=f"new file: {KNOWN}")
    add_store(export)
    export.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help="a new file for the events on these items, in any of the formats",
    )
    export.add_argument(
        "--photos",
        choices=("copy", "keep"),
        default="copy",
        help="copy photos from other folders into one beside the catalogue, or keep their paths, which "
        "`twotower index --photos-anywhere` reads (default: copy)",
    )
    export.add_argument(
        "--vectors", type=Path, metavar="FILE", help="a new .safetensors file for the vectors"
    )


def run(given: Namespace) -> None:
    """Run the command."""
    report = export(
        given.store, given.catalogue, events=given.events, vectors=given.vectors, photos=given.photos
    )
    print(f"{report.items:,} items written to {given.catalogue}")
    if given.events is not None:
        print(f"{report.events:,} events written to {given.events}")
    if report.left_out:
        print(f"{report.left_out:,} events on deleted items were left out")
    if report.missing_photos:
        print(f"{report.missing_photos:,} photos could not be copied: their paths were kept")


@dataclass(slots=True)
class ExportReport:
    """The result of one `export`.

    Args:
        items: number of items written.
        events: number of events written.
        left_out: number of events that were left out because their items are deleted, so no store would record them.
        missing_photos: number of photos that could not be copied, whose paths were kept.
    """

    items: int = 0
    events: int = 0
    left_out: int = 0
    missing_photos: int = 0


def export(
    folder: Path,
    catalogue: Path,
    *,
    events: Path | None = None,
    vectors: Path | None = None,
    photos: PhotoChoice = "copy",
) -> ExportReport:
    """Write one state of a store as a catalogue that `twotower index` reads.

    Args:
        folder: the store.
        catalogue: a new file, whose suffix determines the format.
        events: a new file for the events on these items, which `twotower record` reads; None writes none.
        vectors: a new .safetensors file for the items' vectors, in the same order; None writes none.
        photos: what becomes of photos that are not in the catalogue's folder: "copy" copies them into a new folder
            beside the catalogue, named by their content; "keep" writes their absolute paths.

    Returns:
        What was written.

    Raises:
        StoreError: a suffix is unknown, a file already exists or cannot be written, or the format cannot hold a
            value; nothing is written.
    """
    copies = catalogue.with_suffix(".photos") if photos == "copy" else None
    targets = [path for path in (catalogue, events, vectors, copies) if path is not None]
    write_items = writer_of(catalogue)
    write_events = None if events is None else writer_of(events)
    if taken := [path for path in targets if path.exists()]:
        raise StoreError(f"'{taken[0]}' already exists: pass another name")
    if len(set(targets)) < len(targets):
        raise StoreError(f"'{catalogue}' is named twice: pass a name for each file")
    paths = Photos(catalogue.absolute().parent, copies, _part(copies or catalogue))
    report = ExportReport()
    try:
        with ExitStack() as closing_all:
            closing_all.callback(_remove, map(_part, targets))
            store = closing_all.enter_context(closing(StoreFolder.open(folder, read_only=True)))
            connection = closing_all.enter_context(store.database.view())
            kept: list[Vectors] | None = None if vectors is None else []
            ids: set[str] = set()
            rows = _item_rows(store.item_store.rows(connection), paths, ids, kept)
            write_items(_part(catalogue), Sheet(ITEM_FIELDS, rows, partial(_shapes, store, connection)))
            if events is not None and write_events is not None:
                write_events(
                    _part(events),
                    Sheet(EVENT_FIELDS, _event_rows(store.item_store.events_in(connection), ids, report)),
                )
            if vectors is not None and kept is not None:
                _write_vectors(kept, _part(vectors))
            report.items, report.missing_photos = len(ids), paths.missing
            for path in reversed(targets):  # the catalogue last
                if _part(path).exists():
                    _part(path).replace(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"store '{folder}' cannot be exported to '{catalogue}' ({error})") from error
    return report


def _shapes(store: StoreFolder, connection: apsw.Connection) -> Shapes:
    return shapes_of(item for _, item in store.item_store.items(connection))


def _item_rows(
    items: Iterable[StoredItem], photos: Photos, ids: set[str], vectors: list[Vectors] | None
) -> Iterator[Row]:
    """The rows of items; collects the ids, and the vectors if they are wanted."""
    for stored in items:
        ids.add(stored.item.id)
        if vectors is not None:
            vectors.append(stored.vector)
        yield item_to_row(stored.item, photos.exported(stored.item.image))


def _event_rows(events: Iterable[Event], ids: Container[str], report: ExportReport) -> Iterator[Row]:
    """The rows of events on some items; counts them and the others."""
    for event in events:
        if event.item in ids:
            report.events += 1
            yield event_to_row(event)
        else:
            report.left_out += 1


def _write_vectors(vectors: list[Vectors], file: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"vectors": np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)}, file)


def _part(path: Path) -> Path:
    """Where a file is written until it is complete; its name has the same suffixes."""
    return path.with_name(f".part-{path.name}")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
