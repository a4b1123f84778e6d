"""How hard an index must try to find enough of the nearest vectors, measured on queries of the kind it will get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twotower.recall.plan import Effort
from twotower.recall.vectors.unit import unit_rows
from twotower.types import Scores, Vectors

if TYPE_CHECKING:
    from twotower.recall.vectors.index import Tunable, VectorIndex

K = 10
MOST_QUERIES = 256  # of each kind: the standard error of a recall near 0.99 is below 0.003 then
AT_ONCE = 20_000  # rows compared with the queries at a time
ROUNDING = 1e-5
MADE_UP = "made-up queries"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What an index was found to achieve.

    Args:
        target: the recall@10 that was asked for.
        effort: the least effort that achieves it for each kind of query, or the greatest there is.
        recall: recall@10 against exhaustive search, by kind of query: "words", "photo", "words and photo", or
            "made-up queries".
        queries: how many of each kind were asked.
        rows: how many the index had.
    """

    target: float
    effort: Effort
    recall: Mapping[str, float]
    queries: Mapping[str, int]
    rows: int

    def lines(self) -> Iterator[str]:
        """The numbers in words, a line for each kind of query."""
        for kind, recall in self.recall.items():
            short = "" if recall >= self.target else f", less than the {self.target:g} asked for"
            yield f"    recall@{K} {recall:.3f} for {self.queries[kind]} {kind}{short}"

    def described(self) -> dict[str, Any]:
        """As plain JSON values, for `from_description`."""
        return asdict(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Calibration:
        """What `described` described."""
        return cls(**{**description, "effort": Effort(**description["effort"])})


def calibrated(index: Tunable, target: float, queries: Mapping[str, Vectors], *, seed: int = 0) -> Tunable:
    """The same index, trying as hard as the target takes.

    Without queries some are made up. Real ones may be harder, so the effort is not lowered below the usual one then.

    Args:
        index: with at least one row.
        target: least recall@10, in (0, 1].
        queries: by kind, float32 of shape (q, dim), unit rows.
        seed: of the queries that are made up.
    """
    asked = {kind: vectors[:MOST_QUERIES] for kind, vectors in queries.items()}
    asked = asked or {MADE_UP: _made_up(index, np.random.default_rng(seed))}
    k = min(K, len(index))
    bars = {kind: _nearest(index, vectors, k)[:, -1:] - ROUNDING for kind, vectors in asked.items()}
    for effort in index.efforts():
        if not queries and effort < index.usual:
            continue
        tuned = index.tuned(effort, None)
        # Counted by score, so that equal vectors may stand in for each other.
        recall = {kind: float(np.mean(tuned.search(asked[kind], k)[0] >= bar)) for kind, bar in bars.items()}
        if min(recall.values()) >= target:
            break
    counts = {kind: len(vectors) for kind, vectors in asked.items()}
    return index.tuned(effort, Calibration(target, effort, recall, counts, len(index)))


def _made_up(index: VectorIndex, rng: np.random.Generator) -> Vectors:
    """Some queries in a random direction from items, each as far from one as that is from its nearest neighbour.

    An index finds what is near its own rows far more easily than what is near new ones.
    """
    drawn = rng.choice(len(index), min(MOST_QUERIES, len(index)), replace=False)
    near = index.vectors(np.sort(drawn))
    cosine = np.clip(_nearest(index, near, min(2, len(index)))[:, -1:], 0, 1)
    aside = rng.normal(size=near.shape)
    aside -= np.einsum("qd,qd->q", aside, near)[:, None] * near
    made = cosine * near + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    return unit_rows(made, rows=len(made), dim=made.shape[1], source="made-up queries")


def _nearest(index: VectorIndex, queries: Vectors, k: int) -> Scores:
    """The k largest inner products of each query with any row, by exhaustive search (on GPUs, if FAISS has any)."""
    from faiss import METRIC_INNER_PRODUCT
    from faiss.contrib.exhaustive_search import knn_ground_truth

    scores: Scores = knn_ground_truth(queries, _pieces(index), k, METRIC_INNER_PRODUCT)[0]
    return scores


def _pieces(index: VectorIndex) -> Iterator[Vectors]:
    for start in range(0, len(index), AT_ONCE):
        yield index.vectors(np.arange(start, min(start + AT_ONCE, len(index))))
