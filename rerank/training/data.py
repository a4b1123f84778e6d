"""Graded pairs as the loop reads them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank.batching import Rows, numbered, split_groups
from rerank.errors import InputError
from rerank.tokens import Tokens
from rerank.training.options import FitOptions

LEAST_GROUPS = 30  # to order, for nDCG to choose the best weights: with fewer it is too coarse


@dataclass(frozen=True, slots=True)
class Graded:
    """Tokenized pairs with what they should score.

    Args:
        tokens: n pairs.
        targets: in [0, 1], shape (n,).
        groups: the number of each pair's group, shape (n,).
    """

    tokens: Tokens
    targets: NDArray[np.float32]
    groups: NDArray[np.intp]

    def rows(self, rows: Rows) -> Graded:
        """These rows alone, in this order."""
        return Graded(self.tokens.rows(rows), self.targets[rows], self.groups[rows])


@dataclass(frozen=True, slots=True)
class Split:
    """Which pairs to train on, checked to be of use.

    Args:
        targets: of all pairs, shape (n,).
        groups: the number of each pair's group, shape (n,).
        train: rows to train on.
        held_out: rows to evaluate on; no group of theirs is in `train`.
    """

    targets: NDArray[np.float32]
    groups: NDArray[np.intp]
    train: Rows
    held_out: Rows

    def groups_to_order(self) -> int:
        """How many held-out groups have more than one grade."""
        ordered = has_order(self.targets[self.held_out], self.groups[self.held_out])
        return len(np.unique(self.groups[self.held_out][ordered]))


def split(
    grades: Sequence[float] | NDArray[np.floating], groups: Sequence[Hashable], options: FitOptions
) -> Split:
    """Pairs to train on and pairs to evaluate on; where every loss compares, the former without what has no order.

    Raises:
        InputError: the grades are none or do not match the groups, or there is nothing to learn or to keep by.
    """
    targets = targets_of(grades, len(groups))
    numbers = numbered(groups)
    train, held_out = split_groups(numbers.tolist(), options.held_out, np.random.default_rng(options.seed))
    if len(train) == 0:
        raise InputError("One query cannot be split: pass pairs of more queries, or held_out=0.")
    if "pointwise" not in options.loss:
        train = train[has_order(targets[train], numbers[train])]
        if len(train) == 0:
            raise InputError(
                f"No group to train on has pairs of different grades, so loss={options.loss} has nothing to "
                'order: pass several pairs for each query, or loss="pointwise".'
            )
    found = Split(targets, numbers, train, held_out)
    if options.keep == "ndcg" and found.groups_to_order() == 0:
        raise InputError(
            'No held-out group has pairs of different grades, so keep="ndcg" has nothing to go by: pass more '
            'queries, or keep="loss".'
        )
    return found


def targets_of(grades: Sequence[float] | NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """The grades as float32; if any is above 1, all are divided by the highest.

    Raises:
        InputError: there are not `count` grades, or one is negative or no number.
    """
    targets = np.asarray(grades, dtype=np.float32)
    if targets.shape != (count,):
        raise InputError(f"There are {count} pairs but grades of shape {targets.shape}.")
    if count == 0:
        raise InputError("There are no pairs to learn from.")
    bad = np.flatnonzero(~np.isfinite(targets) | (targets < 0))
    if bad.size:
        raise InputError(f"Grade {bad[0]} is {targets[bad[0]]:g}: grades are finite numbers, at least 0.")
    return np.divide(targets, max(1.0, targets.max()), dtype=np.float32)


def has_order(targets: NDArray[np.float32], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the group of each row has more than one target, shape (n,)."""
    lowest = np.full(groups.max(initial=-1) + 1, np.inf)
    highest = -lowest
    np.minimum.at(lowest, groups, targets)
    np.maximum.at(highest, groups, targets)
    differ: NDArray[np.bool_] = (highest > lowest)[groups]
    return differ
