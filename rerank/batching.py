"""Which rows go through the network together, chosen by their real length in tokens."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
"""Positions of rows, shape (rows,)."""


def token_batches(lengths: NDArray[np.intp], budget: int) -> list[Rows]:
    """Rows in batches of similar length, so that little of a padded batch is padding.

    Args:
        lengths: tokens of each row, shape (n,).
        budget: most tokens of a padded batch, rows x longest row; a longer row makes a batch of its own.

    Returns:
        Every row once, shorter rows first.
    """
    batches: list[list[int]] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        # Rows come in order of length, so this one would be the longest of the batch it joins.
        if batches and (len(batches[-1]) + 1) * lengths[row] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [np.array(batch, dtype=np.intp) for batch in batches]


def shuffled_batches(
    rows: Rows, lengths: NDArray[np.intp], size: int, generator: np.random.Generator
) -> list[Rows]:
    """One epoch of training batches: random, yet of similar length within a batch.

    The rows are shuffled, cut into pools of 16 batches, sorted by length inside each pool and cut into
    batches, which are shuffled again.

    Args:
        rows: the rows to draw, shape (m,).
        lengths: tokens of every row of the data, indexed by `rows`.
        size: rows of a batch; the last of a pool may have fewer.
        generator: where the randomness comes from.
    """
    order = generator.permutation(rows)
    batches = []
    for start in range(0, len(order), 16 * size):
        pool = order[start : start + 16 * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[cut : cut + size] for cut in range(0, len(pool), size)]
    return [batches[batch] for batch in generator.permutation(len(batches))]


def split_groups(
    groups: Sequence[Hashable], share: float, generator: np.random.Generator
) -> tuple[Rows, Rows]:
    """Rows to train on and rows held out; no group is in both.

    Args:
        groups: the group of each row, such as its query.
        share: share of the groups to hold out; above 0 it is at least one group.
        generator: where the randomness comes from.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    of_row = np.array([numbers[group] for group in groups], dtype=np.intp)
    held = np.isin(of_row, generator.permutation(len(numbers))[: math.ceil(share * len(numbers))])
    return np.flatnonzero(~held), np.flatnonzero(held)
