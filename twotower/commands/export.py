"""`twotower export`: write a store's items as a catalogue that `twotower index` reads."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus
from twotower.errors import StoreError
from twotower.store.records import item_to_row
from twotower.types import Vectors


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    export = add_command(
        commands,
        "export",
        "write a store's items as a catalogue",
        "twotower export backup.jsonl --store store/ --vectors backup.safetensors",
        run,
    )
    export.add_argument("catalogue", type=Path, metavar="CATALOGUE", help="a new .jsonl file")
    add_store(export)
    export.add_argument(
        "--vectors", type=Path, metavar="FILE", help="a new .safetensors file for the vectors"
    )


def run(given: Namespace) -> None:
    """Run the command."""
    print(f"{export(given.store, given.catalogue, given.vectors):,} items written to {given.catalogue}")


def export(folder: Path, catalogue: Path, vectors: Path | None) -> int:
    """Write a store's items as a catalogue that `twotower index` reads.

    Args:
        folder: the store.
        catalogue: a new .jsonl file.
        vectors: a new .safetensors file for the items' vectors, in the same order; None writes none.

    Returns:
        The number of items written.

    Raises:
        StoreError: the catalogue is not named .jsonl, or a file already exists or cannot be written.
    """
    from safetensors.numpy import save_file

    if catalogue.suffix != ".jsonl":
        raise StoreError(f"export writes JSON Lines: give '{catalogue}' a name that ends in .jsonl")
    targets = [catalogue] if vectors is None else [catalogue, vectors]
    if taken := [path for path in targets if path.exists()]:
        raise StoreError(f"file '{taken[0]}' already exists: pass another name")
    parts = [path.with_name(f"{path.name}.part") for path in targets]
    rows: list[Vectors] = []
    written = 0
    try:
        with (
            opened_corpus(folder) as corpus,
            corpus.rows() as (_, found),
            parts[0].open("w", encoding="utf-8") as file,
        ):
            for stored in found:
                file.write(json.dumps(item_to_row(stored.item), ensure_ascii=False) + "\n")
                written += 1
                if vectors is not None:
                    rows.append(stored.vector)
        if vectors is not None:
            save_file({"vectors": np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)}, parts[1])
        for part, path in zip(parts, targets, strict=True):
            part.replace(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"store '{folder}' cannot be exported to '{catalogue}' ({error})") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return written
