"""The batches of a training epoch: in random order, yet of similar length within a batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.batching import Rows

BATCHES_PER_POOL = 16  # rows are sorted by length inside a pool of this many batches


def shuffled_batches(
    rows: Rows, lengths: NDArray[np.intp], size: int, generator: np.random.Generator
) -> list[Rows]:
    """One epoch of single rows.

    The rows are shuffled, cut into pools, sorted by length inside each pool and cut into batches, which are
    shuffled again.

    Args:
        rows: the rows to draw, shape (m,).
        lengths: tokens of every row of the data, indexed by `rows`.
        size: rows of a batch; the last of a pool may have fewer.
        generator: the source of randomness.
    """
    order = generator.permutation(rows)
    batches = []
    for start in range(0, len(order), BATCHES_PER_POOL * size):
        pool = order[start : start + BATCHES_PER_POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[cut : cut + size] for cut in range(0, len(pool), size)]
    return [batches[batch] for batch in generator.permutation(len(batches))]


def group_batches(
    groups: NDArray[np.intp], lengths: NDArray[np.intp], size: int, generator: np.random.Generator
) -> list[Rows]:
    """One epoch of whole groups.

    Like `shuffled_batches`, with groups instead of rows; the length of a group is that of its longest row.

    Args:
        groups: the number of each row's group, shape (n,).
        lengths: tokens of each row, shape (n,).
        size: maximum rows of a batch; a larger group is split at random into parts of nearly equal size.
        generator: the source of randomness.
    """
    rows = generator.permutation(len(groups))
    rows = rows[np.argsort(generator.permutation(groups.max() + 1)[groups[rows]], kind="stable")]
    parts: list[Rows] = []
    for group in np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1):
        parts += np.array_split(group, math.ceil(len(group) / size))
    batches = []
    for pool in _pools(parts, BATCHES_PER_POOL * size):
        batch: list[Rows] = []
        for part in sorted(pool, key=lambda part: int(lengths[part].max())):
            if sum(map(len, batch)) + len(part) > size:
                batches.append(np.concatenate(batch))
                batch = []
            batch.append(part)
        batches.append(np.concatenate(batch))
    return [batches[batch] for batch in generator.permutation(len(batches))]


def _pools(parts: Sequence[Rows], size: int) -> Iterator[Sequence[Rows]]:
    """Consecutive parts, cut wherever about `size` rows are full."""
    pool_of = (np.cumsum([len(part) for part in parts]) - 1) // size  # the pool of each part's last row
    cuts = [0, *(np.flatnonzero(np.diff(pool_of)) + 1).tolist(), len(parts)]
    for start, end in pairwise(cuts):
        yield parts[start:end]
