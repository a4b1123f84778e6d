"""What recall finds for one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.recall.freshness import decayed
from twotower.recall.selection import Rows
from twotower.types import Item


class Candidates(NamedTuple):
    """The candidates that recall found for one query, best first; arrays of shape (m,).

    Args:
        ordinals: rows of the snapshot.
        scores: before decay: similarities, or the fused scores of hybrid recall.
        freshness: decay factors of the rows; None without decay.
        similarity: inner products of the rows with the query; None if they are not needed.
        dense_share: the weight of the inner product in the score, in [0, 1].
        channels: the other terms of the score, by name.
        items: the m items; empty until they have been read.
    """

    ordinals: Rows
    scores: NDArray[np.floating]
    freshness: NDArray[np.float64] | None = None
    similarity: NDArray[np.floating] | None = None
    dense_share: float = 1.0
    channels: Mapping[str, NDArray[np.float64]] = MappingProxyType({})
    items: Sequence[Item] = ()

    @property
    def decayed_scores(self) -> NDArray[np.floating]:
        """The scores after decay."""
        return self.scores if self.freshness is None else decayed(self.scores, self.freshness)

    def take(self, places: Rows) -> Candidates:
        """The candidates at these positions, in this order."""
        return Candidates(
            self.ordinals[places],
            self.scores[places],
            None if self.freshness is None else self.freshness[places],
            None if self.similarity is None else self.similarity[places],
            self.dense_share,
            {name: values[places] for name, values in self.channels.items()},
            [self.items[place] for place in places.tolist()] if self.items else (),
        )

    def first(self, k: int) -> Candidates:
        """The first k of the candidates."""
        return self if len(self.ordinals) <= k else self.take(np.arange(k))

    def best(self, k: int) -> Candidates:
        """The k best after decay, best first; ties are broken by the older write."""
        return self.take(np.lexsort((self.ordinals, -self.decayed_scores))[:k])


NO_CANDIDATES = Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), similarity=np.zeros(0))
