"""Items and events as JSON values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from twotower.types import AttributeValue, Event, Item

TIME = "$time"
PATH = "$path"


def item_to_json(item: Item) -> dict[str, Any]:
    """Plain JSON values of an item."""
    return {
        "id": item.id,
        "title": item.title,
        "text": item.text,
        "image": {PATH: str(item.image)} if isinstance(item.image, Path) else item.image,
        "time": None if item.time is None else item.time.isoformat(),
        "attributes": {name: _to_json(value) for name, value in item.attributes.items()},
    }


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


def event_to_json(event: Event) -> list[Any]:
    """Plain JSON values of an event."""
    return [event.user, event.item, event.kind, event.time.isoformat(), event.value]


def event_from_json(record: Sequence[Any]) -> Event:
    """The event that `event_to_json` wrote."""
    user, item, kind, time, value = record
    return Event(user, item, kind, datetime.fromisoformat(time), value)


def _to_json(value: AttributeValue) -> Any:
    if isinstance(value, datetime):
        return {TIME: value.isoformat()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return value


def _from_json(value: Any) -> AttributeValue:
    return datetime.fromisoformat(value[TIME]) if isinstance(value, dict) else value
