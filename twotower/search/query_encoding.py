"""Encoding queries and users: words and photos by the query tower, histories by the user tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from twotower.checks import check_number
from twotower.errors import QueryError
from twotower.recall.queries import EncodedQueries
from twotower.towers.unit import unit_rows
from twotower.towers.user import SECONDS_A_DAY, UserHistory, UserTower, combine
from twotower.types import Encoder, ImageQueryEncoder, Query, TextReader, Vectors


class QueryEncoder:
    """Encodes queries and combines them with the histories of their users.

    Args:
        encoder: item tower and query tower in one.
        user_tower: turns a behaviour history into a vector.
        user_weight: weight of the user's history relative to the query, in [0, 1].

    Raises:
        ValueError: the weight is out of its range.
    """

    def __init__(self, encoder: Encoder, user_tower: UserTower, user_weight: float) -> None:
        check_number("user_weight", user_weight)
        if not 0 <= user_weight <= 1:
            raise ValueError(f"user_weight must be in [0, 1], got {user_weight}")
        self.encoder = encoder
        self.user_tower = user_tower
        self.user_weight = user_weight
        # Checked once: a check against a protocol can take longer than encoding a query.
        self._image_encoder = encoder if isinstance(encoder, ImageQueryEncoder) else None
        self._text_reader = encoder if isinstance(encoder, TextReader) else None

    def encode(
        self, queries: Sequence[Query], histories: Sequence[UserHistory | None] | None, now: datetime
    ) -> EncodedQueries:
        """Encode n queries with the histories of their users.

        Args:
            queries: n queries.
            histories: of each query's user, None for an anonymous query; None if all are.
            now: the present; no event in the histories is later.

        Raises:
            QueryError: a query has neither words nor a photo nor a user.
        """
        texts = [query.text.strip() for query in queries]
        rows = [row for row, text in enumerate(texts) if text or queries[row].image is not None]
        users: Vectors | None = None
        known: NDArray[np.bool_] | None = None
        if len(rows) == len(queries):
            vectors = self._vectors(queries)
        else:
            given = {row for row, history in enumerate(histories or ()) if history is not None}
            if len(given.union(rows)) < len(queries):
                raise QueryError("the query is empty: pass words, an image or a user")
            vectors = np.zeros((len(queries), self.encoder.dim), dtype=np.float32)
            vectors[rows] = self._vectors([queries[row] for row in rows])
        if histories is not None:
            vectors, users = self._with_users(vectors, histories, now.timestamp() / SECONDS_A_DAY)
        if len(rows) < len(queries):
            known = np.asarray(vectors.any(axis=1))
        return EncodedQueries(texts, vectors, users, self._readable(texts, queries), known)

    def encode_user(self, history: UserHistory, now: datetime) -> EncodedQueries | None:
        """Encode a user without a query; None if nothing in the history has any weight."""
        vector = self.user_tower.encode(history, now.timestamp() / SECONDS_A_DAY)
        return None if vector is None else EncodedQueries([""], vector[None], vector[None])

    def vectors_by_kind(self, queries: Sequence[Query]) -> Mapping[str, Vectors]:
        """Query vectors of each kind of query, see `Query.kind`: float32 of shape (n, dim), rows of unit length.

        Raises:
            QueryError: a query is empty.
        """
        kinds = np.array([query.kind for query in queries])
        if (kinds == "nothing").any():
            raise QueryError("a query to calibrate with is empty: pass words or an image")
        vectors = self._vectors(queries)
        return {str(kind): vectors[kinds == kind] for kind in dict.fromkeys(kinds.tolist())}

    def _vectors(self, queries: Sequence[Query]) -> Vectors:
        if not queries:
            return np.zeros((0, self.encoder.dim), dtype=np.float32)
        if all([query.image is None for query in queries]):
            raw = self.encoder.encode_queries([query.text for query in queries])
        elif self._image_encoder is not None:
            raw = self._image_encoder.encode_image_queries(queries)
        else:
            raise QueryError(
                "this encoder reads no photos: pass words, or an encoder with `encode_image_queries`"
            )
        return unit_rows(raw, rows=len(queries), dim=self.encoder.dim, source="encode_queries")

    def _readable(self, texts: Sequence[str], queries: Sequence[Query]) -> NDArray[np.bool_] | None:
        """Whether each vector is meaningful: the encoder reads the words, or there is a photo."""
        if self._text_reader is None:
            return None
        with_photo = np.fromiter((query.image is not None for query in queries), np.bool_, len(queries))
        return np.logical_or(self._text_reader.readable(texts), with_photo)

    def _with_users(
        self, vectors: Vectors, histories: Sequence[UserHistory | None], now_days: float
    ) -> tuple[Vectors, Vectors]:
        """Query vectors combined with users, and the users' parts of them, both of shape (q, dim)."""
        vectors, users = vectors.copy(), np.zeros_like(vectors)
        for row, history in enumerate(histories):
            user = None if history is None else self.user_tower.encode(history, now_days)
            if user is not None:
                vectors[row], users[row] = combine(vectors[row], user, self.user_weight)
        return vectors, users
