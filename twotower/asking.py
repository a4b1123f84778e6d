"""What is asked, as vectors: queries through the query tower, users through the user tower."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from twotower.corpus import Corpus
from twotower.errors import QueryError
from twotower.ranking import Asked, blend
from twotower.recall.vectors.unit import unit_rows
from twotower.terms import days
from twotower.towers.user import UserTower
from twotower.types import Encoder, Event, Query, Vectors


class Asking:
    """Encodes queries and users, and puts the two together.

    Args:
        encoder: item tower and query tower in one.
        user_tower: turns a behaviour history into a vector.
        user_weight: share of the user's history beside a query, in [0, 1].

    Raises:
        ValueError: the weight is out of its range.
    """

    def __init__(self, encoder: Encoder, user_tower: UserTower, user_weight: float) -> None:
        if not 0 <= user_weight <= 1:
            raise ValueError(f"user_weight={user_weight} must be a share in [0, 1]")
        self.encoder = encoder
        self.user_tower = user_tower
        self.user_weight = user_weight

    def queries(
        self, corpus: Corpus, queries: Sequence[Query], users: Sequence[str | None], now: datetime
    ) -> list[Asked]:
        """Queries with who asks them.

        Args:
            corpus: what the users did, and with which items.
            queries: n queries.
            users: n users or None.
            now: events after it are not seen.

        Raises:
            QueryError: a query has neither words nor a photo nor a user.
        """
        parts = [
            blend(vector, None if user is None else self._user(corpus, user, now), self.user_weight)
            for vector, user in zip(self.vectors(queries), users, strict=True)
        ]
        if any(not part and user is None for part, user in zip(parts, users, strict=True)):
            raise QueryError("the query is empty: pass words, an image or a user")
        return [Asked(query.strip(), part) for query, part in zip(queries, parts, strict=True)]

    def shopper(self, corpus: Corpus, own: Sequence[Event], now: datetime) -> Asked:
        """A user with these events of their own; without any, what the average shopper would ask.

        Args:
            corpus: what everybody did, and with which items.
            own: the user's newest events.
            now: events after it are not seen.
        """
        vector = self._history(corpus, own, now)
        if vector is None:
            everybody = corpus.catalog.events_of_all(until=now, newest=self.user_tower.newest)
            vector = self._history(corpus, everybody, now)
        return Asked("", blend(None, vector, self.user_weight))

    def vectors(self, queries: Sequence[Query]) -> list[Vectors | None]:
        """A unit vector of shape (dim,) each; None for a query without words and photo."""
        rows = [row for row, query in enumerate(queries) if query.strip() or query.image is not None]
        vectors: list[Vectors | None] = [None] * len(queries)
        if rows:
            raw = self.encoder.encode_queries([queries[row] for row in rows])
            unit = unit_rows(raw, rows=len(rows), dim=self.encoder.dim, source="encode_queries")
            for row, vector in zip(rows, unit, strict=True):
                vectors[row] = vector
        return vectors

    def _user(self, corpus: Corpus, user: str, now: datetime) -> Vectors | None:
        return self._history(
            corpus, corpus.catalog.events_of(user, until=now, newest=self.user_tower.newest), now
        )

    def _history(self, corpus: Corpus, events: Sequence[Event], now: datetime) -> Vectors | None:
        known, vectors = corpus.history(events)
        return self.user_tower.encode(known, vectors, days(now))
