"""`twotower index`: bring a store up to date with a catalogue, in steps that survive an interruption."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multimodal.clip.encoder import ClipEncoder
from multimodal.fusion import WeightedConcat
from multimodal.hub import DEFAULT_TEXT_MODEL
from multimodal.text.encoder import TextEncoder
from twotower import presets
from twotower.commands import arguments
from twotower.commands.command import Commands, add_command, add_store, add_wait
from twotower.corpus.write_checks import check_items
from twotower.errors import CatalogueError
from twotower.ingest.catalogue import read_catalogue
from twotower.presets import Retriever
from twotower.store.folder import is_store
from twotower.towers.dual_encoder import DualEncoder
from twotower.types import BadItem, Encoder

ITEMS_PER_WRITE = 1_000  # an interruption loses the work on at most this many
MAX_REASONS = 20


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
        "catalogue", type=Path, metavar="CATALOGUE", help="a .jsonl, .csv or .parquet file, or a BEIR folder"
    )
    add_store(index)
    add_wait(index)
    index.add_argument(
        "--on-bad", choices=("stop", "skip"), default="stop", help="what to do with bad items (default: stop)"
    )
    index.add_argument(
        "--searchable",
        nargs="+",
        metavar="ATTRIBUTE",
        help="attributes that people type, for a new store (default: brand category colour)",
    )
    index.add_argument("--text-model", metavar="MODEL", help="hub name or folder (default: all-MiniLM-L6-v2)")
    index.add_argument(
        "--image-model", metavar="ARCH", help="open_clip architecture (default: the compact model)"
    )
    index.add_argument("--image-weights", metavar="TAG_OR_FILE", help="weights of the image model")
    index.add_argument(
        "--text-weight", type=arguments.weight, metavar="W", help="weight of the words, such as 0.9"
    )
    index.add_argument(
        "--image-weight", type=arguments.weight, metavar="W", help="weight of the photos, such as 0.1"
    )


def run(given: Namespace) -> None:
    """Run the command."""
    if given.text_weight == given.image_weight == 0:
        given.parser.error("--text-weight and --image-weight must not both be 0")
    if given.image_weights is not None and given.image_model is None:
        given.parser.error("--image-weights belongs to --image-model: give both")
    names = ("text_model", "image_model", "image_weights", "text_weight", "image_weight")
    chosen = {name: value for name in names if (value := getattr(given, name)) is not None}
    report = index(
        given.catalogue,
        given.store,
        EncoderChoice(**chosen).encoder if chosen else None,
        skip_bad=given.on_bad == "skip",
        searchable=given.searchable,
        wait=given.wait,
    )
    print(*report.lines(), sep="\n")


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Which encoder to index with; the defaults are `presets.default_encoder`.

    Args:
        text_model: a hub name or a folder.
        image_model: an open_clip architecture; None is the compact model that the library ships.
        image_weights: its tag or weights file.
        text_weight: weight of the words in the fusion.
        image_weight: weight of the photos in the fusion.
    """

    text_model: str = DEFAULT_TEXT_MODEL
    image_model: str | None = None
    image_weights: str | None = None
    text_weight: float = presets.TEXT_WEIGHT
    image_weight: float = presets.IMAGE_WEIGHT

    def encoder(self) -> DualEncoder:
        """Load the models."""
        fusion = WeightedConcat(text=self.text_weight, image=self.image_weight)
        text = TextEncoder(self.text_model)
        if self.image_model is None:
            return DualEncoder(text, ClipEncoder.compact(), fusion)
        return DualEncoder(text, ClipEncoder(self.image_model, self.image_weights), fusion)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The result of one `index`.

    Args:
        indexed: number of items that were new or had changed.
        unchanged: number of items that the store already had as they are.
        reasons: one sentence for each row that was skipped.
    """

    indexed: int
    unchanged: int
    reasons: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield f"{self.indexed:,} indexed, {self.unchanged:,} unchanged, {len(self.reasons):,} skipped"
        yield from (f"  skipped: {reason}" for reason in self.reasons[:MAX_REASONS])
        if len(self.reasons) > MAX_REASONS:
            yield f"  and {len(self.reasons) - MAX_REASONS:,} more"


def index(
    catalogue: Path,
    store: Path,
    make_encoder: Callable[[], Encoder] | None,
    *,
    skip_bad: bool = False,
    searchable: Sequence[str] | None = None,
    wait: float = 0.0,
) -> IndexReport:
    """Bring a store up to date with a catalogue; items that only the store has stay.

    The whole catalogue is read and checked before anything is written. Items are then encoded and written
    `ITEMS_PER_WRITE` at a time, so the same call after an interruption resumes where that one stopped.

    Args:
        catalogue: as in `read_catalogue`.
        store: a store, or a new or empty folder.
        make_encoder: called once the catalogue has been checked and the store is locked; None is the encoder of the
            store, or for a new one the default.
        skip_bad: leave out rows and items that cannot be indexed instead of stopping at the first.
        searchable: names of attributes that people type, for a new store; None is the default, or those of the store.
        wait: how many seconds to wait for another process that writes to the store.

    Raises:
        CatalogueError: the catalogue cannot be read.
        ItemError: an item cannot be indexed (without `skip_bad`).
        StoreError: the store cannot be used, or was made with another encoder or other searchable attributes.
    """
    bad_rows: list[CatalogueError] = []
    bad_items: list[BadItem] = []
    rows = read_catalogue(catalogue, bad=bad_rows if skip_bad else None)
    items = check_items(rows, bad_items if skip_bad else None)
    indexed = 0
    with _open(store, make_encoder, searchable, wait) as retriever:
        fresh = retriever.changed(items)
        for start in range(0, len(fresh), ITEMS_PER_WRITE):
            report = retriever.upsert(
                fresh[start : start + ITEMS_PER_WRITE], on_error="skip" if skip_bad else "raise"
            )
            indexed += report.upserted
            bad_items += report.skipped
    reasons = [str(error) for error in bad_rows] + [_reason(item) for item in bad_items]
    return IndexReport(indexed, len(items) - len(fresh), tuple(reasons))


def _open(
    store: Path,
    make_encoder: Callable[[], Encoder] | None,
    searchable: Sequence[str] | None,
    wait: float,
) -> Retriever:
    settings: presets.Settings = {} if searchable is None else {"searchable": searchable}
    decay = None if is_store(store) else presets.default_decay()
    return Retriever.open_with(store, make_encoder, decay=decay, wait=wait, **settings)


def _reason(bad: BadItem) -> str:
    return (
        bad.reason if repr(bad.id) in bad.reason or f"'{bad.id}'" in bad.reason else f"{bad.id}: {bad.reason}"
    )
