"""The one place where vectors are normalised to unit length."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    array = np.asarray(vectors)
    if array.shape != (rows, dim):
        raise EncoderError(
            f"{source} must return one row per input, an array of shape ({rows}, {dim}), got {array.shape}"
        )
    doubles: NDArray[np.float64] = array.astype(np.float64)
    lengths = _lengths(doubles)
    for row, problem in _problems(lengths).items():
        raise EncoderError(f"{source} returned {problem} in row {row}: check that input")
    doubles /= np.array(lengths, dtype=np.float64).reshape(-1, 1)
    unit: Vectors = doubles.astype(np.float32)
    return unit


def unusable_rows(vectors: NDArray[np.float32]) -> dict[int, str]:
    """The rows of an array of shape (n, dim) that cannot be scaled to length 1, with what each of them is."""
    return _problems(_lengths(vectors.astype(np.float64)))


def _lengths(vectors: NDArray[np.float64]) -> list[float]:
    return [math.sqrt(square) for square in np.vecdot(vectors, vectors).tolist()]


def _problems(lengths: Sequence[float]) -> dict[int, str]:
    problems = {row: "NaN or infinity" for row, length in enumerate(lengths) if not length < math.inf}
    return problems | {row: "a zero vector" for row, length in enumerate(lengths) if length == 0}
