"""The rows of an index that a search may return, in the forms that the search methods need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """A subset of n rows.

    Each form is computed on first use. Two threads may compute the same one at the same time; either is kept.

    Args:
        mask: bool of shape (n,); never written to.
    """

    mask: Mask

    @cached_property
    def count(self) -> int:
        """How many rows are selected."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def rows(self) -> Rows:
        """The selected rows, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def bitmap(self) -> Any:
        """FAISS's bitmap selector of these rows: never slower than its other selectors, and quick to create."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))

    def both(self, mask: Mask) -> Selection:
        """The selected rows that are also set in a mask."""
        return Selection(self.mask & mask)

    def without(self, rows: Rows) -> Selection:
        """The selected rows except these."""
        mask = self.mask.copy()
        mask[rows] = False
        return Selection(mask)
