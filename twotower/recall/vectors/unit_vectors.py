"""The one place where vectors are normalised to unit length."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twotower.errors import EncoderError
from twotower.types import Vectors


def unit_rows(vectors: NDArray[np.float32], *, rows: int, dim: int, source: str) -> Vectors:
    """Check the output of an encoder and scale every row to length 1.

    Args:
        vectors: numbers of shape (rows, dim).
        rows: how many inputs were encoded.
        dim: the encoder's `dim`.
        source: of the vectors, named in errors, such as "encode_items".

    Returns:
        A new float32 array of shape (rows, dim), C-contiguous.

    Raises:
        EncoderError: the shape is wrong, or a row is zero or contains NaN or infinity.
    """
    unit, problems = usable_rows(vectors, rows=rows, dim=dim, source=source)
    for row, problem in problems.items():
        raise EncoderError(f"{source} returned {problem} in row {row}: check that input")
    return unit


def usable_rows(
    vectors: NDArray[np.float32], *, rows: int, dim: int, source: str
) -> tuple[Vectors, dict[int, str]]:
    """Like `unit_rows`, for inputs of which some may be left out.

    Returns:
        The rows that can be scaled to length 1, and for each of the others what it is, such as "a zero vector".

    Raises:
        EncoderError: the shape is wrong.
    """
    array = np.asarray(vectors)
    if array.shape != (rows, dim):
        raise EncoderError(
            f"{source} must return one row per input, an array of shape ({rows}, {dim}), got {array.shape}"
        )
    doubles: NDArray[np.float64] = array.astype(np.float64)
    lengths = [math.sqrt(square) for square in np.vecdot(doubles, doubles).tolist()]
    problems = {row: "NaN or infinity" for row, length in enumerate(lengths) if not length < math.inf}
    problems |= {row: "a zero vector" for row, length in enumerate(lengths) if length == 0}
    if problems:
        good = [row for row in range(rows) if row not in problems]
        doubles, lengths = doubles[good], [lengths[row] for row in good]
    doubles /= np.array(lengths, dtype=np.float64).reshape(-1, 1)
    unit: Vectors = doubles.astype(np.float32)
    return unit, problems
