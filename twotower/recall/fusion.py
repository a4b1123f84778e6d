"""How the scores of lexical recall (BM25) and dense recall become one score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_number, check_whole
from twotower.recall.candidates import Candidates
from twotower.recall.selection import Rows

DENSE = "dense"
LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Channel:
    """The rows that one channel found for one query.

    Args:
        ordinals: shape (m,), best first.
        scores: of these rows, shape (m,).
        scores_of: computes the channel's scores of any rows, found or not.
    """

    ordinals: Rows
    scores: NDArray[np.floating]
    scores_of: Callable[[Rows], NDArray[np.floating]]

    def first(self, count: int) -> Channel:
        """The channel as if it had found no more than this many rows."""
        return Channel(self.ordinals[:count], self.scores[:count], self.scores_of)

    def scores_at(self, ordinals: Rows) -> NDArray[np.float64]:
        """The scores of rows, ascending and including all that were found, whose scores are not computed again."""
        scores = np.zeros(len(ordinals))
        found = np.searchsorted(ordinals, self.ordinals)
        scores[found] = self.scores
        rest = np.ones(len(ordinals), dtype=np.bool_)
        rest[found] = False
        if rest.any():
            scores[rest] = self.scores_of(ordinals[rest])
        return scores


class HybridFusion(Protocol):
    """Combines the scores of two channels into one.

    The score of a row must not depend on how many more rows the channels have found, so that a ranking stays the same
    however much of it is asked for.
    """

    @property
    def depth(self) -> int:
        """The least number of rows of each channel that are fused."""
        ...

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """The rows of both channels with their fused scores, in any order."""
        ...

    def bound(self, dense: Channel, lexical_scores: NDArray[np.floating], /) -> NDArray[np.floating]:
        """The most that rows with these lexical scores can score if neither channel has found them, shape (m,)."""
        ...


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Reciprocal rank fusion: the sum of 1 / (constant + rank), divided by its value for two first ranks.

    The rows behind the first `depth` of both channels follow in the order of their vectors. A score reflects rank,
    not quality: the nearest row scores 0.5 for any query, sensible or not, so do not use `min_score` with it.

    Source: Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods".

    Args:
        constant: dampens the top ranks, above 0.
        depth: how many rows of each channel are fused, at least 1.
    """

    constant: float = 60.0
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "reciprocal rank", **asdict(self)}

    def __post_init__(self) -> None:
        object.__setattr__(self, "constant", check_number("constant", self.constant, above=0))
        object.__setattr__(self, "depth", check_whole("depth", self.depth, least=1))

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `HybridFusion.fuse`."""
        lexical_ranking = lexical.ordinals[: self.depth]
        beyond = dense.ordinals[self.depth :]
        beyond = beyond[~np.isin(beyond, lexical_ranking)]
        ordinals = np.union1d(dense.ordinals, lexical_ranking)
        channels = {
            DENSE: self._shares(ordinals, dense.ordinals[: self.depth]),
            LEXICAL: self._shares(ordinals, lexical_ranking),
        }
        channels[DENSE] += self._shares(ordinals, beyond, first=self.depth)
        score = np.sum(list(channels.values()), axis=0)
        return Candidates(ordinals, score, dense_share=0.0, channels=channels)

    def bound(self, dense: Channel, lexical_scores: NDArray[np.floating], /) -> NDArray[np.floating]:
        """See `HybridFusion.bound`."""
        return np.full(len(lexical_scores), self._share(len(dense.ordinals)))

    def _shares(self, ordinals: Rows, ranking: Rows, first: int = 0) -> NDArray[np.float64]:
        shares = np.zeros(len(ordinals))
        places = np.searchsorted(ordinals, ranking)
        shares[places] = self._share(first + np.arange(len(ranking)))
        return shares

    def _share(self, places: Any) -> Any:
        """What a place in a ranking, from 0, adds to a score."""
        return (self.constant + 1) / 2 / (self.constant + 1 + places)


@dataclass(frozen=True, slots=True)
class Convex:
    """Fuse by score: (1 - lexical_weight) * similarity + lexical_weight * lexical.

    The lexical score is BM25 divided by its upper bound for the query's words, so that it does not depend on the
    other candidates.

    Source: Bruch, Gai and Ingber 2023, "An analysis of fusion functions for hybrid retrieval", with the upper
    bound in place of the largest score.

    Args:
        lexical_weight: in [0, 1].
        depth: how many rows of each channel are fused, at least 1.
    """

    lexical_weight: float = 0.6
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "convex", **asdict(self)}

    def __post_init__(self) -> None:
        weight = check_number("lexical_weight", self.lexical_weight, least=0, most=1)
        object.__setattr__(self, "lexical_weight", weight)
        object.__setattr__(self, "depth", check_whole("depth", self.depth, least=1))

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `HybridFusion.fuse`."""
        ordinals = np.union1d(dense.ordinals, lexical.ordinals)
        share = 1 - self.lexical_weight
        similarity = dense.scores_at(ordinals)
        words = self.lexical_weight * lexical.scores_at(ordinals)
        return Candidates(
            ordinals,
            share * similarity + words,
            similarity=similarity,
            dense_share=share,
            channels={LEXICAL: words},
        )

    def bound(self, dense: Channel, lexical_scores: NDArray[np.floating], /) -> NDArray[np.floating]:
        """See `HybridFusion.bound`."""
        farthest = float(dense.scores[-1])
        return (1 - self.lexical_weight) * farthest + self.lexical_weight * lexical_scores.astype(np.float64)


# Chosen on the train judgements of seven kinds of query; between 0.55 and 0.75 the differences are noise.
DEFAULT_FUSION = Convex(lexical_weight=0.6)


def hybrid_fusion_from(description: Mapping[str, Any]) -> ReciprocalRank | Convex:
    """Rebuild a fusion from its description.

    Raises:
        KeyError: there is no such method.
    """
    settings = dict(description)
    methods: Mapping[str, type[ReciprocalRank | Convex]] = {
        "reciprocal rank": ReciprocalRank,
        "convex": Convex,
    }
    return methods[settings.pop("method")](**settings)
