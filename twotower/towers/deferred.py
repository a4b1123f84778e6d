"""An encoder that is loaded when it first has to encode, so that a price update loads no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from twotower.towers.dual_encoder import DualEncoder
from twotower.types import Item, Vectors


class DeferredEncoder:
    """Stands in for a `DualEncoder` where items are written; queries are words alone.

    Args:
        load: loads the encoder, at most once.
        description: how the encoder describes itself; None loads it to ask.
        dim: length of its vectors; None loads it to ask.
    """

    def __init__(
        self,
        load: Callable[[], DualEncoder],
        description: Mapping[str, Any] | None = None,
        dim: int | None = None,
    ) -> None:
        self._load = load
        self._description = description
        self._dim = dim

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._loaded.dim if self._dim is None else self._dim

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that identify the models and weights."""
        return self._loaded.describe() if self._description is None else self._description

    def encode_items(self, items: Sequence[Item]) -> Vectors:
        """Item tower; see `Encoder`."""
        return self._loaded.encode_items(items)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Query tower; see `Encoder`."""
        return self._loaded.encode_queries(texts)

    @cached_property
    def _loaded(self) -> DualEncoder:
        return self._load()
