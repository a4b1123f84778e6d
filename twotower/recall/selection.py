"""Which rows of an index a search may find, in the forms that the ways of searching need."""

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
    """Some rows of n.

    Each form is made when it is first needed. Two threads may make the same one at the same time; either is kept.

    Args:
        mask: bool of shape (n,); never written to.
    """

    mask: Mask

    @cached_property
    def count(self) -> int:
        """How many rows there are."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def rows(self) -> Rows:
        """The rows, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def bitmap(self) -> Any:
        """FAISS's selector of these rows: never slower than its others, and quick to make."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))

    def both(self, mask: Mask) -> Selection:
        """The rows that are also in another mask."""
        return Selection(self.mask & mask)

    def without(self, rows: Rows) -> Selection:
        """The other rows."""
        mask = self.mask.copy()
        mask[rows] = False
        return Selection(mask)
