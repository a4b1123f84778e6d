"""Graded pairs, split and checked, as the training loop reads them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank.checks import numbers_of
from rerank.cross_encoder.batching import Rows
from rerank.cross_encoder.tokens import EncodedPairs
from rerank.errors import InputError
from rerank.groups import group_numbers, split_groups
from rerank.training.options import FitOptions

MIN_NDCG_GROUPS = 30  # with fewer held-out groups, mean nDCG is too coarse to choose the best weights by


@dataclass(frozen=True, slots=True)
class GradedPairs:
    """Tokenized pairs with their target scores.

    Args:
        encoded: n pairs.
        targets: in [0, 1], shape (n,).
        groups: the number of each pair's group, shape (n,).
    """

    encoded: EncodedPairs
    targets: NDArray[np.float32]
    groups: NDArray[np.intp]

    def rows(self, rows: Rows) -> GradedPairs:
        """These rows only, in this order."""
        return GradedPairs(self.encoded.rows(rows), self.targets[rows], self.groups[rows])


@dataclass(frozen=True, slots=True)
class Split:
    """Which pairs to train on and which to hold out.

    Args:
        targets: of all pairs, shape (n,).
        groups: the number of each pair's group, shape (n,).
        train: rows to train on.
        held_out: rows to evaluate on; none of their groups is in `train`.
    """

    targets: NDArray[np.float32]
    groups: NDArray[np.intp]
    train: Rows
    held_out: Rows

    def ordered_groups(self) -> int:
        """How many held-out groups have more than one grade."""
        ordered = has_order(self.targets[self.held_out], self.groups[self.held_out])
        return len(np.unique(self.groups[self.held_out][ordered]))


def split(
    grades: Sequence[float] | NDArray[np.floating], groups: Sequence[Hashable], options: FitOptions
) -> Split:
    """Split pairs into those to train on and those to evaluate on.

    If every loss compares, groups of a single grade are left out of the former, because they have no order to learn.

    Raises:
        InputError: the grades are invalid or do not match the groups, or there is nothing to learn from or to choose
            the best weights by.
    """
    targets = normalized_grades(grades, len(groups))
    numbers = group_numbers(groups)
    train, held_out = split_groups(numbers.tolist(), options.held_out, np.random.default_rng(options.seed))
    if len(train) == 0:
        raise InputError("pairs of a single query cannot be split: pass pairs of more queries, or held_out=0")
    if "pointwise" not in options.losses:
        train = train[has_order(targets[train], numbers[train])]
        if len(train) == 0:
            raise InputError(
                f"no group to train on has pairs of different grades, so loss={options.loss!r} has nothing to order: "
                'pass several pairs for each query, or loss="pointwise"'
            )
    found = Split(targets, numbers, train, held_out)
    if options.keep == "ndcg" and found.ordered_groups() == 0:
        raise InputError(
            'no held-out group has pairs of different grades, so keep="ndcg" has nothing to compare: pass more '
            'queries, or keep="loss"'
        )
    return found


def normalized_grades(grades: Sequence[float] | NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """The grades as float32; if any is above 1, all are divided by the highest.

    Raises:
        InputError: there are not `count` grades, or one is negative or not finite.
    """
    targets = numbers_of("grades", grades)
    if targets.shape != (count,):
        raise InputError(f"grades must have one entry for each of {count} pairs, got {len(targets)}")
    if count == 0:
        raise InputError("there are no pairs to learn from")
    bad = np.flatnonzero(~np.isfinite(targets) | (targets < 0))
    if bad.size:
        raise InputError(f"grades[{bad[0]}] must be a finite number of at least 0, got {targets[bad[0]]:g}")
    return np.divide(targets, max(1.0, targets.max())).astype(np.float32)


def has_order(targets: NDArray[np.float32], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the group of each row has more than one target, shape (n,)."""
    lowest = np.full(groups.max(initial=-1) + 1, np.inf)
    highest = -lowest
    np.minimum.at(lowest, groups, targets)
    np.maximum.at(highest, groups, targets)
    differ: NDArray[np.bool_] = (highest > lowest)[groups]
    return differ
