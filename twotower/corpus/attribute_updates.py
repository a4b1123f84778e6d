"""Attribute updates: the items as they will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from twotower.corpus.base import Corpus
from twotower.errors import ItemError, UnknownItemError
from twotower.types import AttributeValue, BadItem, Item

_FIELDS = frozenset({"title", "text", "image"})
"""Fields of an item that nobody means as attributes in an update; `id` and `time` are refused in every item."""


def updated_items(
    corpus: Corpus,
    attributes: Mapping[str, Mapping[str, AttributeValue]],
    bad: list[BadItem] | None,
) -> list[Item]:
    """Merge attributes into those of indexed items.

    Args:
        corpus: of the items.
        attributes: by item id, the attributes to set; None removes one.
        bad: collects each item that cannot be updated, with the reason; None raises at the first.

    Raises:
        UnknownItemError: an item is not indexed, and `bad` is None.
        ItemError: the attributes of an item are not a mapping, and `bad` is None.
    """
    known = corpus.find([item_id for item_id in attributes if isinstance(item_id, str)])
    items: list[Item] = []
    for item_id, changes in attributes.items():
        try:
            if item_id not in known:
                raise UnknownItemError(f"item {item_id!r} is not indexed: upsert it first")
            if not isinstance(changes, Mapping):
                raise ItemError(
                    f"the attributes of item {item_id!r} must be a mapping such as {{'price': 5}}, "
                    f"got {type(changes).__name__}"
                )
            if fields := sorted(_FIELDS.intersection(changes)):
                raise ItemError(
                    f"item {item_id!r}, field {fields[0]!r}: update changes attributes alone: "
                    "upsert the item to change its title, text or image"
                )
        except (UnknownItemError, ItemError) as error:
            if bad is None:
                raise
            bad.append(BadItem(str(item_id), str(error)))
        else:
            item = known[item_id].item
            items.append(replace(item, attributes={**item.attributes, **changes}))
    return items
