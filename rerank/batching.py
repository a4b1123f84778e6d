"""Which rows go through the network together, chosen by their real length in tokens."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
"""Positions of rows, shape (rows,)."""


def suited_batch_tokens(device: str) -> int:
    """Most tokens of a padded batch, rows x longest, that suit a device, such as "cpu" or "cuda".

    A CPU's caches hold little; a GPU waits for its next call unless each does much.
    """
    return 1024 if device == "cpu" else 16_384


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


def group_batches(
    groups: NDArray[np.intp], lengths: NDArray[np.intp], size: int, generator: np.random.Generator
) -> list[Rows]:
    """One epoch of batches of whole groups: random, yet of similar length within a batch.

    As `shuffled_batches`, with groups in the place of rows and the longest row of a group as its length.

    Args:
        groups: the number of each row's group, shape (n,).
        lengths: tokens of each row, shape (n,).
        size: most rows of a batch; a group of more is cut at random into parts of nearly one size.
        generator: where the randomness comes from.
    """
    rows = generator.permutation(len(groups))
    rows = rows[np.argsort(generator.permutation(groups.max() + 1)[groups[rows]], kind="stable")]
    parts: list[Rows] = []
    for whole in np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1):
        parts += np.array_split(whole, math.ceil(len(whole) / size))
    batches = []
    for pool in _pools(parts, 16 * size):
        taken: list[Rows] = []
        for part in sorted(pool, key=lambda part: int(lengths[part].max())):
            if sum(map(len, taken)) + len(part) > size:
                batches.append(np.concatenate(taken))
                taken = []
            taken.append(part)
        batches.append(np.concatenate(taken))
    return [batches[batch] for batch in generator.permutation(len(batches))]


def numbered(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """The number of each row's group, in order of first appearance, shape (n,)."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups], dtype=np.intp)


def split_groups(
    groups: Sequence[Hashable], share: float, generator: np.random.Generator
) -> tuple[Rows, Rows]:
    """Rows to train on and rows held out; no group is in both.

    Args:
        groups: the group of each row, such as its query.
        share: share of the groups to hold out; above 0 it is at least one group.
        generator: where the randomness comes from.
    """
    of_row = numbered(groups)
    count = of_row.max(initial=-1) + 1
    held = np.isin(of_row, generator.permutation(count)[: math.ceil(share * count)])
    return np.flatnonzero(~held), np.flatnonzero(held)


def _pools(parts: Sequence[Rows], size: int) -> Iterator[Sequence[Rows]]:
    """The parts in their order, cut where about `size` rows are full."""
    pool_of = (np.cumsum([len(part) for part in parts]) - 1) // size  # of the last row of each
    cuts = [0, *(np.flatnonzero(np.diff(pool_of)) + 1).tolist(), len(parts)]
    for start, end in pairwise(cuts):
        yield parts[start:end]
