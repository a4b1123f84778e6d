"""Which rows go through the network together, chosen by their real length in tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
"""Row positions, shape (rows,)."""


def default_batch_tokens(device: str) -> int:
    """Tokens of a padded batch, rows x longest, that suit a device such as "cpu" or "cuda".

    A CPU computes faster while a batch fits its caches; a GPU needs large batches to stay busy.
    """
    return 1024 if device == "cpu" else 16_384


def token_batches(lengths: NDArray[np.intp], budget: int) -> list[Rows]:
    """Group rows of similar length into batches, so that little of a padded batch is padding.

    Args:
        lengths: tokens of each row, shape (n,).
        budget: maximum tokens of a padded batch, rows x longest row; a longer row gets a batch of its own.

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
