"""Half-precision vectors in a memory-mapped file: only what is read is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Rows
from twotower.types import Vectors

Halves: TypeAlias = NDArray[np.float16]
ROWS_PER_BLOCK = 20_000  # read or written at a time


class VectorTable:
    """The vectors of n rows.

    Args:
        values: float16 of shape (n, dim), mapped from a file that does not change.
    """

    def __init__(self, values: Halves) -> None:
        self._values = values

    @classmethod
    def read(cls, path: Path, dim: int) -> VectorTable:
        """Map a file that `write` wrote.

        Raises:
            ValueError: the size of the file is not a whole number of rows.
        """
        return cls(np.memmap(path, dtype="<f2", mode="r").reshape(-1, dim))

    def __len__(self) -> int:
        return len(self._values)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        dim: int = self._values.shape[1]
        return dim

    def batches(self, start: int = 0) -> Iterator[Vectors]:
        """The vectors from row `start` on, in batches: float32 of shape (m, dim)."""
        for first in range(start, len(self), ROWS_PER_BLOCK):
            yield self._values[first : first + ROWS_PER_BLOCK].astype(np.float32)

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors of these rows, float32 of shape (*rows.shape, dim)."""
        return self._values[rows].astype(np.float32)

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """Serialise all rows to a sink, block by block."""
        for start in range(0, len(self), ROWS_PER_BLOCK):
            sink(self._values[start : start + ROWS_PER_BLOCK].tobytes())


class GrowingTable:
    """Collects rows for a table in an unnamed temporary file, which is freed with the last use of the table.

    Use it in a `with`; the table outlives that.

    Args:
        folder: of the file; None is the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `__exit__`
        self._dim = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, vectors: Vectors) -> None:
        """Append vectors: float32 of shape (n, dim), unit rows."""
        self._dim = vectors.shape[1]
        self._file.write(vectors.astype("<f2").tobytes())

    def done(self) -> VectorTable:
        """The table of all rows, of which there must be at least one; add nothing afterwards."""
        self._file.flush()
        return VectorTable(np.memmap(self._file, dtype="<f2", mode="r").reshape(-1, self._dim))
