"""The writes of a retriever: input is checked, encoded and stored, one write at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from multimodal.checks import check_choice, listed
from twotower.corpus.attribute_types import AttributeTypes, types_of
from twotower.corpus.attribute_updates import updated_items
from twotower.corpus.base import Corpus
from twotower.corpus.item_encoding import ItemEncoding
from twotower.corpus.kept_vectors import encode_changed
from twotower.corpus.photo_content import photo_digests
from twotower.corpus.write_checks import check_deletes_some, check_events, check_item, check_items
from twotower.errors import EventError, ItemError
from twotower.ingest.records import events_in, items_in
from twotower.types import (
    AttributeValue,
    BadEvent,
    BadItem,
    Encoder,
    Event,
    Item,
    RecordReport,
    UpsertReport,
    Where,
)

OnError: TypeAlias = Literal["raise", "skip"]
"""What to do with bad items and events: raise at the first, or leave them out and report them."""
OnBadPhoto: TypeAlias = Literal["error", "words"]
"""What to do with an item whose photo cannot be used: it is a bad item, or it is indexed by its words."""


class Writes:
    """The methods of `Retriever` with the same names.

    Args:
        corpus: to write to.
        encoder: of its items.

    Attributes:
        lock: held during a write.
    """

    def __init__(self, corpus: Corpus, encoder: Encoder) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._types: AttributeTypes | None = None  # found when mappings are first written
        self.lock = threading.Lock()

    def changed(self, items: Iterable[Item]) -> list[Item]:
        """See `Retriever.changed`."""
        if not isinstance(items, Iterable):
            raise ItemError(f"changed takes a list of items, got {_kind_of(items)}")
        given = listed("items", items, error=ItemError)
        unchanged = self._corpus.unchanged([check_item(item) for item in given])
        return [item for item, same in zip(given, unchanged, strict=True) if not same]

    def upsert(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        on_error: OnError,
        on_bad_photo: OnBadPhoto,
        progress: bool | None,
    ) -> UpsertReport:
        """See `Retriever.upsert`."""
        if isinstance(items, Item | Mapping | str | bytes) or not isinstance(items, Iterable):
            raise ItemError(
                f"upsert takes a list of items such as [Item('sku-1', 'mug')], got {_kind_of(items)}"
            )
        bad: list[BadItem] | None = _collected_if(on_error)
        check_choice("on_bad_photo", on_bad_photo, get_args(OnBadPhoto))
        without_photo: list[BadItem] | None = [] if on_bad_photo == "words" else None
        checked = check_items(self._corpus.yielding_to_searches(items_in(items, self._known_types)), bad)
        with self.lock:
            encoding = ItemEncoding(self._encoder, self._corpus.text_of, bad, without_photo, progress)
            encoded = encode_changed(self._corpus, encoding, checked, photo_digests(checked))
            self._corpus.upsert(*encoded)
            self._add_types(encoded.items)
        return UpsertReport(len(encoded.items), tuple(bad or ()), tuple(without_photo or ()))

    def update(
        self,
        attributes: Mapping[str, Mapping[str, AttributeValue]],
        on_error: OnError,
        progress: bool | None,
    ) -> UpsertReport:
        """See `Retriever.update`."""
        if not isinstance(attributes, Mapping):
            raise ItemError(
                "update takes attributes by item id, such as {'shoe-1': {'price': 59}}, "
                f"got {_kind_of(attributes)}"
            )
        bad: list[BadItem] | None = _collected_if(on_error)
        with self.lock:
            checked = check_items(updated_items(self._corpus, attributes, bad), bad)
            encoding = ItemEncoding(self._encoder, self._corpus.text_of, bad, progress=progress)
            photos = self._corpus.photos([item.id for item in checked])
            encoded = encode_changed(self._corpus, encoding, checked, photos)
            self._corpus.upsert(*encoded)
            self._add_types(encoded.items)
        return UpsertReport(len(encoded.items), tuple(bad or ()))

    def delete(self, item_ids: Iterable[str] | None, where: Where | None) -> list[str]:
        """See `Retriever.delete`."""
        if (item_ids is None) == (where is None):
            raise ItemError("delete takes either item_ids or where: pass one of them")
        ids = None if item_ids is None else _ids(item_ids)
        if where is not None:
            check_deletes_some(where)
        with self.lock:
            return self._corpus.delete(
                [item.id for item in self._corpus.items(where)] if ids is None else ids
            )

    def record(self, events: Iterable[Event | Mapping[str, Any]], on_error: OnError) -> RecordReport:
        """See `Retriever.record`."""
        if isinstance(events, Event | Mapping | str | bytes) or not isinstance(events, Iterable):
            raise EventError(f"record takes a list of events: pass [event], got {_kind_of(events)}")
        bad: list[BadEvent] | None = _collected_if(on_error)
        with self.lock:
            checked = check_events(events_in(events), self._corpus, bad)
            recorded = self._corpus.record(checked)
        return RecordReport(recorded, len(checked) - recorded, tuple(bad or ()))

    def _known_types(self) -> AttributeTypes:
        """The types of all attributes ever written, and the names of the searchable ones."""
        if self._types is None:
            self._types = types_of(self._corpus.items())
        return {**dict.fromkeys(self._corpus.text_of.attributes), **self._types}

    def _add_types(self, items: Sequence[Item]) -> None:
        if self._types is not None:
            self._types = types_of(items, self._types)


def _collected_if(on_error: OnError) -> list[Any] | None:
    """Where to collect what is skipped; None if errors are raised."""
    check_choice("on_error", on_error, get_args(OnError))
    return [] if on_error == "skip" else None


def _ids(item_ids: Iterable[str]) -> list[str]:
    if isinstance(item_ids, str):
        raise ItemError(f"item_ids must be a list of ids: pass [{item_ids!r}]")
    if isinstance(item_ids, Mapping) or not isinstance(item_ids, Iterable):
        raise ItemError(f"item_ids must be a list of ids, got {_kind_of(item_ids)}: pass a filter as where=")
    ids = listed("item_ids", item_ids, error=ItemError)
    if not all(isinstance(item_id, str) for item_id in ids):
        raise ItemError(f"item_ids must be a list of ids, which are text, got {ids[:3]!r}")
    return ids


def _kind_of(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
