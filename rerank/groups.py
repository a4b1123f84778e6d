"""Groups of pairs, such as those of one query, which must never be on both sides of a split."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.batching import Rows
from rerank.errors import InputError


def group_numbers(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """The number of each row's group, in order of first appearance, shape (n,).

    Raises:
        InputError: a group is a list or another value that is not hashable.
    """
    try:
        hash(tuple(groups))
    except TypeError as error:
        raise InputError(f"groups must be texts, numbers or other hashable values: {error}") from None
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups], dtype=np.intp)


def split_groups(
    groups: Sequence[Hashable], share: float, generator: np.random.Generator
) -> tuple[Rows, Rows]:
    """Rows to train on and rows to hold out; no group has rows in both.

    Args:
        groups: the group of each row, such as its query.
        share: share of the groups to hold out; if above 0, at least one group is held out.
        generator: the source of randomness.
    """
    numbers = group_numbers(groups)
    count = numbers.max(initial=-1) + 1
    held = np.isin(numbers, generator.permutation(count)[: math.ceil(share * count)])
    return np.flatnonzero(~held), np.flatnonzero(held)
