"""The library's own recommender, through its public methods only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from twotower import Event, Item, Query, Retriever, UserTower
from twotower.evaluation.recommendation import Past


@dataclass(frozen=True)
class Encoded:
    """An encoder that looks up vectors made before, so that several retrievers share one encoding.

    Args:
        vectors: shape (dim,), by the item's id.
    """

    vectors: Mapping[str, NDArray[np.float32]]

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return len(next(iter(self.vectors.values())))

    def encode_items(self, items: Sequence[Item], /) -> NDArray[np.float32]:
        """Rows of shape (n, dim)."""
        return np.stack([self.vectors[item.id] for item in items])

    def encode_queries(self, queries: Sequence[Query], /) -> NDArray[np.float32]:
        """Nobody asks by words here."""
        raise NotImplementedError


@dataclass
class TwoTower:
    """`Retriever.recommend` over an index of the whole catalogue, with every event of the past recorded.

    Events are recorded when the past first holds them, and `now` is just before the moment of prediction, because
    the retriever sees events up to and including `now`. Someone without a past gets the retriever's own fallback:
    everybody's newest events as one history.
    """

    retriever: Retriever
    _recorded: int = 0

    @classmethod
    def over(cls, items: Sequence[Item], encoder: Encoded, half_life: float | None, newest: int) -> TwoTower:
        """Index the catalogue.

        Args:
            items: all of them.
            encoder: with a vector for each.
            half_life: of events, in days; None is never.
            newest: events of a user that are read; `exclude_seen` forgets items of older ones.
        """
        tower = UserTower(half_life=np.inf if half_life is None else half_life, newest=newest)
        retriever = Retriever(encoder, user_tower=tower)
        retriever.upsert(items, progress=False)
        return cls(retriever)

    def __call__(self, user: str, past: Past, k: int, exclude: frozenset[str], /) -> list[str]:
        """What the retriever recommends."""
        new: list[Event] = past.since(self._recorded)
        if new:
            self.retriever.record(new)
            self._recorded = len(past)
        before = past.moment - timedelta(microseconds=1)
        hits = self.retriever.recommend(user, k, now=before, exclude_seen=bool(exclude))
        return [hit.id for hit in hits]
