"""Validation before a write: bad items and events are refused, or skipped and reported."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from reprlib import repr as shown

from twotower.corpus.base import Corpus
from twotower.errors import CatalogueError, EventError, FilterError, ItemError
from twotower.types import BadEvent, BadItem, Event, Item, Where
from twotower.values import is_no_time, plain

RESERVED_NAMES = frozenset({"id", "time"})
"""Attribute names that a filter reads from the item itself."""


def check_items(items: Iterable[Item | CatalogueError], bad: list[BadItem] | None) -> list[Item]:
    """Validate items and copy the good ones, so that the caller may change their attributes afterwards.

    Args:
        items: to validate; in place of an item that could not be made, the reason.
        bad: collects each bad item with the reason; None raises at the first.

    Raises:
        ItemError: an item cannot be indexed, or an id is repeated, and `bad` is None.
    """
    good: dict[str, Item] = {}
    for number, item in enumerate(items):
        try:
            if isinstance(item, CatalogueError):
                raise ItemError(str(item)) from item
            if not isinstance(item, Item):
                raise ItemError(f"item {number} must be an Item, got {type(item).__name__}")
            checked = check_item(item)
            if checked.id in good:
                raise ItemError(f"item '{item.id}' occurs twice in one call: keep one of the two")
        except ItemError as error:
            if bad is None:
                raise
            bad.append(BadItem(str(item.id) if isinstance(item, Item) else "", str(error)))
        else:
            good[checked.id] = checked
    return list(good.values())


def check_events(
    events: Iterable[Event | CatalogueError], corpus: Corpus, bad: list[BadEvent] | None
) -> list[Event]:
    """Validate events.

    Args:
        events: to validate; in place of an event that could not be made, the reason.
        corpus: of the items that they may name.
        bad: collects each bad event with the reason; None raises at the first.

    Raises:
        EventError: an event cannot be recorded, and `bad` is None.
    """
    good: dict[int, Event] = {}
    for position, event in enumerate(events):
        try:
            good[position] = check_event(event, position)
        except EventError as error:
            if bad is None:
                raise
            bad.append(BadEvent(position, str(error)))
    labels = corpus.item_store.labels_of([event.item for event in good.values()])
    for position, label in zip(list(good), labels.tolist(), strict=True):
        if label < 0:
            item = good.pop(position).item
            problem = f"event {position} names item {item!r}, which is not indexed: upsert it first"
            if bad is None:
                raise EventError(problem)
            bad.append(BadEvent(position, problem))
    if bad is not None:
        bad.sort(key=lambda each: each.position)
    return list(good.values())


def check_deletes_some(where: Where) -> None:
    """Refuse a filter that chooses nothing, such as one built from an empty form: it would remove every item.

    Raises:
        FilterError: the filter has no condition, also within `$and` and `$or`.
    """
    if _is_unconditional(where):
        raise FilterError(
            f"where={shown(where)} has no condition and would remove every item: "
            "pass the ids of all items if that is what you want"
        )


def check_item(item: Item) -> Item:
    """Refuse an item that cannot be indexed, filtered or written to disk.

    Args:
        item: any item; it is not changed.

    Returns:
        A copy with values as `plain` gives them and without attributes that are None.

    Raises:
        ItemError: names the item, the field, and what to do.
    """
    if not isinstance(item, Item):
        raise ItemError(f"an item must be an Item, got {type(item).__name__}")
    item = _plain_item(item)
    if problem := _text_problem(item.id) or _empty_problem(item.id):
        raise ItemError(f"item {item.id!r}, field 'id': {problem}")
    for field, problem in _field_problems(item):
        if problem:
            raise ItemError(f"item {item.id!r}, field {field!r}: {problem}")
    return item


def check_event(event: Event | CatalogueError, position: int) -> Event:
    """Refuse an event that cannot be recorded.

    Args:
        event: any event; it is not changed.
        position: its position in the batch, from 0, for the message.

    Returns:
        A copy with values as `plain` gives them.

    Raises:
        EventError: names the event's position, the field, and what to do.
    """
    if isinstance(event, CatalogueError):
        raise EventError(str(event)) from event
    if not isinstance(event, Event):
        raise EventError(f"event {position} must be an Event, got {type(event).__name__}")
    event = Event(*(plain(getattr(event, each.name)) for each in fields(Event)))
    problems = {name: _text_problem(text) or _empty_problem(text) for name, text in _names(event)}
    problems["time"] = _time_problem(event.time)
    problems["value"] = _number_problem(event.value) or _sign_problem(event.value)
    problems["id"] = _text_problem(event.id)
    for field, problem in problems.items():
        if problem:
            raise EventError(f"event {position}, field {field!r}: {problem}")
    return event


def _is_unconditional(where: object) -> bool:
    """Whether a filter lets everything through because it, or a part that decides, is empty."""
    if not isinstance(where, Mapping):
        return False
    return all(_is_idle(name, condition) for name, condition in where.items())


def _is_idle(name: object, condition: object) -> bool:
    """Whether one entry of a filter leaves nothing out: an empty `$and`, or a `$or` with an empty branch."""
    if name not in ("$and", "$or"):
        return isinstance(condition, Mapping) and not condition
    if not isinstance(condition, Sequence):
        return False
    return (all if name == "$and" else any)(_is_unconditional(part) for part in condition)


def _plain_item(item: Item) -> Item:
    attributes = item.attributes
    if isinstance(attributes, Mapping):
        attributes = {plain(name): plain(value) for name, value in attributes.items() if value is not None}
    return Item(
        plain(item.id),
        plain(item.title),
        plain(item.text),
        item.image,
        plain(item.time),
        attributes,
    )


def _names(event: Event) -> tuple[tuple[str, str], ...]:
    return ("user", event.user), ("item", event.item), ("kind", event.kind)


def _field_problems(item: Item) -> list[tuple[str, str]]:
    problems = [
        ("title", _text_problem(item.title)),
        ("text", _text_problem(item.text)),
        ("time", "" if item.time is None else _time_problem(item.time)),
    ]
    if not isinstance(item.image, str | Path | None):
        problems.append(("image", f"it must be the path of a photo, got {type(item.image).__name__}"))
    elif item.image is not None and _text_problem(str(item.image)):
        problems.append(("image", "the photo's path must be UTF-8: rename the file or its folder"))
    if not isinstance(item.attributes, Mapping):
        problems.append(("attributes", f"it must be a mapping, got {type(item.attributes).__name__}"))
        return problems
    if all(
        part is None or (isinstance(part, str) and not part) for part in (item.title, item.text, item.image)
    ):
        problems.append(("title", "the item has neither title nor text nor image: pass at least one"))
    for name, value in item.attributes.items():
        problems.append((name, _name_problem(name)))
        problems.append((name, _value_problem(value)))
    return problems


def _name_problem(name: object) -> str:
    if not isinstance(name, str) or not name:
        return "an attribute's name must be non-empty text"
    if name.startswith("$"):
        return "a name starting with '$' would be read as an operator by filters: rename the attribute"
    if name in RESERVED_NAMES:
        return "filters read this name from the item itself: rename the attribute"
    return _text_problem(name)


def _value_problem(value: object) -> str:
    """The first problem of an attribute's value, "" if there is none."""
    if isinstance(value, list):
        return next((f"in the list, {problem}" for part in value if (problem := _scalar_problem(part))), "")
    return _scalar_problem(value)


def _scalar_problem(value: object) -> str:
    if isinstance(value, str):
        return _text_problem(value)
    if isinstance(value, bool | int | float):
        return _number_problem(value)
    if isinstance(value, datetime):
        return _time_problem(value)
    return f"it must be text, a number, a boolean, an aware datetime or a list of these, got {type(value).__name__}"


def _text_problem(value: object) -> str:
    if not isinstance(value, str):
        return f"it must be text, got {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair cannot be written as UTF-8: repair the text"
    return ""


def _empty_problem(value: str) -> str:
    return "" if value else "it must not be empty"


def _time_problem(value: object) -> str:
    if not isinstance(value, datetime):
        return f"it must be an aware datetime, got {type(value).__name__}"
    if is_no_time(value):
        return "NaT is not a time: leave it out"
    if value.utcoffset() is None:
        return f"{value.isoformat()} has no time zone: pass an aware datetime"
    return ""


def _number_problem(value: object) -> str:
    if not isinstance(value, int | float):
        return f"it must be a number, got {type(value).__name__}"
    if not abs(value) <= sys.float_info.max:  # also false for NaN
        reason = value if isinstance(value, float) else "an integer too large for a float"
        return f"{reason} is not a finite number: leave it out or repair it"
    return ""


def _sign_problem(value: float) -> str:
    return "" if value >= 0 else f"{value} is negative: it must be at least 0"
