"""Encoding queries and users: words and photos by the query tower, histories by the user tower."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_number
from twotower.errors import QueryError
from twotower.recall.queries import EncodedQueries
from twotower.recall.vectors.unit_vectors import unit_rows
from twotower.search.arguments import queries_of, users_of
from twotower.towers.user import SECONDS_A_DAY, UserHistory, UserTower
from twotower.types import Encoder, ImageQueryEncoder, Query, TextReader, Vectors


class QueryEncoder:
    """Encodes queries and combines them with the histories of their users.

    Args:
        encoder: item tower and query tower in one.
        user_tower: turns a behaviour history into a vector.
        user_weight: weight of the user's history relative to the query, in [0, 1].
        read_history: see `Corpus.history`.

    Raises:
        ValueError: the weight is out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        user_tower: UserTower,
        user_weight: float,
        read_history: Callable[..., UserHistory],
    ) -> None:
        user_weight = check_number("user_weight", user_weight, least=0, most=1)
        self.encoder = encoder
        self.user_tower = user_tower
        self.user_weight = user_weight
        self._read_history = read_history
        # Checked once: a check against a protocol can take longer than encoding a query.
        self._image_encoder = encoder if isinstance(encoder, ImageQueryEncoder) else None
        self._text_reader = encoder if isinstance(encoder, TextReader) else None

    def encode(
        self, queries: Iterable[str | Query], users: Iterable[str | None] | None, now: datetime
    ) -> EncodedQueries:
        """Encode n queries with the histories of their users.

        Args:
            queries: n queries.
            users: of each query, None for an anonymous one; None if all are.
            now: the present; later events do not count.

        Raises:
            QueryError: see `queries_of` and `users_of`, or a query has neither words nor a photo nor a user.
        """
        parsed = queries_of(queries)
        shoppers = users_of(users, len(parsed))
        texts = [query.text.strip() for query in parsed]
        rows = [row for row, text in enumerate(texts) if text or parsed[row].image is not None]
        parts: Vectors | None = None
        known: NDArray[np.bool_] | None = None
        if len(rows) == len(parsed):
            vectors = self._vectors(parsed)
        else:
            given = {row for row, user in enumerate(shoppers or ()) if user is not None}
            if len(given.union(rows)) < len(parsed):
                raise QueryError("the query is empty: pass words, an image or a user")
            vectors = np.zeros((len(parsed), self.encoder.dim), dtype=np.float32)
            vectors[rows] = self._vectors([parsed[row] for row in rows])
        if shoppers is not None:
            vectors, parts = self._with_users(vectors, shoppers, now)
        if len(rows) < len(parsed):
            known = np.asarray(vectors.any(axis=1))
        return EncodedQueries(texts, vectors, parts, self._readable(texts, parsed), known)

    def encode_user(self, user: str | None, now: datetime) -> EncodedQueries | None:
        """Encode a user without a query; None if nothing in the history has any weight.

        Args:
            user: None for all users together.
            now: as for `encode`.
        """
        vector = self._user_vector(user, now)
        return None if vector is None else EncodedQueries([""], vector[None], vector[None])

    def history_of(self, user: str | None, now: datetime) -> UserHistory:
        """What the user tower reads about a user; None for all users together."""
        return self._read_history(user, until=now, newest=self.user_tower.newest)

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
        self, vectors: Vectors, users: Sequence[str | None], now: datetime
    ) -> tuple[Vectors, Vectors]:
        """Query vectors combined with users, and the users' parts of them, both of shape (q, dim)."""
        vectors, parts = vectors.copy(), np.zeros_like(vectors)
        for row, user in enumerate(users):
            vector = None if user is None else self._user_vector(user, now)
            if vector is not None:
                vectors[row], parts[row] = _combined(vectors[row], vector, self.user_weight)
        return vectors, parts

    def _user_vector(self, user: str | None, now: datetime) -> Vectors | None:
        return self.user_tower.encode(self.history_of(user, now), now.timestamp() / SECONDS_A_DAY)


def _combined(query: Vectors, user: Vectors, user_weight: float) -> tuple[Vectors, Vectors]:
    """Combine the unit vectors of a query and a user into one.

    Args:
        query: float32 of shape (dim,); zeros if there is only a user.
        user: float32 of shape (dim,).
        user_weight: weight of the user if there are both, in [0, 1].

    Returns:
        The combined vector of unit length, and the user's part of it.
    """
    if not query.any():
        return user, user
    mine = user_weight * user.astype(np.float64)
    both = (1 - user_weight) * query.astype(np.float64) + mine
    length = float(np.linalg.norm(both))
    if length < 1e-6:  # the two cancel out: keep the query
        return query, np.zeros_like(user)
    return (both / length).astype(np.float32), (mine / length).astype(np.float32)
