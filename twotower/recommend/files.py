"""A recommender as one file: what it was fitted on, and its ranker. Loading fits the channels again, to the same."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from twotower.errors import StoreError
from twotower.recommend.channels import BoughtTogether, Channel, Ease, OwnHistory, Popular, SimilarShoppers
from twotower.recommend.event_log import EventLog, Numbers, Vocabulary
from twotower.recommend.features import NAMES

FORMAT = 1
KNOWN = {kind.__name__: kind for kind in (BoughtTogether, Ease, OwnHistory, Popular, SimilarShoppers)}


class Saved(NamedTuple):
    """What a file holds.

    Args:
        log: all events that were read.
        end: the day before which events were fitted on; infinity for all.
        read: number of the last event in the store.
        price: of each item.
        channels: by name.
        kinds: weight of each kind of event.
        ranker: trees, slope and intercept; None if there is none.
    """

    log: EventLog
    end: float
    read: int
    price: Numbers
    channels: Mapping[str, Channel]
    kinds: Mapping[str, float]
    ranker: tuple[str, float, float] | None


def write(path: Path, saved: Saved) -> None:
    """Write a file; an earlier one stays as it is until the new one is whole.

    Raises:
        StoreError: the file cannot be written, or a channel is of the user's own.
    """
    described = {name: _described(name, channel) for name, channel in saved.channels.items()}
    log = saved.log
    text = {
        "format": FORMAT,
        "features": NAMES,
        "end": saved.end,
        "read": saved.read,
        "channels": described,
        "kinds": dict(saved.kinds),
        "ranker": saved.ranker,
        "users": log.users.ids,
        "items": log.items.ids[: len(saved.price)],
    }
    arrays = {"user": log.user, "item": log.item, "day": log.day, "weight": log.weight, "price": saved.price}
    packed = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with new.open("wb") as file:
                np.savez_compressed(file, text=packed, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"recommender '{path}' cannot be written: {error}") from error


def read(path: Path) -> Saved:
    """Read a file that `write` wrote.

    Raises:
        StoreError: it cannot be read, is damaged, or was written by another version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in ("user", "item", "day", "weight", "price")}
            text: dict[str, Any] = json.loads(found["text"].tobytes())
        same = text["format"] == FORMAT and tuple(text["features"]) == NAMES
        channels = {name: KNOWN[kind](**fields) for name, (kind, fields) in text["channels"].items()}
    except OSError as error:
        raise StoreError(f"recommender '{path}' cannot be read: {error}") from error
    except Exception as error:  # whatever a damaged file leads to
        raise StoreError(
            f"recommender '{path}' is damaged or something else: fit it again ({error})"
        ) from error
    if not same:
        raise StoreError(f"recommender '{path}' was written by another version: fit it again")
    price = arrays.pop("price")
    log = EventLog(Vocabulary(text["users"]), Vocabulary(text["items"]), **arrays)
    ranker = None if text["ranker"] is None else tuple(text["ranker"])
    return Saved(log, text["end"], text["read"], price, channels, text["kinds"], ranker)


def _described(name: str, channel: Channel) -> tuple[str, dict[str, Any]]:
    kind = type(channel)
    if KNOWN.get(kind.__name__) is not kind:
        raise StoreError(
            f"channel '{name}' is of your own, {kind.__name__}: fit the recommender where it is used"
        )
    return kind.__name__, asdict(channel)  # type: ignore[call-overload]  # it is one of KNOWN, all of them dataclasses
