"""Documents sorted by relevance: what `rank` returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rerank.checks import check_number, check_whole


class Ranked(NamedTuple):
    """One document of a ranking.

    Args:
        index: its position among the documents that were passed.
        score: its relevance in [0, 1].
        text: the document.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which is of no use on such a row
    score: float
    text: str


def ranked(
    documents: list[str],
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    top_k: int | None,
    min_score: float,
) -> list[Ranked]:
    """Documents by descending score, then by descending logit, then by position; see `CrossEncoderReranker.rank`."""
    order = np.lexsort((-logits, -scores))  # the last key is the primary one
    kept = order[scores[order] >= min_score][:top_k]
    return [Ranked(index, float(scores[index]), documents[index]) for index in kept.tolist()]


def check_limits(top_k: int | None, min_score: float) -> None:
    """Reject limits that make no sense.

    Raises:
        InputError: `top_k` is below 1, or `min_score` is not in [0, 1].
    """
    if top_k is not None:
        check_whole("top_k", top_k, least=1)
    check_number("min_score", min_score, least=0, most=1)
