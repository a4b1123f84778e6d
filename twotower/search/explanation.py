"""The terms of a score: `Hit.explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import Candidates
from twotower.recall.snapshot import Snapshot
from twotower.types import Vectors

SIMILARITY = "similarity"
USER = "user"
RELEVANCE = "relevance"
FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Splits scores into their terms.

    Args:
        blocks: columns of the vectors by name, whose inner products add up to the similarity; may be empty.
        relevance_weight: the weight of the reranker's relevance in a score, in [0, 1].
    """

    blocks: Mapping[str, slice] = field(default_factory=dict)
    relevance_weight: float = 0.0

    def of(
        self,
        candidates: Candidates,
        snapshot: Snapshot,
        query: Vectors,
        user: Vectors | None,
        relevance: NDArray[np.float32] | None = None,
    ) -> dict[str, NDArray[np.floating]]:
        """The terms of the scores of one query's candidates.

        Args:
            candidates: m of them.
            snapshot: where they were found.
            query: the query vector of recall, shape (dim,).
            user: the part of it that comes from the user's history, shape (dim,); None without one.
            relevance: of the candidates, shape (m,); None without a reranker.

        Returns:
            By name, shape (m,) each: "freshness" multiplies, all others add up.
        """
        parts = self._recall_parts(candidates, snapshot, query, user)
        if relevance is not None:
            parts = {name: (1 - self.relevance_weight) * part for name, part in parts.items()}
            parts[RELEVANCE] = self.relevance_weight * relevance.astype(np.float64)
        if candidates.freshness is not None:
            total = np.sum(list(parts.values()), axis=0)
            parts[FRESHNESS] = np.where(total > 0, candidates.freshness, 1.0)
        return parts

    def _recall_parts(
        self, candidates: Candidates, snapshot: Snapshot, query: Vectors, user: Vectors | None
    ) -> dict[str, NDArray[np.floating]]:
        if not candidates.dense_share:
            return dict(candidates.channels)
        if user is None and len(self.blocks) < 2 and candidates.similarity is not None:
            name = next(iter(self.blocks), SIMILARITY)
            share = candidates.dense_share
            similarity = candidates.similarity if share == 1 else share * candidates.similarity
            return {name: similarity, **candidates.channels}
        vectors = candidates.dense_share * snapshot.vectors_at(candidates.ordinals).astype(np.float64)
        own = query if user is None else query - user
        parts: dict[str, NDArray[np.floating]] = {}
        if own.any():
            for name, columns in (self.blocks or {SIMILARITY: slice(None)}).items():
                parts[name] = np.vecdot(vectors[:, columns], own[columns])  # `@` rounds by the number of rows
        if user is not None:
            parts[USER] = np.vecdot(vectors, user)
        if candidates.similarity is not None:
            parts = _adding_up(parts, candidates.dense_share * candidates.similarity.astype(np.float64))
        return {**parts, **candidates.channels}


def _adding_up(
    parts: dict[str, NDArray[np.floating]], total: NDArray[np.float64]
) -> dict[str, NDArray[np.floating]]:
    """The parts with what they differ from their total added to the largest of each row.

    That is rounding; and a row that an approximate index finds late counts as less near than it is, see
    `recall.vectors.blocks`.
    """
    if not parts:
        return parts
    terms = np.stack(list(parts.values()))
    rows = np.arange(len(total))
    terms[np.abs(terms).argmax(axis=0), rows] += total - terms.sum(axis=0)
    return dict(zip(parts, terms, strict=True))
