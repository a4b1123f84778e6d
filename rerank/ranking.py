"""Candidates in order of relevance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InputError


class Ranked(NamedTuple):
    """One candidate.

    Args:
        index: its position among the documents that were passed.
        score: its relevance in [0, 1].
        text: the document.
    """

    index: int  # type: ignore[assignment]  # hides the method of tuples, which nobody misses on a row of this kind
    score: float
    text: str


def ranked(
    documents: list[str],
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    top_k: int | None,
    min_score: float,
) -> list[Ranked]:
    """Documents by falling score, then by falling logit, then by position; see `CrossEncoderReranker.rank`."""
    order = np.lexsort((-logits, -scores))  # the last key counts first
    kept = order[scores[order] >= min_score][:top_k]
    return [Ranked(index, float(scores[index]), documents[index]) for index in kept.tolist()]


def check_limits(top_k: int | None, min_score: float) -> None:
    """Refuse limits that make no sense.

    Raises:
        InputError: `top_k` is below 1, or `min_score` is not in [0, 1].
    """
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is at least 1, not {top_k}.")
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score is in [0, 1], not {min_score}.")
