"""Serialisation of items and events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from twotower.types import AttributeValue, Event, Item

TIME = "$time"
PATH = "$path"
GIVEN = "id:"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def item_to_bytes(item: Item) -> bytes:
    """An item as JSON in UTF-8."""
    return json.dumps(item_to_json(item), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def item_from_bytes(data: bytes) -> Item:
    """The item that `item_to_bytes` wrote."""
    return item_from_json(json.loads(data))


def item_to_json(item: Item) -> dict[str, Any]:
    """Plain JSON values of an item."""
    return {
        "id": item.id,
        "title": item.title,
        "text": item.text,
        "image": _image_to_json(item.image),
        "time": None if item.time is None else item.time.isoformat(),
        "attributes": {name: _to_json(value) for name, value in item.attributes.items()},
    }


def item_to_row(item: Item, image: str | Path | None) -> dict[str, Any]:
    """An item as a row of a catalogue file, which `read_catalogue` turns into the same item.

    Empty fields are left out. The attributes are an object of their own, in which {"$time": ...} is a time; an image
    {"$path": ...} is a `Path`.

    Args:
        item: to write.
        image: the path of its photo as the file should have it.
    """
    row = item_to_json(item) | {"image": _image_to_json(image)}
    return {name: value for name, value in row.items() if value not in (None, "", {})}


def item_from_json(record: dict[str, Any]) -> Item:
    """The item that `item_to_json` wrote."""
    image, time = record["image"], record["time"]
    return Item(
        id=record["id"],
        title=record["title"],
        text=record["text"],
        image=Path(image[PATH]) if isinstance(image, dict) else image,
        time=None if time is None else datetime.fromisoformat(time),
        attributes={name: _from_json(value) for name, value in record["attributes"].items()},
    )


def event_from_row(record: Sequence[Any]) -> Event:
    """An event from its user, item, kind, time, value and key."""
    user, item, kind, time, value, key = record
    given = key.removeprefix(GIVEN) if key.startswith(GIVEN) else ""
    return Event(user, item, kind, datetime.fromisoformat(time), value, given)


def event_to_row(event: Event) -> dict[str, Any]:
    """An event as a row of a file, which `read_events` turns into the same event; without an id, if it has none."""
    row = {"user": event.user, "item": event.item, "kind": event.kind, "time": event.time.isoformat()}
    return row | {"value": event.value} | ({"event_id": event.id} if event.id else {})


def event_key(event: Event) -> str:
    """What tells an event from others: its id, or a digest of its other fields, the moment in any zone."""
    if event.id:
        return f"{GIVEN}{event.id}"
    fields = event.user, event.item, event.kind, moment(event.time), float(event.value)
    return blake2b(json.dumps(fields).encode(), digest_size=16).hexdigest()


def moment(time: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (time - EPOCH) // MICROSECOND


def _image_to_json(image: str | Path | None) -> str | dict[str, str] | None:
    return {PATH: str(image)} if isinstance(image, Path) else image


def _to_json(value: AttributeValue) -> Any:
    if isinstance(value, datetime):
        return {TIME: value.isoformat()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_json(part) for part in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromisoformat(value[TIME])
    return [_from_json(part) for part in value] if isinstance(value, list) else value
