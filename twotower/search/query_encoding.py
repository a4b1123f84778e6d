"""Encoding queries and users: words and photos by the query tower, histories by the user tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.errors import QueryError
from twotower.recall.vectors.unit import unit_rows
from twotower.search.freshness import days_since_epoch
from twotower.towers.user import UserHistory, UserTower
from twotower.types import Encoder, ImageQueryEncoder, Query, TextReader, Vectors


class EncodedQueries(NamedTuple):
    """q encoded queries, for recall and the reranker.

    Args:
        texts: the words of each query, possibly "".
        vectors: float32 of shape (q, dim), rows of unit length; zeros for a query without a vector.
        users: the part of `vectors` that comes from users' histories, same shape; None without users.
        readable: bool of shape (q,), whether the encoder understands the query; None if it cannot tell.
        known: bool of shape (q,), False where the vector is zeros; None if no vector is.
    """

    texts: Sequence[str]
    vectors: Vectors
    users: Vectors | None = None
    readable: NDArray[np.bool_] | None = None
    known: NDArray[np.bool_] | None = None

    def take(self, rows: Sequence[int]) -> EncodedQueries:
        """The queries in these rows."""
        return EncodedQueries(
            [self.texts[row] for row in rows],
            self.vectors[rows],
            None if self.users is None else self.users[rows],
            None if self.readable is None else self.readable[rows],
            None if self.known is None else self.known[rows],
        )

    def within(self, columns: slice) -> EncodedQueries:
        """The same queries restricted to some columns of the vectors; the ranking does not depend on their length."""
        mask = np.zeros(self.vectors.shape[1], dtype=np.float32)
        mask[columns] = 1
        vectors = self.vectors * mask
        users = None if self.users is None else self.users * mask
        return self._replace(vectors=vectors, users=users, known=np.asarray(vectors.any(axis=1)))


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
        if not 0 <= user_weight <= 1:
            raise ValueError(f"user_weight must be in [0, 1], got {user_weight}")
        self.encoder = encoder
        self.user_tower = user_tower
        self.user_weight = user_weight
        # Checked once: a check against a protocol can take longer than encoding a query.
        self._image_encoder = encoder if isinstance(encoder, ImageQueryEncoder) else None
        self._text_reader = encoder if isinstance(encoder, TextReader) else None

    def encode(
        self, queries: Sequence[Query], histories: Sequence[UserHistory | None], now: datetime
    ) -> EncodedQueries:
        """Encode n queries with the histories of their users.

        Args:
            queries: n queries.
            histories: of each query's user; None for an anonymous query.
            now: the present; no event in the histories is later.

        Raises:
            QueryError: a query has neither words nor a photo nor a user, or its words are no readable `str`.
        """
        for query in queries:
            _check_words(query.text)
        texts = [query.text.strip() for query in queries]
        rows = []
        for row, (query, history) in enumerate(zip(queries, histories, strict=True)):
            if texts[row] or query.image is not None:
                rows.append(row)
            elif history is None:
                raise QueryError("the query is empty: pass words, an image or a user")
        vectors = self._vectors([queries[row] for row in rows])
        if len(rows) < len(queries):
            sparse = np.zeros((len(queries), self.encoder.dim), dtype=np.float32)
            sparse[rows] = vectors
            vectors = sparse
        users: Vectors | None = None
        known: NDArray[np.bool_] | None = None
        if any(history is not None for history in histories):
            vectors, users = self._with_users(vectors, histories, now)
        if len(rows) < len(queries):
            known = np.asarray(vectors.any(axis=1))
        return EncodedQueries(texts, vectors, users, self._readable(texts, queries), known)

    def encode_user(self, history: UserHistory, now: datetime) -> EncodedQueries | None:
        """Encode a user without a query; None if nothing in the history has any weight."""
        vector = self.user_tower.encode(history, days_since_epoch(now))
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
        if all(query.image is None for query in queries):
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
        self, vectors: Vectors, histories: Sequence[UserHistory | None], now: datetime
    ) -> tuple[Vectors, Vectors]:
        """Query vectors combined with users, and the users' parts of them, both of shape (q, dim)."""
        vectors, users = vectors.copy(), np.zeros_like(vectors)
        for row, history in enumerate(histories):
            user = None if history is None else self.user_tower.encode(history, days_since_epoch(now))
            if user is not None:
                vectors[row], users[row] = combine(vectors[row], user, self.user_weight)
        return vectors, users


def _check_words(text: object) -> None:
    if not isinstance(text, str):
        raise QueryError(f"a query must be a str or a Query of a str, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            f"the query {text!r} has half of a surrogate pair, which is no text: repair it"
        ) from error


def combine(query: Vectors, user: Vectors, user_weight: float) -> tuple[Vectors, Vectors]:
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
